"""A task's scores as the statistics take them: turned so that more is better, with their ends and their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.logs.ingredients import Array
from lm_eval_fr.pairing import Paired
from lm_eval_fr.stats import Kind

UNIT = (0.0, 1.0)
DIGITS = 12  # of a score that survive weighting and undoing it


@dataclass(frozen=True, eq=False)
class Scored:
    """candidate, reference: one score per document. weights: a document's part in the mean, None where all are equal.

    ends: the smallest and the largest possible score, infinite where unknown.
    """

    candidate: Array
    reference: Array
    weights: Array | None
    higher_is_better: bool
    ends: tuple[float, float]

    @property
    def better(self) -> Array:
        """`better` - `worse` is above 0 where the candidate is better."""
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

    def points(self, value: float) -> float:
        """As reports print it: a share in hundredths, anything else in its own unit."""
        return 100 * value if self.on_unit_scale else value


def scored(task: Paired) -> Scored:
    """The primary scores of a task that has scores."""
    metric = task.metrics[0]
    weights = task.weights.get(metric)
    # The arrays hold the weights already, so that their plain mean is the task's number.
    candidate, reference = task.candidate[metric], task.reference[metric]
    if weights is not None:
        candidate, reference = (np.round(arm * weights.mean() / weights, DIGITS) for arm in (candidate, reference))
    ends = task.ends.get(metric) or _seen_ends(np.concatenate([candidate, reference]))
    return Scored(candidate, reference, weights, task.higher_is_better[metric], ends)


def _seen_ends(scores: Array) -> tuple[float, float]:
    """For a metric without declared ends: a score that is never below 0 or above 1 is taken for a share."""
    if not len(scores) or scores.min() < 0:
        return -math.inf, math.inf
    return UNIT if scores.max() <= 1 else (0.0, math.inf)
