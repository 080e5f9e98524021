"""Simulated studies with a known true difference, and what the verdict's bound says of whole stacks of them at once.

A world draws `studies` times n paired differences whose mean is `mean`. Decisions are taken by the package's own
functions; test_calibration.py checks on single studies that `paired_difference` decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from lm_eval_fr.stats.arrays import Units
from lm_eval_fr.stats.betting import log_capital, variance_so_far
from lm_eval_fr.stats.dirichlet import tail
from lm_eval_fr.stats.distributions import binomial_mass
from lm_eval_fr.stats.estimates import Guarantee
from lm_eval_fr.stats.guard import guard_of

ALPHA = 0.025
IN_CACHE = 16_384  # values looked at together: arrays that fit the processor's cache are several times faster
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


def dirichlet_p(d: np.ndarray, c: float) -> np.ndarray:
    """Shipped p-values of "mean <= c" for bounded scores without clusters, one per row."""
    return tails(np.append(d, np.full((len(d), 1), -1.0), axis=1) - c)


def tails(z: np.ndarray) -> np.ndarray:
    """`dirichlet.tail` of each row, exact where that decides at ALPHA; elsewhere to a few percent.

    Saddlepoint approximation of Lugannani and Rice (1980).
    """
    top, bottom = z.max(axis=1), z.min(axis=1)
    p = np.where(top <= 0, 1.0, 0.0)
    mixed = (top > 0) & (bottom < 0)
    for rows in np.array_split(np.flatnonzero(mixed), z.size // IN_CACHE + 1):
        p[rows] = lugannani_rice(z[rows])
    one = np.ones(z.shape[1])
    for row in np.flatnonzero((p > 0.8 * ALPHA) & (p < 1.25 * ALPHA)):
        p[row] = tail(z[row], one)
    return p


def lugannani_rice(z: np.ndarray) -> np.ndarray:
    """For rows with values of both signs; cumulant function K(s) = -sum log(1 - s z_i)."""
    s = saddlepoint(z)
    ratio = z / (1 - s * z)
    k0, k2 = -np.log1p(-s * z).sum(axis=1), (ratio * ratio).sum(axis=1)
    s = s[:, 0]
    w, u = np.sign(s) * np.sqrt(np.maximum(-2 * k0, 0)), s * np.sqrt(k2)
    near = np.abs(w) < 1e-3  # both terms blow up at the mean; their difference tends to -skewness / 6
    safe_w, safe_u = np.where(near, 1.0, w), np.where(near, 1.0, u)
    skewness = 2 * (ratio**3).sum(axis=1) / k2**1.5
    term = np.where(near, -skewness / 6, 1 / safe_u - 1 / safe_w)
    above = special.ndtr(-w) + np.exp(-0.5 * w * w) / math.sqrt(2 * math.pi) * term
    return np.clip(1 - above, 0.0, 1.0)


def saddlepoint(z: np.ndarray) -> np.ndarray:
    """s with sum z_i / (1 - s z_i) = 0 in each row, by Newton steps on the sum times the distances to its poles."""
    below, above = 1 / z.min(axis=1, keepdims=True), 1 / z.max(axis=1, keepdims=True)
    low, high, s = below, above, np.zeros_like(below)
    for _ in range(100):
        ratio = z / (1 - s * z)
        value, slope = ratio.sum(axis=1, keepdims=True), np.einsum("ij,ij->i", ratio, ratio)[:, None]
        low, high = np.where(value < 0, s, low), np.where(value > 0, s, high)
        room = (s - below) * (above - s)
        turn = slope * room + value * (below + above - 2 * s)
        step = -value * room / np.where(turn > 0, turn, np.nan)
        step = np.where(np.isnan(step) | (s + step <= low) | (s + step >= high), (low + high) / 2 - s, step)
        s = s + step
        if np.all(np.abs(step) < 1e-3 * slope**-0.5):
            break
    return s


def betting_p(d: np.ndarray, c: float, sizes: np.ndarray | None = None) -> np.ndarray:
    """With the running maximum: valid at every stopping time, hence also at the end. sizes: where d are sums."""
    weights = np.ones_like(d) if sizes is None else sizes / sizes.mean(axis=1, keepdims=True)
    values = d if sizes is None else d * weights / sizes
    heaviest = weights.max(axis=1, keepdims=True)
    bets = np.sqrt(2 * np.log(1 / ALPHA) / (d.shape[1] * variance_so_far(values)))
    return np.exp(-np.maximum(log_capital(values, bets, c, weights, heaviest).max(axis=1), 0.0))


def student_p(d: np.ndarray, c: float) -> np.ndarray:
    """The naive paired t test; a row without variance is taken at its word."""
    error = d.std(axis=1, ddof=1) / np.sqrt(d.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (d.mean(axis=1) - c) / error
    return np.where(error > 0, stats.t.sf(t, d.shape[1] - 1), np.where(d.mean(axis=1) > c, 0.0, 1.0))


ClusterDraw = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class ClusterWorld:
    """draw: (generator, sizes of the articles of each study, mean) -> a difference for each place of an article."""

    family: str
    name: str
    draw: ClusterDraw
    sizes: tuple[str, ...] = ("1 to 10", "1 to 30, most short", "1 to 30")

    def study(self, g: np.random.Generator, studies: int, clusters: int, sizes: str, mean: float) -> Stack:
        documents = SIZES[sizes](g, (studies, clusters))
        exists = np.arange(documents.max()) < documents[..., None]
        d = self.draw(g, documents, mean) * exists
        return Stack(d.sum(axis=2), (d**2).sum(axis=2), documents.astype(float))


@dataclass(frozen=True)
class Stack:
    """Studies in rows, articles in columns: sums of differences, of their squares, and documents."""

    sums: np.ndarray
    squares: np.ndarray
    sizes: np.ndarray


SIZES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "5": lambda g, shape: np.full(shape, 5),
    "1 to 10": lambda g, shape: g.integers(1, 11, shape),
    "1 to 30": lambda g, shape: g.integers(1, 31, shape),
    "1 to 30, most short": lambda g, shape: np.minimum(1 + g.negative_binomial(1, 0.2, shape), 30),
}


def alike(icc: float, sd: float) -> ClusterDraw:
    def draw(g: np.random.Generator, sizes: np.ndarray, mean: float) -> np.ndarray:
        article = g.normal(0, sd * icc**0.5, (*sizes.shape, 1))
        return np.clip(mean + article + g.normal(0, sd * (1 - icc) ** 0.5, places(sizes)), -1, 1)

    return draw


def flips(gain: float, icc: float, *, by_length: bool = False, graded: bool = False) -> ClusterDraw:
    """Right or wrong: losses gather in articles with that ICC, gains come anywhere.

    by_length: an article's losses are in proportion to its length. graded: each change is by a uniform amount.
    """

    def draw(g: np.random.Generator, sizes: np.ndarray, mean: float) -> np.ndarray:
        loss = gain - (2 if graded else 1) * mean
        weight = sizes * sizes.mean() / (sizes.astype(float) ** 2).mean() if by_length else np.ones(sizes.shape)
        expected = np.minimum(loss * weight, 0.95)[..., None]
        rate = expected
        if icc:
            rate = g.beta(expected * (1 - icc) / icc, (1 - expected) * (1 - icc) / icc)
        lost = g.random(places(sizes)) < rate
        d = np.where(lost, -1.0, (g.random(places(sizes)) < gain / (1 - np.minimum(expected, 0.9))).astype(float))
        return d * g.random(places(sizes)) if graded else d

    return draw


def a_little_better(icc: float, gain: float) -> ClusterDraw:
    """`gain` on every document but those that are lost, which gather in articles with that ICC."""

    def draw(g: np.random.Generator, sizes: np.ndarray, mean: float) -> np.ndarray:
        loss = (gain - mean) / (1 + gain)
        rate = g.beta(loss * (1 - icc) / icc, (1 - loss) * (1 - icc) / icc, (*sizes.shape, 1)) if icc else loss
        return np.where(g.random(places(sizes)) < rate, -1.0, gain)

    return draw


def hit_articles(share: float, noise: float) -> ClusterDraw:
    """Some articles lose `share` of their documents, all others only move a little."""

    def draw(g: np.random.Generator, sizes: np.ndarray, mean: float) -> np.ndarray:
        hit = g.random((*sizes.shape, 1)) < -mean / share
        return np.where(hit & (g.random(places(sizes)) < share), -1.0, g.normal(0, noise, places(sizes)))

    return draw


def judged(decided: float, icc: float) -> ClusterDraw:
    """+1, 0 or -1; the candidate wins more often on some articles than on others."""

    def draw(g: np.random.Generator, sizes: np.ndarray, mean: float) -> np.ndarray:
        win = (mean / decided + 1) / 2
        spread = win * (1 - win) * 4 * decided / icc - 1 if icc else 0.0
        share = g.beta(win * spread, (1 - win) * spread, (*sizes.shape, 1)) if icc else win
        outcome = np.where(g.random(places(sizes)) < share, 1.0, -1.0)
        return np.where(g.random(places(sizes)) < decided, outcome, 0.0)

    return draw


def places(sizes: np.ndarray) -> tuple[int, ...]:
    return (*sizes.shape, int(sizes.max()))


JUDGED, GATHERED = ("5",), "losses that gather, ICC 0.3"
CLUSTER_WORLDS = (
    *(ClusterWorld("graded", f"SD 0.2, ICC {icc:g}", alike(icc, 0.2)) for icc in (0, 0.1, 0.3)),
    *(ClusterWorld("graded", f"10 % changed, ICC {icc:g}", flips(0.05, icc, graded=True)) for icc in (0, 0.3)),
    *(
        ClusterWorld("exact", f"{g:.0%} gained, ICC {icc:g}", flips(g, icc))
        for g in (0.01, 0.05)
        for icc in (0, 0.1, 0.3)
    ),
    *(ClusterWorld("judge", f"60 % decided, ICC {icc:g}", judged(0.6, icc), JUDGED) for icc in (0, 0.15, 0.3)),
    *(ClusterWorld("judge", f"20 % decided, ICC {icc:g}", judged(0.2, icc), JUDGED) for icc in (0, 0.15)),
    *(
        ClusterWorld("skewed", f"{g:.0%} better, ICC {icc:g}", a_little_better(icc, g))
        for g in (0, 0.02)
        for icc in (0, 0.1)
    ),
    *(ClusterWorld("long articles lose", f"ICC {icc:g}", flips(0.02, icc, by_length=True)) for icc in (0, 0.1)),
    *(ClusterWorld("a quarter of a hit article lost", f"noise {n:g}", hit_articles(0.25, n)) for n in (0, 0.03)),
    *(ClusterWorld("half of a hit article lost", f"noise {n:g}", hit_articles(0.5, n)) for n in (0, 0.03)),
    ClusterWorld(GATHERED, "skewed", a_little_better(0.3, 0.0)),
    ClusterWorld(GATHERED, "long articles", flips(0.02, 0.3, by_length=True)),
)
HARSH = ("half of a hit article lost", GATHERED)  # beyond what the default guarantee promises


def cluster_p_above(stack: Stack, c: float, guarantee: Guarantee = "default") -> np.ndarray:
    """Shipped p-values of "mean <= c", one per row; where even one lost document is too much, that of this guard."""
    one = np.ones(len(stack.sums))
    p = guarded_p(stack.sums, stack.sizes, c, one)
    rows = np.flatnonzero(p <= ALPHA)
    guards = np.array([guard_of(Units(stack.sums[row], stack.sizes[row], True), guarantee).lost for row in rows])
    if rows.size:
        p[rows] = guarded_p(stack.sums[rows], stack.sizes[rows], c, guards)
    return p


def guarded_p(sums: np.ndarray, sizes: np.ndarray, c: float, guards: np.ndarray) -> np.ndarray:
    return tails(np.append(sums - c * sizes, -guards[:, None] * (1 + c), axis=1))


def cr1_p(stack: Stack, c: float) -> np.ndarray:
    sums, sizes = stack.sums, stack.sizes
    count, n = sizes.shape[1], sizes.sum(axis=1)
    mean = sums.sum(axis=1) / n
    residuals = sums - mean[:, None] * sizes
    error = np.sqrt(count / (count - 1) * (residuals**2).sum(axis=1)) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, stats.t.sf((mean - c) / error, count - 1), np.where(mean > c, 0.0, 1.0))


def ignoring_clusters_p(stack: Stack, c: float) -> np.ndarray:
    """The naive paired t test that takes every document for independent."""
    sums, squares, sizes = stack.sums, stack.squares, stack.sizes
    n = sizes.sum(axis=1)
    mean = sums.sum(axis=1) / n
    error = np.sqrt((squares.sum(axis=1) / n - mean**2) / (n - 1))
    return stats.t.sf((mean - c) / error, n - 1)


def exact_rate(n: int, down: float, up: float, decide: Callable[[int, int], bool]) -> float:
    """P(decide(downs, ups)) for a trinomial sample, summed over all outcomes that matter: no simulation error."""
    downs, ups = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    chance = binomial_mass(downs, n, down) * binomial_mass(ups, n - downs, up / (1 - down))
    return sum(float(chance[k, j]) for k, j in np.argwhere(chance > 1e-8) if decide(int(k), int(j)))
