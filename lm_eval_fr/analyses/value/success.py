"""What counts as a success: a metric and a threshold."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.pairing import PairedTask, Pairing

HOW = "piaf_fr:f1>=0.5"
_RULE = re.compile(r"([\w.-]+):([^<>=:]+?)\s*(>=|<=|>|<)\s*([^\s<>=]+)")
_OPERATORS: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
USUAL = 0.5


@dataclass(frozen=True, slots=True)
class Success:
    task: str
    metric: str
    sign: str
    threshold: float

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.threshold:g}"

    def of(self, scores: np.ndarray) -> np.ndarray:
        return _OPERATORS[self.sign](scores, self.threshold).astype(float)


def parse_success(text: str) -> Success:
    found = _RULE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--success {text}: not TASK:METRIC>=NUMBER", remedy=f"as in {HOW}")
    try:
        threshold = float(found[4])
    except ValueError:
        raise UsageError(f"--success {text}: {found[4]!r} is not a number", remedy=f"as in {HOW}") from None
    return Success(found[1], found[2].strip(), found[3], threshold)


def successes_wanted(rules: Sequence[Success], pairing: Pairing) -> list[tuple[PairedTask, Success]]:
    """The tasks that count, each with its definition of a success: those of the rules, or every scored one.

    Without a rule a success is a primary metric of at least 0.5; for an exact match that is a match.
    """
    tasks = {task.task: task for task in pairing.tasks if task.scored}
    if not tasks:
        raise InputError(
            "no task of these runs has a score to define a success by",
            where=pairing.reference.path,
            remedy="run a gold task too: `lm-eval-fr tasks`",
        )
    if not rules:
        return [(task, _usual(task)) for task in tasks.values()]
    found = {}
    for rule in rules:
        if rule.task not in tasks:
            raise UsageError(
                f"--success {rule.task}: no such scored task", remedy=f"the scored tasks are {', '.join(tasks)}"
            )
        if rule.task in found:
            raise UsageError(f"--success: {rule.task} has two rules", remedy="keep one")
        if rule.metric not in tasks[rule.task].metrics:
            known = ", ".join(tasks[rule.task].metrics)
            raise UsageError(f"--success: {rule.task} has no metric {rule.metric!r}", remedy=f"it has {known}")
        found[rule.task] = rule
    return [(tasks[name], rule) for name, rule in found.items()]


def _usual(task: PairedTask) -> Success:
    metric = task.metrics[0]
    scores = np.concatenate([task.candidate[metric], task.reference[metric]])
    if not task.higher_is_better[metric] or scores.min() < 0 or scores.max() > 1:
        raise UsageError(
            f"{task.task}: {metric} is not between 0 and 1, so its success needs a rule",
            remedy=f"--success '{task.task}:{metric}<=X'",
        )
    return Success(task.task, metric, ">=", USUAL)
