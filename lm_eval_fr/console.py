"""How the command line behaves: one line for a mistake, a near name for a typo, exit codes.

No command lives here; `cli` has them.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from lm_eval_fr.errors import LmEvalFrError, nearest, printable
from lm_eval_fr.exits import PROGRAM, crashed, fail, interrupted, prepare_streams
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.signals import signals_as_interrupts
from lm_eval_fr.io.streams import redacted_output

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
