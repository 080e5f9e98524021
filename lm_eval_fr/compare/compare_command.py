"""`lm-eval-fr compare`: runs and options in, the report's faces out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lm_eval_fr.compare.builder import compare, gate_code
from lm_eval_fr.compare.html_samples import write_html
from lm_eval_fr.compare.several import compare_many
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.report import json_writer as json
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.destinations import STDOUT, Show, write_face
from lm_eval_fr.report.model import ManyReport, Report

Part = Callable[[Report, Pairing], Report]


@dataclass(frozen=True)
class CompareOptions:
    """The flags of the command, by their names."""

    judged: Sequence[Path] = ()
    margins: Sequence[tuple[str, float]] = ()
    candidate_rerun: Path | None = None
    reference_rerun: Path | None = None
    recovered_from: str | None = None
    level: float = 0.95
    seed: int = 1234
    json_file: Path | None = None
    markdown_file: Path | None = None
    html_file: Path | None = None
    gate: bool = False
    quiet: bool = False
    allow: Sequence[str] = ()
    metrics: Sequence[tuple[str, str]] = ()
    filters: Sequence[tuple[str, str]] = ()
    tasks: Sequence[str] = ()
    command: str = ""


def compare_command(
    runs: Sequence[Path],
    options: CompareOptions,
    *,
    show: Show,
    colour: bool,
    say: Show,
    parts: Sequence[Part] = (),
) -> int:
    """Compares, writes what was asked for, shows the table unless stdout is owned, and returns the gate's code.

    runs: one candidate or several, and the reference last. parts: what further adds to the report of one candidate.
    Raises UsageError for flags that do not go together.
    """
    _check(runs, options)
    *candidates, reference = [find_run(run, tasks=options.tasks or None) for run in runs]
    pairings = [
        pair_runs(
            candidate,
            reference,
            tasks=options.tasks or None,
            allow=options.allow,
            metrics=dict(options.metrics),
            filters=dict(options.filters),
        )
        for candidate in candidates
    ]
    report = _one(pairings[0], options) if len(pairings) == 1 else _many(pairings, options)
    if isinstance(report, Report):
        for part in parts:
            report = part(report, pairings[0])
    for path, write in (
        (options.json_file, lambda: json.to_json(report)),
        (options.markdown_file, lambda: _markdown(report)),
    ):
        if path is not None:
            write_face(path, write(), show=show, say=say)
    if options.html_file is not None and isinstance(report, Report):
        judged = options.judged[0] if options.judged else None
        write_html(report, pairings[0], options.html_file, judge_dir=judged, seed=options.seed)
        say(f"wrote {options.html_file}")
    if not options.quiet and STDOUT not in (options.json_file, options.markdown_file):
        show(
            text.render(report, colour=colour)
            if isinstance(report, Report)
            else text.render_many(report, colour=colour)
        )
    return gate_code(report) if isinstance(report, Report) else _gate_of_many(report)


def _check(runs: Sequence[Path], options: CompareOptions) -> None:
    if len(runs) < 2:
        raise UsageError("one run compares with nothing", remedy="give CANDIDATE and REFERENCE")
    if options.json_file == STDOUT and options.markdown_file == STDOUT:
        raise UsageError("--json - and --markdown - both want stdout", remedy="give one of them a file")
    if options.html_file == STDOUT:
        raise UsageError("is a page for a browser", where="--html -", remedy="give it a file")
    if len(runs) == 2:
        if len(options.judged) > 1:
            raise UsageError(f"{len(options.judged)} judge folders for one candidate", where="--judge")
        if options.recovered_from:
            raise UsageError("goes with several candidates", where="--recovered-from")
        return
    for flag, value in (
        ("--html", options.html_file),
        ("--candidate-rerun", options.candidate_rerun),
        ("--reference-rerun", options.reference_rerun),
    ):
        if value is not None:
            raise UsageError("is for one candidate", where=flag, remedy="compare that candidate alone")


def _settings(options: CompareOptions) -> dict[str, object]:
    now = datetime.now().astimezone()
    return {
        "margins": _margins(options.margins),
        "level": options.level,
        "seed": options.seed,
        "command": options.command,
        "created": now.isoformat(timespec="seconds"),
        "today": now.date(),
    }


def _margins(given: Sequence[tuple[str, float]]) -> Mapping[str, float]:
    margins: dict[str, float] = {}
    for name, margin in given:
        if name in margins:
            raise UsageError(f"{name} has two margins", where="--margin", remedy="fix one, before looking")
        margins[name] = margin
    return margins


def _one(pairing: Pairing, options: CompareOptions) -> Report:
    return compare(
        pairing,
        judge_dir=options.judged[0] if options.judged else None,
        candidate_rerun=None if options.candidate_rerun is None else find_run(options.candidate_rerun),
        reference_rerun=None if options.reference_rerun is None else find_run(options.reference_rerun),
        **_settings(options),  # type: ignore[arg-type]
    )


def _many(pairings: Sequence[Pairing], options: CompareOptions) -> ManyReport:
    settings = _settings(options)
    return compare_many(pairings, judge_dirs=options.judged, recovered_from=options.recovered_from, **settings)  # type: ignore[arg-type]


def _gate_of_many(many: ManyReport) -> int:
    """0 when every claim stands after Holm, 1 when a candidate is inferior, 3 otherwise."""
    if any(gate_code(report) == 1 for report in many.reports):
        return 1
    return 0 if all(claim.stands for claim in many.claims) else 3


def _markdown(report: Report | ManyReport) -> str:
    return markdown.render(report) if isinstance(report, Report) else markdown.render_many(report)
