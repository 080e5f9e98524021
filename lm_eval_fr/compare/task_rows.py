"""Aligned scores -> the rows of the report: groups before their subtasks, and tasks without scores per document."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.strata import strata_of, with_strata_holm
from lm_eval_fr.compare.task_scores import ScoredPairs, cumulative, scored
from lm_eval_fr.pairing import Paired, PairedGroup, PairedTask, Pairing
from lm_eval_fr.report.task_model import Secondary, TaskResult
from lm_eval_fr.stats import (
    Assessment,
    Difference,
    Interval,
    assay_of,
    assess,
    holm,
    recovery_interval,
    variance_components,
    without_verdict,
)
from lm_eval_fr.stats.arrays import check_margin
from lm_eval_fr.stats.assay import MOST, NO_CHANCE, NO_ENDS, too_wide_for
from lm_eval_fr.stats.estimates import Assay

DRAWS = 4_000
NO_MARGIN = "no margin was given"
NO_SCORES = "no score per document"
NOTHING_SCORED = "no answer of either arm scores above 0, so equal scores mean nothing"


def compare_task(task: Paired, margins: Margins, options: CompareOptions) -> TaskResult:
    """The primary metric against its margin, and the others beside it."""
    metric, level, one = task.metrics[0], options.level, scored(task)
    higher, unit_scale, clusters = one.higher_is_better, one.on_unit_scale, task.clusters
    margin = margins.of(task.task, unit_scale=unit_scale)
    if margin is not None:
        check_margin(margin, largest=one.width)
    paired = one.difference(level=level, margin=margin, guarantee=options.guarantee)
    assessment = None
    if margin is not None:
        assessment = assess(paired, margin, assay=assay_for(task, one, margin, level), reach=one.reach)
    # Equal because nothing was scored at all (a filter that finds no answer, a task too hard): not evidence.
    any_score = not higher or bool(one.better.any() or one.worse.any())
    stopped = task.no_verdict or (None if any_score else NOTHING_SCORED) or _fallen(task, assessment)
    if assessment is not None and stopped is not None:
        assessment = without_verdict(assessment, stopped)
    recovery = None
    if higher:
        weighted = task.candidate[metric], task.reference[metric]
        recovery = recovery_interval(*weighted, clusters=clusters, level=level, draws=DRAWS, seed=options.seed)
    without = NO_MARGIN if unit_scale else f"its scale has no limits: give --margin {task.task}=X"
    name = f"{task.task} {metric}" if higher else f"{task.task} {metric}, turned so that up is better"
    series = None
    if unit_scale and one.weights is None:  # the band needs bounded scores of equal weight
        series = cumulative(one.better - one.worse, clusters, name=name, margin=margin, level=level)
    return TaskResult(
        task=task.task,
        metric=metric,
        higher_is_better=higher,
        paired=paired,
        assessment=assessment,
        recovery=recovery,
        identical=int((one.better == one.worse).sum()),
        candidate_health=task.answers[0].health,
        reference_health=task.answers[1].health,
        secondary=tuple(_secondary(task, name) for name in task.metrics[1:]),
        strata=tuple(strata_of(task, one, level, margin, options.strata.get(task.task, ()))),
        repeats=None if task.each is None else variance_components(task.each[0][metric], task.each[1][metric]),
        series=series,
        allowed=task.allowed,
        reasons=_reasons(paired, assessment, recovery, without) | ({} if stopped is None else {"verdict": stopped}),
    )


def assay_for(task: Paired, one: ScoredPairs, margin: float, level: float) -> Assay:
    """Whether a loss of the margin could have shown at all. one: the task's primary scores."""
    metric = task.metrics[0]
    if not one.on_unit_scale or not one.higher_is_better:
        if one.reach is not None and margin > MOST * one.reach:
            return too_wide_for(one.points(one.reach), one.points(margin))
        return Assay(None, None, None, NO_ENDS if one.reach is None else NO_CHANCE)
    # Single answers are right or wrong; their means are in between.
    single = one.reference if task.each is None else task.each[1][metric]
    # Chance depends on the reference and its golds, not on the candidate's answers.
    chance = task.chance.of(metric, exact=bool(((single == 0) | (single == 1)).all()))
    return assay_of(one.reference, margin, chance, clusters=one.clusters, weights=one.weights, level=level)


