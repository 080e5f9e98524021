"""The negative control: how far an arm moves from itself, and whether a difference is more than that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from lm_eval_fr.stats.differences import paired_difference
from lm_eval_fr.stats.estimates import Interval, NoiseComparison
from lm_eval_fr.stats.repeats import answers_of


def noise_floor(
    run: npt.ArrayLike, reruns: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """An arm against its own reruns, one or several, aligned: how far their mean lies from the first run."""
    again = answers_of(reruns, "reruns").mean(axis=0)
    return paired_difference(again, run, clusters=clusters, level=level).interval


def exceeds_noise(interval: Interval, movements: Sequence[Interval]) -> NoiseComparison:
    """Whether a difference is more than what an arm moves from itself, by its `interval` and those of `noise_floor`.

    It exceeds the noise if its whole interval lies beyond the largest mean move; it is called noise only by the reruns'
    own intervals, if its whole interval lies within what they show at least (nothing where they hold 0). Else it
    cannot be told.
    """
    known = [movement for movement in movements if movement.estimate is not None]
    if not known:
        return NoiseComparison(None, None)
    floor = max(abs(movement.estimate or 0.0) for movement in known)
    ends = [(m.low, m.high) for m in known if m.low is not None and m.high is not None]
    if len(ends) < len(known) or interval.low is None or interval.high is None:
        return NoiseComparison(floor, None)
    least = max(max(low, -high, 0.0) for low, high in ends)
    if interval.high < -floor or interval.low > floor:
        return NoiseComparison(floor, True)
    return NoiseComparison(floor, False if -least <= interval.low and interval.high <= least else None)
