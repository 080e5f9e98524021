"""An argparse command line on which every error, also in what it names, is one line and an exit code."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from lm_eval_fr.errors import LmEvalFrError, Terminated, UsageError
from lm_eval_fr.io.signals import signals_as_interrupts


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print its usage and exit. remedy: where the flags are listed."""

    def __init__(self, *, remedy: str = "--help lists the flags", **given: Any) -> None:
        super().__init__(**given)
        self._remedy = remedy

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=self._remedy)


def script_parser(description: str | None, *, remedy: str = "--help lists the flags") -> Parser:
    """description: the script's docstring, shown as it is written."""
    return Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, remedy=remedy)


def run_script(name: str, work: Callable[[], None], *, interrupted: str = "interrupted") -> int:
    """Runs a script's `work` and returns its exit code; SIGTERM counts as an interrupt."""
    try:
        with signals_as_interrupts():
            work()
    except LmEvalFrError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as cause:
        print(f"{name}: {interrupted}", file=sys.stderr)
        return 128 + (cause.signal if isinstance(cause, Terminated) else signal.SIGINT)
    return 0
