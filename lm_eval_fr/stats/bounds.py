"""The interface of an interval for a mean over independent units, and the t interval (CR1 with clusters).

Every method answers two questions for any value c, and its interval is where neither is rejected:
`p_above(c)` is the one-sided p-value of "the mean is c or less" and `p_below(c)` that of "c or more".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lm_eval_fr.stats.arrays import Units
from lm_eval_fr.stats.distributions import normal_point, root, t_point, t_tail


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
    standard_error: float
    df: int

    def p_above(self, c: float) -> float:
        if self.standard_error == 0:
            return 0.0 if c < self.mean else 1.0
        return t_tail((self.mean - c) / self.standard_error, self.df)

    def p_below(self, c: float) -> float:
        if self.standard_error == 0:
            return 0.0 if c > self.mean else 1.0
        return t_tail((c - self.mean) / self.standard_error, self.df)

    def interval(self, level: float) -> tuple[float, float]:
        reach = t_point((1 - level) / 2, self.df) * self.standard_error
        return self.mean - reach, self.mean + reach


def student(units: Units) -> Student:
    error = standard_error(units)
    if error is None:
        raise ValueError("a t interval needs two units")
    name = f"CR1 t({units.count - 1})" if units.clustered else f"t({units.count - 1})"
    return Student(name, units.mean, error, units.count - 1)


@dataclass(frozen=True, slots=True)
class CountedStudent:
    """Student's interval for +1, 0 and -1, adjusted so that one more lost document never raises a limit.

    In the plain interval it can, because the last gained document widens it. So if none is gained, the lower limit is
    the one with one gained, if that is lower; the upper limit mirrors it.
    """

    lost: int
    gained: int
    n: int

    @property
    def name(self) -> str:
        return f"t({self.n - 1})"

    def p_above(self, c: float) -> float:
        return max(bound.p_above(c) for bound in self._lower())

    def p_below(self, c: float) -> float:
        return max(bound.p_below(c) for bound in self._upper())

    def interval(self, level: float) -> tuple[float, float]:
        low = min(bound.interval(level)[0] for bound in self._lower())
        return low, max(bound.interval(level)[1] for bound in self._upper())

    def _lower(self) -> list[Student]:
        found = [self._student(self.lost, self.gained)]
        return found if self.gained or self.lost == self.n else [*found, self._student(self.lost, 1)]

    def _upper(self) -> list[Student]:
        found = [self._student(self.lost, self.gained)]
        return found if self.lost or self.gained == self.n else [*found, self._student(1, self.gained)]

    def _student(self, lost: int, gained: int) -> Student:
        mean = (gained - lost) / self.n
        error = math.sqrt(max(lost + gained - self.n * mean * mean, 0.0) / (self.n * (self.n - 1)))
        return Student(self.name, mean, error, self.n - 1)


@dataclass(frozen=True, slots=True)
class Wider:
    """The more conservative of two methods on each side."""

    first: Bound
    second: Bound
    ends: tuple[float, float]  # of the metric: no limit lies beyond them

    @property
    def name(self) -> str:
        return f"{self.first.name} or {self.second.name}, the wider"

    def p_above(self, c: float) -> float:
        return max(self.first.p_above(c), self.second.p_above(c))

    def p_below(self, c: float) -> float:
        return max(self.first.p_below(c), self.second.p_below(c))

    def interval(self, level: float) -> tuple[float, float]:
        one, other = self.first.interval(level), self.second.interval(level)
        return max(min(one[0], other[0]), self.ends[0]), min(max(one[1], other[1]), self.ends[1])


def lower_limit(p_above: Callable[[float], float], alpha: float, low: float, mean: float) -> float:
    """The smallest c that is not rejected as too small."""
    if mean <= low or p_above(mean) <= alpha:
        return mean
    return root(lambda c: beyond(p_above(c), alpha), low, mean)


def upper_limit(p_below: Callable[[float], float], alpha: float, mean: float, high: float) -> float:
    if mean >= high or p_below(mean) <= alpha:
        return mean
    return root(lambda c: beyond(p_below(c), alpha), mean, high)


def beyond(p: float, alpha: float) -> float:
    """How far a p-value is above alpha, in standard deviations: nearly linear in c, so a root takes few steps."""
    return normal_point(alpha) - normal_point(min(max(p, 1e-300), 1 - 1e-16))
