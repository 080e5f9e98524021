"""Intervals for a mean over independent units: Student / CR1, worst-case-augmented t, Dirichlet weights.

Every method answers two questions for any value c, and its interval is where both answers are "yes, it could be":
`p_above(c)` is the one-sided p-value of "the mean is c or less" and `p_below(c)` that of "c or more".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import optimize, special, stats

from .arrays import Units
from .estimates import Array

GUARD_ICC = 0.5  # how alike documents of a cluster are taken to be, at least, in a loss that was not seen


class Bound(Protocol):
    @property
    def name(self) -> str: ...
    def p_above(self, c: float) -> float: ...
    def p_below(self, c: float) -> float: ...
    def interval(self, level: float) -> tuple[float, float]: ...


def standard_error(units: Units) -> float | None:
    """CR1 standard error of the mean (for single documents the usual one): sqrt(C/(C-1) sum e_c^2) / n.

    Equals statsmodels' OLS(d, 1) with cov_type="cluster", use_t=True. Liang and Zeger 1986; the correction as
    in Cameron and Miller 2015, section II.B. None for fewer than two units.
    """
    if units.count < 2:
        return None
    residuals = units.sums - units.mean * units.sizes
    count = units.count
    return float(math.sqrt(count / (count - 1) * float(residuals @ residuals)) / units.sizes.sum())


@dataclass(frozen=True, slots=True)
class Student:
    """Mean +- t(C - 1) standard errors."""

    name: str
    mean: float
    error: float
    freedom: int

    def p_above(self, c: float) -> float:
        if self.error == 0:
            return 0.0 if c < self.mean else 1.0
        return float(stats.t.sf((self.mean - c) / self.error, self.freedom))

    def p_below(self, c: float) -> float:
        if self.error == 0:
            return 0.0 if c > self.mean else 1.0
        return float(stats.t.cdf((self.mean - c) / self.error, self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        reach = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return self.mean - reach, self.mean + reach


def student(units: Units) -> Student:
    error = standard_error(units)
    if error is None:
        raise ValueError("a t interval needs two units")
    name = f"CR1 t({units.count - 1})" if units.clustered else f"t({units.count - 1})"
    return Student(name, units.mean, error, units.count - 1)


def guard_size(units: Units, icc: float | None) -> float:
    """Documents in the worst-case pseudo-unit: one, or with clusters the effective part of one more cluster.

    That cluster has the size of the cluster of a random document, sum m^2 / sum m (the plain mean would be too
    small where a lost cluster is a large one), and of its documents 1 + (m - 1) ICC are lost: at least half.
    A whole one would guard against every distribution, but 191 articles could then never establish two points,
    not even with identical answers; what half of one lets through is in the calibration's table.
    """
    if not units.clustered:
        return 1.0
    size = float(units.sizes @ units.sizes / units.sizes.sum())
    return 1 + (size - 1) * min(max(icc or 0.0, GUARD_ICC), 1.0)


def augment(units: Units, worst: float, guard: float) -> Units:
    return Units(np.append(units.sums, worst * guard), np.append(units.sizes, guard), units.clustered)


@dataclass(frozen=True, slots=True)
class Augmented:
    """Student's interval after one worst-case pseudo-unit: -1 for the lower limit, +1 for the upper."""

    name: str
    lower: Student
    upper: Student

    def p_above(self, c: float) -> float:
        return self.lower.p_above(c)

    def p_below(self, c: float) -> float:
        return self.upper.p_below(c)

    def interval(self, level: float) -> tuple[float, float]:
        return max(self.lower.interval(level)[0], -1.0), min(self.upper.interval(level)[1], 1.0)


def augmented(units: Units, guard: float) -> Augmented:
    name = "worst-case-augmented CR1 t" if units.clustered else "worst-case-augmented t"
    return Augmented(name, student(augment(units, -1.0, guard)), student(augment(units, 1.0, guard)))


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Quantiles of the Dirichlet-weighted mean over the units and one worst-case pseudo-unit.

    Gaffke 2005; Learned-Miller and Thomas 2020 (arXiv 1905.06208). For two-valued data it is Clopper-Pearson,
    hence exact; that it holds for every bounded distribution is a conjecture which no simulation, theirs or
    ours, has contradicted. It is the distribution that the augmented t approximates by a normal one; with rare
    large losses that approximation calls 4.8 % non-inferior where it promises 2.5 %.
    """

    lower: Units
    upper: Units
    copies: Array
    start: tuple[float, float]
    mean: float
    name: str = "Dirichlet bound"

    def p_above(self, c: float) -> float:
        if c <= -1:
            return 0.0
        return float(dirichlet_tail(self.lower.sums - c * self.lower.sizes, self.copies))

    def p_below(self, c: float) -> float:
        if c >= 1:
            return 0.0
        return float(dirichlet_tail(c * self.upper.sizes - self.upper.sums, self.copies))

    def interval(self, level: float) -> tuple[float, float]:
        alpha = (1 - level) / 2
        first = self.start[0] if self.p_above(self.start[0]) < alpha else -1.0
        last = self.start[1] if self.p_below(self.start[1]) < alpha else 1.0
        return lower_limit(self.p_above, alpha, first, self.mean), upper_limit(self.p_below, alpha, self.mean, last)


def dirichlet(units: Units, guard: float) -> Dirichlet:
    """Equal values are gathered (scores repeat); the search for the limits starts around the augmented t's."""
    start = augmented(units, guard).interval(0.999)
    if units.clustered:
        gathered, copies = units, np.ones(units.count)
    else:
        values, counts = np.unique(units.sums, return_counts=True)
        gathered, copies = Units(values, np.ones(values.size), False), counts.astype(np.float64)
    lower, upper = augment(gathered, -1.0, guard), augment(gathered, 1.0, guard)
    return Dirichlet(lower, upper, np.append(copies, 1.0), start, units.mean)


