"""The Dirichlet bound: exact limits of a bounded mean from the sample and one pseudo-unit at the worst end.

Gaffke 2005 (Metrika 61:1-23); Learned-Miller and Thomas 2020 (arXiv 1905.06208). The lower limit is the quantile of the
Dirichlet-weighted mean of the units seen and of one more at the lowest value. For two-valued data it is
Clopper-Pearson, hence exact; that it holds for every bounded distribution is a conjecture which no simulation,
theirs or ours, has contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lm_eval_fr.stats.arrays import Array, Units, gathered
from lm_eval_fr.stats.bounds import lower_limit, upper_limit

STEP = 0.1  # of the quadrature; at 0.1 its error is below 1e-12 of the probability
NODES = np.arange(0.0, 12.0 + STEP / 2, STEP)
_SINH = np.sinh(NODES)
_WEIGHTS = np.cosh(NODES) * STEP
_WEIGHTS[0] /= 2  # the integrand is symmetric: half of the contour, the node at 0 shared
_PARTS = (slice(0, 25), slice(25, 60), slice(60, None))  # with many units the rest is nothing


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """`lost` and `gained`: documents in the pseudo-unit of the lower and of the upper limit. Scores lie in `ends`."""

    units: Units
    copies: Array
    mean: float
    lost: float
    gained: float
    ends: tuple[float, float]
    clustered: bool

    @property
    def name(self) -> str:
        return "Dirichlet bound on cluster sums" if self.clustered else "Dirichlet bound"

    def p_above(self, c: float) -> float:
        if c <= self.ends[0]:
            return 0.0
        return self._tail(self.units.sums - c * self.units.sizes, self.lost * (self.ends[0] - c))

    def p_below(self, c: float) -> float:
        if c >= self.ends[1]:
            return 0.0
        return self._tail(c * self.units.sizes - self.units.sums, self.gained * (c - self.ends[1]))

    def interval(self, level: float) -> tuple[float, float]:
        alpha, (lowest, highest) = (1 - level) / 2, self.ends
        low = lower_limit(self.p_above, alpha, lowest, self.mean)
        return low, upper_limit(self.p_below, alpha, self.mean, highest)

    def _tail(self, z: Array, worst: float) -> float:
        return tail(np.append(z, worst), np.append(self.copies, 1.0))


def dirichlet(
    units: Units, lost: float = 1.0, gained: float = 1.0, *, ends: tuple[float, float] = (-1.0, 1.0)
) -> Dirichlet:
    few, copies = gathered(units)
    return Dirichlet(few, copies, units.mean, lost, gained, ends, units.clustered)


def tail(z: Array, copies: Array) -> float:
    """P(sum E_i z_i <= 0) for independent standard exponentials E_i; z_i occurs copies_i times.

    The sign of a Dirichlet-weighted mean is that of this sum. The inversion integral of its Laplace transform, by the
    trapezoidal rule along the vertical line through the saddlepoint, which converges geometrically.
    """
    if z.max() <= 0:
        return 1.0
    if z.min() >= 0:
        return 0.0
    s = float(saddlepoint(z, copies)[0])
    width = float((copies * (z / (1 - s * z)) ** 2).sum()) ** -0.5
    below = s <= 0
    # Half a width away from the pole at 0, and never beyond those of the units.
    line = max(min(s, -0.5 * width), 0.9 / z.min()) if below else min(max(s, 0.5 * width), 0.9 / z.max())
    on_line, ratio = -float(copies @ np.log1p(-line * z)), z / (1 - line * z)
    integral = 0.0
    for part in _PARTS:
        height = width * _SINH[part]
        turned = ratio[:, None] * height
        size, phase = on_line - 0.5 * (copies @ np.log1p(turned**2)), copies @ np.arctan(turned)
        transform = np.exp(size + 1j * phase) / (line + 1j * height)
        integral += float(transform.real @ _WEIGHTS[part]) * width / np.pi
        if abs(transform[-1]) * _WEIGHTS[part][-1] * width < 1e-15 * abs(integral):
            break
    return min(max(-integral if below else 1 - integral, 0.0), 1.0)


def saddlepoint(z: Array, copies: Array | float) -> Array:
    """s with sum z_i / (1 - s z_i) = 0 along the last axis, by Newton steps kept inside a shrinking bracket."""
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
            break
        s = step
    return np.asarray(step, dtype=np.float64)
