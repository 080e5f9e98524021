"""Successes per unit of cost, and the ratio of two arms' values: intervals on the logarithmic scale."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, check_level, cluster_codes, too_little, units_of, unusable, vector
from lm_eval_fr.stats.distributions import t_point
from lm_eval_fr.stats.estimates import Interval
from lm_eval_fr.stats.guard import guard_of

_METHOD = "worst-case-augmented t on the log scale"


def success_rate_per_cost(
    successes: npt.ArrayLike, costs: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Sum of successes / sum of costs, one arm. successes in [0, 1] and costs, one per document.

    Delta method on the logarithm with CR1 clusters; each limit also weighs one unseen document (with clusters: part of
    one more cluster, as the verdict's own interval does) that fails for the lower limit and succeeds for the upper.
    """
    return _interval([vector(successes, "successes")], [vector(costs, "costs")], clusters, level)


def value_ratio(
    candidate: tuple[npt.ArrayLike, npt.ArrayLike],
    reference: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """(candidate's successes / its cost) / (the reference's), paired: what both arms share does not widen it.

    Each arm is (successes, costs), aligned documents. As `success_rate_per_cost`; the unseen document fails in one arm
    and succeeds in the other. None where the reference has no success.
    """
    pairs = [(vector(arm[0], "successes"), vector(arm[1], "costs")) for arm in (candidate, reference)]
    return _interval([pair[0] for pair in pairs], [pair[1] for pair in pairs], clusters, level)


def _interval(successes: list[Array], costs: list[Array], clusters: npt.ArrayLike | None, level: float) -> Interval:
    check_level(level)
    n = int(successes[0].size)
    if any(values.size != n for values in (*successes, *costs)):
        raise UsageError("successes and costs of different lengths", remedy="pair the documents first")
    codes = cluster_codes(clusters, n)
    count = None if codes is None else int(codes.max()) + 1
    reason = unusable(*successes, *costs) or _out_of_range(successes, costs)
    totals = None if reason else [float(values.sum()) for values in (*successes, *costs)]
    if totals is not None and len(successes) == 2 and totals[1] == 0:
        reason = "the reference has no success: the ratio is undefined"
    if reason or totals is None:
        return Interval(None, None, None, level, _METHOD, n, count, reason=reason)
    estimate = totals[0] / totals[len(successes)]
    if len(successes) == 2:
        estimate *= totals[3] / totals[1]
    if reason := too_little(n, count):
        return Interval(estimate, None, None, level, _METHOD, n, count, reason=reason)
    units = [units_of(values, codes) for values in (*successes, *costs)]
    gap = successes[0] - successes[1] if len(successes) == 2 else successes[0]
    guard = guard_of(units_of(gap, codes))
    sums = np.stack([unit.sums for unit in units])
    means = [total / n for total in totals[len(successes) :]]
    worst = [0.0, 1.0] if len(successes) == 2 else [0.0]
    low = _limit(np.column_stack([sums, guard.lost * np.array([*worst, *means])]), level, -1.0)
    best = [1.0 - value for value in worst]
    high = _limit(np.column_stack([sums, guard.gained * np.array([*best, *means])]), level, 1.0)
    return Interval(estimate, low, high, level, _METHOD, n, count)


def _out_of_range(successes: list[Array], costs: list[Array]) -> str | None:
    if any(((values < 0) | (values > 1)).any() for values in successes):
        return "a success is a number from 0 to 1"
    if any((values < 0).any() or values.sum() <= 0 for values in costs):
        return "costs are positive"
    return None


def _limit(sums: Array, level: float, side: float) -> float:
    """exp(log ratio +- t standard errors). Rows: successes (and the reference's), costs (and the reference's)."""
    arms, units = len(sums) // 2, sums.shape[1]
    signs = np.array([1.0, -1.0][:arms] + [-1.0, 1.0][:arms])
    totals = sums.sum(axis=1)
    if totals[0] == 0:
        return 0.0
    # What each unit adds to the logarithm, to first order; these sum to 0.
    influence = (signs[:, None] * sums / totals[:, None]).sum(axis=0)
    error = math.sqrt(units / (units - 1) * float(influence @ influence))
    reach = t_point((1 - level) / 2, units - 1) * error
    return float(math.exp(float(signs @ np.log(totals)) + side * reach))