@dataclass(frozen=True, slots=True)
class Wider:
    """On each side the more cautious of two methods."""

    first: Bound
    second: Bound

    @property
    def name(self) -> str:
        return f"{self.first.name} or {self.second.name}, the wider"

    def p_above(self, c: float) -> float:
        return max(self.first.p_above(c), self.second.p_above(c))

    def p_below(self, c: float) -> float:
        return max(self.first.p_below(c), self.second.p_below(c))

    def interval(self, level: float) -> tuple[float, float]:
        one, other = self.first.interval(level), self.second.interval(level)
        return min(one[0], other[0]), max(one[1], other[1])


def lower_limit(p_above: Callable[[float], float], alpha: float, low: float, mean: float) -> float:
    """The smallest c that is not rejected as too small."""
    if mean <= low or p_above(mean) <= alpha:
        return mean
    return float(optimize.brentq(lambda c: p_above(c) - alpha, low, mean, xtol=1e-12, rtol=1e-12))


def upper_limit(p_below: Callable[[float], float], alpha: float, mean: float, high: float) -> float:
    if mean >= high or p_below(mean) <= alpha:
        return mean
    return float(optimize.brentq(lambda c: p_below(c) - alpha, mean, high, xtol=1e-12, rtol=1e-12))


def dirichlet_tail(z: Array, copies: Array | float = 1.0) -> Array:
    """P(sum E_i z_i <= 0) for independent standard exponentials E_i, along the last axis; z_i occurs copies_i times.

    The sign of a Dirichlet-weighted mean is that of this sum. Saddlepoint approximation of Lugannani and Rice
    (1980); against the exact Beta tails it errs by under 3 % of the probability from five units on, upwards.
    """
    rows = np.atleast_2d(z)
    top, bottom = rows.max(axis=-1), rows.min(axis=-1)
    result = np.where(top <= 0, 1.0, 0.0)
    mixed = (top > 0) & (bottom < 0)
    if mixed.any():
        result[mixed] = lugannani_rice(rows[mixed], copies)
    return result if np.ndim(z) > 1 else result[0]


def lugannani_rice(z: Array, copies: Array | float) -> Array:
    """The tail for rows with values of both signs; cumulant function K(s) = -sum log(1 - s z_i)."""
    s = saddlepoint(z, copies)
    ratio = z / (1 - s * z)
    k0 = -(copies * np.log1p(-s * z)).sum(axis=-1)
    k2 = (copies * ratio * ratio).sum(axis=-1)
    s = s[..., 0]
    w = np.sign(s) * np.sqrt(np.maximum(-2 * k0, 0))
    u = s * np.sqrt(k2)
    near = np.abs(w) < 1e-3  # both terms blow up at the mean; their difference tends to -skewness / 6
    safe_w, safe_u = np.where(near, 1.0, w), np.where(near, 1.0, u)
    skewness = 2 * (copies * ratio**3).sum(axis=-1) / k2**1.5
    term = np.where(near, -skewness / 6, 1 / safe_u - 1 / safe_w)
    above = special.ndtr(-w) + np.exp(-0.5 * w * w) / math.sqrt(2 * math.pi) * term
    return np.clip(1 - above, 0.0, 1.0)


def saddlepoint(z: Array, copies: Array | float) -> Array:
    """s with sum z_i / (1 - s z_i) = 0, by Newton steps kept inside a shrinking bracket."""
    low, high = 1 / z.min(axis=-1, keepdims=True), 1 / z.max(axis=-1, keepdims=True)
    s = np.zeros_like(low)
    for _ in range(200):
        ratio = z / (1 - s * z)
        weighted = copies * ratio
        slope = weighted.sum(axis=-1, keepdims=True)
        low, high = np.where(slope < 0, s, low), np.where(slope > 0, s, high)
        step = s - slope / (weighted * ratio).sum(axis=-1, keepdims=True)
        step = np.where((step <= low) | (step >= high), (low + high) / 2, step)
        if np.all(np.abs(step - s) <= 1e-12 * np.maximum(np.abs(s), 1e-9)):
            return step
        s = step
    return s
