"""The few distributions that the statistics need, from scipy.special alone: scipy.stats takes a second to import.

A tail is the probability above x; a point is the x that has the probability p above it.
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
    """Where f changes sign between low and high: regula falsi in the Illinois form (Dowell and Jarratt 1971)."""
    at_low, at_high = f(low), f(high)
    if at_low == 0:
        return low
    if at_high == 0:
        return high
    if (at_low > 0) == (at_high > 0):
        raise ValueError(f"no change of sign between {low} and {high}")
    kept = 0
    for step in range(200):
        # Every fourth step halves, so that a flat side cannot hold it up.
        x = (low + high) / 2 if step % 4 == 3 else (low * at_high - high * at_low) / (at_high - at_low)
        y = f(x)
        if y == 0 or high - low < tolerance:
            return x
        if (y > 0) == (at_low > 0):
            low, at_low = x, y
            at_high = at_high / 2 if kept == 1 else at_high
            kept = 1
        else:
            high, at_high = x, y
            at_low = at_low / 2 if kept == -1 else at_low
            kept = -1
    return (low + high) / 2
