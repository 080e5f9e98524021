"""Interim looks: the e-process that may stop a study, and the band that is valid at every look."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import (
    Array,
    Units,
    check_level,
    check_margin,
    cluster_codes,
    grouped,
    units_of,
    unusable,
    vector,
)
from lm_eval_fr.stats.betting import CAUTION, Betting, Planned, Stakes, first_crossings, stakes
from lm_eval_fr.stats.estimates import Cumulative, Difference, Interval, Verdict


class EProcess:
    """Capital of two bettors, one against "the loss is the margin or more", one against "or less".

    Whoever reaches 1 / alpha has decided the margin, at whatever moment one looks (Ville's inequality;
    Waudby-Smith and Ramdas 2024). Feed it one independent unit after another - a document, or the sum of a whole
    cluster - in an order that was fixed beforehand. planned.units tunes the bets; going beyond it stays valid. After
    stopping report `betting_difference`, never a t interval. log_capital: of the two, in this order, as natural
    logarithms; they decide at ln(1 / alpha).
    """

    def __init__(self, margin: float, planned: Planned, *, alpha: float = 0.025) -> None:
        self.margin = check_margin(margin, largest=1.0)
        if not 0 < alpha < 1:
            raise UsageError(f"an alpha of {alpha} is not between 0 and 1", remedy="use 0.025, for example")
        self.alpha = alpha
        self.planned = planned
        self.log_capital = (0.0, 0.0)
        self.verdict: Verdict = "inconclusive"
        self._units = 0
        self._total = 0.0
        self._squares = 1.0  # one prior observation at distance 1, as in betting.variance_so_far

    def update(self, total: float, documents: int = 1) -> Verdict:
        """Takes the next unit: the sum of its documents' differences. A verdict, once reached, stays."""
        planned, margin = self.planned, self.margin
        if documents < 1 or abs(total) > documents:
            raise UsageError(f"a sum of {total} over {documents} documents is outside of [-1, 1] a document")
        if documents > planned.largest:
            raise UsageError(f"a unit of {documents} documents where at most {planned.largest:g} were planned")
        self._units += 1
        value, weight = total / planned.mean, documents / planned.mean
        room = value + margin * weight
        bet = math.sqrt(2 * math.log(1 / self.alpha) * self._units / (planned.units * self._squares))
        gain = self.log_capital[0] + math.log1p(min(bet, CAUTION / ((1 - margin) * planned.heaviest)) * room)
        loss = self.log_capital[1] + math.log1p(min(bet, CAUTION / ((1 + margin) * planned.heaviest)) * -room)
        self.log_capital = gain, loss
        self._total += total
        self._squares += (value - self._total / planned.mean / (self._units + 1)) ** 2
        decisive = math.log(1 / self.alpha)
        if self.verdict == "inconclusive":
            self.verdict = "non_inferior" if gain >= decisive else "inferior" if loss >= decisive else "inconclusive"
        return self.verdict


def confidence_sequence(
    differences: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    planned: Planned | None = None,
) -> Cumulative:
    """The mean difference after every unit, and a band that covers the true mean at all of them together.

    differences: in [-1, 1], in the plan's order. With clusters the unit is a whole cluster, in order of first
    appearance; every document counts the same, so that the last point is the mean that the report gives. planned:
    those given, if left out. The band is the e-process of EProcess inverted over a fine grid, rounded outwards.
    """
    values = vector(differences, "differences")
    check_level(level)
    codes = cluster_codes(clusters, values.size)
    unit: Literal["document", "cluster"] = "document" if codes is None else "cluster"
    method = "betting confidence sequence" + (" on cluster sums" if codes is not None else "")
    reason = without_ends(values)
    if reason:
        none = np.empty(0)
        return Cumulative(none.astype(np.int64), none, none, none, level, unit, 0, method, reason)
    units = units_of(values, codes)
    documents = np.cumsum(units.sizes)
    mean = np.cumsum(units.sums) / documents
    low, high = band(units, (1 - level) / 2, planned or Planned.of(units.sizes))
    return Cumulative(documents.astype(np.int64), mean, low, high, level, unit, sign_changes(mean), method)


def without_ends(values: Array) -> str | None:
    """Why these differences have no band, or None."""
    if reason := unusable(values):
        return reason
    return "differences beyond [-1, 1]: without known limits there is no band" if np.abs(values).max() > 1 else None


def band(units: Units, alpha: float, planned: Planned) -> tuple[Array, Array]:
    low = lower_band(stakes(units, alpha, planned), alpha)
    return low, -lower_band(stakes(units.mirrored, alpha, planned), alpha)


def lower_band(stake: Stakes, alpha: float) -> Array:
    """At each unit, the largest grid value rejected so far as too small."""
    mean = float(stake.values.sum() / stake.weights.sum())
    near = np.geomspace(1e-4, 2, 400)
    grid = np.concatenate([mean - near, mean + near, np.linspace(-1, 1, 201)])
    grid = np.unique(grid[(grid > -1) & (grid < 1)])
    crossed = first_crossings(stake, grid, alpha)
    low = np.full(stake.values.size, -1.0)
    hit = crossed >= 0
    np.maximum.at(low, crossed[hit], grid[hit])
    return np.maximum.accumulate(low)


def sign_changes(mean: Array) -> int:
    """How often the running mean changed sign; zero does not count."""
    return int(np.count_nonzero(np.diff(np.sign(mean[mean != 0]))))


def betting_difference(
    differences: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    margin: float | None = None,
    planned: Planned | None = None,
) -> Difference:
    """The interval to report after stopping early, with its p-values: they hold at any stopping time.

    differences, clusters and planned as for `confidence_sequence`, whose last point the interval is, exactly.
    """
    values = vector(differences, "differences")
    alpha = (1 - check_level(level)) / 2
    if margin is not None:
        check_margin(margin, largest=1.0)
    group = grouped(clusters, values)
    if reason := without_ends(values):
        none = Interval(None, None, None, level, "betting bound", group.n, group.clusters, reason=reason)
        return Difference(none, "outcome", group.n, group.clusters, margin=margin)
    units = units_of(values, group.codes)
    bound = Betting(units, alpha, planned or Planned.of(units.sizes))
    return Difference(
        Interval(units.mean, *bound.interval(level), level, bound.name, group.n, group.clusters),
        "outcome",
        group.n,
        group.clusters,
        margin=margin,
        p_non_inferior=None if margin is None else bound.p_above(-margin),
        p_inferior=None if margin is None else bound.p_below(-margin),
    )
