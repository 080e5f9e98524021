"""Every command: parse, call, print. The work is done in the modules below; they are imported when a command runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lm_eval_fr import __version__
from lm_eval_fr.console import Assignment, Existing, NamedWord, Percent, Program, say

if TYPE_CHECKING:
    from lm_eval_fr.analyses.value.value_command import PriceFlags
    from lm_eval_fr.pairing import Pairing
    from lm_eval_fr.report.destinations import Destinations

EXISTING = Existing()
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lm-eval-fr")
def main() -> None:
    """Did a change of serving cost quality on my French work, and can I prove it?

    \b
    lm-eval-fr demo                  the whole road on built-in texts, no GPU, no key
    lm-eval-fr ab plan.yaml          both arms, the judge, the verdict, the report

    \b
    Exit codes: 0 done (--gate: non-inferior), 1 gate: inferior, 2 bad usage or input,
    3 gate: inconclusive, 4 unfinished (run again to resume), 130 interrupted.
    """


def _command_line() -> str:
    return shlex.join(["lm-eval-fr", *sys.argv[1:]])


@main.command()
@click.option("--out", type=FOLDER, default=Path("lm-eval-fr-demo"), show_default=True, help="Where to write.")
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@click.option("--full", is_flag=True, help="Show all of report.txt, and lm-eval's own tables.")
def demo(out: Path, quiet: bool, full: bool) -> None:
    """Two built-in arms on built-in French texts, the offline judge, the full report.

    \b
    lm-eval-fr demo
    lm-eval-fr demo --out /tmp/demo
    """
    from lm_eval_fr.demo import plan_path

    _study(plan_path(), out, quiet=quiet, full=full, forecast=False)


@main.command()
@click.argument("plan", type=EXISTING)
@click.option("--out", type=FOLDER, help="Where to write and resume [default: the plan's name].")
@click.option("--gate", is_flag=True, help="Exit 1 when inferior, 3 when inconclusive.")
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@click.option("--full", is_flag=True, help="Show all of report.txt, and lm-eval's own tables.")
def ab(plan: Path, out: Path | None, gate: bool, quiet: bool, full: bool) -> None:
    """The main job: both arms, the judge, the verdict, the report. Run again, it resumes.

    \b
    lm-eval-fr ab plan.yaml
    lm-eval-fr ab plan.yaml --out runs/nvfp4 --gate

    \b
    A plan:
      name: nvfp4-against-api
      tasks: [fr_gold, analysis_fr]
      limit: 150
      metadata: {data: articles.jsonl}
      margins: {gold: 0.02, judge: 0.10}
      candidate:
        model: vllm
        model_args: {pretrained: mistralai/Mistral-Small-4-119B-2603-NVFP4, enable_thinking: false}
        apply_chat_template: true
        rerun: true
      reference:
        model: hosted-chat
        model_args: {preset: mistral, model: mistral-small-2603, num_concurrent: 8}
      judge: {profile: gpt-4.1, max_usd: 20}
    """
    _study(plan, out, gate=gate, quiet=quiet, full=full)


@main.command()
@click.argument("plan", type=EXISTING)
def check(plan: Path) -> None:
    """Before a study: endpoints, checkpoints, documents, judge, and what it will ask. Nothing is written.

    \b
    lm-eval-fr check plan.yaml
    lm-eval-fr check plan.yaml && lm-eval-fr ab plan.yaml
    """
    from lm_eval_fr.check.plan_check import check_plan

    report = check_plan(plan, say=say)
    click.echo(report.text())
    sys.exit(report.exit_code)


def _study(plan_file: Path, out: Path | None, *, gate: bool = False, quiet: bool = False, **given: bool) -> None:
    from lm_eval_fr.compare import gate_code
    from lm_eval_fr.study import run_study

    tell: Callable[[str], None] = (lambda _: None) if quiet else say
    result = run_study(plan_file, out=out, say=tell, command=_command_line(), quiet=quiet, **given)
    if not quiet:
        click.echo(result.report.to_text(colour=_colour()))
        click.echo(f"\nreport: {result.out / 'report.html'}   (also report.md, report.txt, compare.json)")
    if result.unfinished:
        from lm_eval_fr.errors import Unfinished

        raise Unfinished(result.unfinished, where=result.out, remedy=result.remedy)
    if gate:
        sys.exit(gate_code(result.report))


@main.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """One arm: the flags of `lm_eval run`, and --data-dir."""
    from lm_eval_fr.arms.harness import main as run_arm

    run_arm(list(arguments))


def _colour() -> bool:
    from lm_eval_fr.report.text_writer import wants_colour

    return wants_colour(sys.stdout)


@main.command()
@click.option("--path", is_flag=True, help="The folder, for `lm_eval --include_path`.")
def tasks(path: bool) -> None:
    """The task names, or their folder.

    \b
    lm-eval-fr tasks
    lm_eval run --include_path "$(lm-eval-fr tasks --path)" --tasks piaf_fr --model vllm ...
    """
    from lm_eval_fr.tasklib.definitions import group_names, task_names, tasks_dir

    if path:
        click.echo(tasks_dir())
        return
    click.echo("\n".join(task_names()))
    click.echo("\n".join(f"{name}  (group)" for name in group_names()))


def pair_options(command: Callable[..., None]) -> Callable[..., None]:
    """What every command on two runs takes."""
    for option in (
        click.option("--allow", multiple=True, metavar="MISMATCH", help="Let a named mismatch through (printed)."),
        click.option("--metric", "metrics", multiple=True, type=NamedWord(), help="The metric to compare, TASK=NAME."),
        click.option("--filter", "filters", multiple=True, type=NamedWord(), help="The filter to read, TASK=NAME."),
        click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task (several: repeat)."),
    ):
        command = option(command)
    return command


def _pairing(candidate: Path, reference: Path, options: dict[str, Any]) -> Pairing:
    from lm_eval_fr.logs import find_run
    from lm_eval_fr.pairing import pair_runs

    tasks = options["tasks"] or None
    return pair_runs(
        find_run(candidate, tasks=tasks),
        find_run(reference, tasks=tasks),
        tasks=tasks,
        allow=options["allow"],
        metrics=dict(options["metrics"]),
        filters=dict(options["filters"]),
    )


@main.command()
@click.argument("candidate", type=EXISTING)
@click.argument("reference", type=EXISTING)
@click.argument("file", type=FILE, required=False)
@click.option("--out", type=FOLDER, default=Path("judge-out"), show_default=True, help="Journal and verdicts; resumes.")
@click.option("--profile", multiple=True, default=("gpt-4.1",), help="Name or file; several make a panel [gpt-4.1].")
@click.option("--rubric", default="analyses_fr", show_default=True, help="Name or file.")
@click.option("--model", help="Instead of the profile's.")
@click.option("--base-url", help="Instead of the profile's.")
@click.option("--estimate", is_flag=True, help="Calls, tokens and dollars; nobody is asked.")
@click.option("--orders", type=click.Choice(["both", "lazy"]), default="both", show_default=True)
@click.option("--max-usd", type=float, help="Never spend more, calls in flight included.")
@click.option("--concurrency", type=int, help="Calls at once [the profile's].")
@click.option("--stop", type=click.Choice(["never", "anytime"]), default="never", show_default=True)
@click.option("--margin", type=Percent(), help="For --stop: the net win rate that may be lost, e.g. 10%.")
@click.option("--level", type=Percent(), default=0.95, help="For --stop [0.95].")
@click.option("--repeats", type=int, default=1, help="Ask a sample so often in all: the judge's own noise [1].")
@click.option("--repeat-sample", type=int, default=50, show_default=True, help="Pairs in that sample.")
@click.option("--reference-rerun", type=EXISTING, metavar="DIR", help="Judge the reference against itself as well.")
@click.option("--labels", type=EXISTING, metavar="FILE", help="Human labels to compare with (JSONL).")
@click.option("--controls", type=click.IntRange(0), metavar="N", help="Graded control pairs; 0: no controls [40].")
@click.option("--no-canaries", is_flag=True, help="The same as --controls 0.")
@click.option("--trust-judge", is_flag=True, help="Judge the pairs even if the judge fails the controls.")
@click.option("--retry-invalid", is_flag=True, help="Ask again where two replies held no verdict.")
@click.option("--reparse", is_flag=True, help="Read the stored replies again; no API calls are made.")
@click.option("--batch", type=click.Choice(["submit", "status", "collect", "write", "read"]), help="Step of a batch.")
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
@pair_options
def judge(
    candidate: Path, reference: Path, file: Path | None, out: Path, reference_rerun: Path | None, **given: Any
) -> None:
    """The blind comparison of open-ended answers, in both orders.

    \b
    lm-eval-fr judge runs/nvfp4 runs/api --estimate
    lm-eval-fr judge runs/nvfp4 runs/api --out runs/judge --orders lazy --max-usd 20
    lm-eval-fr judge runs/nvfp4 runs/api --out runs/judge --batch submit     (then status, collect)
    lm-eval-fr judge runs/nvfp4 runs/api --out runs/judge --batch write FILE  (for `vllm run-batch`; then read FILE)
    """
    from lm_eval_fr.judge.judge_command import judge_command
    from lm_eval_fr.judge.options import GRADED_CONTROLS, JudgeOptions

    pairing = {name: given.pop(name) for name in ("allow", "metrics", "filters", "tasks")}
    steps = {name: given.pop(name) for name in ("batch", "estimate", "quiet")}
    alpha, controls, none = (1 - given.pop("level")) / 2, given.pop("controls"), given.pop("no_canaries")
    if none and controls:
        raise click.UsageError("--no-canaries is --controls 0")
    controls = 0 if none else GRADED_CONTROLS if controls is None else controls
    judge_command(
        _pairing(candidate, reference, pairing),
        out,
        JudgeOptions(alpha=alpha, controls=controls, command=_command_line(), **given),
        rerun=None if reference_rerun is None else _pairing(reference_rerun, reference, pairing),
        file=file,
        show=click.echo,
        say=say,
        **steps,
    )


@main.command()
@click.option("--margin", "margins", multiple=True, type=Percent(), help="How many documents for this margin.")
@click.option("--documents", multiple=True, type=click.IntRange(2), help="What margin this many establish.")
@click.option("--sd", multiple=True, type=Percent(), help="Graded score: SD of the paired differences.")
@click.option("--flips", multiple=True, type=Percent(), help="Exact match: share on which just one arm is right.")
@click.option("--ties", multiple=True, type=Percent(), help="Judge: share of pairs that are not decided.")
@click.option("--pilot", nargs=2, type=EXISTING, metavar="CANDIDATE REFERENCE", help="Take the spread from two runs.")
@click.option("--judge", "judged", type=EXISTING, metavar="DIR", help="With --pilot: the judge's folder.")
@click.option("--cluster-size", type=click.FloatRange(1), default=1.0, help="Documents an article [1].")
@click.option("--icc", type=Percent(), default=0.0, help="How alike an article's documents are, 0 to 1 [0].")
@click.option("--difference", type=Percent(), default=0.0, help="The true difference to plan for [0].")
@click.option("--level", type=Percent(), default=0.95, help="Of the interval [0.95].")
@click.option("--power", type=Percent(), default=0.8, help="Probability of a verdict [0.8].")
def power(pilot: tuple[Path, Path] | None, judged: Path | None, margins: tuple[float, ...], **given: Any) -> None:
    """How many documents a margin needs, or what margin N documents can establish.

    \b
    lm-eval-fr power
    lm-eval-fr power --margin 2% --sd 0.25 --cluster-size 5 --icc 0.2
    lm-eval-fr power --documents 150 --pilot runs/nvfp4 runs/api --judge runs/judge
    """
    from lm_eval_fr.analyses.power import Question, answer, pilot_spreads

    if judged is not None and pilot is None:
        raise click.UsageError("--judge goes with --pilot CANDIDATE REFERENCE")
    spreads = pilot_spreads(*pilot, judged) if pilot else ()
    click.echo(answer(Question(margins=margins, **given), spreads))


def price_options(command: Callable[..., None]) -> Callable[..., None]:
    """What an answer costs; each for all arms, or one an arm in their order."""
    for option in (
        click.option("--estimate", is_flag=True, help="Take an estimate of one arm's tokens against a count."),
        click.option(
            "--tokenizer", "tokenizers", multiple=True, metavar="NAME", help="To count tokens, without usage."
        ),
        click.option(
            "--throughput", "throughputs", multiple=True, type=EXISTING, metavar="FILE", help="For X/h, measured apart."
        ),
        click.option(
            "--price", "prices", multiple=True, metavar="P", help="IN/OUT[/CACHED] $ a million tokens, or X/h."
        ),
    ):
        command = option(command)
    return command


def _price_flags(given: dict[str, Any]) -> PriceFlags:
    from lm_eval_fr.analyses.value.value_command import PriceFlags

    names = ("prices", "throughputs", "tokenizers", "estimate", "successes")
    return PriceFlags(**{name: given.pop(name) for name in names if name in given})


@main.command()
@click.argument("runs", nargs=-1, required=True, type=EXISTING, metavar="CANDIDATE... REFERENCE")
@click.option(
    "--judge", "judged", multiple=True, type=EXISTING, metavar="DIR", help="What `judge` wrote, one a candidate."
)
@click.option("--margin", "margins", multiple=True, type=Assignment("gold"), help="Largest loss accepted, [TASK=]X.")
@click.option("--candidate-rerun", type=EXISTING, metavar="DIR", help="A second run of the candidate: noise floor.")
@click.option("--reference-rerun", type=EXISTING, metavar="DIR", help="A second run of the reference: noise floor.")
@click.option("--recovered-from", metavar="NAME", help="The candidate whose loss the others win back.")
@click.option("--level", type=Percent(), default=0.95, help="Of the intervals [0.95].")
@click.option("--seed", type=int, default=1234, help="Of the bootstrap draws [1234].")
@click.option("--json", "json_file", type=FILE, help="Write compare.json; - owns stdout.")
@click.option("--markdown", "markdown_file", type=FILE, help="Write Markdown; - owns stdout.")
@click.option("--html", "html_file", type=FILE, help="Write the HTML report.")
@click.option("--gate", is_flag=True, help="Exit 1 when inferior, 3 when inconclusive.")
@click.option("--quiet", is_flag=True, help="Print no table.")
@click.option("--success", "successes", multiple=True, metavar="RULE", help="With --price: as piaf_fr:f1>=0.5.")
@click.option("--cost-ratio", type=float, help="Votes: a reference answer's cost in candidate answers.")
@click.option("--claims", metavar="FILE|NAME", help="Published differences: which hold here. A name: see claims/.")
@click.option("--fidelity", type=EXISTING, metavar="FILE", help="What `fidelity` wrote, into the report.")
@price_options
@pair_options
def compare(runs: tuple[Path, ...], **given: Any) -> None:
    """The verdict and the report of two runs; or of several candidates against one reference.

    \b
    lm-eval-fr compare runs/nvfp4 runs/api --judge runs/judge --html report.html
    lm-eval-fr compare runs/fp8 runs/nvfp4 runs/bf16 --margin 0.02 --margin piaf_fr=0.03 --gate
    lm-eval-fr compare runs/nvfp4 runs/bf16 --price 2.50/h --html report.html
    lm-eval-fr compare runs/nvfp4 runs/bf16 --claims nemotron_3_nano_nvfp4
    """
    from lm_eval_fr.analyses.claims import find_claims
    from lm_eval_fr.analyses.fidelity.fidelity_command import read_fidelity
    from lm_eval_fr.compare.compare_command import CompareCommand, compare_command
    from lm_eval_fr.compare.compare_options import CompareOptions

    to, claims, fidelity_file = _destinations(given), given.pop("claims"), given.pop("fidelity")
    options = CompareOptions(
        prices=_price_flags(given),
        claims=find_claims(claims) if claims else None,
        fidelity=read_fidelity(fidelity_file) if fidelity_file else None,
        command=_command_line(),
        **{name: given.pop(name) for name in ("level", "seed", "allow", "cost_ratio")},
    )
    flags = CompareCommand(**given)
    code = compare_command(runs, flags, options, to, show=click.echo, say=say, colour=_colour())
    if flags.gate:
        sys.exit(code)


@main.command()
def register() -> None:
    """Let the bare `lm_eval --tasks piaf_fr` find our tasks; `unregister` takes it back without a trace.

    \b
    lm-eval-fr register
    lm_eval run --model vllm --tasks piaf_fr ...
    """
    from lm_eval_fr.tasklib.registration import register as add

    click.echo(add().text)


@main.command()
def unregister() -> None:
    """Take back what `register` added to the installed lm-eval.

    \b
    lm-eval-fr unregister
    lm-eval-fr unregister && pip uninstall lm-eval-fr
    """
    from lm_eval_fr.tasklib.registration import unregister as remove

    click.echo(remove().text)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=EXISTING, metavar="RUN [RUN]")
@click.option("--task", help="Which task, where a run has several.")
@click.option("--doc", help="doc_id, or the start of a doc_hash [the first].")
def show(runs: tuple[Path, ...], task: str | None, doc: str | None) -> None:
    """One document with the answers of one or two runs.

    \b
    lm-eval-fr show runs/nvfp4 --task piaf_fr
    lm-eval-fr show runs/nvfp4 runs/api --task analysis_fr --doc 12
    """
    import shutil

    from lm_eval_fr.analyses.show import show_sample

    columns = min(shutil.get_terminal_size().columns, 100)
    click.echo(show_sample(runs, task=task, doc=doc, columns=columns))


@main.command()
@click.argument("candidate", metavar="CANDIDATE_URL")
@click.argument("reference", metavar="REFERENCE_URL")
@click.option("--texts", required=True, type=EXISTING, metavar="FILE|RUN", help="Text, JSONL, or a run: its answers.")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Of a run, only this task (several: repeat).")
@click.option("--limit", type=click.IntRange(1), help="The first so many texts.")
@click.option("--model", help="What both servers call it [what each says it serves].")
@click.option("--candidate-model", help="What the candidate's server calls it.")
@click.option("--reference-model", help="What the reference's server calls it.")
@click.option("--top", type=int, default=20, show_default=True, help="Log-probabilities a token; vLLM gives 20.")
@click.option("--concurrency", type=int, default=4, show_default=True, help="Requests at once to each server.")
@click.option("--rerun", is_flag=True, help="Ask the reference twice: how far it is from itself.")
@click.option("--level", type=Percent(), default=0.95, help="Of the intervals [0.95].")
@click.option("--worst", type=click.IntRange(0), default=5, show_default=True, help="Passages to show.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds the servers' key.")
@click.option("--out", type=FOLDER, default=Path("fidelity-out"), show_default=True, help="Replies; resumes.")
@click.option("--json", "json_file", type=FILE, help="Write the result; - owns stdout.")
@click.option("--quiet", is_flag=True, help="Print no numbers and no progress.")
def fidelity(candidate: str, reference: str, **given: Any) -> None:
    """How far apart the arms' next-token probabilities are on the same French text, token by token.

    \b
    lm-eval-fr fidelity http://a:8000/v1 http://b:8000/v1 --texts runs/bf16 --rerun
    lm-eval-fr fidelity http://a:8000/v1 http://b:8000/v1 --texts corpus.txt --json fidelity.json
    """
    from lm_eval_fr.analyses.fidelity.fidelity_command import FidelityOptions, fidelity_command

    options = FidelityOptions(command=_command_line(), **given)
    fidelity_command(candidate, reference, options, show=click.echo, say=say)


@main.command()
@click.argument("comparison", type=EXISTING, metavar="COMPARE.json|STUDY")
def card(comparison: Path) -> None:
    """The comparison as a part of a model card: `model-index` YAML and a Markdown table.

    \b
    lm-eval-fr card compare.json
    lm-eval-fr card runs/study > card.md
    """
    from lm_eval_fr.report.model_card import read_comparison, render

    click.echo(render(read_comparison(comparison)), nl=False)


@main.command()
@click.argument("candidate", type=EXISTING)
@click.argument("reference", type=EXISTING)
@click.option("--out", type=FOLDER, required=True, help="The folder to write.")
@click.option("--judge", "judged", type=EXISTING, metavar="DIR", help="What `judge` wrote: its verdicts as well.")
@pair_options
def export(candidate: Path, reference: Path, out: Path, judged: Path | None, **given: Any) -> None:
    """Scores and verdicts as Parquet, in a folder that `datasets.load_dataset` reads.

    \b
    lm-eval-fr export runs/nvfp4 runs/api --out exported
    lm-eval-fr export runs/nvfp4 runs/api --judge runs/judge --out exported
    """
    from lm_eval_fr.analyses.export import export_runs

    done = export_runs(_pairing(candidate, reference, given), out, judge_dir=judged)
    verdicts = "" if done.verdicts is None else f" and {done.verdicts:,} verdicts"
    click.echo(f"{done.scores:,} scores{verdicts}: {done.folder}")


def format_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where to write a part of a report."""
    for option in (
        click.option("--quiet", is_flag=True, help="Print no table."),
        click.option("--html", "html_file", type=FILE, help="Write an HTML page."),
        click.option("--markdown", "markdown_file", type=FILE, help="Write Markdown; - owns stdout."),
        click.option("--json", "json_file", type=FILE, help="Write JSON; - owns stdout."),
        click.option("--level", type=Percent(), default=0.95, help="Of the intervals [0.95]."),
        click.option("--allow", multiple=True, metavar="MISMATCH", help="Let a named mismatch through."),
        click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task (several: repeat)."),
    ):
        command = option(command)
    return command


