"""One preregistered claim about the mean over tasks, each task counting the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Units, check_margin
from lm_eval_fr.stats.differences import difference_of
from lm_eval_fr.stats.estimates import Difference, Guarantee

ONE_MAY_LOSE_MORE = "This is a claim about the mean over tasks: one task may lose more than the margin."


@dataclass(frozen=True, slots=True)
class OverTasks:
    """The mean of the tasks' differences. left_out: tasks whose metric is not on a scale from 0 to 1, and why."""

    difference: Difference
    tasks: tuple[str, ...]
    left_out: Mapping[str, str]


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
    names = ("candidate_mean", "reference_mean")
    means = tuple(_mean([getattr(differences[task], name) for task in units]) for name in names)
    pooled, n = _pooled(units), sum(one.documents for one in units.values())
    clusters = pooled.count if pooled.clustered else None
    difference = difference_of(
        pooled, "bounded", (means[0], means[1]), None, levels.pop(), margin, guarantee, n=n, clusters=clusters
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
    heaviest = max(weights[name] * units.heaviest for name, units in tasks.items())
    return Units(sums, sizes, not even or any(units.clustered for units in tasks.values()), heaviest)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
