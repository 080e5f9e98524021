"""A sample like the one seen, or the one expected: what the verdict's own bound says about it, for any size and mean.

Planning, the smallest detectable difference and the documents still needed all ask the same question: with this
many documents, this spread and that true mean, how often does the interval exclude c? The sample's mean is taken as
normal, its shape as given; the limit itself is the verdict's own, guard included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lm_eval_fr.stats.arrays import Array, Units, gathered
from lm_eval_fr.stats.bounds import beyond, standard_error
from lm_eval_fr.stats.dirichlet import tail
from lm_eval_fr.stats.distributions import binomial_mass, normal_point, normal_tail, root, t_point
from lm_eval_fr.stats.estimates import Difference, Guarantee, Spread
from lm_eval_fr.stats.guard import guard_documents, largest, moments
from lm_eval_fr.stats.proportions import tango_score

EXACT_DISCORDANT = 100  # expected discordant documents; below, the power of a count is summed over all outcomes
JUMPS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # by which a graded score changes, if it does


@dataclass(frozen=True, slots=True)
class Typical:
    """Residual sums of clusters about the mean, their sizes and how often each occurs, in `documents` documents.

    sd: the standard error of the mean times the square root of the documents.
    """

    residuals: Array
    sizes: Array
    copies: Array
    documents: float
    moments: tuple[float, float]
    sd: float
    clustered: bool
    guarantee: Guarantee = "default"
    heaviest: float = 1.0  # as `Units` has it

    def p_above(self, mean: float, c: float, documents: float) -> float:
        """The p-value of "the true mean is c or less" for this many documents with that mean."""
        sums, copies = self.residuals + mean * self.sizes, self.copies * (documents / self.documents)
        guard = 1.0
        if self.clustered:
            losses = float(copies @ np.maximum(-sums, 0.0))
            guard = guard_documents(self.moments, largest(-sums, copies), losses, self.guarantee, self.heaviest)
        return tail(np.append(sums - c * self.sizes, -guard * (1 + c)), np.append(copies, 1.0))

    def shows(self, difference: float, c: float, documents: float, alpha: float, power: float) -> bool:
        """Whether "the mean is above c" is shown with that power, if the true mean is `difference`."""
        unlucky = difference - normal_point(1 - power) * self.sd / math.sqrt(documents)
        return unlucky > c and self.p_above(unlucky, c, documents) <= alpha

    def power(self, difference: float, c: float, documents: float, alpha: float) -> float:
        error = self.sd / math.sqrt(documents)
        if error == 0:
            return float(difference > c and self.p_above(difference, c, documents) <= alpha)
        return normal_tail((self.critical(c, documents, alpha) - difference) / error)

    def critical(self, c: float, documents: float, alpha: float) -> float:
        """The smallest sample mean that rules c out."""
        if self.p_above(1.0, c, documents) > alpha:
            return math.inf
        return root(lambda mean: beyond(self.p_above(mean, c, documents), alpha), c, 1.0, 1e-7)

    @property
    def mirrored(self) -> Typical:
        """The same sample seen from the other arm."""
        return replace(self, residuals=-self.residuals)


@dataclass(frozen=True, slots=True)
class Counted:
    """As `Typical`, where t and Tango decide by counts alone. changed: the least share of documents lost or gained."""

    changed: float

    def shows(self, difference: float, c: float, documents: int, alpha: float, power: float) -> bool:
        return self.power(difference, c, documents, alpha) >= power

    def power(self, difference: float, c: float, documents: int, alpha: float) -> float:
        changed = max(self.changed, abs(difference))
        return counted_power(documents, (changed - difference) / 2, (changed + difference) / 2, c, alpha)

    @property
    def mirrored(self) -> Counted:
        return self


@dataclass(frozen=True, slots=True)
class Endless:
    """As `Typical`, of a metric without known ends: t, with `per_unit` documents in a cluster. sd: as there."""

    sd: float
    per_unit: float

    def shows(self, difference: float, c: float, documents: int, alpha: float, power: float) -> bool:
        critical = t_point(alpha, documents / self.per_unit - 1)
        return normal_tail(critical - (difference - c) * math.sqrt(documents) / self.sd) >= power

    @property
    def mirrored(self) -> Endless:
        return self


def of_difference(difference: Difference, units: Units) -> Typical | Counted | Endless:
    """A sample like the one that was compared, for the method that gave its interval. units: the difference's own."""
    n, flips = difference.n, difference.flips
    if difference.kind == "unbounded":
        return Endless((difference.standard_error or 0.0) * math.sqrt(n), n / (difference.clusters or n))
    if difference.clusters is None and difference.kind in ("binary", "outcome") and flips is not None:
        return Counted((flips.lost + flips.gained) / n)
    return of_units(units, difference.guarantee)


