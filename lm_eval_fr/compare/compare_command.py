"""`lm-eval-fr compare`: runs and options in, the report in every format that was asked for out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lm_eval_fr.compare.builder import compare, gate_code
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.several import compare_many
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.destinations import Destinations, Show, deliver
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.model import ManyReport
from lm_eval_fr.report.report_sections import sections_of_many


@dataclass(frozen=True)
class CompareCommand:
    """The flags that are the command's own; the others are CompareOptions."""

    judged: Sequence[Path] = ()
    margins: Sequence[tuple[str, float]] = ()
    candidate_rerun: Path | None = None
    reference_rerun: Path | None = None
    recovered_from: str | None = None
    metrics: Sequence[tuple[str, str]] = ()
    filters: Sequence[tuple[str, str]] = ()
    tasks: Sequence[str] = ()
    gate: bool = False


def compare_command(
    runs: Sequence[Path],
    flags: CompareCommand,
    options: CompareOptions,
    destinations: Destinations,
    *,
    show: Show,
    say: Show,
    colour: bool,
) -> int:
    """Compares, writes what was asked for, shows the table unless stdout is owned, and returns the gate's code.

    runs: one candidate or several, and the reference last. Raises UsageError for flags that do not go together.
    """
    _check(runs, flags, options, destinations)
    destinations.check()
    *candidates, reference = [find_run(run, tasks=flags.tasks or None) for run in runs]
    pairings = [
        pair_runs(
            candidate,
            reference,
            tasks=flags.tasks or None,
            allow=options.allow,
            metrics=dict(flags.metrics),
            filters=dict(flags.filters),
        )
        for candidate in candidates
    ]
    options = _complete(flags, options)
    if len(pairings) > 1:
        many = compare_many(pairings, options, judge_dirs=flags.judged, recovered_from=flags.recovered_from)
        sections = sections_of_many(many)
        deliver(
            destinations,
            json=lambda: to_json(many),
            markdown=lambda: markdown.render(sections),
            text=lambda: text.render(sections, colour=colour),
            show=show,
            say=say,
        )
        return _gate_of_many(many)
    report = compare(pairings[0], options)
    deliver(
        destinations,
        json=report.to_json,
        markdown=report.to_markdown,
        html=report.to_html,
        text=lambda: report.to_text(colour=colour),
        show=show,
        say=say,
    )
    return gate_code(report)


def _check(runs: Sequence[Path], flags: CompareCommand, options: CompareOptions, destinations: Destinations) -> None:
    if len(runs) < 2:
        raise UsageError("only one run was given", remedy="give CANDIDATE and REFERENCE")
    if options.prices.successes and not options.prices.prices:
        raise UsageError("goes with --price", where="--success")
    if flags.gate and not flags.margins:
        raise UsageError("needs a margin", where="--gate", remedy="--margin 0.02 accepts a loss of two points")
    if len(runs) == 2:
        if len(flags.judged) > 1:
            raise UsageError(f"{len(flags.judged)} judge folders for one candidate", where="--judge")
        if flags.recovered_from:
            raise UsageError("goes with several candidates", where="--recovered-from")
        return
    for flag, given in (
        ("--html", destinations.html_file),
        ("--candidate-rerun", flags.candidate_rerun),
        ("--reference-rerun", flags.reference_rerun),
        ("--claims", options.claims),
        ("--fidelity", options.fidelity),
        ("--price", options.prices.prices or None),
        ("--cost-ratio", options.cost_ratio),
    ):
        if given is not None:
            raise UsageError("is for one candidate", where=flag, remedy="compare that candidate alone")


def _complete(flags: CompareCommand, options: CompareOptions) -> CompareOptions:
    now = datetime.now().astimezone()
    margins: dict[str, float] = {}
    for name, margin in flags.margins:
        if name in margins:
            raise UsageError(f"{name} has two margins", where="--margin", remedy="fix one, before looking")
        margins[name] = margin
    return replace(
        options,
        judge_dir=flags.judged[0] if flags.judged else None,
        margins=margins,
        candidate_rerun=None if flags.candidate_rerun is None else find_run(flags.candidate_rerun),
        reference_rerun=None if flags.reference_rerun is None else find_run(flags.reference_rerun),
        created=now.isoformat(timespec="seconds"),
        today=now.date(),
    )


def _gate_of_many(many: ManyReport) -> int:
    """0 when every claim stands after Holm, 1 when a candidate is inferior, 3 otherwise."""
    if any(gate_code(report) == 1 for report in many.reports):
        return 1
    return 0 if all(claim.stands for claim in many.claims) else 3
