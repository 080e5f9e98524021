"""The few distributions that the statistics need, from scipy.special only: scipy.stats takes a second to import.

A tail is the probability above x; a point is the x with probability p above it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from lm_eval_fr.stats.arrays import Array


def normal_tail(x: float) -> float:
    return float(special.ndtr(-x))


def normal_point(p: float) -> float:
    return float(-special.ndtri(p))


def t_tail(x: float, df: float) -> float:
    return float(special.stdtr(df, -x))


def t_point(p: float, df: float) -> float:
    return float(-special.stdtrit(df, p))


def noncentral_t_tail(x: float, df: float, shift: float) -> float:
    return 1.0 - float(special.nctdtr(df, shift, x))


def binomial_mass(count: npt.ArrayLike, n: npt.ArrayLike, rate: float) -> Array:
    """P(X = count) for n trials; 0 outside of 0 to n."""
    k, trials = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    within = (k >= 0) & (k <= trials)
    k = np.where(within, k, 0.0)
    ways = special.gammaln(trials + 1) - special.gammaln(k + 1) - special.gammaln(trials - k + 1)
    mass = np.exp(ways + special.xlogy(k, rate) + special.xlog1py(trials - k, -rate))
    return np.asarray(np.where(within, mass, 0.0), dtype=np.float64)


def even_binomial_p(count: int, of: int) -> float:
    """Two-sided exact p of `count` among `of` against one half."""
    return min(1.0, 2 * float(special.bdtr(min(count, of - count), of, 0.5)))


def clopper_pearson(count: int, of: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson 1934 (Biometrika 26:404-413)."""
    alpha = (1 - level) / 2
    low = float(special.betaincinv(count, of - count + 1, alpha)) if count else 0.0
    high = float(special.betaincinv(count + 1, of - count, 1 - alpha)) if count < of else 1.0
    return low, high


def root(f: Callable[[float], float], low: float, high: float, tolerance: float = 1e-10) -> float:
    """Where f changes sign between low and high.

    Inverse quadratic steps where they can be trusted, halving elsewhere (Chandrupatla 1997, Adv. Eng. Softw. 28:145).
    """
    newest, other = high, low
    at_newest, at_other = f(high), f(low)
    if at_other == 0:
        return low
    if (at_newest > 0) == (at_other > 0) and at_newest != 0:
        raise ValueError(f"no change of sign between {low} and {high}")
    part = at_newest / (at_newest - at_other)  # of the way from the newest point to the other: a secant to begin with
    for _ in range(200):
        width = abs(other - newest)
        best, at_best = (newest, at_newest) if abs(at_newest) < abs(at_other) else (other, at_other)
        if at_best == 0 or width < tolerance:
            return best
        least = tolerance / 2 / width
        x = newest + min(max(part, least), 1 - least) * (other - newest)
        y = f(x)
        if (y > 0) == (at_newest > 0):
            third, at_third = newest, at_newest
        else:
            third, at_third, other, at_other = other, at_other, newest, at_newest
        newest, at_newest = x, y
        way, rise = (newest - other) / (third - other), (at_newest - at_other) / (at_third - at_other)
        part = 0.5
        if rise * rise < way and (1 - rise) ** 2 < 1 - way:
            to_other, to_third = at_newest / (at_newest - at_other), at_newest / (at_newest - at_third)
            away = (third - newest) / (other - newest)
            part = to_other * at_third / (at_third - at_other) - away * to_third * at_other / (at_third - at_other)
    return best
