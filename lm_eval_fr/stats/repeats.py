"""Several answers to one document: their mean is its score, and their spread is within the document.

Reruns of an arm are the negative control: how far it moves from itself, and whether a difference is more than that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, unusable
from lm_eval_fr.stats.differences import paired_difference
from lm_eval_fr.stats.estimates import Components, Interval, NoiseComparison


def variance_components(candidate: npt.ArrayLike, reference: npt.ArrayLike) -> Components:
    """Where the variance of the paired differences comes from: the documents, or the answers to one document.

    candidate, reference: one row per answer, one column per document, aligned; the arms may have different numbers of
    answers. One-way analysis of variance; a negative part between documents is 0.
    """
    first, second = answers_of(candidate, "candidate"), answers_of(reference, "reference")
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"{first.shape[1]} candidate documents cannot be paired with {second.shape[1]} reference documents",
            remedy="pair the documents first",
        )
    counts = len(first), len(second)
    n = first.shape[1]
    reason = unusable(*first, *second) or (None if n > 1 else "one document: the spread is unknown")
    if reason is None and min(counts) < 2:
        reason = "an arm answered each document only once: how much its answers vary is unknown"
    if reason:
        return Components(*counts, n, None, None, None, None, None, reason)
    within = float(first.var(axis=0, ddof=1).mean()), float(second.var(axis=0, ddof=1).mean())
    means = first.mean(axis=0) - second.mean(axis=0)
    noise = within[0] / counts[0] + within[1] / counts[1]
    between = max(float(means.var(ddof=1)) - noise, 0.0)
    total = between + sum(within)
    moved = (np.ptp(first, axis=0) > 0) | (np.ptp(second, axis=0) > 0)
    unstable = sum(within) / total if total > 0 else None
    return Components(*counts, n, between, *within, unstable, float(moved.mean()))


def answers_of(scores: npt.ArrayLike, name: str) -> Array:
    """One row per answer; a single list of scores is one answer to each document."""
    try:
        array = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is not numeric: {error}") from None
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2 or not len(array):
        raise UsageError(f"{name} has no row of scores for each answer", remedy="give one row per answer")
    return array


def noise_floor(
    run: npt.ArrayLike, reruns: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """An arm against one or more aligned reruns: how far their mean is from the first run."""
    again = answers_of(reruns, "reruns").mean(axis=0)
    return paired_difference(again, run, clusters=clusters, level=level).interval


def exceeds_noise(interval: Interval, movements: Sequence[Interval]) -> NoiseComparison:
    """Whether a difference exceeds the shift between runs of one arm, by its `interval` and those of `noise_floor`.

    It exceeds the noise if its whole interval lies beyond the largest mean shift; it is called noise only if
    its whole interval lies within the least shift that the reruns' own intervals show (none if they contain
    0). Otherwise it is unknown.
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