def _fallen(task: Paired, assessment: Assessment | None) -> str | None:
    """Why the first metric with a score per document may not replace those that lm-eval prints before it.

    One of these, computed from all documents together, fell by more than the margin: in points if it is a share, else
    relative to its own value.
    """
    if assessment is None or assessment.verdict != "non_inferior":
        return None
    choose = f"; --metric {task.task}={task.metrics[0]} claims on that one alone"
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
                f"document has a score for it{choose}"
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
        reasons["recovery"] = "a share of the reference's score has no meaning where lower is better"
    elif recovery.estimate is None and recovery.reason:
        reasons["recovery"] = recovery.reason
    if assessment:
        assay, verdict = assessment.assay, assessment.verdict
        unseen = verdict == "inconclusive" and not assessment.degradation_detected
        unseen = unseen and assay is not None and not assay.short_of_documents
        if assay and assay.holds is False and assay.reason and (unseen or verdict == "no_verdict"):
            reasons["verdict"] = assay.reason
            if unseen:
                reasons["documents_needed"] = "with any number of documents, a loss could not show"
        if assessment.mde is None and assessment.mde_reason:
            reasons["mde"] = assessment.mde_reason
        needed = assessment.documents_needed
        if interval.defined and needed and needed.documents is None and needed.reason:
            reasons["documents_needed"] = needed.reason
    return reasons


def _secondary(task: Paired, name: str) -> Secondary:
    candidate, reference = float(task.candidate[name].mean()), float(task.reference[name].mean())
    return Secondary(metric=name, candidate_mean=candidate, reference_mean=reference, difference=candidate - reference)


def compare_tasks(pairing: Pairing, margins: Margins, options: CompareOptions) -> tuple[TaskResult, ...]:
    """A group is one claim; the rows of its subtasks only show its parts. Verdicts are those after Holm."""
    of_group = {name: group.task for group in pairing.groups for name in group.subtasks}
    subtasks = Margins({name: margin for name, margin in margins.given.items() if name in of_group})
    rows = {task.task: task for task in pairing.tasks if not task.judged and task.n}

    def compared(task: PairedTask) -> TaskResult:
        theirs = subtasks if task.task in of_group else margins
        row = compare_task(task, theirs, options) if task.scored else _unscored(task, theirs, options)
        return replace(row, group=of_group.get(task.task))

    found = []
    for group in pairing.groups:
        found.append(replace(compare_task(group, margins, options), subtasks=group.subtasks))
        found += [compared(rows.pop(name)) for name in group.subtasks if name in rows]
    return with_strata_holm(_with_holm(found + [compared(task) for task in rows.values()]))


def _with_holm(results: Sequence[TaskResult]) -> Sequence[TaskResult]:
    """Several tasks are several claims: Holm-corrected p-values are shown beside the plain ones."""
    claims = {t.task: t.assessment.p_non_inferior for t in results if t.assessment and not t.group}
    if len(claims) < 2:
        return results
    adjusted = dict(zip(claims, holm([*claims.values()]), strict=True))
    return [replace(t, p_holm=adjusted.get(t.task)) for t in results]


def _unscored(task: PairedTask, margins: Margins, options: CompareOptions) -> TaskResult:
    """What lm-eval printed, without an interval: if a margin was given, the claim has no verdict."""
    reason = task.no_verdict or "its samples have no metric"
    both = (one for one in task.printed if one.candidate is not None and one.reference is not None)
    printed = next(both, None)
    higher = printed is None or printed.higher_is_better is not False
    means = (None, None) if printed is None else (printed.candidate, printed.reference)
    better, worse = means if higher else means[::-1]
    estimate = None if better is None or worse is None else better - worse
    interval = Interval(estimate, None, None, options.level, "none", task.n, reason=NO_SCORES)
    paired = Difference(interval, "unbounded", task.n, None, better, worse)
    margin = margins.of(task.task, unit_scale=True)
    assessment = None
    if margin is not None:
        assessment = Assessment("no_verdict", margin, interval, mde_reason=NO_SCORES)
    return TaskResult(
        task=task.task,
        metric=printed.metric if printed else "none",
        higher_is_better=higher,
        paired=paired,
        assessment=assessment,
        recovery=None,
        identical=int(task.identical.sum()),
        candidate_health=task.answers[0].health,
        reference_health=task.answers[1].health,
        allowed=task.allowed,
        reasons={"verdict": reason, "ci_low": NO_SCORES, "recovery": NO_SCORES},
    )
