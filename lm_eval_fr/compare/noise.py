"""Reruns of an arm -> the noise floor: how far it moves from itself, and whether a difference is more than that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import Run
from lm_eval_fr.pairing import PairedTask, Pairing, pair_runs
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Floor, Noise, Rerun, TaskResult
from lm_eval_fr.stats import Interval, NoiseFloor, exceeds_noise, noise_floor

CHURN_DOCUMENTS = 20_000
"""Answers are compared text by text on at most this many documents of a task."""

Role = Literal["candidate", "reference"]


def noise_of(
    pairing: Pairing,
    results: Sequence[TaskResult],
    *,
    candidate_rerun: Run | None,
    reference_rerun: Run | None,
    level: float,
    seed: int,
) -> Noise | None:
    """None where no arm was run twice."""
    metrics = {result.task: result.metric for result in results}
    reruns: list[Rerun] = []
    floors: dict[str, list[NoiseFloor]] = {}
    given: tuple[tuple[Role, Run, Run | None], ...] = (
        ("candidate", pairing.candidate, candidate_rerun),
        ("reference", pairing.reference, reference_rerun),
    )
    for role, run, rerun in given:
        if rerun is None:
            continue
        for task in _against_itself(role, run, rerun, metrics):
            found, floor = _rerun(task, role, metrics.get(task.task), level, seed)
            reruns.append(found)
            if floor is not None:
                floors.setdefault(task.task, []).append(floor)
    if not reruns:
        return None
    said = tuple(_floor(result, floors[result.task]) for result in results if result.task in floors)
    once = [role for role, _, rerun in given if rerun is None]
    sentence = f"The {once[0]} was run once only: its own noise is not known." if once else ""
    return Noise(reruns=tuple(reruns), floors=said, sentence=sentence)


def _against_itself(role: Role, run: Run, rerun: Run, metrics: Mapping[str, str]) -> Iterator[PairedTask]:
    """The rerun paired with the run, on the tasks that the comparison has."""
    if run.results_path == rerun.results_path:
        raise UsageError(
            f"the rerun of the {role} is the very run that is compared",
            where=f"--{role}-rerun",
            remedy="run the arm a second time into a folder of its own",
        )
    common = [name for name in run.tasks if name in rerun.tasks]
    if not common:
        raise UsageError(
            f"the rerun of the {role} has none of its tasks", where=f"--{role}-rerun", remedy="run the same tasks again"
        )
    chosen = {name: metric for name, metric in metrics.items() if name in common}
    yield from pair_runs(rerun, run, tasks=common, metrics=chosen).tasks


def _rerun(
    task: PairedTask, role: Role, metric: str | None, level: float, seed: int
) -> tuple[Rerun, NoiseFloor | None]:
    """`task` has the rerun as its candidate."""
    churn = _churn(task, seed)
    if metric is None:
        return Rerun(
            arm=role, task=task.task, metric=None, n=task.n, shift=None, ci_low=None, ci_high=None, churn=churn
        ), None
    floor = noise_floor(task.reference[metric], task.candidate[metric], clusters=task.clusters, level=level)
    moved = floor.movement
    return Rerun(
        arm=role,
        task=task.task,
        metric=metric,
        n=task.n,
        shift=moved.estimate,
        ci_low=moved.low,
        ci_high=moved.high,
        churn=churn,
        method=moved.method,
    ), floor


def _churn(task: PairedTask, seed: int) -> float:
    rows: Sequence[int] = range(task.n)
    if task.n > CHURN_DOCUMENTS:
        rows = np.sort(np.random.default_rng(seed).choice(task.n, CHURN_DOCUMENTS, replace=False)).tolist()
    changed = sum(pair.candidate.answer != pair.reference.answer for pair in task.pairs(rows))
    return changed / len(rows)


def _floor(result: TaskResult, floors: Sequence[NoiseFloor]) -> Floor:
    found = exceeds_noise(_interval(result), floors)
    moved = w.plain(found.floor, result.scale)
    change = f"the difference of {w.signed(result.difference, result.scale)}"
    said = {
        True: f"{change} exceeds the noise: an arm run twice moved by {moved} on average, and the whole interval "
        "lies beyond that",
        False: f"{change} is within the noise: an arm run twice moved by {moved} on average",
        None: f"{change} cannot be told from noise: an arm run twice moved by {moved} on average, and the interval "
        "reaches into that range",
    }[found.exceeds]
    return Floor(task=result.task, floor=found.floor or 0.0, exceeded=found.exceeds, sentence=f"{result.task}: {said}.")


def _interval(result: TaskResult) -> Interval:
    return Interval(result.difference, result.ci_low, result.ci_high, 0.0, result.method, result.n)
