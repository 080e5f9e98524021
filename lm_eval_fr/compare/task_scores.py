"""A task's scores as the statistics take them: turned so that more is better, with their ends and their weights;
and how their estimate developed as documents came in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lm_eval_fr.logs.ingredients import Array
from lm_eval_fr.pairing import Paired
from lm_eval_fr.report.task_model import Series
from lm_eval_fr.stats import Difference, Guarantee, Kind, confidence_sequence, paired_difference
from lm_eval_fr.stats.arrays import cluster_codes

UNIT = (0.0, 1.0)
LOOKS = 200  # points of a series
UNITS = 5_000  # beyond these, consecutive units are merged into blocks; a band over blocks is just as valid
DIGITS = 12  # digits of a score that survive weighting and unweighting


@dataclass(frozen=True, eq=False)
class ScoredPairs:
    """candidate, reference: one score per document. weights: a document's part in the mean, None if all are equal.

    ends: the smallest and the largest possible score, infinite if unknown.
    """

    candidate: Array
    reference: Array
    clusters: np.ndarray | None
    weights: Array | None
    higher_is_better: bool
    ends: tuple[float, float]

    @property
    def better(self) -> Array:
        """`better` - `worse` is above 0 if the candidate is better."""
        return self.candidate if self.higher_is_better else self.reference

    @property
    def worse(self) -> Array:
        return self.reference if self.higher_is_better else self.candidate

    @property
    def on_unit_scale(self) -> bool:
        return self.ends == UNIT

    @property
    def kind(self) -> Kind | None:
        """None: inferred from the scores."""
        return None if self.on_unit_scale else "unbounded"

    @property
    def width(self) -> float | None:
        width = self.ends[1] - self.ends[0]
        return width if math.isfinite(width) else None

    @property
    def reach(self) -> float | None:
        """The largest possible loss: from the reference's mean to the worse end. None if that end is infinite."""
        mean = float(np.average(self.reference, weights=self.weights))
        reach = mean - self.ends[0] if self.higher_is_better else self.ends[1] - mean
        return reach if math.isfinite(reach) else None

    def rows(self, rows: np.ndarray) -> ScoredPairs:
        """The scores of some of the documents, by their numbers or a mask."""
        return replace(
            self,
            candidate=self.candidate[rows],
            reference=self.reference[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def difference(
        self, *, level: float, margin: float | None = None, guarantee: Guarantee = "default", kind: Kind | None = None
    ) -> Difference:
        """With the sign such that above 0 is better. kind: if it differs from that of the scores."""
        return paired_difference(
            self.better,
            self.worse,
            clusters=self.clusters,
            weights=self.weights,
            level=level,
            kind=kind or self.kind,
            margin=margin,
            guarantee=guarantee,
        )

    def points(self, value: float) -> float:
        """As reports print it: a share in percent, anything else in its own unit."""
        return 100 * value if self.on_unit_scale else value


def scored(task: Paired) -> ScoredPairs:
    """The primary scores of a task that has scores."""
    metric = task.metrics[0]
    # The arrays already contain the weights, so their plain mean is the task's number.
    candidate, reference = task.candidate[metric], task.reference[metric]
    if metric in task.shares:
        candidate, reference = (np.round(arm / task.shares[metric], DIGITS) for arm in (candidate, reference))
    ends = task.ends.get(metric) or _seen_ends(np.concatenate([candidate, reference]))
    return ScoredPairs(
        candidate, reference, task.clusters, task.weights.get(metric), task.higher_is_better[metric], ends
    )


def _seen_ends(scores: Array) -> tuple[float, float]:
    """For a metric without declared ends: a score that is never below 0 or above 1 is assumed to be a share."""
    if not len(scores) or scores.min() < 0:
        return -math.inf, math.inf
    return UNIT if scores.max() <= 1 else (0.0, math.inf)


def cumulative(
    differences: np.ndarray, clusters: np.ndarray | None, *, name: str, margin: float | None, level: float
) -> Series | None:
    """At most LOOKS points of the running mean and its band; None if there is no band.

    differences: candidate - reference in [-1, 1], above 0 is better, in the plan's order.
    """
    n = len(differences)
    if n == 0:
        return None
    units = cluster_codes(clusters, n)
    unit: Literal["document", "cluster"] = "document" if units is None else "cluster"
    if units is None:
        units = np.arange(n)
    count = int(units.max()) + 1
    if count > UNITS:
        units //= -(-count // UNITS)
    found = confidence_sequence(differences, clusters=units, level=level)
    if found.reason or not len(found.documents):
        return None
    last = len(found.documents) - 1
    shown = np.unique(np.linspace(0, last, min(LOOKS, last + 1)).round().astype(int))
    points = {name: getattr(found, name)[shown] for name in ("documents", "mean", "low", "high")}
    return Series(name=name, margin=margin, band=replace(found, unit=unit, **points))
