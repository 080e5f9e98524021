"""The negative control: how far an arm moves from itself, and whether a difference is more than that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.differences import paired_difference
from lm_eval_fr.stats.estimates import Difference, Interval, NoiseComparison, NoiseFloor
from lm_eval_fr.stats.repeats import answers_of, mean_scores


def noise_floor(
    run: npt.ArrayLike,
    reruns: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    answers_changed: npt.ArrayLike | None = None,
) -> NoiseFloor:
    """An arm against its own reruns, one or several, aligned: how far their mean lies from the first run.

    score_churn is the share of answers whose score is not the first run's; answer_churn that of documents whose
    answer's text changed (None unless answers_changed, a flag per document, is given).
    """
    first, again = answers_of(run, "run")[0], answers_of(reruns, "reruns")
    movement = paired_difference(mean_scores(again), first, clusters=clusters, level=level).interval
    count, n = again.shape
    if movement.estimate is None:
        return NoiseFloor(movement, None, None, None, n, count)
    churn = None
    if answers_changed is not None:
        flags = np.asarray(answers_changed)
        if flags.shape != first.shape:
            raise UsageError(f"{flags.size} flags of changed answers for {first.size} documents")
        churn = float(flags.astype(bool).mean())
    moved = np.abs(again - first)
    return NoiseFloor(movement, float(moved.mean()), float((moved > 0).mean()), churn, n, count)


def exceeds_noise(difference: Difference | Interval, floors: Sequence[NoiseFloor]) -> NoiseComparison:
    """Whether a difference is more than what an arm moves from itself.

    It exceeds the noise if its whole interval lies beyond the largest mean move; it is called noise only by the reruns'
    own intervals, if its whole interval lies within what they show at least (nothing where they hold 0). Else it
    cannot be told.
    """
    interval = difference.interval if isinstance(difference, Difference) else difference
    known = [floor.movement for floor in floors if floor.movement.estimate is not None]
    if not known:
        return NoiseComparison(None, None, None)
    floor = max(abs(movement.estimate or 0.0) for movement in known)
    ends = [(m.low, m.high) for m in known if m.low is not None and m.high is not None]
    if len(ends) < len(known) or interval.low is None or interval.high is None:
        return NoiseComparison(floor, None, None)
    most = max(max(abs(low), abs(high)) for low, high in ends)
    least = max(max(low, -high, 0.0) for low, high in ends)
    if interval.high < -floor or interval.low > floor:
        return NoiseComparison(floor, most, True)
    return NoiseComparison(floor, most, False if -least <= interval.low and interval.high <= least else None)
