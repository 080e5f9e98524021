"""`lm-eval-fr compare`: folders and flags in, the report in every requested format out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
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


def compare_command(
    runs: Sequence[Path],
    to: Destinations,
    *,
    judges: Sequence[Path],
    margins: Sequence[tuple[str, float]],
    recovered_from: str | None,
    gate: bool,
    of_one: Mapping[str, Any],
    of_all: Mapping[str, Any],
) -> int:
    """Compares, writes the requested files, shows the table unless stdout is taken, and returns the gate's code.

    runs: a study; or one candidate or several, and the reference last. of_one, of_all: what `compare` alone takes by
    the same name, and what `compare_many` takes too.
    Raises UsageError for flags that do not go together.
    """
    to.check()
    if of_one["prices"].successes and not of_one["prices"].prices:
        raise UsageError("goes with --price", where="--success")
    of_all = {**of_all, "margins": _once(margins, "--margin", "margins", "fix one, before looking")}
    if len(runs) > 2:
        _check_many(of_one, to)
        return _compare_several(runs, to, gate, judges=judges, recovered_from=recovered_from, **of_all)
    if len(judges) > 1:
        raise UsageError(f"{len(judges)} judge folders for one candidate", where="--judge")
    if recovered_from:
        raise UsageError("goes with several candidates", where="--recovered-from")
    twins = _once(of_one.get("parallel") or (), "--parallel", "parallel tasks", "name another first: B=A")
    of_one = {**of_one, "parallel": twins, "judge": next(iter(judges), None)}
    report = compare(runs[0], runs[1] if len(runs) == 2 else None, **of_one, **of_all)
    _check_gate(gate, [report])
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


def _compare_several(runs: Sequence[Path], to: Destinations, gate: bool, **flags: Any) -> int:
    *candidates, reference = runs
    many = compare_many(candidates, reference, **flags)
    _check_gate(gate, many.reports)
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


def _check_many(of_one: Mapping[str, Any], to: Destinations) -> None:
    given = {name.replace("_", "-"): value for name, value in of_one.items() if name != "prices"}
    given |= {"price": of_one["prices"].prices, "html": to.html_file}
    given |= {"junit": to.junit_file, "badge": to.badge_file}
    for name, value in given.items():
        if value:
            raise UsageError("is for one candidate", where=f"--{name}", remedy="compare that candidate alone")


def _check_gate(gate: bool, reports: Sequence[Report]) -> None:
    """Without a margin nothing is claimed, and a gate would pass everything or nothing."""
    for report in reports:
        margins = [task.margin for task in report.tasks] + ([report.judge.margin] if report.judge else [])
        if gate and not any(margin is not None for margin in margins):
            raise UsageError("needs a margin", where="--gate", remedy=GATE_REMEDY)


def _gate_of_many(many: ManyReport) -> int:
    """0 if every claim stands after Holm's correction, 1 if a candidate is inferior, 3 otherwise."""
    if any(gate_code(report) == 1 for report in many.reports):
        return 1
    return 0 if all(claim.stands for claim in many.claims) else 3
