"""The results for published claims, in words and a table."""

from __future__ import annotations

from typing import get_args

from lm_eval_fr.analyses.claims_model import ClaimResult, Claims, Status
from lm_eval_fr.report import words as w
from lm_eval_fr.report.sections import Part, Section, Table


def claims_section(claims: Claims) -> Section:
    found = [one.status for one in claims.results]
    counted = ", ".join(f"{found.count(status)} {status}" for status in get_args(Status) if status in found)
    header = ("claim", "published", "diff.", "here", "diff.", w.level_text(claims.level), "verdict", "needs n")
    rows = tuple(_row(one) for one in claims.results)
    source = f"{claims.source.title}, {claims.source.published}, {claims.source.url} (read {claims.source.read})"
    caption = "In points, candidate / reference; diff. = candidate - reference."
    parts: tuple[Part, ...] = (
        f"{claims.title}: {counted}.",
        Table(header, rows, left=(0, 6), caption=caption, names=(0,)),
        *(f"{one.name}: {one.sentence}" for one in claims.results),
        f"Published of {claims.candidate} against {claims.reference}. {claims.settings}".strip(),
        f"Source: {source}.",
    )
    return Section("claims", "Published claims", parts)


def _row(one: ClaimResult) -> tuple[str, ...]:
    published = _both(one.claimed_candidate, one.claimed_reference)
    here = _both(one.candidate_mean, one.reference_mean)
    interval = w.interval(one.ci_low, one.ci_high)
    numbers = (w.signed(one.claimed), here, w.signed(one.difference), interval)
    return (one.name, published, *numbers, one.status, w.count(one.documents_needed))


def _both(candidate: float | None, reference: float | None) -> str:
    return w.UNKNOWN if candidate is None or reference is None else f"{w.plain(candidate)} / {w.plain(reference)}"
