"""The mean paired difference: which method for which data, and everything that the report says about it.

| scores | every document its own | in clusters |
|---|---|---|
| 0 or 1, and the judge's +1 / 0 / -1 | t or Tango score, the wider | Dirichlet on cluster sums |
| in [0, 1] | Dirichlet | Dirichlet on cluster sums |
| without known ends | t | CR1 t |

tests/properties/test_calibration.py shows that each cell keeps its level, and that simpler methods fail.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import (
    Array,
    Units,
    check_level,
    check_margin,
    checked_weights,
    cluster_codes,
    grouped,
    paired,
    units_of,
    unusable,
    vector,
)
from lm_eval_fr.stats.bounds import Bound, CountedStudent, Wider, standard_error, student
from lm_eval_fr.stats.dirichlet import Dirichlet, dirichlet
from lm_eval_fr.stats.estimates import Difference, Flips, Guarantee, Interval, Kind
from lm_eval_fr.stats.guard import guard_of
from lm_eval_fr.stats.proportions import Tango, mcnemar_exact

LARGE = 0.5  # a difference that counts as lost or gained


def paired_difference(
    candidate: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
    kind: Kind | None = None,
    margin: float | None = None,
    guarantee: Guarantee = "default",
) -> Difference:
    """Mean of candidate - reference over documents, by the method that fits the scores (see the module).

    candidate, reference: aligned scores, one per document. clusters: a label per document. weights: a document's part
    in the mean, None where all count the same. kind: inferred from the scores if not given. With a margin, the
    one-sided p-values for and against a loss of that size are filled in. guarantee: what is assumed about clusters
    outside the sample (guard.py).
    """
    first, second = paired(candidate, reference)
    check_level(level)
    reason = unusable(first, second)
    kind = checked_kind(first, second, kind) if reason is None else kind or "unbounded"
    flips = None if reason else count_flips(first, second, kind)
    shares = checked_weights(weights, first.size)
    means: tuple[float | None, float | None] = (None, None)
    if reason is None:
        means = float(np.average(first, weights=shares)), float(np.average(second, weights=shares))
    kind = "bounded" if kind == "binary" and shares is not None else kind
    return summarise(first - second, kind, means, flips, clusters, level, margin, guarantee, reason, shares)


def difference_of_differences(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    margin: float | None = None,
    bounded: bool = True,
) -> Difference:
    """Mean of first - second over documents, each of them a candidate - reference.

    bounded: both are differences of scores in [0, 1]. Then (first + 1) / 2 and (second + 1) / 2 are in [0, 1], their
    mean difference is half of the one required, and the method for such scores applies to it: all of its
    quantities are doubled. The means in the result are those of `first` and `second`.
    """
    one, other = paired(first, second)
    if not bounded:
        return paired_difference(one, other, clusters=clusters, level=level, margin=margin, kind="unbounded")
    if margin is not None:
        check_margin(margin, largest=1.0)
    # Differences of scores that are 0 or 1 are halves here, which no method for 0 or 1 may be given.
    half = None if margin is None else margin / 2
    found = paired_difference(
        (one + 1) / 2, (other + 1) / 2, clusters=clusters, level=level, margin=half, kind="bounded"
    )
    interval = found.interval
    return replace(
        found,
        interval=replace(
            interval, estimate=_twice(interval.estimate), low=_twice(interval.low), high=_twice(interval.high)
        ),
        candidate_mean=None if interval.estimate is None else float(one.mean()),
        reference_mean=None if interval.estimate is None else float(other.mean()),
        sd=_twice(found.sd),
        standard_error=_twice(found.standard_error),
        margin=margin,
        flips=None,  # a move by half of the halved scale is not a flip
        other_guarantee=None,
        units=None,
    )


def _twice(value: float | None) -> float | None:
    return None if value is None else 2 * value


def checked_kind(candidate: Array, reference: Array, kind: Kind | None) -> Kind:
    scores = np.concatenate([candidate, reference])
    inside = bool((scores >= 0).all() and (scores <= 1).all())
    binary = inside and bool(((scores == 0) | (scores == 1)).all())
    if kind is None:
        return "binary" if binary else "bounded" if inside else "unbounded"
    if kind not in get_args(Kind):
        raise UsageError(f"unknown kind of scores: {kind!r}", remedy="binary, bounded or unbounded")
    if (kind == "binary" and not binary) or (kind == "bounded" and not inside):
        raise UsageError(
            f"scores from {scores.min():g} to {scores.max():g} are not {kind}",
            remedy="leave the kind out to infer it from the scores",
        )
    return kind


def count_flips(candidate: Array, reference: Array, kind: Kind) -> Flips | None:
    if kind == "unbounded":
        return None
    difference = candidate - reference
    rule = "right in one arm only" if kind == "binary" else f"moved by more than {LARGE:g}"
    return Flips(int((difference < -LARGE).sum()), int((difference > LARGE).sum()), rule)


def summarise(
    differences: Array,
    kind: Kind,
    means: tuple[float | None, float | None],
    flips: Flips | None,
    clusters: npt.ArrayLike | None,
    level: float,
    margin: float | None,
    guarantee: Guarantee,
    reason: str | None,
    weights: Array | None = None,
) -> Difference:
    if margin is not None:
        check_margin(margin, largest=None if kind == "unbounded" else 1.0)
    group = grouped(clusters, differences)
    n, codes = group.n, group.codes
    units = None if reason else units_of(differences, codes, weights)
    if units is None or (reason := group.reason):
        none = interval_of(units, None, reason, level, n, group.clusters)
        return Difference(none, kind, n, group.clusters, *means, flips=flips, margin=margin)
    sd, error = float(differences.std(ddof=1)), standard_error(units)
    effect = None if not units.clustered or sd == 0 or error is None else (error / sd) ** 2 * n
    icc = None if codes is None else intraclass_correlation(differences, codes)
    found = difference_of(units, kind, means, flips, level, margin, guarantee, n=n, clusters=group.clusters)
    return replace(found, sd=sd, icc=icc, design_effect=effect)


def difference_of(
    units: Units,
    kind: Kind,
    means: tuple[float | None, float | None],
    flips: Flips | None,
    level: float,
    margin: float | None,
    guarantee: Guarantee,
    *,
    n: int,
    clusters: int | None,
) -> Difference:
    """What the method says about these units, `n` documents in total; the spread of single documents is left open.

    clusters: None where each document is a unit, also where they count differently.
    """
    bound, note = choose(units, kind, guarantee)
    p_value, p_method = two_sided(bound, kind, flips, units.clustered)
    guard_documents, other = None, None
    if isinstance(bound, Dirichlet):
        guard_documents = bound.lost
        if clusters:
            chosen = choose(units, kind, "default" if guarantee == "worst-case" else "worst-case")
            other = interval_of(units, *chosen, level, n, clusters)
    return Difference(
        interval=interval_of(units, bound, note, level, n, clusters),
        kind=kind,
        n=n,
        clusters=clusters,
        candidate_mean=means[0],
        reference_mean=means[1],
        standard_error=standard_error(units),
        p_value=p_value,
        p_method=p_method,
        flips=flips,
        margin=margin,
        p_non_inferior=None if margin is None or bound is None else bound.p_above(-margin),
        p_inferior=None if margin is None or bound is None else bound.p_below(-margin),
        guarantee=guarantee,
        guard_documents=guard_documents,
        other_guarantee=other,
        units=units,
    )


def interval_of(
    units: Units | None, bound: Bound | None, note: str | None, level: float, n: int, clusters: int | None
) -> Interval:
    """note: why there is no bound, or a remark about it."""
    estimate = None if units is None else units.mean
    if bound is None:
        return Interval(estimate, None, None, level, "none", n, clusters, reason=note)
    low, high = bound.interval(level)
    return Interval(estimate, low, high, level, bound.name, n, clusters, reason=note)


def choose(units: Units, kind: Kind, guarantee: Guarantee) -> tuple[Bound | None, str | None]:
    """The method, with a remark."""
    if kind == "unbounded":
        if not has_spread(units):
            return None, "no variance: all differences are equal, and the metric has no known limits"
        return student(units), "the metric has no known limits: no guard against rare large losses"
    if kind != "bounded" and not units.clustered:
        lost, gained = int((units.sums < 0).sum()), int((units.sums > 0).sum())
        return Wider(
            CountedStudent(lost, gained, units.count), Tango(lost, gained, units.count), ends=(-1.0, 1.0)
        ), None
    guard = guard_of(units, guarantee)
    return dirichlet(units, guard.lost, guard.gained), None


def has_spread(units: Units) -> bool:
    """Whether the units differ by more than rounding errors."""
    error, size = standard_error(units), float(np.abs(units.sums / units.sizes).max())
    return error is not None and error > 1e-12 * size


def two_sided(bound: Bound | None, kind: Kind, flips: Flips | None, clustered: bool) -> tuple[float | None, str]:
    """p for "no difference": exact McNemar if it applies, else the interval's own method."""
    if bound is None:
        return None, "none"
    if kind == "binary" and not clustered and flips is not None:
        return mcnemar_exact(flips.lost, flips.gained), "exact McNemar"
    return min(1.0, 2 * min(bound.p_above(0.0), bound.p_below(0.0))), bound.name


def intraclass_correlation(differences: npt.ArrayLike, clusters: npt.ArrayLike) -> float | None:
    """One-way analysis of variance estimate for unequal sizes (Donner and Koval 1980, Biometrics 36:19-25).

    Negative if documents of a cluster are less similar than others. None without variance, with one cluster,
    or where every document is its own cluster.
    """
    values = vector(differences, "differences")
    codes = cluster_codes(clusters, values.size)
    if codes is None:
        return None
    sizes = np.bincount(codes).astype(float)
    count, n = sizes.size, values.size
    if count < 2 or count == n:
        return None
    means = np.bincount(codes, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (count - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (n - count)
    typical = (n - float((sizes**2).sum()) / n) / (count - 1)
    total = between + (typical - 1) * within
    return (between - within) / total if total > 0 and math.isfinite(total) else None
