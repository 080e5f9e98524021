"""How many lost documents the Dirichlet bound adds to those seen: an article that the sample happens to miss.

A bound for a mean must allow for a loss that is too rare to be in the sample. For single documents that is one
document; with weights, the heaviest. For articles it is one article, and the question is how much of it is lost. The
default assumes that unseen losses cluster within articles no more than the observed ones do. With sizes m,
m2 = sum m^2 / sum m (the article of a random document) and m3 = sum m^3 / sum m^2, the guard is the largest of

- the heaviest single document,
- 1 + (m2 - 1) / 20,
- the largest net loss seen in one article (the second largest from 151 articles on, the third from 302: one in 151
  may be passed),
- 1 + 0.3 (m3 - 1) - k x all net losses seen, k the smaller of 0.2 and 1.2 / (m3 - 1): as long as few losses have been
  seen, little is known about how they cluster.

No part shrinks by more than a fifth of a document per lost document, which is less than that loss
itself lowers the lower limit: one more loss never improves a verdict. docs/method.md has the level and the price.
`worst-case` takes the whole article of a random document, m2, if that is more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.stats.arrays import Array, Units
from lm_eval_fr.stats.estimates import Guarantee

LEAST = 0.05  # smallest share of an article's other documents that are lost along with one
UNSEEN = 0.3  # and as long as no loss has been seen
LESSON = 0.2  # documents by which the guard shrinks for each document lost
PASSED = 151  # one in this many articles may lose more than the guard
FEW_CLUSTERS = 10  # fewer decide next to nothing


@dataclass(frozen=True, slots=True)
class Guard:
    """Documents in the pseudo-unit of the lower limit (lost) and of the upper limit (gained)."""

    lost: float
    gained: float


ASSUMPTIONS: Mapping[Guarantee, str] = {
    "default": "unseen losses cluster within articles no more than the observed ones do",
    "worst-case": "nothing is assumed about unseen losses, and a whole article may be lost",
}
NO_GUARD = Guard(0.0, 0.0)


def guard_of(units: Units, guarantee: Guarantee = "default", *, ends: tuple[float, float] = (-1.0, 1.0)) -> Guard:
    """ends: the lowest and the highest score. A loss is a score below 0 or, if there is none, below the highest."""
    if not units.clustered:
        return Guard(1.0, 1.0)
    losses = ends[1] * units.sizes - units.sums if ends[0] >= 0 else -units.sums
    copies, sizes = np.ones(units.count), moments(units.sizes)
    lost, gained = (
        guard_documents(sizes, largest(side, copies), float(np.maximum(side, 0.0).sum()), guarantee, units.heaviest)
        for side in (losses, units.sums)
    )
    return Guard(lost, gained)


def moments(sizes: Array) -> tuple[float, float]:
    """sum m^2 / sum m and sum m^3 / sum m^2."""
    squares = sizes**2
    return float(squares.sum() / sizes.sum()), float((squares * sizes).sum() / squares.sum())


def largest(losses: Array, copies: Array) -> float:
    """The largest, or with many articles the one that one in PASSED exceeds; losses[i] occurs copies[i] times."""
    order = np.argsort(-losses)
    reached = np.cumsum(copies[order])
    found = int(np.searchsorted(reached, reached[-1] // PASSED + 0.5))
    return float(losses[order[found if found < order.size else 0]])  # planned for less than half an article


def guard_documents(
    sizes: tuple[float, float], largest_loss: float, losses: float, guarantee: Guarantee, heaviest: float = 1.0
) -> float:
    """sizes: as `moments` gives them. losses: all net losses of articles, in documents. heaviest: as `Units` has it."""
    second, third = sizes
    lesson = min(LESSON, 1.2 / max(third - 1, 1e-9))
    default = max(heaviest, 1 + LEAST * (second - 1), largest_loss, 1 + UNSEEN * (third - 1) - lesson * losses)
    return max(default, second) if guarantee == "worst-case" else default
