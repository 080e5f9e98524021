"""One gold task: aligned scores -> its row of the report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.series import cumulative
from lm_eval_fr.pairing import ArmHealth, PairedTask
from lm_eval_fr.report.model import Bounds, Flips, Health, Kind, Secondary, Series, TaskResult
from lm_eval_fr.stats import Assessment, Difference, Interval, assess, paired_difference, recovery_interval
from lm_eval_fr.stats.differences import LARGE

DRAWS = 4_000


@dataclass(frozen=True)
class ComparedTask:
    """A task's result, and what the verdict over all tasks is made of. assessment is None where there is no margin."""

    result: TaskResult
    assessment: Assessment | None
    series: Series | None


def compare_task(task: PairedTask, margins: Margins, *, level: float, seed: int) -> ComparedTask:
    """The primary metric against its margin, and the others beside it."""
    metric = task.metrics[0]
    better, worse = _oriented(task, metric)
    unit_scale = _on_unit_scale(better) and _on_unit_scale(worse)
    margin = margins.of(task, unit_scale=unit_scale)
    difference = paired_difference(better, worse, clusters=task.clusters, level=level, margin=margin)
    assessment = None if margin is None else assess(difference, margin)
    higher = task.higher_is_better[metric]
    if assessment is not None and higher and not (better.any() or worse.any()):
        # Equal because nothing was scored at all (a filter that finds no answer, a task too hard): no evidence.
        assessment = replace(assessment, verdict="inconclusive", documents_needed=None)
    recovery = recovery_interval(better, worse, clusters=task.clusters, level=level, draws=DRAWS, seed=seed)
    name = f"{task.task} {metric}" if higher else f"{task.task} {metric}, turned so that up is better"
    # The band is that of a bounded score: without known ends there is none.
    band = cumulative(better - worse, task.clusters, name=name, margin=margin, level=level) if unit_scale else None
    result = _result(task, metric, difference, assessment, recovery if higher else None, margin)
    return ComparedTask(result, assessment, band)


def _oriented(task: PairedTask, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The scores so that the first minus the second is above 0 where the candidate is better."""
    candidate, reference = task.candidate[metric], task.reference[metric]
    return (candidate, reference) if task.higher_is_better[metric] else (reference, candidate)


def _on_unit_scale(scores: np.ndarray) -> bool:
    return bool(len(scores)) and bool(scores.min() >= 0) and bool(scores.max() <= 1)


def _result(
    task: PairedTask,
    metric: str,
    difference: Difference,
    assessment: Assessment | None,
    recovery: Interval | None,
    margin: float | None,
) -> TaskResult:
    candidate, reference = task.candidate[metric], task.reference[metric]
    interval = difference.interval
    low, high = interval.low, interval.high
    higher = task.higher_is_better[metric]
    if not higher and low is not None and high is not None:
        low, high = -high, -low
    needed = assessment.documents_needed if assessment else None
    decided = assessment is not None and interval.defined
    return TaskResult(
        task=task.task,
        metric=metric,
        kind=cast(Kind, difference.kind),
        n=task.n,
        clusters=difference.clusters,
        candidate_mean=float(candidate.mean()),
        reference_mean=float(reference.mean()),
        difference=float(candidate.mean() - reference.mean()),
        ci_low=low,
        ci_high=high,
        margin=margin,
        verdict=assessment.verdict if assessment and decided else None,
        degradation_detected=None if interval.high is None else interval.high < 0,
        p_value=difference.p_value,
        recovery=recovery.estimate if recovery else None,
        recovery_ci=_pair(recovery) if recovery else None,
        flips=_flips(difference),
        mde=assessment.mde if assessment else None,
        documents_needed=needed.documents if needed else None,
        method=_method(difference),
        higher_is_better=higher,
        p_non_inferior=difference.p_non_inferior,
        identical=int((candidate == reference).sum()),
        icc=difference.icc,
        design_effect=difference.design_effect,
        sd=difference.sd,
        candidate_health=health(task.candidate_health),
        reference_health=health(task.reference_health),
        secondary=tuple(_secondary(task, name) for name in task.metrics[1:]),
        allowed=task.allowed,
        reasons=_reasons(task, difference, assessment, recovery, margin),
    )


def _reasons(
    task: PairedTask,
    difference: Difference,
    assessment: Assessment | None,
    recovery: Interval | None,
    margin: float | None,
) -> dict[str, str]:
    """Why each null is null."""
    reasons: dict[str, str] = {}
    interval = difference.interval
    if not interval.defined:
        reasons["ci_low"] = reasons["verdict"] = interval.reason or "no interval"
    if margin is None:
        reasons["verdict"] = f"not on a 0-1 scale, so no margin is assumed: give --margin {task.task}=X"
    if recovery is None:
        reasons["recovery"] = "a share of what the reference reaches has no meaning where lower is better"
    elif recovery.estimate is None and recovery.reason:
        reasons["recovery"] = recovery.reason
    if assessment:
        if assessment.mde is None and assessment.mde_reason:
            reasons["mde"] = assessment.mde_reason
        needed = assessment.documents_needed
        if interval.defined and needed and needed.documents is None and needed.reason:
            reasons["documents_needed"] = needed.reason
        if needed is None and assessment.verdict == "inconclusive":
            reasons["documents_needed"] = "no answer of either arm scores above 0, and more of them would show no more"
    return reasons


def _method(difference: Difference) -> str:
    interval = difference.interval
    because = f" ({interval.reason})" if interval.defined and interval.reason else ""
    test = f"; p by {difference.p_method}" if difference.p_method not in ("none", interval.method) else ""
    return f"{interval.method}{because}{test}"


def _flips(difference: Difference) -> Flips | None:
    if difference.flips is None:
        return None
    return Flips(lost=difference.flips.lost, gained=difference.flips.gained, threshold=LARGE)


def _secondary(task: PairedTask, name: str) -> Secondary:
    candidate, reference = float(task.candidate[name].mean()), float(task.reference[name].mean())
    return Secondary(metric=name, candidate_mean=candidate, reference_mean=reference, difference=candidate - reference)


def health(found: ArmHealth) -> Health:
    return Health(answers=found.n, empty=found.empty, truncated=found.truncated, failed=found.failed)


def _pair(interval: Interval) -> Bounds | None:
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)
