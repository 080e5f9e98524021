"""One preregistered claim about the mean over tasks, each task counting the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Units, check_margin
from lm_eval_fr.stats.bounds import standard_error
from lm_eval_fr.stats.differences import interval_of
from lm_eval_fr.stats.dirichlet import dirichlet
from lm_eval_fr.stats.estimates import Difference, Guarantee
from lm_eval_fr.stats.guard import guard_of

ONE_MAY_LOSE_MORE = "This is a claim about the mean over tasks: one task may lose more than the margin."


@dataclass(frozen=True, slots=True)
class OverTasks:
    """The mean of the tasks' differences. left_out: tasks whose metric is not on a scale from 0 to 1, and why."""

    difference: Difference
    tasks: tuple[str, ...]
    left_out: Mapping[str, str]
    says: str = ONE_MAY_LOSE_MORE


def mean_over_tasks(
    differences: Mapping[str, Difference], margin: float | None = None, *, guarantee: Guarantee = "default"
) -> OverTasks:
    """The Dirichlet bound on all units together, weighted so that each task counts the same whatever its size."""
    if margin is not None:
        check_margin(margin, largest=1.0)
    left_out = {name: why for name, one in differences.items() if (why := _unfit(one))}
    units = {name: one.units for name, one in differences.items() if name not in left_out and one.units is not None}
    if len(units) < 2:
        raise UsageError(
            f"a mean over tasks needs two on a scale from 0 to 1, and there are {len(units)}",
            remedy="leave overall_mean out of the plan, or add a task",
        )
    levels = {differences[name].interval.level for name in units}
    if len(levels) > 1:
        raise UsageError(f"tasks at different levels: {sorted(levels)}")
    pooled = _pooled(units)
    n, clusters = sum(one.documents for one in units.values()), pooled.count if pooled.clustered else None
    guard, level = guard_of(pooled, guarantee), levels.pop()
    bound = dirichlet(pooled, guard.lost, guard.gained)
    other = guard_of(pooled, "default" if guarantee == "worst-case" else "worst-case")
    with_other = dirichlet(pooled, other.lost, other.gained)
    difference = Difference(
        interval=interval_of(pooled, bound, None, level, n, clusters),
        kind="bounded",
        n=n,
        clusters=clusters,
        candidate_mean=_mean([differences[name].candidate_mean for name in units]),
        reference_mean=_mean([differences[name].reference_mean for name in units]),
        sd=None,
        standard_error=standard_error(pooled),
        icc=None,
        design_effect=None,
        effective_n=None,
        p_value=min(1.0, 2 * min(bound.p_above(0.0), bound.p_below(0.0))),
        p_method=bound.name,
        flips=None,
        margin=margin,
        p_non_inferior=None if margin is None else bound.p_above(-margin),
        p_inferior=None if margin is None else bound.p_below(-margin),
        guarantee=guarantee,
        guard_documents=guard.lost,
        other_guarantee=interval_of(pooled, with_other, None, level, n, clusters) if clusters else None,
        units=pooled,
    )
    return OverTasks(difference, tuple(units), left_out)


def _unfit(difference: Difference) -> str | None:
    if difference.kind not in ("binary", "bounded"):
        return "its metric is not on a scale from 0 to 1"
    return None if difference.interval.defined and difference.units else difference.interval.reason or "no interval"


def _pooled(tasks: Mapping[str, Units]) -> Units:
    total = sum(units.documents for units in tasks.values())
    weights = {name: total / (len(tasks) * units.documents) for name, units in tasks.items()}
    sums = np.concatenate([weights[name] * units.sums for name, units in tasks.items()])
    sizes = np.concatenate([weights[name] * units.sizes for name, units in tasks.items()])
    even = max(weights.values()) - min(weights.values()) < 1e-9
    return Units(sums, sizes, clustered=not even or any(units.clustered for units in tasks.values()))


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
