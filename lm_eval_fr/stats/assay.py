"""Assay sensitivity: "no loss" is claimed only where a loss could have shown.

A trial that compares two ineffective treatments finds them equal (ICH E10, 2000). Here: an arm that answers at
chance cannot lose, and a margin that leaves little of the reference accepts an arm that can do nothing.
"""

from __future__ import annotations

import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.estimates import Assay
from lm_eval_fr.stats.shares import share_interval

MOST = 0.5  # of what the reference has above chance
NO_CHANCE = "the chance level of this metric is unknown: whether a loss could have shown is not checked"
NO_ENDS = "the metric has no known limits: whether a loss could have shown is not checked"


UNCHECKED = Assay(None, None, None, NO_CHANCE)


def too_wide_for(most: float, margin: float) -> Assay:
    """A margin of more than half of the most that the reference can lose; both in the metric's own points."""
    why = f"the reference has {most:.4g} to lose at most, and a margin of {margin:g} is more than half of that"
    return Assay(None, None, False, f"{why}: a loss could not have shown")


def assay_of(
    reference: npt.ArrayLike,
    margin: float,
    chance: float | None,
    *,
    clusters: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Assay:
    """reference: its scores in [0, 1], one per document. weights: a document's part in their mean.

    chance: None where it is not known; then a margin may still be too wide for whatever it is.
    """
    if chance is not None and not 0 <= chance < 1:
        raise UsageError(f"a chance of {chance} is not a share below 1", remedy="metadata.chance is one label in k")
    found = share_interval(reference, clusters=clusters, weights=weights, level=level)
    if found.low is None:
        return Assay(chance, None, None, found.reason)
    if chance is None:
        too_wide = found.estimate is not None and margin > MOST * found.estimate
        return too_wide_for(100 * (found.estimate or 0.0), 100 * margin) if too_wide else UNCHECKED
    above = found.low - chance
    if margin <= MOST * above:
        return Assay(chance, above, True)
    held = f"the reference is {max(100 * above, 0.0):.1f} points above chance ({100 * chance:.1f}) at least"
    why = f"{held}, and a margin of {100 * margin:g} points is more than half of that: a loss could not have shown"
    short = found.estimate is not None and margin <= MOST * (found.estimate - chance)
    return Assay(chance, above, False, f"{why} in so few documents" if short else why, short)
