"""Checked inputs, and documents summed up to independent units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError

Array = npt.NDArray[np.float64]

CELLS = 1024
SINGLES = 128


@dataclass(frozen=True, slots=True)
class Units:
    """Independent units: one per document, or one per cluster.

    sums[i] is over sizes[i] documents. clustered: whether units differ in size, as clusters or by the weights of single
    documents. heaviest: how many documents the heaviest single one counts as.
    """

    sums: Array
    sizes: Array
    clustered: bool
    heaviest: float = 1.0

    @property
    def count(self) -> int:
        return int(self.sums.size)

    @property
    def documents(self) -> int:
        return round(float(self.sizes.sum()))

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def mirrored(self) -> Units:
        """The same documents seen from the other arm."""
        return replace(self, sums=-self.sums)


def vector(values: npt.ArrayLike, name: str) -> Array:
    """A one-dimensional float array; booleans count as 0 and 1."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is not numeric: {error}") from None
    if array.ndim != 1:
        raise UsageError(f"{name} has {array.ndim} dimensions instead of one")
    return array


def paired(candidate: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Array, Array]:
    first, second = vector(candidate, "candidate"), vector(reference, "reference")
    if first.size != second.size:
        raise UsageError(
            f"{first.size} candidate scores cannot be paired with {second.size} reference scores",
            remedy="pair the documents first",
        )
    return first, second


def cluster_codes(clusters: npt.ArrayLike | None, n: int) -> npt.NDArray[np.int64] | None:
    """Codes 0..C-1 in order of first appearance; None where every document is its own cluster."""
    if clusters is None or not n:
        return None
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise UsageError(f"{labels.size} cluster labels for {n} documents")
    if labels.dtype == object:
        labels = labels.astype(str)
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    if first.size == n:
        return None
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[codes.reshape(-1)]


@dataclass(frozen=True, slots=True)
class Grouped:
    """How many documents there are, and in which clusters (codes is None if each is its own).

    reason: why their mean cannot be estimated, or None.
    """

    n: int
    codes: npt.NDArray[np.int64] | None
    clusters: int | None
    reason: str | None


def grouped(clusters: npt.ArrayLike | None, *arrays: Array) -> Grouped:
    """Of documents whose scores are `arrays`, all of one length."""
    n = int(arrays[0].size)
    codes = cluster_codes(clusters, n)
    count = None if codes is None else int(codes.max()) + 1
    return Grouped(n, codes, count, unusable(*arrays) or too_little(n, count))


def units_of(values: Array, codes: npt.NDArray[np.int64] | None, weights: Array | None = None) -> Units:
    """weights: how many documents each one counts as, None where all count as one."""
    sizes = np.ones(values.size) if weights is None else weights
    sums, heaviest = values * sizes, float(sizes.max(initial=1.0))
    if codes is not None:
        sums, sizes = (np.bincount(codes, weights=each).astype(np.float64) for each in (sums, sizes))
    return Units(sums, sizes, codes is not None or weights is not None, heaviest)


def checked_weights(weights: npt.ArrayLike | None, n: int) -> Array | None:
    """How many documents each one counts as, n in total; None if all count the same."""
    if weights is None:
        return None
    given = vector(weights, "weights")
    if given.size != n or not n or not (np.isfinite(given) & (given > 0)).all():
        raise UsageError(f"{given.size} weights for {n} documents, or one that is not above 0")
    return None if (given == given[0]).all() else np.asarray(given * (n / given.sum()))


def gathered(units: Units) -> tuple[Units, Array]:
    """Equal units once, with their number of occurrences.

    Many different ones are gathered into cells of their means. A cell contains neighbours by their contribution to the
    mean; the differences within a cell are lost, which is below one part in a million of the variance. The most
    influential units on each side stay single.
    """
    rows, counts = np.unique(np.column_stack([units.sums, units.sizes]), axis=0, return_counts=True)
    copies = np.asarray(counts, dtype=np.float64)
    if len(rows) > CELLS:
        starts = cell_starts(len(rows))
        order = np.argsort(rows[:, 0] - units.mean * rows[:, 1], kind="stable")
        rows, copies = rows[order], copies[order]
        totals = np.add.reduceat(rows * copies[:, None], starts, axis=0)
        copies = np.add.reduceat(copies, starts)
        rows = totals / copies[:, None]
    return Units(rows[:, 0], rows[:, 1], units.clustered), copies


def cell_starts(count: int) -> npt.NDArray[np.int64]:
    """Where the cells of that many sorted units begin: SINGLES of one at either end, the rest of about equal size."""
    inner = np.linspace(SINGLES, count - SINGLES, CELLS - 2 * SINGLES + 1).astype(np.int64)
    return np.concatenate([np.arange(SINGLES), inner[:-1], np.arange(count - SINGLES, count)])


def unusable(*arrays: Array) -> str | None:
    """Why nothing can be computed from these scores, or None."""
    if arrays[0].size == 0:
        return "no documents"
    bad = ~np.isfinite(np.sum(arrays, axis=0))
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        return (
            f"{int(bad.sum())} of {bad.size} documents have a score that is NaN or infinite (first: position {where})"
        )
    return None


def too_little(n: int, clusters: int | None) -> str | None:
    if n < 2:
        return "one document: the spread is unknown"
    if clusters is not None and clusters < 2:
        return "one cluster: the spread between clusters is unknown"
    return None


def check_level(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(f"a level of {level} is not between 0 and 1", remedy="use 0.95, for example")
    return level


def check_margin(margin: float, *, largest: float | None = None) -> float:
    """A margin is a loss: positive, finite, and smaller than the largest loss that the metric can show."""
    if not np.isfinite(margin) or margin <= 0:
        raise UsageError(
            f"a margin of {margin} cannot be shown by any number of documents",
            remedy="give the largest loss that you accept, above 0: 0.02 is two points",
        )
    if largest is not None and margin >= largest:
        shares, own_unit = "margins are shares, not points: 0.02 is two points", "give a loss in the metric's own unit"
        raise UsageError(
            f"a margin of {margin} accepts every loss, since the metric's limit is {largest:g}",
            remedy=shares if largest == 1 else own_unit,
        )
    return margin
