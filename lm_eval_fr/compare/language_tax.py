"""What the candidate loses in one language beyond its loss in another, on the same questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.margins import TAX, Margins
from lm_eval_fr.compare.task_scores import scored
from lm_eval_fr.errors import InputError, UsageError, nearest
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.pairing.grouping import merged
from lm_eval_fr.report.task_model import LanguageTax
from lm_eval_fr.stats import assess, difference_of_differences, without_verdict

KEYS = ("id", "line", "key")  # of a document: equal for the same question in both languages


@dataclass(frozen=True)
class _Losses:
    """One task's documents by their key. values: candidate - reference, with the sign such that below 0 is a loss."""

    task: PairedTask
    rows: Mapping[str, int]
    values: np.ndarray
    on_unit_scale: bool


def language_taxes(pairing: Pairing, options: CompareOptions) -> Iterator[LanguageTax]:
    """The difference of differences by question, for each pair of tasks that `options.parallel` names.

    Raises UsageError for a task that was not compared, InputError for tasks whose documents do not match.
    """
    tasks = {task.task: task for task in pairing.tasks if task.scored}
    for name, other in options.parallel.items():
        for wanted in (name, other):
            if wanted not in tasks:
                remedy = nearest(wanted, tasks) or f"scored tasks here: {', '.join(tasks)}"
                raise UsageError(f"no scored task {wanted!r} in this comparison", where="--parallel", remedy=remedy)
        if name == other:
            raise UsageError(f"{name} is compared with itself", where="--parallel", remedy="name two tasks: A=B")
        yield _tax(_losses(tasks[name]), _losses(tasks[other]), options)


def _tax(first: _Losses, second: _Losses, options: CompareOptions) -> LanguageTax:
    _check_same(first, second)
    bounded = first.on_unit_scale and second.on_unit_scale
    name, other = first.task.task, second.task.task
    margin = options.margins.get(TAX, Margins(options.margins).of(name, unit_scale=bounded))
    ours = np.array([*first.rows.values()])
    theirs = np.array([second.rows[key] for key in first.rows])
    paired = difference_of_differences(
        first.values[ours],
        second.values[theirs],
        clusters=_clusters(first.task, ours, second.task, theirs),
        level=options.level,
        margin=margin,
        bounded=bounded,
    )
    assessment = None if margin is None else assess(paired, margin)
    stopped = first.task.no_verdict or second.task.no_verdict
    if assessment is not None and stopped is not None:
        assessment = without_verdict(assessment, stopped)
    return LanguageTax(task=name, parallel=other, paired=paired, assessment=assessment)


def _losses(task: PairedTask) -> _Losses:
    metric = task.metrics[0]
    sign = 1.0 if task.higher_is_better[metric] else -1.0
    candidate, reference = task.candidate[metric], task.reference[metric]
    rows: dict[str, int] = {}
    field = ""
    for i, pair in enumerate(task.pairs()):
        doc = pair.reference.doc
        field = field or next((name for name in KEYS if doc.get(name) is not None), "")
        key = doc.get(field)
        if key is None or str(key) in rows:
            what = f"no `{field or KEYS[0]}`" if key is None else f"the {field} {key} twice"
            remedy = f"give every question its own {_listed(KEYS)}, the same in both tasks"
            raise InputError(f"document {pair.doc_id} of {task.task} has {what}", where="--parallel", remedy=remedy)
        rows[str(key)] = i
    # The arrays already contain the weights, which takes them beyond the range of the scores.
    on_unit_scale = metric not in task.weights and scored(task).on_unit_scale
    return _Losses(task, rows, sign * (candidate - reference), on_unit_scale)


def _check_same(first: _Losses, second: _Losses) -> None:
    for one, other in ((first, second), (second, first)):
        missing = [key for key in one.rows if key not in other.rows]
        if missing:
            what = f"{len(missing)} of {len(one.rows)} questions of {one.task.task} are not in {other.task.task}"
            remedy = f"run both tasks on the same questions, with the same {_listed(KEYS)}"
            raise InputError(f"{what}, first {missing[0]!r}", where="--parallel", remedy=remedy)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(f'`{name}`' for name in names[:-1])} or `{names[-1]}`"


def _clusters(first: PairedTask, ours: np.ndarray, second: PairedTask, theirs: np.ndarray) -> np.ndarray | None:
    """Questions that share an article in either language belong to one cluster."""
    labels = [task.clusters[rows] for task, rows in ((first, ours), (second, theirs)) if task.clusters is not None]
    if len(labels) < 2:
        return labels[0] if labels else None
    one, other = (np.unique(codes, return_inverse=True)[1] for codes in labels)
    return merged(one, other)
