"""A group of tasks as one (mmlu with its 57 subtasks): the score that lm-eval prints, over all of its documents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lm_eval_fr.logs.task_log import GroupLog
from lm_eval_fr.pairing.answers import STATES, Answers
from lm_eval_fr.pairing.chance import mean_chance
from lm_eval_fr.pairing.pairs import Paired, PairedTask, Printed, Strata, clusters_over

Weighting = Literal["documents", "tasks"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PairedGroup(Paired):
    """The documents of all tasks of a group.

    subtasks: in the order of the documents. A task counts by its documents in the group's score, or all tasks equally;
    then the values already contain the weights, so that their plain mean is the group's score.
    """

    subtasks: tuple[str, ...]


def pair_groups(
    candidate: Mapping[str, GroupLog], reference: Mapping[str, GroupLog], tasks: Sequence[PairedTask]
) -> tuple[tuple[PairedGroup, ...], tuple[str, ...]]:
    """The outermost groups whose tasks are all compared, and notes."""
    paired = {task.task: task for task in tasks}
    both = {name: log for name, log in reference.items() if name in candidate}
    whole = {name: log for name, log in both.items() if log.leaves and all(leaf in paired for leaf in log.leaves)}
    inner = {child for log in whole.values() for child in log.children}
    groups, notes = [], []
    for name, log in whole.items():
        if name not in inner:
            found = _pair(candidate[name], log, [paired[leaf] for leaf in log.leaves])
            if isinstance(found, PairedGroup):
                groups.append(found)
            else:
                notes.append(f"{name}: the group's own score is left out: {found}")
    return tuple(groups), tuple(notes)


def _pair(candidate: GroupLog, reference: GroupLog, tasks: Sequence[PairedTask]) -> PairedGroup | str:
    """The group by the first of its scores that all of its tasks have, or why there is none."""
    skipped: list[Printed] = []
    for key, theirs in reference.printed.items():
        metric, _, name = key.rpartition(",")
        declared = (one.higher_is_better for task in tasks for one in task.printed if one.metric == metric)
        printed = Printed(metric, name, candidate.printed.get(key), theirs, next(declared, None))
        reason, weighting = _comparable(printed, tasks)
        if weighting is not None:
            return _group(reference, metric, weighting, tasks, (*skipped, replace(printed, score=metric)))
        skipped.append(replace(printed, reason=reason))
    return "; ".join(map(_told, skipped)) or "lm-eval printed none"


def _comparable(printed: Printed, tasks: Sequence[PairedTask]) -> tuple[str, Weighting | None]:
    """(why it cannot be compared, None), or how lm-eval averaged the tasks' scores to this one."""
    metric, mine, theirs = printed.metric, printed.candidate, printed.reference
    lacking = [task.task for task in tasks if printed.filter != task.filter or _is_other(task, metric)]
    if mine is None or theirs is None:
        return f"only the reference's results have {metric},{printed.filter}", None
    if lacking:
        return f"{lacking[0]} has no {metric} of its own under the filter {printed.filter}", None
    weighting = _weighting((mine, theirs), metric, tasks)
    return f"the {metric} of its tasks do not give the one that lm-eval printed", weighting


def _told(printed: Printed) -> str:
    if printed.candidate is None or printed.reference is None:
        return str(printed.reason)
    both = f"{printed.candidate:.6g} for the candidate, {printed.reference:.6g} for the reference"
    return f"{printed.reason} (lm-eval printed {printed.metric} {both})"


def _is_other(task: PairedTask, metric: str) -> bool:
    """Whether the task's score of that name is not the plain mean that lm-eval averages over tasks."""
    made = [one for one in task.printed if one.metric == metric and one.score == metric]
    return metric not in task.metrics or not made or made[0].candidate is None or made[0].reference is None


def _weighting(printed: tuple[float, float], metric: str, tasks: Sequence[PairedTask]) -> Weighting | None:
    """How lm-eval averaged: not recorded, but inferred from the numbers."""
    ways: tuple[Weighting, Weighting] = ("documents", "tasks")
    for way in ways:
        found = []
        for side, score in enumerate(printed):
            sizes = [task.sides[side].log.n_logged if way == "documents" else 1 for task in tasks]
            made = [next(one for one in task.printed if one.metric == metric) for task in tasks]
            values = [one.candidate if side == 0 else one.reference for one in made]
            mean = math.fsum(size * (value or 0.0) for size, value in zip(sizes, values, strict=True)) / sum(sizes)
            found.append(math.isclose(mean, score, rel_tol=1e-6, abs_tol=1e-9))
        if all(found):
            return way
    return None


def _group(
    log: GroupLog, metric: str, weighting: Weighting, tasks: Sequence[PairedTask], printed: tuple[Printed, ...]
) -> PairedGroup:
    n = sum(task.n for task in tasks)
    share = [1.0 if weighting == "documents" else n / (len(tasks) * task.n) for task in tasks]
    weights = np.repeat(share, [task.n for task in tasks])
    candidate = np.concatenate([task.candidate[metric] for task in tasks]) * weights
    reference = np.concatenate([task.reference[metric] for task in tasks]) * weights
    stopped = [f"{task.task}: {task.no_verdict}" for task in tasks if task.no_verdict is not None]
    return PairedGroup(
        task=log.name,
        subtasks=tuple(task.task for task in tasks),
        metrics=(metric,),
        higher_is_better={metric: tasks[0].higher_is_better[metric]},
        n=n,
        clusters=clusters_over(tasks),
        candidate={metric: candidate},
        reference={metric: reference},
        weights={} if weighting == "documents" else {metric: weights},
        ends={metric: tasks[0].ends[metric]} if metric in tasks[0].ends else {},
        answers=(_joined([task.answers[0] for task in tasks]), _joined([task.answers[1] for task in tasks])),
        printed=printed,
        strata=tuple(_parts(log, tasks)),
        allowed=tuple(dict.fromkeys(allowed for task in tasks for allowed in task.allowed)),
        no_verdict=stopped[0] if stopped else None,
        copies=sum(task.copies for task in tasks),
        each=_each(metric, tasks, weights),
        chance=mean_chance(
            [task.chance for task in tasks], [one * task.n for one, task in zip(share, tasks, strict=True)]
        ),
    )


def _each(
    metric: str, tasks: Sequence[PairedTask], weights: np.ndarray
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None:
    """None unless all tasks have as many answers per document."""
    arms = []
    for side in (0, 1):
        rows = [task.each[side][metric] for task in tasks if task.each is not None and metric in task.each[side]]
        if len(rows) < len(tasks) or len({len(one) for one in rows}) > 1:
            return None
        arms.append({metric: np.concatenate(rows, axis=1) * weights})
    return arms[0], arms[1]


def _joined(answers: Sequence[Answers]) -> Answers:
    return Answers(**{state: np.concatenate([one.of(state) for one in answers]) for state in STATES})


def _parts(log: GroupLog, tasks: Sequence[PairedTask]) -> Iterator[Strata]:
    """The groups within the group; its tasks are rows of their own."""
    inner = {leaf: child for child, leaves in log.inner.items() for leaf in leaves}
    labels = tuple(dict.fromkeys(inner.get(task.task, task.task) for task in tasks))
    if inner and len(labels) > 1:
        codes = [np.full(task.n, labels.index(inner.get(task.task, task.task))) for task in tasks]
        yield Strata("group", labels, np.concatenate(codes))
