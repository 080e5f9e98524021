"""Ratios of means: the share of the reference's score that the candidate keeps, and of a loss that is recovered."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lm_eval_fr.stats.arrays import Array, cell_starts, check_level, grouped, paired, units_of, vector
from lm_eval_fr.stats.bounds import student
from lm_eval_fr.stats.differences import checked_kind
from lm_eval_fr.stats.distributions import t_point
from lm_eval_fr.stats.estimates import Interval, Kind
from lm_eval_fr.stats.guard import NO_GUARD, guard_of

EXACT_UNITS = 10_000  # up to here every unit gets its own weight in every draw


def recovery_interval(
    candidate: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    kind: Kind | None = None,
) -> Interval:
    """Candidate mean / reference mean (1.0: nothing lost), by Bayesian cluster bootstrap.

    Rubin 1981, Annals of Statistics 9:130-134, with clusters as the units. For scores between 0 and 1 each
    limit also weighs one worst-case pseudo-unit (see guard.py); otherwise arms that agree on
    every document would get the interval [1, 1]. None where the reference's mean may be 0.
    """
    first, second = paired(candidate, reference)
    check_level(level)
    method = f"Bayesian cluster bootstrap, {draws} draws"
    group = grouped(clusters, first, second)
    if group.reason:
        return Interval(None, None, None, level, method, group.n, group.clusters, seed, group.reason)
    below, above = units_of(second, group.codes), units_of(first, group.codes)
    if student(below).interval(level)[0] <= 0:
        reason = f"the reference's mean, {below.mean:.4g}, is not clearly above 0: no share of it can be taken"
        return Interval(None, None, None, level, method, group.n, group.clusters, seed, reason)
    unbounded = checked_kind(first, second, kind) == "unbounded"
    guard = NO_GUARD if unbounded else guard_of(units_of(first - second, group.codes))
    tops, bottoms, extra = bootstrap_sums(above.sums, below.sums, draws, seed)
    tails = ((1 - level) / 2, (1 + level) / 2)
    low = float(np.quantile(tops / (bottoms + guard.lost * extra), tails[0]))
    high = float(np.quantile((tops + guard.gained * extra) / bottoms, tails[1]))
    return Interval(above.mean / below.mean, low, high, level, method, group.n, group.clusters, seed)


def bootstrap_sums(tops: Array, bottoms: Array, draws: int, seed: int) -> tuple[Array, Array, Array]:
    """Sums of both arrays under standard exponential weights per unit, one pair per draw, and a spare weight.

    Many units are first gathered into cells of similar influence on the ratio. A cell's weight is then a gamma
    variable, exactly; what its members deviate from its mean adds a normal variable of the exact covariance.
    """
    generator = np.random.default_rng(seed)
    data = np.stack([tops, bottoms], axis=1)
    shapes, spread = np.ones(len(data)), None
    if len(data) > EXACT_UNITS:
        data, shapes, spread = cells(data)
    sums = np.empty((draws, 2))
    block = max(1, 4_000_000 // len(data))
    exact = spread is None
    for start in range(0, draws, block):
        size = (min(block, draws - start), len(data))
        weights = generator.standard_exponential(size) if exact else generator.standard_gamma(shapes, size)
        sums[start : start + size[0]] = weights @ data
    if spread is not None:
        sums += generator.multivariate_normal((0.0, 0.0), spread, size=draws, method="eigh")
    return sums[:, 0], sums[:, 1], generator.standard_exponential(draws)


def cells(data: Array) -> tuple[Array, Array, Array]:
    """Cell means, member counts, and the covariance that the members' deviations add to a weighted sum."""
    ratio = data[:, 0].sum() / data[:, 1].sum()
    order = np.argsort(data[:, 0] - ratio * data[:, 1], kind="stable")
    data = data[order]
    starts = cell_starts(len(data))
    counts = np.diff(np.append(starts, len(data))).astype(float)
    means = np.add.reduceat(data, starts, axis=0) / counts[:, None]
    deviations = data - np.repeat(means, counts.astype(int), axis=0)
    return means, counts, deviations.T @ deviations


def recovered_share(
    distilled: npt.ArrayLike,
    raw: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """(distilled - raw) / (reference - raw) in means: the share of a loss that distillation recovered.

    Fieller's interval (1954, JRSS B 16:175-185) on CR1 covariances with t(C - 1). None where the loss itself,
    reference - raw, may be 0: there is then nothing to recover.
    """
    first, base = paired(distilled, raw)
    top, _ = paired(reference, raw)
    check_level(level)
    group, method = grouped(clusters, first, base, top), "Fieller"
    n, count = group.n, group.clusters
    if group.reason:
        return Interval(None, None, None, level, method, n, count, reason=group.reason)
    gain, loss = units_of(first - base, group.codes), units_of(top - base, group.codes)
    limits = student(loss).interval(level)
    if limits[0] <= 0 <= limits[1]:
        reason = (
            f"the loss to recover, {loss.mean:.4g}, may be 0 ({limits[0]:.4g} to {limits[1]:.4g}): "
            "a share of it is undefined"
        )
        return Interval(None, None, None, level, method, n, count, reason=reason)
    low, high = fieller(
        np.stack([gain.sums - gain.mean * gain.sizes, loss.sums - loss.mean * loss.sizes]) / n,
        gain.mean,
        loss.mean,
        level,
    )
    return Interval(gain.mean / loss.mean, low, high, level, method, n, count)


def fieller(residuals: Array, top: float, bottom: float, level: float) -> tuple[float, float]:
    """The ratios r for which top - r bottom is within t standard errors of 0; bottom must be clear of 0."""
    count = residuals.shape[1]
    covariance = residuals @ residuals.T * count / (count - 1)
    squared = t_point((1 - level) / 2, count - 1) ** 2
    a = bottom * bottom - squared * covariance[1, 1]
    b = top * bottom - squared * covariance[0, 1]
    c = top * top - squared * covariance[0, 0]
    root = math.sqrt(max(float(b * b - a * c), 0.0))
    return float((b - root) / a), float((b + root) / a)


def mean_interval(scores: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None, level: float = 0.95) -> Interval:
    """The mean of one arm's scores with its t interval (CR1 where there are clusters)."""
    values = vector(scores, "scores")
    check_level(level)
    group = grouped(clusters, values)
    if group.reason:
        return Interval(None, None, None, level, "none", group.n, group.clusters, reason=group.reason)
    bound = student(units_of(values, group.codes))
    low, high = bound.interval(level)
    return Interval(bound.mean, low, high, level, bound.name, group.n, group.clusters)
