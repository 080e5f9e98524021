"""One gold task: aligned scores -> its row of the report."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.series import cumulative
from lm_eval_fr.compare.strata import strata_of
from lm_eval_fr.pairing import ArmHealth, PairedGroup, PairedTask
from lm_eval_fr.report.model import Series
from lm_eval_fr.report.task_model import Health, Secondary, TaskResult
from lm_eval_fr.stats import (
    Assessment,
    Difference,
    Interval,
    assay_of,
    assess,
    paired_difference,
    recovery_interval,
    variance_components,
)
from lm_eval_fr.stats.assay import NO_ENDS
from lm_eval_fr.stats.estimates import Assay

DRAWS = 4_000
NO_MARGIN = "no margin was given"


@dataclass(frozen=True)
class ComparedTask:
    result: TaskResult
    series: Series | None


def compare_task(task: PairedTask | PairedGroup, margins: Margins, options: CompareOptions) -> ComparedTask:
    """The primary metric against its margin, and the others beside it."""
    metric, level = task.metrics[0], options.level
    higher = task.higher_is_better[metric]
    better, worse = _oriented(task, metric)
    unit_scale = _on_unit_scale(better) and _on_unit_scale(worse)
    margin = margins.of(task.task, unit_scale=unit_scale)
    paired = paired_difference(
        better, worse, clusters=task.clusters, level=level, margin=margin, guarantee=options.guarantee
    )
    assessment = None if margin is None else assess(paired, margin, assay=assay_for(task, margin, level))
    scored = not higher or bool(better.any() or worse.any())
    if assessment is not None and not scored:
        # Equal because nothing was scored at all (a filter that finds no answer, a task too hard): no evidence.
        assessment = replace(assessment, verdict="no_verdict", documents_needed=None)
    if assessment is not None and task.no_verdict is not None:
        assessment = replace(assessment, verdict="no_verdict", documents_needed=None)
    recovery = None
    if higher:
        clusters = task.clusters
        recovery = recovery_interval(better, worse, clusters=clusters, level=level, draws=DRAWS, seed=options.seed)
    without = NO_MARGIN if unit_scale else f"its scale has no ends: give --margin {task.task}=X"
    result = TaskResult(
        task=task.task,
        metric=metric,
        higher_is_better=higher,
        paired=paired,
        assessment=assessment,
        recovery=recovery,
        guard_documents=paired.guard_documents,
        assay=None if assessment is None else assessment.assay,
        identical=int((better == worse).sum()),
        candidate_health=health(task.candidate_health),
        reference_health=health(task.reference_health),
        secondary=tuple(_secondary(task, name) for name in task.metrics[1:]),
        strata=tuple(
            strata_of(
                task,
                better,
                worse,
                level=level,
                kind=paired.kind,
                margin=margin,
                preregistered=options.strata.get(task.task, ()),
            )
        ),
        repeats=None if task.each is None else variance_components(task.each[0][metric], task.each[1][metric]),
        allowed=task.allowed,
        reasons=_reasons(paired, assessment, recovery, scored, without)
        | ({} if task.no_verdict is None else {"verdict": task.no_verdict}),
    )
    name = f"{task.task} {metric}" if higher else f"{task.task} {metric}, turned so that up is better"
    # The band is that of a bounded score: without known ends there is none.
    band = cumulative(better - worse, task.clusters, name=name, margin=margin, level=level) if unit_scale else None
    return ComparedTask(result, band)


def _oriented(task: PairedTask | PairedGroup, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The scores so that the first minus the second is above 0 where the candidate is better."""
    candidate, reference = task.candidate[metric], task.reference[metric]
    return (candidate, reference) if task.higher_is_better[metric] else (reference, candidate)


def assay_for(task: PairedTask | PairedGroup, margin: float, level: float) -> Assay:
    """Whether a loss of the margin could have shown at all."""
    metric = task.metrics[0]
    # Single answers are right or wrong; their means are not.
    scores = [arm[metric] for arm in task.each or (task.candidate, task.reference)]
    if not all(map(_on_unit_scale, scores)) or not task.higher_is_better[metric]:
        return Assay(None, None, None, NO_ENDS)
    # What chance scores is a matter of the reference and its golds, whatever the candidate answers.
    chance = task.chance.of(metric, exact=bool(((scores[1] == 0) | (scores[1] == 1)).all()))
    return assay_of(task.reference[metric], margin, chance, clusters=task.clusters, level=level)


def _on_unit_scale(scores: np.ndarray) -> bool:
    return bool(len(scores)) and bool(scores.min() >= 0) and bool(scores.max() <= 1)


def _reasons(
    paired: Difference, assessment: Assessment | None, recovery: Interval | None, scored: bool, without_margin: str
) -> dict[str, str]:
    """The reason for each null value, and for a missing verdict."""
    reasons: dict[str, str] = {}
    interval = paired.interval
    if not interval.defined:
        reasons["ci_low"] = reasons["verdict"] = interval.reason or "no interval"
    if not scored and assessment:
        reasons["verdict"] = "no answer of either arm scores above 0, so that both are equal says nothing"
    if assessment is None:
        reasons["verdict"] = without_margin
    if recovery is None:
        reasons["recovery"] = "a share of what the reference reaches has no meaning where lower is better"
    elif recovery.estimate is None and recovery.reason:
        reasons["recovery"] = recovery.reason
    if assessment:
        assay, verdict = assessment.assay, assessment.verdict
        unseen = verdict == "inconclusive" and not assessment.degradation_detected
        unseen = unseen and assay is not None and not assay.short_of_documents
        if scored and assay and assay.holds is False and assay.reason and (unseen or verdict == "no_verdict"):
            reasons["verdict"] = assay.reason
            if unseen:
                reasons["documents_needed"] = "whatever their number, a loss could not show"
        if assessment.mde is None and assessment.mde_reason:
            reasons["mde"] = assessment.mde_reason
        needed = assessment.documents_needed
        if interval.defined and needed and needed.documents is None and needed.reason:
            reasons["documents_needed"] = needed.reason
    return reasons


def _secondary(task: PairedTask | PairedGroup, name: str) -> Secondary:
    candidate, reference = float(task.candidate[name].mean()), float(task.reference[name].mean())
    return Secondary(metric=name, candidate_mean=candidate, reference_mean=reference, difference=candidate - reference)


def health(found: ArmHealth) -> Health:
    return Health(answers=found.n, empty=found.empty, truncated=found.truncated, failed=found.failed)
