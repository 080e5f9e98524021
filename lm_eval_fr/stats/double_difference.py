"""The difference of two differences over the same documents: what is lost in one task beyond another."""

from __future__ import annotations

from dataclasses import replace

import numpy.typing as npt

from lm_eval_fr.stats.arrays import check_margin, paired
from lm_eval_fr.stats.differences import paired_difference
from lm_eval_fr.stats.estimates import Difference


def difference_of_differences(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    margin: float | None = None,
    bounded: bool = True,
) -> Difference:
    """Mean of first - second over documents, each of them a candidate - reference.

    bounded: both are differences of scores in [0, 1]. Then (first + 1) / 2 and (second + 1) / 2 are in [0, 1], their
    mean difference is half of the one required, and the method for such scores applies to it: all of its
    quantities are doubled. The means in the result are those of `first` and `second`.
    """
    one, other = paired(first, second)
    if not bounded:
        return paired_difference(one, other, clusters=clusters, level=level, margin=margin, kind="unbounded")
    if margin is not None:
        check_margin(margin, largest=1.0)
    # Differences of scores that are 0 or 1 are halves here, which no method for 0 or 1 may be given.
    half = None if margin is None else margin / 2
    found = paired_difference(
        (one + 1) / 2, (other + 1) / 2, clusters=clusters, level=level, margin=half, kind="bounded"
    )
    interval = found.interval
    return replace(
        found,
        interval=replace(
            interval, estimate=_twice(interval.estimate), low=_twice(interval.low), high=_twice(interval.high)
        ),
        candidate_mean=None if interval.estimate is None else float(one.mean()),
        reference_mean=None if interval.estimate is None else float(other.mean()),
        sd=_twice(found.sd),
        standard_error=_twice(found.standard_error),
        margin=margin,
        flips=None,  # a move by half of the halved scale is none of a document's own
        other_guarantee=None,
        units=None,
    )


def _twice(value: float | None) -> float | None:
    return None if value is None else 2 * value
