"""The results for published claims, typed.

Differences and scores are fractions (0.01 = one point) or in the metric's own unit, candidate - reference, not rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Status = Literal["contradicted", "compatible", "undecidable", "untested"]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    title: str
    published: Any
    read: Any

    def __post_init__(self) -> None:
        for name in ("published", "read"):  # YAML makes a date of most of them
            msgspec.structs.force_setattr(self, name, str(getattr(self, name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One published difference and the measured one. `documents`: measured; `benchmark`: all that it has.

    tolerance: how far from the claim a compatible interval may reach. slack: what rounding and the
    publication's own sampling error explain. documents_needed: in total, to decide it.
    """

    name: str
    task: str | None = None
    metric: str | None = None
    claimed: float | None = None
    claimed_candidate: float | None = None
    claimed_reference: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    candidate_mean: float | None = None
    reference_mean: float | None = None
    documents: int | None = None
    tolerance: float | None = None
    slack: float | None = None
    status: Status
    documents_needed: int | None = None
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
