"""All rows of a comparison: groups before their subtasks, and tasks whose documents have no score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.task_rows import ComparedTask, compare_task, health
from lm_eval_fr.pairing import PairedTask, Pairing, Printed
from lm_eval_fr.report.task_model import TaskResult
from lm_eval_fr.stats import Assessment, Difference, Interval, holm

NO_SCORES = "no score of each document"


def compare_rows(pairing: Pairing, margins: Margins, options: CompareOptions) -> list[ComparedTask]:
    """A group is one claim, and its subtasks say where it comes from."""
    of_group = {name: group.task for group in pairing.groups for name in group.subtasks}
    subtasks = Margins({name: margin for name, margin in margins.given.items() if name in of_group})
    rows = {task.task: task for task in pairing.tasks if not task.judged and task.n}

    def compared(task: PairedTask) -> ComparedTask:
        theirs = subtasks if task.task in of_group else margins
        row = compare_task(task, theirs, options) if task.scored else _unscored(task, theirs, options)
        return replace(row, result=replace(row.result, group=of_group.get(task.task)))

    found = []
    for group in pairing.groups:
        row = compare_task(group, margins, options)
        found.append(replace(row, result=replace(row.result, subtasks=group.subtasks)))
        found += [compared(rows.pop(name)) for name in group.subtasks if name in rows]
    return found + [compared(task) for task in rows.values()]


def with_holm(compared: Sequence[ComparedTask]) -> tuple[TaskResult, ...]:
    """Claims about single tasks are several claims: their p-values after Holm stand beside the plain ones."""
    results = [one.result for one in compared]
    claims = {t.task: t.assessment.p_non_inferior for t in results if t.assessment and not t.group}
    if len(claims) < 2:
        return tuple(results)
    adjusted = dict(zip(claims, holm([*claims.values()]), strict=True))
    return tuple(replace(t, p_holm=adjusted.get(t.task)) for t in results)


def _unscored(task: PairedTask, margins: Margins, options: CompareOptions) -> ComparedTask:
    """What lm-eval printed, without an interval: where a margin was given, the claim has no verdict."""
    reason = task.no_verdict or "its samples hold no metric"
    printed = next(_of_both(task.printed), None)
    higher = printed is None or printed.higher_is_better is not False
    means = (None, None) if printed is None else (printed.candidate, printed.reference)
    better, worse = means if higher else means[::-1]
    estimate = None if better is None or worse is None else better - worse
    interval = Interval(estimate, None, None, options.level, "none", task.n, reason=NO_SCORES)
    nothing = (None, None, None, None, None)
    paired = Difference(interval, "unbounded", task.n, None, better, worse, *nothing, "none", None)
    margin = margins.of(task.task, unit_scale=True)
    assessment = None
    if margin is not None:
        assessment = Assessment("no_verdict", margin, interval, None, None, None, NO_SCORES, None, None)
    return ComparedTask(
        TaskResult(
            task=task.task,
            metric=printed.metric if printed else "none",
            higher_is_better=higher,
            paired=paired,
            assessment=assessment,
            recovery=None,
            identical=int(task.identical.sum()),
            candidate_health=health(task.candidate_health),
            reference_health=health(task.reference_health),
            allowed=task.allowed,
            reasons={"verdict": reason, "ci_low": NO_SCORES, "recovery": NO_SCORES},
        ),
        None,
    )


def _of_both(printed: Sequence[Printed]) -> Iterator[Printed]:
    return (one for one in printed if one.candidate is not None and one.reference is not None)
