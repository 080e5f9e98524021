"""What was found of several candidates against one reference."""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_fr.report.model import Report
from lm_eval_fr.stats import Difference, Interval, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateClaim:
    """One candidate of several: its overall claim, corrected for how many claims are made."""

    candidate: str
    verdict: Verdict | None
    p_value: float | None
    p_holm: float | None
    stands: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The share of what `raw` lost against the reference that `candidate` recovers."""

    candidate: str
    raw: str
    task: str
    metric: str
    share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A candidate's place by its mean over tasks. behind: how far it is behind the best (estimate, low, high), None for
    the best itself. told_apart: whether the best is shown to be better, after Holm over all pairs of candidates.
    """

    place: int
    candidate: str
    against_reference: Difference
    behind: tuple[float, float, float] | None
    p_holm: float | None
    told_apart: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyReport:
    """Several candidates against one reference: a report each, and what holds for all of them together."""

    reports: tuple[Report, ...]
    claims: tuple[CandidateClaim, ...]
    recovered: tuple[Recovered, ...]
    level: float
    ranking: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()
