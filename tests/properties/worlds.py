"""Simulated studies with a known true difference, and the p-values of whole stacks of studies at once.

A world draws `studies` times n paired differences whose mean is `mean`. Decisions are taken by the package's own
functions on stacked rows; test_calibration.py checks on single studies that `paired_difference` decides the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lm_eval_fr.stats.betting import log_capital, variance_so_far
from lm_eval_fr.stats.bounds import GUARD_ICC, dirichlet_tail
from lm_eval_fr.stats.differences import FEW_NON_ZERO

ALPHA = 0.025
Draw = Callable[[np.random.Generator, int, int, float], np.ndarray]


@dataclass(frozen=True)
class World:
    name: str
    draw: Draw  # (generator, studies, n, mean) -> differences, one row per study


def dense(sd: float) -> Draw:
    return lambda g, studies, n, mean: np.clip(g.normal(mean, sd, (studies, n)), -1, 1)


def sparse(g: np.random.Generator, studies: int, n: int, mean: float) -> np.ndarray:
    """Nine documents in ten unchanged (fewer where the loss is larger), the others moved anywhere."""
    share = max(0.1, 2 * abs(mean))
    moved = g.uniform(-0.5, 0.5, (studies, n)) + mean / share
    return np.where(g.random((studies, n)) < share, moved, 0.0)


def rare_losses(noise: float, gain: float, size: float) -> Draw:
    """Small noise about `gain` everywhere, and now and then a loss of `size`."""

    def draw(g: np.random.Generator, studies: int, n: int, mean: float) -> np.ndarray:
        rate = (gain - mean) / (gain + size)
        lost = g.random((studies, n)) < rate
        return np.where(lost, -size, g.normal(gain, noise, (studies, n)) if noise else gain)

    return draw


def discrete(g: np.random.Generator, studies: int, n: int, mean: float) -> np.ndarray:
    """Thirds, as three golds or three repeats give."""
    steps, rate = np.array([-1.0, -2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3]), abs(mean)
    chances = np.array([0.3 * rate, 0.3 * rate, 0.1 + 1.8 * rate, 0.0, 0.1, 0.0])
    chances[4] += (steps @ chances - mean) * -3
    chances[3] = 1 - chances.sum()
    return g.choice(steps, (studies, n), p=chances)


def skewed(g: np.random.Generator, studies: int, n: int, mean: float) -> np.ndarray:
    """Mostly a little better, sometimes much worse: a beta distribution from -1 to 0.05, turned round."""
    best = 0.05
    centre = (best - mean) / (1 + best)
    return best - (1 + best) * g.beta(0.3, 0.3 * (1 - centre) / centre, (studies, n))


WORLDS = (
    World("dense, SD 0.15", dense(0.15)),
    World("dense, SD 0.05", dense(0.05)),
    World("sparse", sparse),
    World("rare losses of 1, else noise", rare_losses(0.02, 0.0, 1.0)),
    World("rare losses of 1, else a little better", rare_losses(0.02, 0.02, 1.0)),
    World("rare losses of 0.5, else noise", rare_losses(0.10, 0.0, 0.5)),
    World("rare losses of 1, else nothing", rare_losses(0.0, 0.0, 1.0)),
    World("skewed", skewed),
    World("discrete", discrete),
)


def p_above(d: np.ndarray, c: float) -> np.ndarray:
    """Shipped p-values of "mean <= c" for bounded scores without clusters, one per row."""
    few = (d != 0).sum(axis=1) < FEW_NON_ZERO
    p = np.empty(len(d))
    if few.any():
        p[few] = betting_p(d[few], c)
    if not few.all():
        p[~few] = np.maximum(augmented_p(d[~few], c), dirichlet_p(d[~few], c))
    return p


def p_below(d: np.ndarray, c: float) -> np.ndarray:
    return p_above(-d, -c)


def betting_p(d: np.ndarray, c: float, sizes: np.ndarray | None = None) -> np.ndarray:
    """With the running maximum: valid at every stopping time, hence also at the end. sizes: where d are sums."""
    weights = np.ones_like(d) if sizes is None else sizes / sizes.mean(axis=1, keepdims=True)
    values = d if sizes is None else d * weights / sizes
    heaviest = weights.max(axis=1, keepdims=True)
    bets = np.sqrt(2 * np.log(1 / ALPHA) / (d.shape[1] * variance_so_far(values)))
    return np.exp(-np.maximum(log_capital(values, bets, c, weights, heaviest).max(axis=1), 0.0))


def dirichlet_p(d: np.ndarray, c: float) -> np.ndarray:
    return dirichlet_tail(np.append(d, np.full((len(d), 1), -1.0), axis=1) - c)


def augmented_p(d: np.ndarray, c: float) -> np.ndarray:
    return student_p(np.append(d, np.full((len(d), 1), -1.0), axis=1), c)


def student_p(d: np.ndarray, c: float) -> np.ndarray:
    """The naive paired t test; a row without variance is taken at its word."""
    error = d.std(axis=1, ddof=1) / np.sqrt(d.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (d.mean(axis=1) - c) / error
    return np.where(error > 0, stats.t.sf(t, d.shape[1] - 1), np.where(d.mean(axis=1) > c, 0.0, 1.0))


@dataclass(frozen=True)
class ClusterWorld:
    name: str
    draw: Callable[[np.random.Generator, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
    """(generator, sizes[studies, clusters], mean) -> sums and sums of squares per cluster."""


def members(
    draw: Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray],
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """From a draw of every document, [studies, clusters, largest size], to sums over those that exist."""

    def sums(g: np.random.Generator, sizes: np.ndarray, mean: float) -> tuple[np.ndarray, np.ndarray]:
        largest = int(sizes.max())
        d = np.clip(draw(g, (*sizes.shape, largest), mean), -1, 1) * (np.arange(largest) < sizes[..., None])
        return d.sum(axis=2), (d**2).sum(axis=2)

    return sums


def alike(icc: float, sd: float) -> Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray]:
    return lambda g, shape, mean: (
        mean + g.normal(0, sd * icc**0.5, (*shape[:2], 1)) + g.normal(0, sd * (1 - icc) ** 0.5, shape)
    )


def hit_articles(share: float, noise: float) -> Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray]:
    """Some articles lose `share` of their documents whole, all others only move a little."""

    def draw(g: np.random.Generator, shape: tuple[int, ...], mean: float) -> np.ndarray:
        hit = g.random((*shape[:2], 1)) < -mean / share
        return np.where(hit & (g.random(shape) < share), -1.0, g.normal(0, noise, shape))

    return draw


def lost_flips(g: np.random.Generator, shape: tuple[int, ...], mean: float) -> np.ndarray:
    """Right or wrong, with losses that come in some articles (ICC near 0.4 among losses) and gains anywhere."""
    loss, gain = 0.05 - mean, 0.05
    rate = g.beta(loss * 1.5, (1 - loss) * 1.5, (*shape[:2], 1))
    lost = g.random(shape) < rate
    return np.where(lost, -1.0, (g.random(shape) < gain / (1 - loss)).astype(float))


CLUSTER_WORLDS = (
    ClusterWorld("ICC 0.4, SD 0.2", members(alike(0.4, 0.2))),
    ClusterWorld("ICC 0.05, SD 0.2", members(alike(0.05, 0.2))),
    ClusterWorld("flips, losses by article", members(lost_flips)),
    ClusterWorld("half of some articles lost", members(hit_articles(0.5, 0.03))),
)


def sizes_of(g: np.random.Generator, studies: int, clusters: int, uneven: bool) -> np.ndarray:
    """Five documents a cluster, or 1 to 30 with a mean of about 5."""
    if not uneven:
        return np.full((studies, clusters), 5)
    return np.minimum(1 + g.negative_binomial(1, 0.2, (studies, clusters)), 30)


def cluster_p_above(sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray, c: float) -> np.ndarray:
    """Shipped p-values of "mean <= c" for bounded scores in 20 clusters or more."""
    n, count = sizes.sum(axis=1), sizes.shape[1]
    heavy = (sizes**2).sum(axis=1) / n
    between = (sums**2 / sizes).sum(axis=1) - sums.sum(axis=1) ** 2 / n
    within = (squares - sums**2 / sizes).sum(axis=1) / (n - count)
    between, typical = between / (count - 1), (n - heavy) / (count - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        icc = np.nan_to_num((between - within) / (between + (typical - 1) * within))
    guard = (1 + (heavy - 1) * np.clip(icc, GUARD_ICC, 1))[:, None]
    sums, sizes = np.append(sums, -guard, axis=1), np.append(sizes, guard, axis=1)
    return np.maximum(cr1_p(sums, sizes, c), dirichlet_tail(sums - c * sizes))


def cr1_p(sums: np.ndarray, sizes: np.ndarray, c: float) -> np.ndarray:
    count, n = sizes.shape[1], sizes.sum(axis=1)
    mean = sums.sum(axis=1) / n
    residuals = sums - mean[:, None] * sizes
    error = np.sqrt(count / (count - 1) * (residuals**2).sum(axis=1)) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, stats.t.sf((mean - c) / error, count - 1), np.where(mean > c, 0.0, 1.0))


def ignoring_clusters_p(sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray, c: float) -> np.ndarray:
    """The naive paired t test that takes every document for independent."""
    n = sizes.sum(axis=1)
    mean = sums.sum(axis=1) / n
    error = np.sqrt((squares.sum(axis=1) / n - mean**2) / (n - 1))
    return stats.t.sf((mean - c) / error, n - 1)


def exact_rate(n: int, down: float, up: float, decide: Callable[[int, int], bool]) -> float:
    """P(decide(downs, ups)) for a trinomial sample, summed over all outcomes that matter: no simulation error."""
    total = 0.0
    downs = np.arange(int(stats.binom.ppf(1e-9, n, down)), int(stats.binom.isf(1e-9, n, down)) + 1)
    for k in downs:
        rest = n - int(k)
        chance = up / (1 - down)
        ups = np.arange(int(stats.binom.ppf(1e-9, rest, chance)), int(stats.binom.isf(1e-9, rest, chance)) + 1)
        hits = np.array([decide(int(k), int(j)) for j in ups])
        total += float(stats.binom.pmf(k, n, down)) * float(stats.binom.pmf(ups, rest, chance)[hits].sum())
    return total
