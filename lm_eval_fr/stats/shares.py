"""Shares: exact binomial for independent documents, the Dirichlet bound for articles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, check_level, checked_weights, grouped, units_of, vector
from lm_eval_fr.stats.dirichlet import Dirichlet, dirichlet
from lm_eval_fr.stats.estimates import Interval, Proportion
from lm_eval_fr.stats.guard import guard_of
from lm_eval_fr.stats.proportions import binomial_share

ENDS = (0.0, 1.0)


def share_interval(
    scores: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """The mean of scores in [0, 1]: Clopper-Pearson for independent yes-or-no scores, else the Dirichlet bound.

    weights: a document's part in the mean, None where all count the same.
    """
    values = vector(scores, "scores")
    check_level(level)
    group = grouped(clusters, values)
    if values.size and np.isfinite(values).all() and not ((values >= 0) & (values <= 1)).all():
        raise UsageError(f"scores from {values.min():g} to {values.max():g} are not shares")
    if group.reason:
        return Interval(None, None, None, level, "none", group.n, group.clusters, reason=group.reason)
    shares = checked_weights(weights, group.n)
    if group.codes is None and shares is None and np.isin(values, ENDS).all():
        exact = binomial_share(int(values.sum()), group.n, level)
        return Interval(exact.share, exact.low, exact.high, level, "Clopper-Pearson", group.n)
    bound = _bound(values, group.codes, shares)
    low, high = bound.interval(level)
    return Interval(bound.mean, low, high, level, bound.name, group.n, group.clusters)


def share_of(yes: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None, level: float = 0.95) -> Proportion:
    """The share of `yes` (one yes or no per document), with the two-sided p against one half by the same method."""
    values = vector(yes, "yes")
    group = grouped(clusters, values)
    count, n = int(values.sum()), group.n
    if group.codes is None:
        return binomial_share(count, n, level)
    if group.reason:
        return Proportion(count, n, count / n, None, None, None, level, "none", group.reason)
    bound = _bound(values, group.codes)
    low, high = bound.interval(level)
    p_value = min(1.0, 2 * min(bound.p_above(0.5), bound.p_below(0.5)))
    return Proportion(count, n, count / n, low, high, p_value, level, bound.name)


def _bound(values: Array, codes: npt.NDArray[np.int64] | None, weights: Array | None = None) -> Dirichlet:
    units = units_of(values, codes, weights)
    guard = guard_of(units, ends=ENDS)
    return dirichlet(units, guard.lost, guard.gained, ends=ENDS)
