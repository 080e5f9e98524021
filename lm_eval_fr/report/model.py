"""What a comparison found: the typed object behind every format of the report.

Statistics are the results of `lm_eval_fr.stats` as they are; `json_writer` gives them their names in compare.json.
Shares, means, differences, margins and bounds are fractions, not rounded (0.02 = 2 points). An unknown is None, and
`reasons` of the same object says why; it is never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm_eval_fr.errors import UsageError
from lm_eval_fr.report.sections import Section
from lm_eval_fr.stats import (
    Assay,
    Assessment,
    Components,
    Cumulative,
    Difference,
    Interval,
    NoiseComparison,
    Overall,
    Preference,
    Verdict,
)
from lm_eval_fr.stats.judge_claim import JudgeClaim
from lm_eval_fr.stats.judging import JudgeControls, PanelReport, PositionReport, Usage
from lm_eval_fr.stats.sensitivity import AssaySensitivity, OrderDecided

SCHEMA_VERSION = 2

Bounds = tuple[float, float]

WORDS: Mapping[str | None, str] = {
    "non_inferior": "non-inferior",
    "inferior": "inferior",
    "inconclusive": "inconclusive",
    "no_verdict": "no verdict",
    None: "no verdict",
}

INVALIDATING = frozenset(("plan_changed", "same_run", "nothing_scored", "offline_judge", "mismatch", "unfinished"))
"""Kinds of cautions that take the ground from under a verdict; the others qualify it."""


def ends(interval: Interval) -> Bounds | None:
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How many of an arm's answers are not real answers: counted, never dropped."""

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
class Secondary:
    """A metric beside the primary one: shown, never part of the verdict."""

    metric: str
    candidate_mean: float
    reference_mean: float
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A paired difference. `paired` is turned so that above 0 is better; the properties keep the metric's direction."""

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
        """Under the guarantee that was not chosen; None where both are one."""
        other = self.paired.other_guarantee
        found = None if other is None else ends(other)
        return found if found is None or self.higher_is_better else (-found[1], -found[0])

    @property
    def scale(self) -> float:
        """What turns a value into what people read: points for a 0-1 metric, its own unit for another."""
        return 1.0 if self.paired.kind == "unbounded" else 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum(Measured):
    """The documents of one kind among a task's: a description, or a claim where a plan named it beforehand."""

    name: str
    preregistered: bool = False
    assessment: Assessment | None = None
    p_holm: float | None = None

    @property
    def margin(self) -> float | None:
        return None if self.assessment is None else self.assessment.margin

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.assessment)


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
    """What both arms' answers used of one thing, a document in the mean, and the paired ratio. source: who counted."""

    candidate: float | None
    reference: float | None
    ratio: Interval | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What an answer costs in both arms; None where nothing is on record. reasoning: tokens among `tokens`."""

    tokens: Cost | None = None
    reasoning: Cost | None = None
    seconds: Cost | None = None
    truncated: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(Measured):
    """One gold task, or a group of subtasks. assessment: None where there is no margin. recovery: None where lower is
    better. guard_documents: how many unseen losses the interval allows for. repeats: where the scores' variance comes
    from, None where each arm answered once. subtasks: those of a group; each of them
    names it in `group` and makes no claim of its own.
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
    guard_documents: float | None = None
    assay: Assay | None = None
    answers: Answers | None = None
    repeats: Components | None = None
    allowed: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def margin(self) -> float | None:
        return None if self.assessment is None else self.assessment.margin

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.assessment)

    @property
    def degradation_detected(self) -> bool | None:
        return None if self.paired.interval.high is None else self.paired.interval.high < 0

    @property
    def documents_needed(self) -> int | None:
        return needed(self.assessment)

    @property
    def recovery_ci(self) -> Bounds | None:
        return None if self.recovery is None else ends(self.recovery)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanClaim(Measured):
    """The claim about the mean over tasks, each counting the same. left_out: tasks that have no part, and why."""

    tasks: tuple[str, ...]
    assessment: Assessment
    sentence: str
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def margin(self) -> float:
        return self.assessment.margin

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.assessment)


def verdict_of(assessment: Assessment | None) -> Verdict | None:
    """None without a margin; a claim without an interval is no verdict, never an inconclusive one."""
    if assessment is None:
        return None
    return assessment.verdict if assessment.interval.defined else "no_verdict"


