"""A comparison for CI systems: JUnit XML with a test case per claim, and a badge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Report

COLOURS = {"non_inferior": "#2e7d32", "inferior": "#c62828"}
UNDECIDED = "#8d6e00"
LABEL = "French quality"
CHARACTER = 6.6  # pixels, of the badge's letters
_NOT_XML = [*(code for code in range(32) if code not in (9, 10)), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
_PLAIN = dict.fromkeys(_NOT_XML)


@dataclass(frozen=True)
class _Claim:
    name: str
    verdict: str | None
    said: str


def to_junit(report: Report) -> str:
    """`inferior` is a failure, an undecided claim an error, and a task without a margin is skipped."""
    claims = list(_claims(report))
    failures = sum(claim.verdict == "inferior" for claim in claims)
    skipped = sum(claim.verdict is None for claim in claims)
    errors = sum(claim.verdict in ("inconclusive", "no_verdict") for claim in claims)
    name = f"{report.candidate.name} against {report.reference.name}"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={_quoted(name)} tests="{len(claims)}" failures="{failures}" errors="{errors}" '
        f'skipped="{skipped}">',
        *(line for claim in claims for line in _case(claim)),
        f"  <system-out>{escape(report.overall.sentence.translate(_PLAIN))}</system-out>",
        "</testsuite>",
    ]
    return "\n".join(lines) + "\n"


def to_badge(report: Report) -> str:
    """The overall verdict as an SVG badge, as READMEs show them."""
    message = w.word(report.overall.verdict)
    colour = COLOURS.get(report.overall.verdict or "", UNDECIDED)
    left, right = (round(len(text) * CHARACTER) + 12 for text in (LABEL, message))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{LABEL}: {message}"><title>{LABEL}: {message}</title>'
        f'<rect width="{left}" height="20" rx="3" fill="#444"/>'
        f'<rect x="{left - 3}" width="{right + 3}" height="20" rx="3" fill="{colour}"/>'
        f'<rect x="{left - 3}" width="6" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{LABEL}</text>'
        f'<text x="{left + right / 2:g}" y="14">{message}</text></g></svg>\n'
    )


def _claims(report: Report) -> Iterator[_Claim]:
    for task in report.tasks:
        said = _said(task.metric, task.difference, task.ci, task.margin, task.scale)
        yield _Claim(task.task, task.verdict, said)
    if mean := report.overall_mean:
        said = _said(f"mean over {', '.join(mean.tasks)}", mean.difference, mean.ci, mean.margin, 100.0)
        yield _Claim("overall_mean", mean.verdict, said)
    if judge := report.judge:
        said = _said("net win rate", judge.net_win, judge.net_win_ci, judge.margin, 100.0)
        yield _Claim("judge", judge.verdict, said)


def _said(
    metric: str, difference: float | None, bounds: tuple[float, float] | None, margin: float | None, scale: float
) -> str:
    interval = "no interval" if bounds is None else w.against(bounds, margin, scale)
    limit = "no margin" if margin is None else f"margin {w.plain(margin, scale)}"
    return f"{metric}: difference {w.signed(difference, scale)}, {interval}, {limit}"


def _case(claim: _Claim) -> Iterator[str]:
    yield f'  <testcase classname="lm-eval-fr" name={_quoted(claim.name)}>'
    message = _quoted(f"{w.word(claim.verdict)}: {claim.said}")
    if claim.verdict == "inferior":
        yield f'    <failure type="inferior" message={message}/>'
    elif claim.verdict is None:
        yield f"    <skipped message={_quoted(f'no margin was given; {claim.said}')}/>"
    elif claim.verdict != "non_inferior":
        yield f'    <error type="{claim.verdict}" message={message}/>'
    yield f"    <system-out>{escape(claim.said.translate(_PLAIN))}</system-out>"
    yield "  </testcase>"


def _quoted(text: str) -> str:
    return quoteattr(text.translate(_PLAIN))
