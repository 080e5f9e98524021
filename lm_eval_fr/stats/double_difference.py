"""The difference of two differences over the same documents: what is lost in one task beyond another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lm_eval_fr.stats.arrays import check_margin, paired
from lm_eval_fr.stats.differences import paired_difference
from lm_eval_fr.stats.estimates import Assessment, Difference, Interval
from lm_eval_fr.stats.verdict import assess


def difference_of_differences(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    margin: float | None = None,
    bounded: bool = True,
) -> tuple[Difference, Assessment | None]:
    """Mean of first - second over documents, each of them a candidate - reference, and its verdict on a margin.

    bounded: both are differences of scores in [0, 1]. Then (first + 1) / 2 and (second + 1) / 2 are in [0, 1], their
    mean difference is half of the one required, and the method for such scores applies to it: all of its
    quantities are doubled. The means in the result are those of `first` and `second`.
    """
    one, other = paired(first, second)
    if not bounded:
        found = paired_difference(one, other, clusters=clusters, level=level, margin=margin, kind="unbounded")
        return found, None if margin is None else assess(found, margin)
    if margin is not None:
        check_margin(margin, largest=1.0)
    half = None if margin is None else margin / 2
    shares = (one + 1) / 2, (other + 1) / 2
    # Differences of scores that are 0 or 1 are halves here, which no method for 0 or 1 may be given.
    found = paired_difference(*shares, clusters=clusters, level=level, margin=half, kind="bounded")
    assessment = None if half is None else _doubled_assessment(assess(found, half))
    means = tuple(None if found.interval.estimate is None else float(np.mean(values)) for values in (one, other))
    return _doubled(found, means[0], means[1]), assessment


def _twice(value: float | None) -> float | None:
    return None if value is None else 2 * value


def _doubled_interval(interval: Interval) -> Interval:
    return replace(interval, estimate=_twice(interval.estimate), low=_twice(interval.low), high=_twice(interval.high))


def _doubled(found: Difference, first: float | None, second: float | None) -> Difference:
    """flips: a move by half of the halved scale is none of a document's own."""
    return replace(
        found,
        interval=_doubled_interval(found.interval),
        candidate_mean=first,
        reference_mean=second,
        sd=_twice(found.sd),
        standard_error=_twice(found.standard_error),
        margin=_twice(found.margin),
        flips=None,
    )


def _doubled_assessment(found: Assessment) -> Assessment:
    needed = found.documents_needed
    return replace(
        found,
        margin=2 * found.margin,
        interval=_doubled_interval(found.interval),
        mde=_twice(found.mde),
        documents_needed=None if needed is None else replace(needed, difference=_twice(needed.difference)),
    )
