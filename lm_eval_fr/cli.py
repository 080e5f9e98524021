"""Every command: parse, call, print. The modules below do the work and are imported when a command runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lm_eval_fr import __version__
from lm_eval_fr import cli_options as o
from lm_eval_fr.console import Assignment, Percent, Program, RunCommand, RunWords, WithPlan
from lm_eval_fr.io.streams import say_on_stderr as say


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lm-eval-fr")
def main() -> None:
    """Did a change of serving cost quality on my French work, and can I prove it?

    \b
    lm-eval-fr demo           the whole pipeline on built-in texts: no GPU, no key
    lm-eval-fr ab plan.yaml   both arms, the judge, the verdict, the report

    Exit codes: 0 done (--gate: non-inferior), 1 gate: inferior, 2 bad usage or input,
    3 gate: inconclusive or no verdict, 4 unfinished (rerun to resume), 70 a fault of
    this program, 130 interrupted, 143 terminated.
    """


def _command_line() -> str:
    """The command as typed, for the record, without anything that looks like a key."""
    from lm_eval_fr.io.redaction import Redactor

    return Redactor.from_environment().message(shlex.join(["lm-eval-fr", *sys.argv[1:]]))


@main.command()
@click.option("--out", type=o.FOLDER, default=Path("lm-eval-fr-demo"), show_default=True, help="Where to write.")
@click.option("--texts", type=o.FOLDER, metavar="DIR", help="Only copy the texts to DIR, for your own plans.")
@o.apply(o.QUIET, o.FULL)
def demo(out: Path, texts: Path | None, quiet: bool, full: bool) -> None:
    """Run two built-in arms on built-in French texts, the offline judge and the report.

    \b
    lm-eval-fr demo
    lm-eval-fr demo --out /tmp/demo
    lm-eval-fr demo --texts data
    """
    from lm_eval_fr.demo import copy_texts, plan_path

    if texts is not None:
        copy_texts(texts)
        say(f"copied the demo's texts: a plan reads them with data_dir: {texts}")
        return
    _study(plan_path(), out, quiet=quiet, full=full, forecast=False)


@main.command(cls=WithPlan)
@click.argument("plan", type=o.EXISTING)
@click.option("--out", type=o.FOLDER, help="Where to write and resume [the plan's name].")
@o.apply(o.GATE, o.QUIET, o.FULL)
def ab(plan: Path, out: Path | None, gate: bool, quiet: bool, full: bool) -> None:
    """Run a study: both arms, the judge, the verdict and the report. Rerun it to resume.

    \b
    lm-eval-fr ab plan.yaml
    lm-eval-fr ab plan.yaml --out runs/nvfp4 --gate
    """
    _study(plan, out, gate=gate, quiet=quiet, full=full)


@main.command()
@click.argument("plan", type=o.EXISTING)
@o.WHOLE
def check(plan: Path, full: bool) -> None:
    """Check a plan before it runs: endpoints, documents, judge, cost, and what it can decide. Nothing is written.

    \b
    lm-eval-fr check plan.yaml
    lm-eval-fr check plan.yaml && lm-eval-fr ab plan.yaml
    """
    from lm_eval_fr.check.plan_check import check_plan

    report = check_plan(plan, say=say)
    click.echo(report.on_terminal(sys.stdout, full=full))
    sys.exit(report.exit_code)


def _study(plan_file: Path, out: Path | None, *, gate: bool = False, quiet: bool = False, **given: bool) -> None:
    from lm_eval_fr.compare import gate_code
    from lm_eval_fr.errors import Unfinished
    from lm_eval_fr.study import run_study

    tell: Callable[[str], None] = (lambda _: None) if quiet else say
    result = run_study(plan_file, out=out, say=tell, command=_command_line(), quiet=quiet, **given)
    if not quiet:
        page = result.out / "report.html"
        full = given.get("full", False)
        rest = f"{page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page}, or --full"
        click.echo(result.report.on_terminal(sys.stdout, full=full, rest=rest))
        if full or not sys.stdout.isatty():
            click.echo(f"report: {page}")
    if result.unfinished:
        raise Unfinished(result.unfinished, where=result.out, remedy=result.remedy)
    if gate:
        sys.exit(gate_code(result.report))


@main.command(
    cls=RunCommand,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=RunWords())
def run(arguments: tuple[str, ...]) -> None:
    """Run one arm: the flags of `lm_eval run`, --data-dir and --repeats."""
    from lm_eval_fr.arms.harness import main as run_arm

    run_arm(list(arguments))


@main.command()
@click.option("--path", is_flag=True, help="Print their folder, for `lm_eval --include_path`.")
def tasks(path: bool) -> None:
    """List the tasks and groups.

    \b
    lm-eval-fr tasks
    lm_eval run --include_path "$(lm-eval-fr tasks --path)" \\
        --tasks piaf_fr --model vllm ...
    """
    from lm_eval_fr.tasklib.definitions import listed_tasks, tasks_dir

    click.echo(tasks_dir() if path else listed_tasks(sys.stdout))


@main.command()
@click.argument("candidate", type=o.RUNS)
@click.argument("reference", type=o.RUNS)
@click.argument("file", type=o.FILE, required=False)
@o.judge_options
@o.QUIET
@o.pair_options
def judge(
    candidate: Path, reference: Path, file: Path | None, out: Path, reference_rerun: Path | None, **given: Any
) -> None:
    """Compare open-ended answers blind, in both orders.

    \b
    lm-eval-fr judge runs/nvfp4 runs/api --estimate
    lm-eval-fr judge runs/nvfp4 runs/api --orders lazy --max-usd 20
    lm-eval-fr judge runs/nvfp4 runs/api --out runs/judge --batch submit
    lm-eval-fr judge runs/nvfp4 runs/api --out runs/judge --batch write FILE

    After `--batch submit` come `status` and `collect`, or `abandon ID`; `write FILE` is for `vllm run-batch`, and
    `read FILE` takes what that wrote.
    """
    from lm_eval_fr.judge.judge_command import judge_command
    from lm_eval_fr.judge.options import JudgeOptions
    from lm_eval_fr.pairing import pair_runs

    chosen = o.pop_pairing(given)
    steps = {name: given.pop(name) for name in ("batch", "estimate", "quiet")}
    if given.pop("no_canaries"):
        if given["controls"]:
            raise click.UsageError("--no-canaries is --controls 0")
        given["controls"] = 0
    if (level := given.pop("level")) is not None:
        given["alpha"] = (1 - level) / 2
    judge_command(
        pair_runs(candidate, reference, **chosen),
        out,
        JudgeOptions(command=_command_line(), **o.drop_unset(given)),
        rerun=None if reference_rerun is None else pair_runs(reference_rerun, reference, **chosen),
        file=file,
        show=click.echo,
        say=say,
        **steps,
    )


@main.command()
@o.power_options
def power(pilot: tuple[Path, Path] | None, judged: Path | None, full: bool, **given: Any) -> None:
    """Compute how many documents a margin needs, or what margin N documents can establish.

    \b
    lm-eval-fr power
    lm-eval-fr power --margin 2% --sd 0.25 --cluster-size 5 --icc 0.2
    lm-eval-fr power --documents 150 --pilot runs/nvfp4 runs/api
    """
    from lm_eval_fr.analyses.power import power as plan_documents
    from lm_eval_fr.io.terminal import in_brief

    click.echo(in_brief(plan_documents(pilot=pilot, judge=judged, **o.drop_unset(given)), sys.stdout, full=full))


@main.command()
@click.argument("runs", nargs=-1, required=True, type=o.RUNS, metavar="STUDY | CANDIDATE... REFERENCE")
@o.compare_options
@o.price_options
@o.pair_options
def compare(runs: tuple[Path, ...], **given: Any) -> None:
    """Compare two runs, the runs of a study, or several candidates with one reference.

    \b
    lm-eval-fr compare runs/study --html report.html
    lm-eval-fr compare runs/nvfp4 runs/api --judge runs/judge \\
        --margin 2% --margin judge=10% --gate
    lm-eval-fr compare runs/fp8 runs/nvfp4 runs/bf16 --margin 2%
    lm-eval-fr compare runs/nvfp4 runs/bf16 --price 2.50/h \\
        --claims nemotron_3_nano_nvfp4
    """
    from lm_eval_fr.compare.compare_command import compare_command

    to, prices = o.pop_destinations(given), o.pop_prices(given)
    of_all = {
        **o.pop_pairing(given),
        "command": _command_line(),
        "level": given.pop("level"),
        "seed": given.pop("seed"),
    }
    own = {name: given.pop(name) for name in ("judges", "margins", "recovered_from", "gate")}
    of_one = {"prices": prices, **o.drop_unset(given)}
    code = compare_command(runs, to, of_one=of_one, of_all=of_all, **own)
    if own["gate"]:
        sys.exit(code)


@main.command()
def register() -> None:
    """Make plain `lm_eval --tasks piaf_fr` find our tasks; `unregister` undoes it.

    \b
    lm-eval-fr register
    lm_eval run --model vllm --tasks piaf_fr ...
    """
    from lm_eval_fr.tasklib.registration import register as add

    click.echo(add())


@main.command()
def unregister() -> None:
    """Remove what `register` added to the installed lm-eval.

    \b
    lm-eval-fr unregister
    lm-eval-fr unregister && pip uninstall lm-eval-fr
    """
    from lm_eval_fr.tasklib.registration import unregister as remove

    click.echo(remove())


@main.command()
@click.argument("runs", nargs=-1, required=True, type=o.RUNS, metavar="STUDY | RUN [RUN]")
@click.option("--task", type=o.TASK, help="The task, if a run has several.")
@click.option("--doc", help="doc_id, or the start of a doc_hash [the first].")
@click.option("--filter", help="One of the task's filters, if it has several [the first].")
@o.WHOLE
def show(runs: tuple[Path, ...], full: bool, **asked: Any) -> None:
    """Show one document with the answers of one or two runs.

    \b
    lm-eval-fr show runs/study --task piaf_fr
    lm-eval-fr show runs/nvfp4 runs/api --task analysis_fr --doc 12
    """
    from lm_eval_fr.analyses.show import show_sample
    from lm_eval_fr.io.terminal import LINES
    from lm_eval_fr.report.text_writer import text_columns

    most = LINES if sys.stdout.isatty() and not full else None
    click.echo(show_sample(runs, **asked, columns=text_columns(sys.stdout), most=most))


@main.command()
@click.argument("candidate", metavar="CANDIDATE_URL")
@click.argument("reference", metavar="REFERENCE_URL")
@o.fidelity_options
def fidelity(candidate: str, reference: str, **given: Any) -> None:
    """Compare two servers' next-token probabilities on the same French text.

    \b
    lm-eval-fr fidelity http://a:8000 http://b:8000 --texts runs/bf16 --rerun
    lm-eval-fr fidelity http://a:8000 http://b:8000 --texts corpus.txt \\
        --json fidelity.json
    """
    from lm_eval_fr.analyses.fidelity.fidelity_command import FidelityOptions, fidelity_command

    options = FidelityOptions(command=_command_line(), **o.drop_unset(given))
    fidelity_command(candidate, reference, options)


@main.command()
@click.argument("url", metavar="URL")
@click.option("--model", help="The model's name on the server, if it serves several.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds the server's key.")
@o.JSON
def manifest(url: str, **given: Any) -> None:
    """Ask a running server which model it serves, how it is quantised, its context and its version.

    \b
    lm-eval-fr manifest http://127.0.0.1:8080
    lm-eval-fr manifest http://127.0.0.1:11434 --model llama3.2 \\
        --json manifest.json

    `run --manifest` takes that file.
    """
    from lm_eval_fr.arms.server_manifest import manifest_command

    manifest_command(url, **given)


@main.command()
@click.argument("comparison", type=o.EXISTING, metavar="COMPARE.json|STUDY")
def card(comparison: Path) -> None:
    """Print a comparison as part of a model card: `model-index` YAML and a Markdown table.

    \b
    lm-eval-fr card compare.json
    lm-eval-fr card runs/study > card.md
    """
    from lm_eval_fr.report.model_card import read_comparison, render

    click.echo(render(read_comparison(comparison)), nl=False)


@main.command()
@click.argument("candidate", type=o.RUNS)
@click.argument("reference", type=o.RUNS)
@click.option("--out", type=o.FOLDER, required=True, help="The folder to write.")
@click.option(
    "--judge", "judged", type=o.EXISTING, metavar="DIR", help="Folder that `judge` wrote: export its verdicts too."
)
@o.pair_options
def export(candidate: Path, reference: Path, out: Path, judged: Path | None, **given: Any) -> None:
    """Export scores and verdicts as Parquet, in a folder that `datasets.load_dataset` reads.

    \b
    lm-eval-fr export runs/nvfp4 runs/api --out exported
    lm-eval-fr export runs/nvfp4 runs/api --judge runs/judge --out exported
    """
    from lm_eval_fr.analyses.export import export_runs
    from lm_eval_fr.pairing import pair_runs

    done = export_runs(pair_runs(candidate, reference, **o.pop_pairing(given)), out, judge_dir=judged)
    verdicts = "" if done.verdicts is None else f" and {done.verdicts:,} verdicts"
    click.echo(f"{done.scores:,} scores{verdicts}: {done.folder}")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=o.RUNS, metavar="[CANDIDATE]... REFERENCE")
@o.SUCCESS
@o.price_options
@o.format_options
def value(runs: tuple[Path, ...], **given: Any) -> None:
    """Compare the successes per dollar of each arm.

    \b
    lm-eval-fr value runs/nvfp4 runs/bf16 --price 2.50/h \\
        --success "piaf_fr:f1>=0.5"
    lm-eval-fr value runs/nvfp4 runs/api --price 2.50/h \\
        --throughput guidellm.json --price 0.15/0.60/0.015
    """
    from lm_eval_fr.analyses.parts import value_command

    prices, to = o.pop_prices(given), o.pop_destinations(given)
    value_command(runs, prices, to=to, **o.drop_unset(given))


@main.command()
@click.argument("candidate", type=o.RUNS)
@click.argument("reference", type=o.RUNS)
@o.COST_RATIO
@click.option("--margin", type=Percent(), help="Largest acceptable loss, e.g. 2%.")
@click.option("--seed", type=int, help="Seed of the subsets, if they are sampled [1234].")
@click.option("--metric", "metrics", multiple=True, type=Assignment(), help="The metric of the winner, TASK=NAME.")
@o.price_options
@o.format_options
def vote(candidate: Path, reference: Path, **given: Any) -> None:
    """Compare a majority vote over several candidate answers with the reference, at equal cost.

    \b
    lm-eval-fr run --model vllm --model_args pretrained=... \\
        --tasks piaf_fr_vote --output_path runs/nvfp4-votes
    lm-eval-fr vote runs/nvfp4-votes runs/bf16-votes --cost-ratio 3
    lm-eval-fr vote runs/nvfp4-votes runs/bf16 --price 2.50/h --price 10/h
    """
    from lm_eval_fr.analyses.parts import vote_command
    from lm_eval_fr.analyses.voting.voting_builder import VoteOptions

    prices, to = o.pop_prices(given), o.pop_destinations(given)
    options = VoteOptions(prices=prices, **o.drop_unset({**given, "metrics": dict(given["metrics"])}))
    vote_command(candidate, reference, options, to)
