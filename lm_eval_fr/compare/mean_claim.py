"""The claim about the mean over tasks, if the plan fixed it beforehand: a verdict besides the overall one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.task_rows import assay_for
from lm_eval_fr.compare.task_scores import scored
from lm_eval_fr.pairing import Paired, Pairing
from lm_eval_fr.report import words as w
from lm_eval_fr.report.task_model import MeanClaim, TaskResult, verdict_of
from lm_eval_fr.stats import ONE_MAY_LOSE_MORE, Assay, Assessment, assess, mean_over_tasks, without_verdict
from lm_eval_fr.stats.assay import MOST, NO_CHANCE
from lm_eval_fr.stats.over_tasks import OverTasks


def mean_claim(
    pairing: Pairing, tasks: Sequence[TaskResult], margins: Margins, options: CompareOptions
) -> MeanClaim | None:
    """None if no plan asks for it. A group counts as one task.

    Raises UsageError if fewer than two tasks can be averaged, or without a margin.
    """
    if not options.overall_mean:
        return None
    margin = margins.mean
    found = mean_over_tasks(
        {task.task: task.paired for task in tasks if not task.group}, margin, guarantee=options.guarantee
    )
    by_name: dict[str, Paired] = {one.task: one for one in (*pairing.tasks, *pairing.groups)}
    counted = [by_name[name] for name in found.tasks]
    assessment = assess(found.difference, margin, assay=_assay(counted, margin, options.level))
    results = {task.task: task for task in tasks}
    if broken := next(_broken([(one, results[one.task]) for one in counted]), None):
        assessment = without_verdict(assessment, broken)
    return MeanClaim(
        tasks=found.tasks,
        left_out=found.left_out,
        paired=found.difference,
        assessment=assessment,
        sentence=_sentence(found, assessment, options.level),
    )


def _assay(tasks: Sequence[Paired], margin: float, level: float) -> Assay:
    """The reference's mean above chance, from the lower end of each task's interval (below the mean's own)."""
    each = [assay_for(task, scored(task), margin, level) for task in tasks]
    above = [one.reference_above_chance for one in each if one.reference_above_chance is not None]
    chance = [one.chance for one in each if one.chance is not None]
    if len(above) < len(each):
        return Assay(None, None, None, NO_CHANCE)
    mean, by_chance = sum(above) / len(above), sum(chance) / len(chance)
    if margin <= MOST * mean:
        return Assay(by_chance, mean, True)
    why = (
        f"over the tasks the reference is {max(100 * mean, 0.0):.1f} points above chance at least, and a margin of "
        f"{100 * margin:g} points is more than half of that: a loss could not have shown"
    )
    return Assay(by_chance, mean, False, why)


def _broken(tasks: Sequence[tuple[Paired, TaskResult]]) -> Iterator[str]:
    """Why nothing may be claimed about one of the tasks, other than its own margin being too wide."""
    for paired, result in tasks:
        if paired.no_verdict is not None:
            yield f"{paired.task}: {paired.no_verdict}"
        elif result.verdict == "no_verdict" and not (result.assay and result.assay.holds is False):
            yield f"{paired.task}: {result.reasons.get('verdict', 'no verdict')}"


def _sentence(found: OverTasks, assessment: Assessment, level: float) -> str:
    interval, margin = assessment.interval, assessment.margin
    verdict = verdict_of(assessment)
    because = f" ({assessment.reason})" if verdict == "no_verdict" and assessment.reason else ""
    left = "".join(f" Left out: {name}, {why}." for name, why in found.left_out.items())
    return (
        f"Mean over {len(found.tasks)} tasks, as the plan fixed beforehand: {w.word(verdict)}{because}, "
        f"{w.signed(interval.estimate)} points {w.interval(interval.low, interval.high, limit=-margin)} at "
        f"{w.level_text(level)}, margin {w.plain(margin)}. {ONE_MAY_LOSE_MORE}{left}"
    )
