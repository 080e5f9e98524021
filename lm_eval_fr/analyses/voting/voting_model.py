"""What voting recovers: the report's section on maj@k. Scores and shares are fractions; unknown is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["better", "worse", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VotePoint:
    """One arm by the majority of k votes. right: share of the documents that score at least the threshold.

    if_independent: that share if the votes of a document erred independently of each other, which they do not.
    """

    k: int
    score: float
    low: float | None
    high: float | None
    right: float
    if_independent: float
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementBin:
    """Documents on which a share `low` to `high` of the votes is for the winner, and what the winner scores there."""

    low: float
    high: float
    n: int
    score: float | None
    score_low: float | None
    score_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteArm:
    """error_correlation: of two votes on one document; 0 means independent, 1 means that voting changes nothing."""

    name: str
    task: str
    responses: int
    curve: tuple[VotePoint, ...]
    error_correlation: float | None
    agreement: tuple[AgreementBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteMatch:
    """Candidate votes against reference votes on the same documents: paired, so that shared errors count.

    same_cost_at: how many candidate answers one reference answer must cost for both sides to cost the same.
    """

    candidate_votes: int
    reference_votes: int
    same_cost_at: float
    candidate: float
    reference: float
    difference: float
    low: float | None
    high: float | None
    outcome: Outcome
    non_inferior: bool | None
    method: str
    spare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedTask:
    """One task. against_one: candidate maj@k against one reference answer, every k. equal_cost: for each number of
    reference votes the candidate votes that the same money buys; empty without a cost ratio. recovers_at: the smallest
    k whose loss against one reference answer is shown to be below the margin.
    """

    task: str
    metric: str
    threshold: float
    margin: float | None
    n: int
    clusters: int | None
    candidate: VoteArm
    reference: VoteArm
    shared_errors: float | None
    against_one: tuple[VoteMatch, ...]
    equal_cost: tuple[VoteMatch, ...]
    recovers_at: int | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VotingReport:
    """cost_ratio: the cost of one reference answer in candidate answers, and where it comes from."""

    tasks: tuple[VotedTask, ...]
    level: float
    margin: float | None
    cost_ratio: float | None
    cost_source: str | None
    seed: int
    cautions: tuple[str, ...] = ()
