"""How the command line behaves: one line for a mistake, a near name for a typo, exit codes, a crash's traceback.

No command lives here; `cli` has them.
"""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from lm_eval_fr import __version__
from lm_eval_fr.errors import LmEvalFrError, Terminated, nearest, printable
from lm_eval_fr.io.clean import one_line
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.signals import signals_as_interrupts
from lm_eval_fr.io.streams import redacted_output

PROGRAM = "lm-eval-fr"
CRASHED = 70
LONGEST_HELP = 1000  # characters of a sentence that the list of commands shows


class _Stopped(Exception):
    """Carries what click would turn into its own words or exit codes: an interrupt, a broken pipe."""


class Program(click.Group):
    """A group whose every failure is one line on stderr and an exit code, never a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        prepare_streams()
        with redacted_output(Redactor.from_environment()), signals_as_interrupts():
            try:
                code = super().main(*args, **kwargs)
                sys.stdout.flush()
            except LmEvalFrError as error:
                fail(str(error), error.exit_code)
            except click.exceptions.NoArgsIsHelpError as error:
                error.show()
                sys.exit(2)
            except click.NoSuchOption as error:
                fail(f"{error.option_name}: no such option{_near(error.option_name, error.possibilities or ())}", 2)
            except click.ClickException as error:
                fail(_one_line(error), 2)
            except (KeyboardInterrupt, click.Abort, _Stopped) as error:
                cause = error.__cause__ or error
                if isinstance(cause, OSError):
                    crashed(cause)
                interrupted(cause)
            except Exception as error:
                crashed(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, OSError) as error:
            raise _Stopped from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every command with its whole first sentence."""
        commands = [(name, self.commands[name].get_short_help_str(LONGEST_HELP)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = _near(args[0], self.list_commands(ctx))
            raise click.ClickException(f"{args[0]}: no such command{near}")
        return super().resolve_command(ctx, args)


class WithPlan(click.Command):
    """A command whose help ends with a whole plan, the README's."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from lm_eval_fr.demo import example_plan

        formatter.write("\nA plan:\n")
        formatter.write("".join(f"  {line}" for line in example_plan().read_text("utf-8").splitlines(keepends=True)))


def say(message: str) -> None:
    """What is being done now, for people: stderr, so that stdout stays the result's."""
    click.echo(printable(message, keep="\n\t"), err=True)


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    if isinstance(error, click.BadParameter) and error.param is not None and error.message:
        return f"{error.param.get_error_hint(error.ctx) if error.ctx else error.param.name}: {error.message}"
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
    return f"{message.rstrip('.')} (see {command} --help)"


def _near(name: str, known: Any) -> str:
    near = nearest(name, known)
    return f" ({near})" if near else ""


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
