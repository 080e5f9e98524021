"""Types of the command line's arguments, and the options that several commands share: one help text each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lm_eval_fr.errors import nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from lm_eval_fr.analyses.value.value_command import PriceFlags
    from lm_eval_fr.report.destinations import Destinations

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic in newer releases only

Command = TypeVar("Command", bound=Callable[..., Any])
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


class Existing(ParamType):
    """A file or folder that must exist; a near name is offered where it does not."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.exists():
            return path
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
    """[NAME=]NUMBER, as `--margin 0.02` or `--margin piaf_fr=3%`; a bare number is for `default`."""

    name = "[name=]x"

    def __init__(self, default: str = "") -> None:
        self.default = default

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        name, _, number = str(value).rpartition("=")
        return name or self.default, Percent().convert(number, param, ctx)


class NamedWord(ParamType):
    """NAME=WORD, as `--metric gsm8k=exact_match`."""

    name = "name=word"

    def __init__(self, example: str = "gsm8k=exact_match") -> None:
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, word = str(value).partition("=")
        if not (name and equals and word):
            self.fail(f"{value!r} is not NAME=WORD, e.g. {self.example}", param, ctx)
        return name, word


class Known(ParamType):
    """A word, with those that we know offered to the shell."""

    def __init__(self, name: str, words: Callable[[], Iterable[str]]) -> None:
        self.name, self._words = name, words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _words(self._words(), incomplete)


class RunWords(ParamType):
    """What follows `lm-eval-fr run`: lm-eval's flags, and after --tasks or --model their names."""

    name = "flags"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before = ctx.params.get(param.name or "") or ()
        last = before[-1] if before else ""
        if last == "--tasks":
            words: Sequence[str] = _tasks()
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


def _tasks() -> list[str]:
    from lm_eval_fr.tasklib.definitions import group_names, task_names

    return [*task_names(), *group_names()]


def _definitions_in(folder: str) -> list[str]:
    from lm_eval_fr.tasklib.definitions import judge_dir

    return [path.stem for path in (judge_dir() / folder).glob("*.yaml")]


def _claims() -> list[str]:
    from lm_eval_fr.tasklib.definitions import claims_dir

    return [path.stem for path in claims_dir().glob("*.yaml")]


EXISTING = Existing()
TASK = Known("task", _tasks)
PROFILE = Known("profile", lambda: _definitions_in("profiles"))
RUBRIC = Known("rubric", lambda: _definitions_in("rubrics"))
CLAIMS = Known("claims", _claims)

LEVEL = click.option("--level", type=Percent(), help="Confidence level of the intervals [0.95].")
QUIET = click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
NO_TABLE = click.option("--quiet", is_flag=True, help="Print no table.")
WHOLE = click.option("--full", is_flag=True, help="Print all of the table on a terminal too.")
FULL = click.option("--full", is_flag=True, help="Print all of report.txt, and lm-eval's own tables.")
GATE = click.option("--gate", is_flag=True, help="Exit 1 when inferior, 3 when inconclusive or without a verdict.")
ONLY_TASKS = click.option("--task", "tasks", multiple=True, type=TASK, help="Only this task; repeat for several.")
ALLOW = click.option(
    "--allow", multiple=True, metavar="MISMATCH", help="Compare despite a named mismatch; the report says so."
)
JSON = click.option("--json", "json_file", type=FILE, help="Write JSON; - for stdout.")
MARKDOWN = click.option("--markdown", "markdown_file", type=FILE, help="Write Markdown; - for stdout.")
HTML = click.option("--html", "html_file", type=FILE, help="Write an HTML page.")
SUCCESS = click.option(
    "--success",
    "successes",
    multiple=True,
    metavar="RULE",
    help="What counts as a success, e.g. piaf_fr:f1>=0.5 [metric >= 0.5].",
)
COST_RATIO = click.option("--cost-ratio", type=float, help="What a reference answer costs in candidate answers.")


