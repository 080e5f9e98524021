"""The options of the commands: one help text each, and one place for those that several share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lm_eval_fr.console import (
    Assignment,
    Existing,
    Known,
    Percent,
    Runs,
    claim_names,
    judge_names,
    known_tasks,
)

if TYPE_CHECKING:
    from lm_eval_fr.analyses.value.prices import PriceFlags
    from lm_eval_fr.report.destinations import Destinations

Command = TypeVar("Command", bound=Callable[..., Any])
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


EXISTING = Existing()
RUNS = Runs()
TASK = Known("task", known_tasks)
PROFILE = Known("profile", lambda: judge_names("profiles"))
RUBRIC = Known("rubric", lambda: judge_names("rubrics"))
CLAIMS = Known("claims", claim_names)

LEVEL = click.option("--level", type=Percent(), help="Confidence level of the intervals [0.95].")
QUIET = click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
NO_TABLE = click.option("--quiet", is_flag=True, help="Print no table.")
WHOLE = click.option("--full", is_flag=True, help="Print the whole text on a terminal too.")
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
COST_RATIO = click.option("--cost-ratio", type=float, help="How many candidate answers one reference answer costs.")


def apply(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator; help lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def reruns_of(arm: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{arm}-rerun",
        multiple=True,
        type=RUNS,
        metavar="DIR",
        help=f"Another run of the {arm}; repeatable. Runs are averaged and give the noise floor.",
    )


# What every command on two runs takes.
pair_options = apply(
    ONLY_TASKS,
    ALLOW,
    click.option("--metric", "metrics", multiple=True, type=Assignment(), help="The metric to compare, TASK=NAME."),
    click.option("--filter", "filters", multiple=True, type=Assignment(), help="The filter to read, TASK=NAME."),
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
        help="lazy: skip the second order if the first says tie.",
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
    click.option("--margin", type=Percent(), help="For --stop: the largest acceptable loss of net win rate, e.g. 10%."),
    LEVEL,
    click.option(
        "--repeats",
        type=int,
        default=1,
        help="Ask a sample of questions this many times, to measure the judge's noise [1].",
    ),
    click.option("--repeat-sample", type=int, default=50, show_default=True, help="Pairs in that sample."),
    click.option("--reference-rerun", type=RUNS, metavar="DIR", help="Judge the reference against this rerun too."),
    click.option("--labels", type=EXISTING, metavar="FILE", help="Human labels to compare with (JSONL)."),
    click.option("--controls", type=click.IntRange(0), metavar="N", help="Graded control pairs; 0: no controls [40]."),
    click.option("--no-canaries", is_flag=True, help="The same as --controls 0."),
    click.option("--trust-judge", is_flag=True, help="Judge the pairs even if the judge fails the controls."),
    click.option("--retry-invalid", is_flag=True, help="Ask again where two replies had no verdict."),
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
    click.option("--ties", multiple=True, type=Percent(), help="Judge: share of undecided pairs."),
    click.option(
        "--pilot", nargs=2, type=EXISTING, metavar="CANDIDATE REFERENCE", help="Two runs to take the spread from."
    ),
    click.option("--judge", "judged", type=EXISTING, metavar="DIR", help="With --pilot: the judge's folder."),
    click.option("--cluster-size", type=click.FloatRange(1), default=1.0, help="Documents per article [1]."),
    click.option(
        "--weighted-size", type=click.FloatRange(1), help="Documents in a random document's article, sum m^2 / sum m."
    ),
    click.option("--icc", type=Percent(), default=0.0, help="How similar an article's documents are, 0 to 1 [0]."),
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
        "--unstable", type=Percent(), help="Part of the variance that repeats average out [the pilot's, or 0.5]."
    ),
    click.option("--guarantee", type=click.Choice(["default", "worst-case"]), default="default", help="As in a plan."),
    WHOLE,
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
# What `compare` alone takes.
compare_options = apply(
    click.option(
        "--judge",
        "judges",
        multiple=True,
        type=EXISTING,
        metavar="DIR",
        help="Folder that `judge` wrote, one per candidate.",
    ),
    click.option(
        "--margin",
        "margins",
        multiple=True,
        type=Assignment(Percent(), default="gold", example="piaf_fr=3%"),
        help="Largest acceptable loss: 2%, piaf_fr=0.03, judge=10%. Without a margin, no verdict is given.",
    ),
    reruns_of("candidate"),
    reruns_of("reference"),
    click.option(
        "--parallel",
        multiple=True,
        type=Assignment(example="mgsm_cot_fr=mgsm_cot_en"),
        help="The same questions in two languages, A=B: what the candidate loses in A beyond its loss in B.",
    ),
    click.option(
        "--guarantee",
        type=click.Choice(["default", "worst-case"]),
        help="worst-case: allow for whole articles lost unseen [default].",
    ),
    click.option("--recovered-from", metavar="NAME", help="The candidate whose loss the others recover."),
    LEVEL,
    click.option("--seed", type=int, help="Seed of the bootstrap [1234]."),
    *(JSON, MARKDOWN, HTML),
    click.option("--junit", "junit_file", type=FILE, help="Write JUnit XML: a test case per claim."),
    click.option("--badge", "badge_file", type=FILE, help="Write the verdict as an SVG badge."),
    *(GATE, NO_TABLE, WHOLE, SUCCESS, COST_RATIO),
    click.option(
        "--claims", type=CLAIMS, metavar="FILE|NAME", help="Published differences to check against these runs."
    ),
    click.option("--fidelity", type=EXISTING, metavar="FILE", help="Add what `fidelity` wrote to the report."),
)
# What `fidelity` alone takes.
fidelity_options = apply(
    click.option("--texts", required=True, type=EXISTING, metavar="FILE|RUN", help="Text, JSONL, or a run's answers."),
    ONLY_TASKS,
    click.option("--limit", type=click.IntRange(1), help="Only the first N texts."),
    click.option("--model", help="The model's name on both servers [what each serves]."),
    click.option("--candidate-model", help="The model's name on the candidate's server."),
    click.option("--reference-model", help="The model's name on the reference's server."),
    click.option(
        "--top", type=int, default=20, show_default=True, help="Log-probabilities per token; vLLM gives up to 20."
    ),
    click.option("--concurrency", type=int, default=4, show_default=True, help="Concurrent requests per server."),
    click.option("--rerun", is_flag=True, help="Query the reference twice, to measure its distance from itself."),
    LEVEL,
    click.option("--worst", type=click.IntRange(0), default=5, show_default=True, help="Passages to show."),
    click.option("--key-env", metavar="NAME", help="The environment variable that holds the servers' key."),
    click.option("--out", type=FOLDER, default=Path("fidelity-out"), show_default=True, help="Replies; resumes."),
    *(JSON, QUIET, WHOLE),
)
# Where to write a part of a report.
format_options = apply(ONLY_TASKS, ALLOW, LEVEL, JSON, MARKDOWN, HTML, NO_TABLE, WHOLE)


def pop_pairing(given: dict[str, Any]) -> dict[str, Any]:
    """The values of `pair_options`, taken out of `given`."""
    found = {name: given.pop(name) for name in ("tasks", "allow", "metrics", "filters")}
    return found | {name: dict(found[name]) for name in ("metrics", "filters")}


def pop_prices(given: dict[str, Any]) -> PriceFlags:
    from lm_eval_fr.analyses.value.prices import PriceFlags

    names = ("prices", "throughputs", "tokenizers", "estimate", "successes")
    return PriceFlags(**{name: given.pop(name) for name in names if name in given})


def pop_destinations(given: dict[str, Any]) -> Destinations:
    from lm_eval_fr.report.destinations import Destinations

    names = ("json_file", "markdown_file", "html_file", "junit_file", "badge_file", "quiet", "full")
    return Destinations(**{name: given.pop(name) for name in names if name in given})


def drop_unset(given: dict[str, Any]) -> dict[str, Any]:
    """The given values only; for the others the called function has its own defaults."""
    return {name: value for name, value in given.items() if value is not None}
