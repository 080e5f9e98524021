"""How the command line behaves: types of arguments, one-line errors, suggestions for typos, exit codes.

No command lives here; `cli` has them.
"""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from lm_eval_fr import __version__
from lm_eval_fr.errors import LmEvalFrError, Terminated, nearest, printable
from lm_eval_fr.io.clean import one_line
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.signals import signals_as_interrupts
from lm_eval_fr.io.streams import redacted_output

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic in newer releases only

PROGRAM = "lm-eval-fr"
CRASHED = 70
LONGEST_HELP = 1000  # characters of a sentence in the list of commands


class _Stopped(Exception):
    """Carries an exception that click would turn into its own words or exit code: an interrupt, a broken pipe."""


class Program(click.Group):
    """A group in which every failure is one line on stderr and an exit code, never a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs |= {"standalone_mode": False, "prog_name": PROGRAM}  # also as `python -m lm_eval_fr`
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
                if isinstance(cause, OSError) and cause.errno == errno.ENAMETOOLONG:  # a typed name
                    fail(f"{one_line(str(cause.filename), 60)}: {cause.strerror}", 2)
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
    """A command whose help ends with a complete plan, the README's."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from lm_eval_fr.demo import example_plan

        formatter.write("\nA plan:\n")
        formatter.write("".join(f"  {line}" for line in example_plan().read_text("utf-8").splitlines(keepends=True)))


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
    see = f"(see {command} --help)"
    if isinstance(error, click.BadParameter) and error.param is not None and error.message:
        place = error.param.get_error_hint(error.ctx) if error.ctx else error.param.name
        # Click's own types name no remedy; ours do.
        bare = isinstance(error.param.type, click.Choice | click.Path | type(click.INT) | type(click.FLOAT))
        if bare:
            return f"{place}: {error.message.rstrip('.')} {see}"
        return error.message if isinstance(error.param, click.Argument) else f"{place}: {error.message}"
    return f"{message.rstrip('.')} {see}"


def _near(name: str, known: Any) -> str:
    near = nearest(name, known)
    return f" ({near})" if near else ""


def prepare_streams() -> None:
    """Streams that accept any text: a closed one is replaced by a sink."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def fail(message: str, code: int) -> NoReturn:
    """Prints one line on stderr and exits."""
    with suppress(OSError, ValueError):  # stderr may be closed
        click.echo(f"{PROGRAM}: {printable(message)}", err=True)
    sys.exit(code)


def interrupted(cause: BaseException) -> NoReturn:
    """Exits with 128 plus the signal's number; in an arm of a study, the study prints the message."""
    from lm_eval_fr.arms.child import RESUME

    number = cause.signal if isinstance(cause, Terminated) else signal.SIGINT
    if RESUME in os.environ:
        sys.exit(128 + number)
    done = "" if isinstance(cause, Terminated) or not str(cause) else f"{cause}; "
    fail(f"interrupted: {done}what was obtained is kept; resume with: {_resume()}", 128 + number)


def crashed(error: Exception) -> NoReturn:
    """A fault of this program, or of the place that it writes to: one line, and the traceback in a file."""
    import traceback

    from lm_eval_fr.io.files import write_atomic

    if isinstance(error, OSError):
        _silence(sys.stdout)  # Python would complain again while closing it
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
    """The command's output folder, if it exists; else the one for temporary files."""
    import tempfile

    for flag, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        name, equals, inner = flag.partition("=")
        with suppress(OSError, ValueError):  # a name that is too long, a folder without access
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


class Existing(ParamType):
    """A file or folder that must exist; otherwise a similar name is suggested."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        try:
            if path.exists():
                return path
        except OSError as error:
            return self.fail(f"{one_line(str(value), 60)}: {error.strerror}", param, ctx)
        missing = path
        while not missing.parent.exists():
            missing = missing.parent
        siblings = (
            [str(missing.parent / name.name) for name in missing.parent.iterdir()] if missing.parent.is_dir() else []
        )
        near = nearest(str(missing), siblings)
        return self.fail(f"{value}: no such file or folder{f' ({near})' if near else ''}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _files(incomplete)


class Runs(Existing):
    """A run's folder, or a quoted pattern for the folders of its shards."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from lm_eval_fr.io.files import matching

        with suppress(OSError):  # said below
            if matching(Path(value)):
                return Path(value)
        return super().convert(value, param, ctx)


class Percent(ParamType):
    """A fraction: 0.02 or 2%."""

    name = "x"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from lm_eval_fr.plan import parse_share

        try:
            return parse_share(value)
        except ValueError as error:
            return self.fail(f"{value!r} is not a number: {error}", param, ctx)


class Assignment(ParamType):
    """NAME=VALUE, as `--metric gsm8k=exact_match`; a bare value is for `default`, as in `--margin 0.02`."""

    def __init__(
        self, value: ParamType = click.STRING, *, example: str = "gsm8k=exact_match", default: str = ""
    ) -> None:
        self.name = "[name=]x" if default else "name=word"
        self._value, self._example, self._default = value, example, default

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, equals, word = str(value).partition("=")
        if not equals and self._default:
            name, word = self._default, name
        if not (name and word):
            self.fail(f"{value!r} is not NAME=VALUE, e.g. {self._example}", param, ctx)
        return name, self._value.convert(word, param, ctx)


class Known(ParamType):
    """A word, with the known ones offered to the shell."""

    def __init__(self, name: str, words: Callable[[], Iterable[str]]) -> None:
        self.name, self._words = name, words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _words(self._words(), incomplete)


class RunWords(ParamType):
    """Completions after `lm-eval-fr run`: lm-eval's flags, and the names for --tasks and --model."""

    name = "flags"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before = ctx.params.get(param.name or "") or ()
        last = before[-1] if before else ""
        if last == "--tasks":
            words: Sequence[str] = known_tasks()
        elif last == "--model":
            from lm_eval_fr.arms.flags import model_names

            words = model_names()
        elif incomplete.startswith("-"):
            from lm_eval_fr.arms.flags import build_parser

            words = [flag for flag in build_parser()._option_string_actions if flag.startswith("--")]
        else:
            return _files(incomplete)
        return _words(words, incomplete)


class RunCommand(click.Command):
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """lm-eval's flags, which click does not know."""
        return RunWords().shell_complete(ctx, self.params[0], incomplete)


def _words(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in sorted(words) if word.startswith(incomplete)]


def _files(incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def known_tasks() -> list[str]:
    from lm_eval_fr.tasklib.definitions import group_names, task_names

    return [*task_names(), *group_names()]


def judge_names(folder: str) -> list[str]:
    from lm_eval_fr.tasklib.definitions import judge_dir

    return [path.stem for path in (judge_dir() / folder).glob("*.yaml")]


def claim_names() -> list[str]:
    from lm_eval_fr.tasklib.definitions import claims_dir

    return [path.stem for path in claims_dir().glob("*.yaml")]