def of_units(units: Units, guarantee: Guarantee = "default") -> Typical:
    few, copies = gathered(units)
    error = standard_error(units) or 0.0
    return Typical(
        residuals=few.sums - units.mean * few.sizes,
        sizes=few.sizes,
        copies=copies,
        documents=units.documents,
        moments=moments(units.sizes),
        sd=error * math.sqrt(units.documents),
        clustered=units.clustered,
        guarantee=guarantee,
        heaviest=units.heaviest,
    )


def of_spread(spread: Spread, guarantee: Guarantee = "default") -> Typical | Counted:
    """Articles of equal size (that of a random document's article), with as many losses as gains."""
    if spread.kind != "score" and spread.cluster_size <= 1:
        return Counted(spread.sd**2)
    size = spread.weighted
    sums, shares = article_sums(spread)
    return Typical(
        residuals=sums,
        sizes=np.full(sums.size, size),
        copies=shares,
        documents=size,
        moments=(size, size * math.sqrt(size / spread.cluster_size)),
        sd=spread.sd * math.sqrt(spread.design_effect),
        clustered=size > 1,
        guarantee=guarantee,
    )


def article_sums(spread: Spread) -> tuple[Array, Array]:
    """Sums of differences over an article, and the share of articles that have each.

    A changed right-or-wrong score, or a judge's verdict, is a whole document; a changed graded score moves by a uniform
    amount. Gains are spread evenly (Poisson), losses cluster (negative binomial), so that together they have the ICC.
    """
    jump = JUMPS if spread.kind == "score" else np.ones(1)
    step, square = (0.1 if spread.kind == "score" else 1.0), float((jump**2).mean())
    size, rate = spread.weighted, spread.sd**2 / square  # rate: documents changed
    reach = math.ceil((10 * spread.sd * math.sqrt(size * spread.design_effect) + 3) / step)
    lattice = np.arange(-reach, reach + 1)
    single = np.zeros(lattice.size)
    single[reach + np.rint(jump / step).astype(int)] = 1 / jump.size
    if size <= 1:
        shares = rate / 2 * (single + single[::-1])
        shares[reach] += max(1 - rate, 0.0)
        return np.asarray(lattice[shares > 0] * step), np.asarray(shares[shares > 0] / shares.sum())
    waves = np.fft.fft(np.fft.ifftshift(single))
    changes = size * rate / 2  # lost documents of an article, and as many gained
    spare = (size - 1) * spread.icc * size * spread.sd**2 / max((changes * float(jump.mean())) ** 2, 1e-12)
    gains = np.exp(changes * (waves - 1))
    losses = gains if spare < 1e-9 else (1 - changes * spare * (waves - 1)) ** (-1 / spare)
    shares = np.fft.fftshift(np.fft.ifft(gains * np.conj(losses)).real)
    kept = shares > 1e-7
    return np.asarray(lattice[kept] * step), np.asarray(shares[kept] / shares[kept].sum())


def counted_power(n: int, lose: float, gain: float, c: float, alpha: float) -> float:
    """Power of t and Tango together, as the verdict takes them, to show "mean > c" by counts of lost and gained."""
    if min(lose, gain) < 0 or lose + gain > 1 or n < 2:
        return 0.0
    if n * (lose + gain) >= EXACT_DISCORDANT:
        sd, critical = math.sqrt(max(lose + gain - (gain - lose) ** 2, 0.0)), t_point(alpha, n - 1)
        if sd == 0:  # all lost, or all gained: the outcome is certain
            return float(tango_score(np.array(n * lose), np.array(n * gain), n, c) >= normal_point(alpha))
        return normal_tail(critical - (gain - lose - c) * math.sqrt(n) / sd)
    most = [min(n, math.ceil(n * rate + 6 * math.sqrt(n * rate) + 6)) for rate in (lose, gain)]
    lost, gained = np.arange(most[0] + 1)[:, None], np.arange(most[1] + 1)[None, :]
    chance = binomial_mass(lost, n, lose) * binomial_mass(gained, n - lost, gain / (1 - lose) if lose < 1 else 0.0)
    critical = t_point(alpha, n - 1)

    def by_t(gained: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        mean = (gained - lost) / n
        error = np.sqrt(np.maximum(lost + gained - n * mean**2, 0.0) / (n * (n - 1)))
        return np.asarray(mean - critical * error > c)

    by_tango = tango_score(lost, gained, n, c) >= normal_point(alpha)
    return float(chance[by_t(gained) & by_t(np.maximum(gained, 1)) & by_tango].sum())
