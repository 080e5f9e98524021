"""What an arm that knows nothing would score: as the task declares, and as its golds show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.logs.task_log import TaskLog

COINCIDENCE = 0.05  # a gold rarer than this is repeated by coincidence, not a default answer


@dataclass(frozen=True, slots=True)
class Chance:
    """declared: the task's `metadata.chance`. most_frequent: the share of the most frequent
    gold, None if all documents have the same one."""

    declared: float | None = None
    most_frequent: float | None = None

    def of(self, metric: str, *, exact: bool) -> float | None:
        """The score of always giving the most frequent gold, or the declared chance if that is higher.

        exact: each document is right or wrong. Chance is unknown for other metrics without a declaration, except an F1:
        a random answer shares almost no words with the gold, unless many documents have the same gold.
        """
        known = self.declared is not None or "f1" in metric.lower() or (exact and self.most_frequent is not None)
        frequent = self.most_frequent or 0.0
        if not exact and frequent < COINCIDENCE:
            frequent = 0.0
        return max(self.declared or 0.0, frequent) if known else None


UNKNOWN = Chance()


def chance_of(log: TaskLog, target_hashes: np.ndarray) -> Chance:
    declared = log.metadata.get("chance")
    known = isinstance(declared, int | float) and not isinstance(declared, bool) and 0 <= declared < 1
    counts = np.unique(target_hashes, return_counts=True)[1]
    share = float(counts.max() / counts.sum()) if counts.size > 1 else None
    return Chance(float(declared) if known and declared is not None else None, share)


def mean_chance(chances: Sequence[Chance], weights: Sequence[float]) -> Chance:
    """For a group, whose score is the weighted mean of its tasks' scores."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.average(known, weights=weights)) if len(known) == len(values) else None

    return Chance(mean([one.declared for one in chances]), mean([one.most_frequent for one in chances]))
