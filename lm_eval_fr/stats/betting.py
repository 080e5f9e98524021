"""Bounds that hold at every sample size and at every stopping time: the capital of a bettor against "mean <= c".

Waudby-Smith and Ramdas 2024 (JRSS B 86:1-27; arXiv 2010.09686): against the hypothesis that the mean of
x in [-1, 1] is c or less, W = prod(1 + l_i (x_i - c)) is a supermartingale for any l_i >= 0 chosen from the past,
so by Ville's inequality it reaches 1/alpha with probability alpha at most, whenever one looks.
The bets are l_i = min(sqrt(2 ln(1/alpha) / (N v_i)), 0.75 / (1 + c)), v_i the variance seen so far.

A cluster of m documents enters with its sum s: its factor is 1 + l (s - c m), so that the mean is that over documents.
The mean of the clusters' means is a different quantity, and can be far off if long articles lose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, Units, vector
from lm_eval_fr.stats.bounds import lower_limit, upper_limit

CAUTION = 0.75  # the largest share of the capital that one observation can cost


@dataclass(frozen=True, slots=True)
class Planned:
    """What is fixed before the first look: the number of units, and the documents per unit.

    mean, largest: documents of a unit; both 1 if every document is its own.
    """

    units: int
    mean: float = 1.0
    largest: float = 1.0

    def __post_init__(self) -> None:
        if self.units < 1 or not 0 < self.mean <= self.largest:
            raise UsageError(
                f"{self.units} planned units of {self.mean:g} documents, {self.largest:g} at most, cannot be tested",
                remedy="give the sizes of the clusters that will be looked at",
            )

    @classmethod
    def of(cls, sizes: npt.ArrayLike) -> Planned:
        """sizes: documents of every planned unit."""
        documents = vector(sizes, "sizes")
        if not documents.size:
            return cls(0)
        return cls(documents.size, float(documents.mean()), float(documents.max()))

    @property
    def heaviest(self) -> float:
        return self.largest / self.mean


@dataclass(frozen=True, slots=True)
class Stakes:
    """Bets from past data only, one per unit, before they are capped for a given c."""

    values: Array
    weights: Array
    bets: Array
    heaviest: float


def variance_so_far(values: Array) -> Array:
    """v_i from values before i, with one prior observation at distance 1, the largest spread on [-1, 1].

    Rows are separate sequences. Waudby-Smith and Ramdas, equation 15, moved from [0, 1] to [-1, 1].
    """
    order = np.arange(1, values.shape[-1] + 1)
    centre = np.cumsum(values, axis=-1) / (order + 1)
    squares = np.cumsum((values - centre) ** 2, axis=-1)
    before = np.concatenate([np.zeros_like(squares[..., :1]), squares[..., :-1]], axis=-1)
    return (1 + before) / order


def stakes(units: Units, alpha: float, planned: Planned) -> Stakes:
    """Values and sizes scaled to a planned mean size of 1; without clusters the values themselves."""
    if units.sizes.max(initial=0.0) > planned.largest:
        raise UsageError(
            f"a cluster of {units.sizes.max():g} documents where {planned.largest:g} was planned as the largest",
            remedy="give the sizes of all planned clusters",
        )
    values, weights = units.sums / planned.mean, units.sizes / planned.mean
    bets = np.sqrt(2 * math.log(1 / alpha) / (planned.units * variance_so_far(values)))
    return Stakes(values, weights, bets, planned.heaviest)


def log_capital(
    values: Array, bets: Array, c: float, weights: Array | float = 1.0, heaviest: Array | float = 1.0
) -> Array:
    """log W after each unit, for the hypothesis "mean <= c"; rows are separate sequences."""
    return np.cumsum(np.log1p(np.minimum(bets, CAUTION / ((1 + c) * heaviest)) * (values - c * weights)), axis=-1)


@dataclass(frozen=True, slots=True)
class Betting:
    """The betting bound after the given units, in their order; it holds whenever one looks."""

    units: Units
    alpha: float
    planned: Planned

    @property
    def name(self) -> str:
        return "betting bound on cluster sums" if self.units.clustered else "betting bound"

    def p_above(self, c: float) -> float:
        return _p_above(stakes(self.units, self.alpha, self.planned), c)

    def p_below(self, c: float) -> float:
        return _p_above(stakes(self.units.mirrored, self.alpha, self.planned), -c)

    def interval(self, level: float) -> tuple[float, float]:
        alpha, mean = (1 - level) / 2, self.units.mean
        up, down = (stakes(units, self.alpha, self.planned) for units in (self.units, self.units.mirrored))
        low = lower_limit(lambda c: _p_above(up, c), alpha, -1.0, mean)
        return low, upper_limit(lambda c: _p_above(down, -c), alpha, mean, 1.0)


def _p_above(stake: Stakes, c: float) -> float:
    if c <= -1:
        return 0.0
    return math.exp(-float(log_capital(stake.values, stake.bets, c, stake.weights, stake.heaviest).max(initial=0.0)))


def first_crossings(stake: Stakes, candidates: Array, alpha: float) -> npt.NDArray[np.int64]:
    """For each candidate c the first unit (0-based) at which "mean <= c" is refuted; -1 for never."""
    threshold = math.log(1 / alpha)
    found = np.full(candidates.size, -1, dtype=np.int64)
    capital = np.zeros(candidates.size)
    open_ = np.arange(candidates.size)
    block = max(1, 2_000_000 // max(candidates.size, 1))
    for start in range(0, stake.values.size, block):
        part = slice(start, start + block)
        c = candidates[open_, None]
        bets = np.minimum(stake.bets[part], CAUTION / ((1 + c) * stake.heaviest))
        path = np.cumsum(np.log1p(bets * (stake.values[part] - c * stake.weights[part])), axis=1)
        path += capital[open_, None]
        over = path >= threshold
        hit = over.any(axis=1)
        found[open_[hit]] = start + over[hit].argmax(axis=1)
        capital[open_] = path[:, -1]
        open_ = open_[~hit]
        if open_.size == 0:
            break
    return found
