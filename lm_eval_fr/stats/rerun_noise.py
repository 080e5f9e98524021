"""The negative control: how far an arm moves from itself, and whether a difference is more than that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from .arrays import paired
from .differences import paired_difference
from .estimates import Difference, Interval, NoiseComparison, NoiseFloor


def noise_floor(
    run: npt.ArrayLike,
    rerun: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    answers_changed: npt.ArrayLike | None = None,
) -> NoiseFloor:
    """An arm against its own second run: mean movement with its interval, and how much changed underneath.

    score_churn is the share of documents whose score moved; answer_churn that of documents whose answer's text
    did (None unless answers_changed, a flag per document, is given).
    """
    first, second = paired(run, rerun)
    difference = paired_difference(second, first, clusters=clusters, level=level)
    if difference.interval.estimate is None:
        return NoiseFloor(difference.interval, None, None, None, int(first.size))
    churn = None
    if answers_changed is not None:
        flags = np.asarray(answers_changed)
        if flags.shape != first.shape:
            raise UsageError(f"{flags.size} flags of changed answers for {first.size} documents")
        churn = float(flags.astype(bool).mean())
    moved = np.abs(second - first)
    return NoiseFloor(difference.interval, float(moved.mean()), float((moved > 0).mean()), churn, int(first.size))


def exceeds_noise(difference: Difference | Interval, floors: Sequence[NoiseFloor]) -> NoiseComparison:
    """Whether the whole interval of a difference lies beyond the largest mean movement of an arm from itself."""
    interval = difference.interval if isinstance(difference, Difference) else difference
    moves = [abs(floor.movement.estimate) for floor in floors if floor.movement.estimate is not None]
    if not moves:
        return NoiseComparison(None, None, "No arm was run twice: how much it moves from itself is not known.")
    floor = max(moves)
    if interval.low is None or interval.high is None or interval.estimate is None:
        return NoiseComparison(floor, None, f"The difference has no interval: {interval.reason}.")
    said = f"an arm's own rerun moved the mean by {floor:.4f}"
    if interval.high < -floor or interval.low > floor:
        return NoiseComparison(floor, True, f"The difference exceeds the noise: {said}, and the interval lies beyond.")
    if -floor <= interval.low and interval.high <= floor:
        return NoiseComparison(floor, False, f"The difference is within the noise: {said}.")
    return NoiseComparison(
        floor, None, f"The difference cannot be told from noise: {said}, and the interval reaches into that range."
    )