def apply(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator; help lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


# What every command on two runs takes.
pair_options = apply(
    ONLY_TASKS,
    ALLOW,
    click.option("--metric", "metrics", multiple=True, type=NamedWord(), help="The metric to compare, TASK=NAME."),
    click.option("--filter", "filters", multiple=True, type=NamedWord(), help="The filter to read, TASK=NAME."),
)
# What `judge` alone takes.
judge_options = apply(
    click.option(
        "--out", type=FOLDER, default=Path("judge-out"), show_default=True, help="Journal and verdicts; resumes."
    ),
    click.option(
        "--profile",
        multiple=True,
        type=PROFILE,
        default=("gpt-4.1",),
        help="A name or file; several make a panel [gpt-4.1].",
    ),
    click.option("--rubric", type=RUBRIC, default="analyses_fr", show_default=True, help="Name or file."),
    click.option("--model", help="Use this model instead of the profile's."),
    click.option("--base-url", help="Use this server instead of the profile's."),
    click.option("--estimate", is_flag=True, help="Print calls, tokens and dollars; no API calls are made."),
    click.option(
        "--orders",
        type=click.Choice(["both", "lazy"]),
        default="both",
        show_default=True,
        help="lazy: skip the second order where the first says tie.",
    ),
    click.option("--max-usd", type=float, help="Never spend more in this folder, calls in flight included."),
    click.option("--concurrency", type=int, help="Concurrent calls [the profile's]."),
    click.option(
        "--stop",
        type=click.Choice(["never", "anytime"]),
        default="never",
        show_default=True,
        help="anytime: stop when the margin is decided.",
    ),
    click.option("--margin", type=Percent(), help="For --stop: the net win rate that may be lost, e.g. 10%."),
    LEVEL,
    click.option(
        "--repeats",
        type=int,
        default=1,
        help="Ask a sample of questions this many times, to measure the judge's noise [1].",
    ),
    click.option("--repeat-sample", type=int, default=50, show_default=True, help="Pairs in that sample."),
    click.option("--reference-rerun", type=EXISTING, metavar="DIR", help="Judge the reference against this rerun too."),
    click.option("--labels", type=EXISTING, metavar="FILE", help="Human labels to compare with (JSONL)."),
    click.option("--controls", type=click.IntRange(0), metavar="N", help="Graded control pairs; 0: no controls [40]."),
    click.option("--no-canaries", is_flag=True, help="The same as --controls 0."),
    click.option("--trust-judge", is_flag=True, help="Judge the pairs even if the judge fails the controls."),
    click.option("--retry-invalid", is_flag=True, help="Retry questions to which two replies held no verdict."),
    click.option("--reparse", is_flag=True, help="Reparse the stored replies; no API calls are made."),
    click.option(
        "--batch",
        type=click.Choice(["submit", "status", "collect", "abandon", "write", "read"]),
        help="One step of a batch.",
    ),
)
power_options = apply(
    click.option("--margin", "margins", multiple=True, type=Percent(), help="Documents that this margin needs."),
    click.option(
        "--documents", multiple=True, type=click.IntRange(2), help="Margin that this many documents establish."
    ),
    click.option("--sd", multiple=True, type=Percent(), help="Graded score: SD of the paired differences."),
    click.option("--flips", multiple=True, type=Percent(), help="Exact match: share of documents that change."),
    click.option("--ties", multiple=True, type=Percent(), help="Judge: share of pairs that are not decided."),
    click.option(
        "--pilot", nargs=2, type=EXISTING, metavar="CANDIDATE REFERENCE", help="Two runs that show the spread."
    ),
    click.option("--judge", "judged", type=EXISTING, metavar="DIR", help="With --pilot: the judge's folder."),
    click.option("--cluster-size", type=click.FloatRange(1), default=1.0, help="Documents per article [1]."),
    click.option(
        "--weighted-size", type=click.FloatRange(1), help="Documents in a random document's article, sum m^2 / sum m."
    ),
    click.option("--icc", type=Percent(), default=0.0, help="How alike an article's documents are, 0 to 1 [0]."),
    click.option("--difference", type=Percent(), default=0.0, help="The true difference to plan for [0]."),
    LEVEL,
    click.option("--power", type=Percent(), default=0.8, help="Probability of a verdict on all claims [0.8]."),
    click.option(
        "--claims",
        type=click.IntRange(1),
        default=1,
        help="Number of claims like this one, all of which must hold [1].",
    ),
    click.option(
        "--repeats", type=click.IntRange(1), default=1, help="Tabulate up to this many answers per document [1]."
    ),
    click.option(
        "--unstable", type=Percent(), default=0.5, help="Part of the variance that repeats average out [0.5]."
    ),
    click.option("--guarantee", type=click.Choice(["default", "worst-case"]), default="default", help="As in a plan."),
)
# What an answer costs: one value for all arms, or one per arm in order.
price_options = apply(
    click.option(
        "--price",
        "prices",
        multiple=True,
        metavar="P",
        help="IN/OUT[/CACHED], dollars per million tokens, or X/h; one for all arms, or one per arm in order.",
    ),
    click.option(
        "--throughput",
        "throughputs",
        multiple=True,
        type=EXISTING,
        metavar="FILE",
        help="With X/h: a benchmark of GuideLLM or `vllm bench` instead of the run's own time.",
    ),
    click.option(
        "--tokenizer",
        "tokenizers",
        multiple=True,
        metavar="NAME",
        help="Tokenizer to count with where usage is unknown.",
    ),
    click.option("--estimate", is_flag=True, help="Accept estimated tokens of one arm against counted ones."),
)
# Where to write a part of a report.
format_options = apply(ONLY_TASKS, ALLOW, LEVEL, JSON, MARKDOWN, HTML, NO_TABLE)


def pop_pairing(given: dict[str, Any]) -> dict[str, Any]:
    """The values of `pair_options`, taken out of `given`."""
    found = {name: given.pop(name) for name in ("tasks", "allow", "metrics", "filters")}
    return found | {name: dict(found[name]) for name in ("metrics", "filters")}


def pop_prices(given: dict[str, Any]) -> PriceFlags:
    from lm_eval_fr.analyses.value.value_command import PriceFlags

    names = ("prices", "throughputs", "tokenizers", "estimate", "successes")
    return PriceFlags(**{name: given.pop(name) for name in names if name in given})


def pop_destinations(given: dict[str, Any]) -> Destinations:
    from lm_eval_fr.report.destinations import Destinations

    names = ("json_file", "markdown_file", "html_file", "junit_file", "badge_file", "quiet")
    return Destinations(**{name: given.pop(name) for name in names if name in given})


def drop_unset(given: dict[str, Any]) -> dict[str, Any]:
    """What was given; the defaults of the others are those of the function that is called."""
    return {name: value for name, value in given.items() if value is not None}
