"""How the program ends: one line on stderr, an exit code with one meaning, and a crash's traceback in a file."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO

import click

from lm_eval_fr import __version__
from lm_eval_fr.errors import LmEvalFrError, Terminated, printable
from lm_eval_fr.io.clean import one_line
from lm_eval_fr.io.redaction import Redactor

PROGRAM = "lm-eval-fr"
CRASHED = 70


def prepare_streams() -> None:
    """Streams that take any text: one that is closed becomes one that goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def fail(message: str, code: int) -> NoReturn:
    """Says it on stderr in one line and exits."""
    with suppress(OSError, ValueError):  # stderr may be closed
        click.echo(f"{PROGRAM}: {printable(message)}", err=True)
    sys.exit(code)


def interrupted(cause: BaseException) -> NoReturn:
    """Ends with 128 and the signal's number; an arm of a study leaves the word to the study."""
    from lm_eval_fr.arms.child import RESUME

    number = cause.signal if isinstance(cause, Terminated) else signal.SIGINT
    if RESUME in os.environ:
        sys.exit(128 + number)
    done = "" if isinstance(cause, Terminated) or not str(cause) else f"{cause}; "
    fail(f"interrupted: {done}what was obtained is kept; resume with: {_resume()}", 128 + number)


def crashed(error: Exception) -> NoReturn:
    """A fault of this program, or of the place that it writes to: one line, and the rest in a file."""
    import traceback

    from lm_eval_fr.io.files import write_atomic

    if isinstance(error, OSError):
        _silence(sys.stdout)  # Python would complain once more while closing it
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    else:
        what = f"internal error: {type(error).__name__}: {error}"
    redactor = Redactor.from_environment()
    text = "".join(traceback.format_exception(error))
    about = f"{shlex.join([PROGRAM, *sys.argv[1:]])}\n{PROGRAM} {__version__}, Python {sys.version}\n\n{text}"
    file = _beside_the_output() / f"{PROGRAM}-crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        write_atomic(file, printable(redactor.message(about), keep="\n\t"))
        where = f"; the traceback is in {file}"
    except LmEvalFrError:
        where = ""
    fail(f"{one_line(redactor.message(what))}{where}", CRASHED)


def _beside_the_output() -> Path:
    """The folder that the command was told to write to, if it is there; else the one for temporary files."""
    import tempfile

    for flag, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        name, equals, inner = flag.partition("=")
        if name in ("--out", "--output_path") and (folder := Path(inner if equals else value)).is_dir():
            return folder
    return Path(tempfile.gettempdir())


def _silence(stream: TextIO) -> None:
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _resume() -> str:
    """This command; or, in an arm that belongs to a study, the study's."""
    from lm_eval_fr.arms.child import RESUME

    typed = os.environ.get(RESUME) or shlex.join([PROGRAM, *sys.argv[1:]])
    return Redactor.from_environment().message(typed)
