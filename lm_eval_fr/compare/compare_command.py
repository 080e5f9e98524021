"""`lm-eval-fr compare`: folders and flags in, the report in every requested format out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lm_eval_fr.compare.builder import gate_code
from lm_eval_fr.compare.compare_paths import compare, compare_many
from lm_eval_fr.errors import UsageError
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.destinations import Destinations, deliver
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.model import ManyReport, Report
from lm_eval_fr.report.report_sections import sections_of_many
from lm_eval_fr.report.terminal_writer import on_terminal, render_brief_many

T = TypeVar("T")
GATE_REMEDY = "--margin 2% accepts a loss of two points"


@dataclass(frozen=True)
class CompareFlags:
    """The flags of the command. of_all: those that `compare` and `compare_many` take by the same name."""

    judges: Sequence[Path] = ()
    margins: Sequence[tuple[str, float]] = ()
    recovered_from: str | None = None
    of_one: Mapping[str, Any] = field(default_factory=dict)
    of_all: Mapping[str, Any] = field(default_factory=dict)
    gate: bool = False


def compare_command(runs: Sequence[Path], flags: CompareFlags, to: Destinations) -> int:
    """Compares, writes the requested files, shows the table unless stdout is taken, and returns the gate's code.

    runs: a study; or one candidate or several, and the reference last.
    Raises UsageError for flags that do not go together.
    """
    to.check()
    if flags.of_one["prices"].successes and not flags.of_one["prices"].prices:
        raise UsageError("goes with --price", where="--success")
    margins = _once(flags.margins, "--margin", "margins", "fix one, before looking")
    if len(runs) > 2:
        return _compare_several(runs, margins, flags, to)
    if len(flags.judges) > 1:
        raise UsageError(f"{len(flags.judges)} judge folders for one candidate", where="--judge")
    if flags.recovered_from:
        raise UsageError("goes with several candidates", where="--recovered-from")
    judge = flags.judges[0] if flags.judges else None
    other = runs[1] if len(runs) == 2 else None
    twins = flags.of_one.get("parallel") or ()
    of_one = {**flags.of_one, "parallel": _once(twins, "--parallel", "tasks beside it", "name another first: B=A")}
    report = compare(runs[0], other, judge=judge, margins=margins, **of_one, **flags.of_all)
    _check_gate(flags, [report])
    deliver(
        to,
        json=report.to_json,
        markdown=report.to_markdown,
        html=report.to_html,
        junit=report.to_junit,
        badge=report.to_badge,
        text=lambda: report.on_terminal(sys.stdout, full=to.full, rest=_rest(runs, to)),
    )
    return gate_code(report)


def _rest(runs: Sequence[Path], to: Destinations) -> str:
    """Where to find everything: the page, if there is one."""
    page = to.html_file or (runs[0] / "report.html" if len(runs) == 1 else None)
    return f"{page}, or --full" if page is not None and page.is_file() else "--full"


def _compare_several(runs: Sequence[Path], margins: Mapping[str, float], flags: CompareFlags, to: Destinations) -> int:
    _check_many(flags, to)
    *candidates, reference = runs
    many = compare_many(
        candidates,
        reference,
        judges=flags.judges,
        margins=margins,
        recovered_from=flags.recovered_from,
        **flags.of_all,
    )
    _check_gate(flags, many.reports)
    sections = sections_of_many(many)
    deliver(
        to,
        json=lambda: to_json(many),
        markdown=lambda: markdown.render(sections),
        text=lambda: on_terminal(
            sys.stdout, full=to.full, whole=partial(text.render, sections), brief=partial(render_brief_many, many)
        ),
    )
    return _gate_of_many(many)


def _once(given: Sequence[tuple[str, T]], flag: str, what: str, remedy: str) -> dict[str, T]:
    """By name. Raises UsageError for a duplicate."""
    for name, times in Counter(name for name, _ in given).items():
        if times > 1:
            raise UsageError(f"{name} has two {what}", where=flag, remedy=remedy)
    return dict(given)


def _check_many(flags: CompareFlags, to: Destinations) -> None:
    given = {name.replace("_", "-"): value for name, value in flags.of_one.items() if name != "prices"}
    given |= {"price": flags.of_one["prices"].prices, "html": to.html_file}
    given |= {"junit": to.junit_file, "badge": to.badge_file}
    for name, value in given.items():
        if value:
            raise UsageError("is for one candidate", where=f"--{name}", remedy="compare that candidate alone")


def _check_gate(flags: CompareFlags, reports: Sequence[Report]) -> None:
    """Without a margin nothing is claimed, and a gate would pass everything or nothing."""
    for report in reports:
        margins = [task.margin for task in report.tasks] + ([report.judge.margin] if report.judge else [])
        if flags.gate and not any(margin is not None for margin in margins):
            raise UsageError("needs a margin", where="--gate", remedy=GATE_REMEDY)


def _gate_of_many(many: ManyReport) -> int:
    """0 if every claim stands after Holm's correction, 1 if a candidate is inferior, 3 otherwise."""
    if any(gate_code(report) == 1 for report in many.reports):
        return 1
    return 0 if all(claim.stands for claim in many.claims) else 3
