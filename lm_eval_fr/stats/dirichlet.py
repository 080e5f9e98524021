"""The Dirichlet bound: exact limits of a bounded mean from the sample and one pseudo-unit at the worst end.

Gaffke 2005 (Metrika 61:1-23); Learned-Miller and Thomas 2020 (arXiv 1905.06208). The lower limit is the quantile of the
Dirichlet-weighted mean of the units seen and of one more at the lowest value. For two-valued data it is
Clopper-Pearson, hence exact; that it holds for every bounded distribution is a conjecture that no simulation,
theirs or ours, has contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lm_eval_fr.stats.arrays import Array, Units, gathered
from lm_eval_fr.stats.bounds import lower_limit, upper_limit

FEW = 32  # different units: with fewer of them the integrand may oscillate fast, but costs little
IN_CACHE = 12_000  # values computed together


def _grid(step: float) -> tuple[Array, Array]:
    """Heights and weights of half of the contour: the integrand is symmetric, the node at 0 shared."""
    nodes = np.arange(0.0, 12.0 + step / 2, step)
    weights = np.cosh(nodes) * step
    weights[0] /= 2
    return np.sinh(nodes), weights


# With these steps the error is below 1e-8.
_FINE, _COARSE = _grid(0.0125), _grid(0.05)


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
    lowest, highest = float(z.min()), float(z.max())
    if highest <= 0:
        return 1.0
    if lowest >= 0:
        return 0.0
    s, width = _saddlepoint(z, copies, lowest, highest)
    below = s <= 0
    # Half a width away from the pole at 0, and never beyond the units' poles.
    line = max(min(s, -0.5 * width), 0.9 / lowest) if below else min(max(s, 0.5 * width), 0.9 / highest)
    on_line, ratio = -float(copies @ np.log1p(-line * z)), z / (1 - line * z)
    integral, (heights, weights) = 0.0, _FINE if z.size <= FEW else _COARSE
    together = max(IN_CACHE // z.size, 10)
    for start in range(0, heights.size, together):
        height, weight = width * heights[start : start + together], width * weights[start : start + together]
        turned = ratio[:, None] * height
        size, phase = on_line - 0.5 * (copies @ np.log1p(turned**2)), copies @ np.arctan(turned)
        transform = np.exp(size + 1j * phase) / (line + 1j * height)
        integral += float(transform.real @ weight) / np.pi
        if abs(transform[-1]) * weight[-1] < 1e-15 * abs(integral):
            break  # with many units the rest is negligible
    return min(max(-integral if below else 1 - integral, 0.0), 1.0)


def _saddlepoint(z: Array, copies: Array, lowest: float, highest: float) -> tuple[float, float]:
    """Approximately where sum z_i / (1 - s z_i) = 0 between its poles, and the width there: 1 / sqrt of its slope.

    Newton steps on the sum times the distances to both poles, which is nearly linear between them. The
    integral is the same along any line; it only converges fastest along this one.
    """
    low, high = below, above = 1 / lowest, 1 / highest
    s, width = 0.0, 0.0
    for _ in range(100):
        ratio = z / (1 - s * z)
        weighted = copies * ratio
        value, slope = float(weighted.sum()), float(weighted @ ratio)
        width = slope**-0.5
        low, high = (s, high) if value < 0 else (low, s)
        room = (s - below) * (above - s)
        turn = slope * room + value * (below + above - 2 * s)
        step = -value * room / turn if turn > 0 else np.inf
        if not low < s + step < high:
            step = (low + high) / 2 - s
        s += step
        if abs(step) < 0.05 * width:
            break
    return s, width
