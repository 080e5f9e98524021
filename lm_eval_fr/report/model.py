"""What a comparison found: the typed object behind every format of the report.

Statistics are the unchanged results of `lm_eval_fr.stats`; `json_writer` gives them their names in compare.json.
Shares, means, differences, margins and bounds are fractions, not rounded (0.02 = 2 points). An unknown is None, and
`reasons` of the same object says why; it is never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm_eval_fr.errors import UsageError
from lm_eval_fr.report.arm_model import Arm, Setting
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.sections import Section
from lm_eval_fr.report.task_model import LanguageTax, MeanClaim, Series, TaskResult
from lm_eval_fr.stats import Difference, Interval, NoiseComparison, Overall, Verdict

SCHEMA_VERSION = 2


WORDS: Mapping[str | None, str] = {
    "non_inferior": "non-inferior",
    "inferior": "inferior",
    "inconclusive": "inconclusive",
    "no_verdict": "no verdict",
    None: "no verdict",
}

INVALIDATING = frozenset(("plan_changed", "same_run", "nothing_scored", "offline_judge", "mismatch", "unfinished"))
"""Kinds of cautions that invalidate a verdict; the others qualify it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunShift:
    """How far runs of one arm differ on one task: the mean of its `runs` further runs minus the first. `moved` is
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
    """A task's noise floor: the largest mean shift between runs of one arm."""

    task: str
    compared: NoiseComparison
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    reruns: tuple[RerunShift, ...] = ()
    floors: tuple[Floor, ...] = ()
    sentence: str = ""


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
class SampleRef:
    """A document to look at. outcome: the judge's, on a judged task."""

    task: str
    doc_id: int
    doc_hash: str
    difference: float
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A right answer that the candidate confused with another one, and how often."""

    gold: str
    answer: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLosses:
    """How the lost documents of one task went wrong: the worst `read` of `lost`, by kind of error, commonest first."""

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
    """An optional section: its key and content in compare.json, and its section of the report."""

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
    language_tax: tuple[LanguageTax, ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[SampleRef, ...] = ()
    losses: tuple[TaskLosses, ...] = ()
    extras: tuple[Extra, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def verdict(self) -> Verdict | None:
        return self.overall.verdict

    @property
    def cumulative(self) -> tuple[Series, ...]:
        """The estimates over time, in the plan's order."""
        found = [*(task.series for task in self.tasks), self.judge.series if self.judge else None]
        return tuple(series for series in found if series is not None)

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
    """The share of `raw`'s loss against the reference that `candidate` recovers."""

    candidate: str
    raw: str
    task: str
    metric: str
    share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A candidate's place by its mean over tasks. behind: how far it is behind the best (estimate, low, high), None for
    the best itself. told_apart: whether the best is shown to be better, Holm-corrected over all pairs of candidates.
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