def _destinations(given: dict[str, Any]) -> Destinations:
    from lm_eval_fr.report.destinations import Destinations

    return Destinations(**{name: given.pop(name) for name in ("json_file", "markdown_file", "html_file", "quiet")})


@main.command()
@click.argument("runs", nargs=-1, required=True, type=EXISTING, metavar="[CANDIDATE]... REFERENCE")
@click.option("--success", "successes", multiple=True, metavar="RULE", help="As piaf_fr:f1>=0.5 [metric >= 0.5].")
@price_options
@format_options
def value(runs: tuple[Path, ...], **given: Any) -> None:
    """What a dollar buys: successes per dollar of each arm, and how many times as many as the reference's.

    \b
    Prices: IN/OUT[/CACHED], dollars a million tokens; or X/h, dollars an hour of what serves the arm, times
    the run's own time or a --throughput FILE of GuideLLM or `vllm bench`. One for all, or one an arm.

    \b
    lm-eval-fr value runs/nvfp4 runs/bf16 --price 2.50/h --success "piaf_fr:f1>=0.5"
    lm-eval-fr value runs/nvfp4 runs/api --price 2.50/h --throughput guidellm.json --price 0.15/0.60/0.015
    """
    from lm_eval_fr.analyses.value.value_command import value_command

    prices, to = _price_flags(given), _destinations(given)
    value_command(runs, prices, to=to, show=click.echo, say=say, colour=_colour(), **given)


