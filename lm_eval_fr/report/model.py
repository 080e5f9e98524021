"""What a comparison found: the typed object behind compare.json, the tables and the HTML file.

Field names are the keys of compare.json. Shares, means, differences, margins and bounds are fractions, not rounded
(0.02 = 2 points). An unknown is None, and `reasons` of the same object says why; it is never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm_eval_fr.report.claims_model import Claims
from lm_eval_fr.report.fidelity_model import Fidelity
from lm_eval_fr.report.value_model import ValueReport
from lm_eval_fr.report.voting_model import VotingReport

SCHEMA_VERSION = 1

Verdict = Literal["non_inferior", "inferior", "inconclusive"]
Kind = Literal["binary", "bounded", "unbounded"]
Bounds = tuple[float, float]

WORDS: Mapping[str | None, str] = {
    "non_inferior": "non-inferior",
    "inferior": "inferior",
    "inconclusive": "inconclusive",
    None: "no verdict",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How many of an arm's answers are no real answer: counted, never dropped."""

    answers: int
    empty: int
    truncated: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One served model, as its run describes itself. `name` is short and unlike the other arm's."""

    name: str
    model: str
    source: str
    path: str
    date: str | None = None
    seconds: float | None = None
    health: Health | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of both arms. `expected`: this one is meant to differ (the arm's name, its address, its date)."""

    name: str
    candidate: Any
    reference: Any
    differs: bool
    expected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`count` of `of`, with its interval at the report's level; share and bounds are None where `of` is 0."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Documents lost and gained: right to wrong and wrong to right, or by more than `threshold` on a graded metric."""

    lost: int
    gained: int
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The estimate after the first documents of the plan's order, with a band that is valid at every look at once.

    at: documents so far. unit: what was taken in one after another; clusters are whole, and count the same each.
    """

    name: str
    unit: Literal["documents", "clusters"]
    at: tuple[int, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    margin: float | None
    sign_changes: int
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secondary:
    """A metric beside the primary one: shown, never part of the verdict."""

    metric: str
    candidate_mean: float
    reference_mean: float
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    task: str
    metric: str
    kind: Kind
    n: int
    clusters: int | None
    candidate_mean: float
    reference_mean: float
    difference: float
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    verdict: Verdict | None
    degradation_detected: bool | None
    p_value: float | None
    recovery: float | None
    recovery_ci: Bounds | None
    flips: Flips | None
    mde: float | None
    documents_needed: int | None
    method: str
    higher_is_better: bool = True
    p_non_inferior: float | None = None
    p_holm: float | None = None
    identical: int | None = None
    icc: float | None = None
    design_effect: float | None = None
    sd: float | None = None
    candidate_health: Health | None = None
    reference_health: Health | None = None
    secondary: tuple[Secondary, ...] = ()
    allowed: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        """What turns a value into what people read: points for a 0-1 metric, its own unit for another."""
        return 1.0 if self.kind == "unbounded" else 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBin:
    """Verdicts of the pairs whose candidate answer is `low` to `high` times as long as the reference's."""

    low: float
    high: float | None
    n: int
    wins: int
    ties: int
    losses: int
    win_share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Whether the order decided: over the pairs that were judged in both orders."""

    both_orders: int
    first_answer: Share
    flip: Share
    split: Share
    consistent: Share
    flips_to_first: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Whether the longer answer wins. Lengths in characters."""

    candidate_mean: float
    reference_mean: float
    difference_ci: Bounds | None
    longer_wins: Share
    bins: tuple[LengthBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How often the same question in the same order got another verdict, beside how often the other order did."""

    questions: int
    changed: Share
    order_changed: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTask:
    task: str
    n: int
    wins: int
    ties: int
    losses: int
    net_win: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeResult:
    """The judge's headline over `n` judged pairs; invalid and unjudged pairs are in `outcomes` and in the two cases."""

    n: int
    wins: int
    ties: int
    losses: int
    outcomes: Mapping[str, int]
    decided: int
    win_share: float | None
    win_share_ci: Bounds | None
    p_value: float | None
    net_win: float | None
    net_win_ci: Bounds | None
    at_least_as_good: float | None
    position: Position | None
    usage: Mapping[str, Any]
    verdict: Verdict | None
    margin: float | None
    pairs: int
    clusters: int | None = None
    method: str = ""
    best_case: float | None = None
    worst_case: float | None = None
    degradation_detected: bool | None = None
    p_non_inferior: float | None = None
    documents_needed: int | None = None
    mde: float | None = None
    length: Length | None = None
    repeats: Repeats | None = None
    tasks: tuple[JudgedTask, ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    rubric: Mapping[str, Any] = field(default_factory=dict)
    controls: Mapping[str, Any] = field(default_factory=dict)
    panel: Mapping[str, Any] = field(default_factory=dict)
    orders: str = "both"
    stopped_early: bool = False
    offline: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """How far one arm moved from itself on one task: the rerun minus the run. `metric` is None on a judged task."""

    arm: Literal["candidate", "reference"]
    task: str
    metric: str | None
    n: int
    shift: float | None
    ci_low: float | None
    ci_high: float | None
    churn: float
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A task's noise floor: the largest mean move of an arm from itself. `exceeded` is None where it cannot be told."""

    task: str
    floor: float
    exceeded: bool | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    reruns: tuple[Rerun, ...] = ()
    floors: tuple[Floor, ...] = ()
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """The verdict over all tasks and the judge (intersection-union), in words that stand alone."""

    verdict: Verdict | None
    sentence: str
    ruled_out: tuple[str, ...] = ()
    not_claimed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """What a reader must know before the numbers. `kind` is stable, for machines."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRef:
    """A document to look at. outcome: the judge's, on a judged task."""

    task: str
    doc_id: int
    doc_hash: str
    difference: float
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    created: str | None = None
    command: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    plan: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    schema_version: int = SCHEMA_VERSION
    candidate: Arm
    reference: Arm
    plan_hash: str | None
    settings: tuple[Setting, ...]
    tasks: tuple[TaskResult, ...]
    judge: JudgeResult | None
    noise: Noise | None
    overall: Overall
    level: float
    warnings: tuple[Caution, ...] = ()
    cumulative: tuple[Series, ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[SampleRef, ...] = ()
    value: ValueReport | None = None
    voting: VotingReport | None = None
    claims: Claims | None = None
    fidelity: Fidelity | None = None
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One candidate of several: its overall claim, corrected for how many claims are made."""

    candidate: str
    verdict: Verdict | None
    p_value: float | None
    p_holm: float | None
    stands: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The share of what `raw` lost against the reference that `candidate` has back."""

    candidate: str
    raw: str
    task: str
    metric: str
    share: float | None
    ci: Bounds | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyReport:
    """Several candidates against one reference: a report each, and what holds for all of them together."""

    schema_version: int = SCHEMA_VERSION
    reports: tuple[Report, ...]
    claims: tuple[Claim, ...]
    recovered: tuple[Recovered, ...]
    level: float
    notes: tuple[str, ...] = ()
