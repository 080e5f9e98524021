"""The results of a task: paired differences, tested against their margins. See `model` for the units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lm_eval_fr.report.arm_model import Health
from lm_eval_fr.stats import Assay, Assessment, Components, Cumulative, Difference, Interval, Verdict

Bounds = tuple[float, float]


def ends(interval: Interval) -> Bounds | None:
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)


def verdict_of(assessment: Assessment | None) -> Verdict | None:
    """None without a margin; "no_verdict", never "inconclusive", without an interval."""
    if assessment is None:
        return None
    return assessment.verdict if assessment.interval.defined else "no_verdict"


class Claimed:
    """Anything tested against a margin; all None without one."""

    __slots__ = ()
    assessment: Assessment | None

    @property
    def margin(self) -> float | None:
        return None if self.assessment is None else self.assessment.margin

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.assessment)

    @property
    def assay(self) -> Assay | None:
        return None if self.assessment is None else self.assessment.assay

    @property
    def documents_needed(self) -> int | None:
        found = None if self.assessment is None else self.assessment.documents_needed
        return None if found is None else found.documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The estimate after the first documents in the plan's order, with a band that is valid at every look at once."""

    name: str
    margin: float | None
    band: Cumulative


@dataclass(frozen=True, slots=True, kw_only=True)
class Secondary:
    """A metric besides the primary one: shown, never part of the verdict."""

    metric: str
    candidate_mean: float
    reference_mean: float
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A paired difference. In `paired` above 0 is better; the properties keep the metric's direction."""

    paired: Difference
    higher_is_better: bool = True

    @property
    def n(self) -> int:
        return self.paired.n

    @property
    def candidate_mean(self) -> float | None:
        return self.paired.candidate_mean if self.higher_is_better else self.paired.reference_mean

    @property
    def reference_mean(self) -> float | None:
        return self.paired.reference_mean if self.higher_is_better else self.paired.candidate_mean

    @property
    def difference(self) -> float | None:
        """Candidate - reference."""
        one, other = self.candidate_mean, self.reference_mean
        return None if one is None or other is None else one - other

    @property
    def ci(self) -> Bounds | None:
        found = ends(self.paired.interval)
        return found if found is None or self.higher_is_better else (-found[1], -found[0])

    @property
    def ci_low(self) -> float | None:
        return self.ci[0] if self.ci else None

    @property
    def ci_high(self) -> float | None:
        return self.ci[1] if self.ci else None

    @property
    def establishes(self) -> float | None:
        """The loss that is ruled out: any larger margin would be called non-inferior."""
        low = self.paired.interval.low
        return None if low is None else max(-low, 0.0)

    @property
    def other_ci(self) -> Bounds | None:
        """Under the other guarantee; None if both agree by construction."""
        other = self.paired.other_guarantee
        found = None if other is None else ends(other)
        return found if found is None or self.higher_is_better else (-found[1], -found[0])

    @property
    def scale(self) -> float:
        """The factor from a value to what people read: points for a 0-1 metric, else the metric's own unit."""
        return 1.0 if self.paired.kind == "unbounded" else 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum(Measured, Claimed):
    """One kind of a task's documents: descriptive, or a claim if the plan named it beforehand."""

    name: str
    preregistered: bool = False
    assessment: Assessment | None = None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class InstructionKind:
    """One kind of instruction over all documents: how many each arm kept. lost: kept by the reference alone."""

    kind: str
    n: int
    candidate: int
    reference: int
    lost: int

    @property
    def gained(self) -> int:
        return self.candidate - self.reference + self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The average usage of both arms' answers per document, and the paired ratio. source: who counted."""

    candidate: float | None
    reference: float | None
    ratio: Interval | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCosts:
    """What an answer costs in both arms; None if nothing is recorded. reasoning: tokens among `tokens`."""

    tokens: Cost | None = None
    reasoning: Cost | None = None
    seconds: Cost | None = None
    truncated: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(Measured, Claimed):
    """One gold task, or a group of subtasks. assessment: None where there is no margin. recovery: None where lower is
    better. repeats: where the scores' variance comes from, None where each arm answered once. series: None where the
    scores allow no band. subtasks: those of a group; each of them names it in `group` and makes no claim of its own.
    """

    task: str
    metric: str
    assessment: Assessment | None
    recovery: Interval | None
    identical: int
    p_holm: float | None = None
    candidate_health: Health | None = None
    reference_health: Health | None = None
    secondary: tuple[Secondary, ...] = ()
    strata: tuple[Stratum, ...] = ()
    instructions: tuple[InstructionKind, ...] = ()
    subtasks: tuple[str, ...] = ()
    group: str | None = None
    answers: AnswerCosts | None = None
    repeats: Components | None = None
    series: Series | None = None
    allowed: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def degradation_detected(self) -> bool | None:
        return self.paired.interval.degradation_detected

    @property
    def recovery_ci(self) -> Bounds | None:
        return None if self.recovery is None else ends(self.recovery)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanClaim(Measured, Claimed):
    """The claim about the mean over tasks, each counting the same. left_out: tasks that have no part, and why."""

    tasks: tuple[str, ...]
    assessment: Assessment
    sentence: str
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTax(Claimed):
    """What the candidate loses in one language beyond its loss in another, on the same documents."""

    task: str
    parallel: str
    paired: Difference
    assessment: Assessment | None = None
