"""What became of published claims, typed.

Differences and scores are fractions (0.01 = one point) or in the metric's own unit, candidate - reference, not rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["compatible", "contradicted", "undecidable", "untested"]
ORDER: tuple[Status, ...] = ("contradicted", "compatible", "undecidable", "untested")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    url: str
    title: str
    published: str
    read: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One published difference beside the measured one. `documents`: of the measured; `benchmark`: all there are.

    tolerance: how far from the claim an interval may reach and still be called compatible. slack: what rounding and the
    publication's own sampling error explain. documents_needed: in all, to decide it.
    """

    name: str
    task: str | None
    metric: str | None
    claimed: float | None
    claimed_candidate: float | None
    claimed_reference: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    candidate_mean: float | None
    reference_mean: float | None
    documents: int | None
    tolerance: float | None
    slack: float | None
    status: Status
    documents_needed: int | None
    benchmark: int | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """One publication's claims."""

    title: str
    source: Source
    candidate: str
    reference: str
    settings: str
    results: tuple[ClaimResult, ...]
    level: float

    @property
    def counts(self) -> dict[Status, int]:
        return {status: sum(one.status == status for one in self.results) for status in ORDER}
