"""One gold task: aligned scores -> its row of the report."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.series import cumulative
from lm_eval_fr.compare.strata import strata_of
from lm_eval_fr.compare.task_scores import scored
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
    without_verdict,
)
from lm_eval_fr.stats.arrays import check_margin
from lm_eval_fr.stats.assay import MOST, NO_CHANCE, NO_ENDS, too_wide_for
from lm_eval_fr.stats.estimates import Assay

DRAWS = 4_000
NO_MARGIN = "no margin was given"
NOTHING_SCORED = "no answer of either arm scores above 0, so that both are equal says nothing"


@dataclass(frozen=True)
class ComparedTask:
    result: TaskResult
    series: Series | None


def compare_task(task: PairedTask | PairedGroup, margins: Margins, options: CompareOptions) -> ComparedTask:
    """The primary metric against its margin, and the others beside it."""
    metric, level, one = task.metrics[0], options.level, scored(task)
    higher, unit_scale, clusters = one.higher_is_better, one.on_unit_scale, task.clusters
    margin = margins.of(task.task, unit_scale=unit_scale)
    if margin is not None:
        check_margin(margin, largest=one.width)
    paired = paired_difference(
        one.better,
        one.worse,
        clusters=clusters,
        weights=one.weights,
        level=level,
        kind=one.kind,
        margin=margin,
        guarantee=options.guarantee,
    )
    assessment = None
    if margin is not None:
        assessment = assess(paired, margin, assay=assay_for(task, margin, level), reach=one.reach)
    # Equal because nothing was scored at all (a filter that finds no answer, a task too hard): no evidence.
    any_score = not higher or bool(one.better.any() or one.worse.any())
    stopped = task.no_verdict or (None if any_score else NOTHING_SCORED) or _fallen(task, assessment)
    if assessment is not None and stopped is not None:
        assessment = without_verdict(assessment, stopped)
    recovery = None
    if higher:
        weighted = task.candidate[metric], task.reference[metric]
        recovery = recovery_interval(*weighted, clusters=clusters, level=level, draws=DRAWS, seed=options.seed)
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
        identical=int((one.better == one.worse).sum()),
        candidate_health=health(task.candidate_health),
        reference_health=health(task.reference_health),
        secondary=tuple(_secondary(task, name) for name in task.metrics[1:]),
        strata=tuple(strata_of(task, one, level=level, margin=margin, preregistered=options.strata.get(task.task, ()))),
        repeats=None if task.each is None else variance_components(task.each[0][metric], task.each[1][metric]),
        allowed=task.allowed,
        reasons=_reasons(paired, assessment, recovery, without) | ({} if stopped is None else {"verdict": stopped}),
    )
    name = f"{task.task} {metric}" if higher else f"{task.task} {metric}, turned so that up is better"
    band = None
    if unit_scale and one.weights is None:  # the band is that of a bounded score, each counting the same
        band = cumulative(one.better - one.worse, clusters, name=name, margin=margin, level=level)
    return ComparedTask(result, band)


def assay_for(task: PairedTask | PairedGroup, margin: float, level: float) -> Assay:
    """Whether a loss of the margin could have shown at all."""
    metric, one = task.metrics[0], scored(task)
    if not one.on_unit_scale or not one.higher_is_better:
        if one.reach is not None and margin > MOST * one.reach:
            return too_wide_for(one.points(one.reach), one.points(margin))
        return Assay(None, None, None, NO_ENDS if one.reach is None else NO_CHANCE)
    # Single answers are right or wrong; their means are not.
    single = one.reference if task.each is None else task.each[1][metric]
    # What chance scores is a matter of the reference and its golds, whatever the candidate answers.
    chance = task.chance.of(metric, exact=bool(((single == 0) | (single == 1)).all()))
    return assay_of(one.reference, margin, chance, clusters=task.clusters, weights=one.weights, level=level)


def _fallen(task: PairedTask | PairedGroup, assessment: Assessment | None) -> str | None:
    """Why the first metric of which a document has a score may not stand for those before it.

    One of them, which is made of all documents together, fell by more than the margin: as a share, or in its own unit
    if it is one.
    """
    if assessment is None or assessment.verdict != "non_inferior":
        return None
    choose = f"; --metric {task.task}={task.metrics[0]} claims by that one alone"
    if isinstance(task, PairedGroup):
        choose = ": compare its tasks one by one"
    before = itertools.takewhile(lambda found: found.score is None, task.printed)
    for found in before:
        mine, theirs = found.candidate, found.reference
        if mine is None or theirs is None or found.higher_is_better is None:
            continue
        loss = theirs - mine if found.higher_is_better else mine - theirs
        whole = 1.0 if 0 <= min(mine, theirs) <= max(mine, theirs) <= 1 else abs(theirs) or math.inf
        if loss > assessment.margin * whole:
            return (
                f"{found.metric}, its first metric, went from {theirs:.4g} to {mine:.4g}: more than the margin, and no "
                f"document has a score of it{choose}"
            )
    return None


def _reasons(
    paired: Difference, assessment: Assessment | None, recovery: Interval | None, without_margin: str
) -> dict[str, str]:
    """The reason for each null value, and for a missing verdict."""
    reasons: dict[str, str] = {}
    interval = paired.interval
    if not interval.defined:
        reasons["ci_low"] = reasons["verdict"] = interval.reason or "no interval"
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
        if assay and assay.holds is False and assay.reason and (unseen or verdict == "no_verdict"):
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