def needed(assessment: Assessment | None) -> int | None:
    found = None if assessment is None else assessment.documents_needed
    return None if found is None else found.documents


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTask:
    task: str
    n: int
    wins: int
    ties: int
    losses: int
    net_win: float | None
    answers: Answers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeProfile:
    """Who judged, and how it was asked. shutdown: ISO date after which it cannot be asked again."""

    name: str
    model: str
    shutdown: str | None = None
    orders: str = "both"
    stop: str = "never"
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRubric:
    name: str
    sha256: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeResult:
    """The judge's verdicts. preference: over the judged pairs. interval: of the net win rate; after `--stop anytime`
    the band, and then what `preference` says of the win share holds no longer. worst_case, best_case: of the net win,
    whatever the pairs without a verdict hide. seen, order: what shows that the judge can see a difference; claim: what
    may be said then; None where no controls were asked. longer: the judged pairs whose candidate answer is the longer
    one, and the shorter one. held_back: why a claim that the judged pairs alone would give
    is not made.
    """

    preference: Preference
    interval: Interval
    assessment: Assessment | None
    outcomes: Mapping[str, int]
    pairs: int
    worst_case: float | None
    best_case: float | None
    bias: PositionReport
    usage: Usage
    profile: JudgeProfile
    rubric: JudgeRubric
    seen: AssaySensitivity | None = None
    order: OrderDecided | None = None
    claim: JudgeClaim | None = None
    tasks: tuple[JudgedTask, ...] = ()
    controls: JudgeControls = field(default_factory=JudgeControls)
    panel: PanelReport = field(default_factory=PanelReport)
    longer: tuple[int, int] = (0, 0)
    stopped: str | None = None
    offline: bool = False
    held_back: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.preference.n

    @property
    def net_win(self) -> float | None:
        return (self.preference.wins - self.preference.losses) / self.n if self.n else None

    @property
    def other_ci(self) -> Bounds | None:
        """Under the guarantee that was not chosen; None where both are one, and where the judge stopped early."""
        other = None if self.stopped else self.preference.net_win.other_guarantee
        return None if other is None else ends(other)

    @property
    def net_win_ci(self) -> Bounds | None:
        return ends(self.interval)

    @property
    def win_share_ci(self) -> Bounds | None:
        share = self.preference.win_share
        return None if self.stopped or share.low is None or share.high is None else (share.low, share.high)

    @property
    def p_value(self) -> float | None:
        return None if self.stopped else self.preference.win_share.p_value

    @property
    def margin(self) -> float | None:
        return None if self.assessment is None else self.assessment.margin

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.assessment)

    @property
    def documents_needed(self) -> int | None:
        return needed(self.assessment)

    @property
    def model(self) -> str:
        return self.profile.model

    @property
    def method(self) -> str:
        because = f" ({self.interval.reason})" if self.interval.defined and self.interval.reason else ""
        return f"{self.interval.method}{because}{f', {self.stopped}' if self.stopped else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """How far one arm moved from itself on one task: the mean of its `runs` further runs minus the first. `moved` is
    None on a judged task. churn: the share of answers whose text changed.
    """

    arm: Literal["candidate", "reference"]
    task: str
    metric: str | None
    n: int
    churn: float
    moved: Interval | None
    runs: int = 1
    scale: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A task's noise floor: the largest mean move of an arm from itself."""

    task: str
    compared: NoiseComparison
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    reruns: tuple[Rerun, ...] = ()
    floors: tuple[Floor, ...] = ()
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The estimate after the first documents of the plan's order, with a band that is valid at every look at once."""

    name: str
    margin: float | None
    band: Cumulative


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The verdict over all tasks and the judge, in words that stand alone. found: None where nothing is claimed."""

    found: Overall | None
    sentence: str
    advice: str = ""
    ruled_out: tuple[str, ...] = ()
    not_claimed: str = ""
    coverage: str = ""

    @property
    def verdict(self) -> Verdict | None:
        return None if self.found is None else self.found.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """What a reader must know before the numbers. `kind` is stable, for machines."""

    kind: str
    text: str

    @property
    def invalidates(self) -> bool:
        return self.kind in INVALIDATING


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTax:
    """What the candidate loses in one language beyond what it loses in another, on the same documents."""

    task: str
    parallel: str
    paired: Difference
    assessment: Assessment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRef:
    """A document to look at. outcome: the judge's, on a judged task."""

    task: str
    doc_id: int
    doc_hash: str
    difference: float
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A right answer that the candidate took for another one, and how often."""

    gold: str
    answer: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLosses:
    """How the lost documents of one task went wrong: of `lost` the worst `read`, by kind of error, commonest first."""

    task: str
    lost: int
    read: int
    kinds: tuple[tuple[str, int], ...]
    confusions: tuple[Confusion, ...] = ()
    examples: tuple[SampleRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    created: str | None = None
    command: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    plan: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A part that is there because it was asked for: its key and content in compare.json, and its section."""

    key: Literal["value", "voting", "claims", "fidelity"]
    data: Any
    section: Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    candidate: Arm
    reference: Arm
    plan_hash: str | None
    settings: tuple[Setting, ...]
    tasks: tuple[TaskResult, ...]
    judge: JudgeResult | None
    noise: Noise | None
    overall: Conclusion
    level: float
    overall_mean: MeanClaim | None = None
    warnings: tuple[Caution, ...] = ()
    cumulative: tuple[Series, ...] = ()
    language_tax: tuple[LanguageTax, ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[SampleRef, ...] = ()
    losses: tuple[TaskLosses, ...] = ()
    extras: tuple[Extra, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def verdict(self) -> Verdict | None:
        return self.overall.verdict

    def task(self, name: str) -> TaskResult:
        """Raises UsageError for a task that was not compared."""
        found = next((task for task in self.tasks if task.task == name), None)
        if found is None:
            known = ", ".join(task.task for task in self.tasks)
            raise UsageError(f"no task {name!r} in this report", remedy=f"its tasks are {known or 'judged ones only'}")
        return found


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
    """The share of what `raw` lost against the reference that `candidate` has back."""

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
