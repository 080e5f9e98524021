"""The results of the statistics: frozen records with their method, n and level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from lm_eval_fr.stats.arrays import Array, Units

Kind = Literal["binary", "bounded", "unbounded", "outcome"]
Verdict = Literal["non_inferior", "inferior", "inconclusive", "no_verdict"]
Guarantee = Literal["default", "worst-case"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided interval; undefined values are None, and `reason` says why.

    n counts documents, clusters the independent groups of them (None: every document is its own).
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    n: int
    clusters: int | None = None
    seed: int | None = None
    reason: str | None = None

    @property
    def defined(self) -> bool:
        return self.low is not None and self.high is not None

    @property
    def degradation_detected(self) -> bool | None:
        """Whether the candidate is worse at all, however little; None if undefined."""
        return None if self.high is None else self.high < 0


@dataclass(frozen=True, slots=True)
class Flips:
    """Documents that the candidate lost and gained against the reference, by `rule`."""

    lost: int
    gained: int
    rule: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean paired difference, candidate - reference, over documents.

    p_value is two-sided for "no difference" (`p_method` names the test). p_non_inferior is one-sided for
    "the loss is the margin or more", p_inferior for "the loss is the margin or less"; both belong to the
    interval's own method, and exist where a margin was given. sd is that of the single differences;
    standard_error is CR1 where there are clusters. design_effect is (standard_error / its value without
    clusters)^2. guard_documents is how many lost documents the lower limit adds to those seen (guard.py);
    None if the method adds none. other_guarantee is the interval under the other guarantee; None without clusters,
    since both are then the same.
    """

    interval: Interval
    kind: Kind
    n: int
    clusters: int | None
    candidate_mean: float | None = None
    reference_mean: float | None = None
    sd: float | None = None
    standard_error: float | None = None
    icc: float | None = None
    design_effect: float | None = None
    p_value: float | None = None
    p_method: str = "none"
    flips: Flips | None = None
    margin: float | None = None
    p_non_inferior: float | None = None
    p_inferior: float | None = None
    guarantee: Guarantee = "default"
    guard_documents: float | None = None
    other_guarantee: Interval | None = None
    units: Units | None = field(default=None, compare=False, repr=False)  # used for MDE and documents needed


@dataclass(frozen=True, slots=True)
class Proportion:
    """`count` of `of`, with Clopper-Pearson limits and the exact two-sided p against one half."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None
    p_value: float | None
    level: float
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """The judge's outcomes: the headline counts, the share among decided pairs, the net win rate (-1 to +1)."""

    n: int
    wins: int
    ties: int
    losses: int
    decided: int
    win_share: Proportion
    at_least_as_good: Proportion
    net_win: Difference


@dataclass(frozen=True, slots=True)
class DocumentsNeeded:
    """In total (not additional), to settle the verdict. reason: why there is no number, or why it is not available."""

    documents: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """One difference tested against its margin.

    reason: why there is no verdict. other_verdict is the verdict under the other guarantee; None if both are the same.
    """

    verdict: Verdict
    margin: float
    interval: Interval
    documents_needed: DocumentsNeeded | None = None
    mde: float | None = None
    mde_reason: str | None = None
    p_non_inferior: float | None = None
    p_inferior: float | None = None
    reason: str | None = None
    assay: Assay | None = None
    guarantee: Guarantee = "default"
    other_verdict: Verdict | None = None

    @property
    def degradation_detected(self) -> bool | None:
        return self.interval.degradation_detected


@dataclass(frozen=True, slots=True)
class Assay:
    """Whether a loss as large as the margin could have shown: the margin is at most half of what the reference has
    above chance.

    reference_above_chance is the lower end of its interval. holds is None if there is nothing to compare with; `reason`
    says why, and also why it does not hold. short_of_documents: it fails only because there are too few
    documents; by the reference's mean it would hold.
    """

    chance: float | None
    reference_above_chance: float | None
    holds: bool | None
    reason: str | None = None
    short_of_documents: bool = False


@dataclass(frozen=True, slots=True)
class Overall:
    """The verdict over all tasks and the judge."""

    verdict: Verdict
    level: float
    undecided: tuple[str, ...]
    inferior: tuple[str, ...]
    method: str


@dataclass(frozen=True, slots=True)
class NoiseComparison:
    """Whether a difference exceeds the noise: None if unknown. floor: the largest mean shift between an arm's runs."""

    floor: float | None
    exceeds: bool | None


@dataclass(frozen=True, slots=True)
class Components:
    """Variance of the paired differences: of the documents (between), and of the answers to one document (within).

    candidate_answers, reference_answers: answers per document. unstable: the part of a single answer's variance that is
    within documents. unstable_documents: share of documents whose answers do not all score the same.
    """

    candidate_answers: int
    reference_answers: int
    n: int
    between: float | None
    within_candidate: float | None
    within_reference: float | None
    unstable: float | None
    unstable_documents: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Cumulative:
    """The mean difference after each unit, with a band that is valid at all of them at once.

    Arrays of one length: `documents` seen so far, `mean`, `low`, `high`. The unit is the document, or the
    whole cluster where there are clusters. sign_changes counts how often the lead changed.
    """

    documents: npt.NDArray[np.int64]
    mean: Array
    low: Array
    high: Array
    level: float
    unit: Literal["document", "cluster"]
    sign_changes: int
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """What planning must know about a task: the paired SD, and its source.

    cluster_size: documents of an article on average. weighted_size: of the article of a random document,
    sum m^2 / sum m, where articles differ in size.
    """

    kind: Literal["score", "exact_match", "judge"]
    sd: float
    label: str
    cluster_size: float = 1.0
    icc: float = 0.0
    weighted_size: float | None = None

    @property
    def weighted(self) -> float:
        return self.cluster_size if self.weighted_size is None else self.weighted_size

    @property
    def design_effect(self) -> float:
        return 1 + (self.weighted - 1) * self.icc


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """Documents and margin, of which one was asked for.

    `documents` and `margin` are the textbook numbers; the guarded ones are what the verdict's own
    interval needs, which also allows for losses too rare to have been seen.
    """

    documents: int | None
    margin: float | None
    documents_guarded: int | None
    margin_guarded: float | None
    reason: str | None = None