@main.command()
@click.argument("candidate", type=EXISTING)
@click.argument("reference", type=EXISTING)
@click.option("--cost-ratio", type=float, help="What a reference answer costs in candidate answers.")
@click.option("--margin", type=Percent(), help="Largest loss accepted, e.g. 0.02.")
@click.option("--seed", type=int, default=1234, help="Of the subsets, where they are drawn [1234].")
@click.option("--metric", "metrics", multiple=True, type=NamedWord(), help="What scores a winner, TASK=NAME.")
@price_options
@format_options
def vote(candidate: Path, reference: Path, **given: Any) -> None:
    """What the majority of several candidate answers is worth against the reference's, at equal cost.

    \b
    lm-eval-fr run --model vllm --model_args pretrained=... --tasks piaf_fr_vote --output_path runs/nvfp4-votes
    lm-eval-fr vote runs/nvfp4-votes runs/bf16-votes --cost-ratio 3
    lm-eval-fr vote runs/nvfp4-votes runs/bf16 --price 2.50/h --price 10/h
    """
    from lm_eval_fr.analyses.voting.vote_command import vote_command

    given["metrics"] = dict(given["metrics"])
    prices, to = _price_flags(given), _destinations(given)
    vote_command(candidate, reference, prices=prices, to=to, show=click.echo, say=say, colour=_colour(), **given)
