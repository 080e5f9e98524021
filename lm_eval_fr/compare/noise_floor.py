"""Reruns of an arm -> the noise floor: how far it moves from itself, and whether a difference is more than that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import Run
from lm_eval_fr.pairing import PairedTask, Pairing, pair_runs
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Floor, JudgeResult, Noise, Rerun, TaskResult
from lm_eval_fr.stats import Interval, NoiseFloor, exceeds_noise, noise_floor

CHURN_DOCUMENTS = 20_000
"""Answers are compared text by text on at most this many documents of a task."""

Role = Literal["candidate", "reference"]


def noise_of(
    pairing: Pairing,
    results: Sequence[TaskResult],
    judge: JudgeResult | None,
    *,
    candidate_rerun: Run | None,
    reference_rerun: Run | None,
    level: float,
    seed: int,
) -> Noise | None:
    """None where no arm was run twice, and the judge was not tried on two runs of one arm either."""
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
    said = [_floor(result, floors[result.task]) for result in results if result.task in floors]
    said += [] if judge is None else _judge_floor(judge)
    if not reruns and not said:
        return None
    once = [role for role, _, rerun in given if rerun is None]
    sentence = f"Run once only: the {' and the '.join(once)}. How far {_they(once)} from itself is not known."
    return Noise(reruns=tuple(reruns), floors=tuple(said), sentence=sentence if once else "")


def _they(roles: Sequence[str]) -> str:
    return "it moves" if len(roles) == 1 else "either moves"


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
    # A rerun of fewer documents is a rerun.
    yield from pair_runs(rerun, run, tasks=common, metrics=chosen, allow=("documents",)).tasks


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


_COMPARED = {
    True: "exceeds the noise: {moved}, and the whole interval lies beyond that.",
    False: "is within the noise: {moved}.",
    None: "cannot be told from noise: {moved}, and the interval reaches into that range.",
}


def _floor(result: TaskResult, floors: Sequence[NoiseFloor]) -> Floor:
    found = exceeds_noise(_interval(result), floors)
    moved = f"an arm run twice moved by {w.plain(found.floor, result.scale)} on average"
    said = f"{result.task}: the difference of {w.signed(result.difference, result.scale)} "
    said += _COMPARED[found.exceeds].format(moved=moved)
    return Floor(task=result.task, floor=found.floor or 0.0, exceeded=found.exceeds, sentence=said)


def _judge_floor(judge: JudgeResult) -> list[Floor]:
    """The judge on two runs of one arm: what net win it finds where there is none."""
    control = judge.controls.get("noise")
    net = control.get("net_win") if isinstance(control, Mapping) else None
    if not isinstance(net, Mapping) or net.get("estimate") is None or judge.net_win_ci is None:
        return []
    itself = NoiseFloor(Interval(net["estimate"], net.get("low"), net.get("high"), 0.0, "", 0), None, None, None, 0)
    found = exceeds_noise(Interval(judge.net_win, *judge.net_win_ci, 0.0, "", judge.n), [itself])
    moved = f"between two runs of one arm the judge found {w.plain(found.floor)}"
    said = f"judge: the net win rate of {w.signed(judge.net_win)} points "
    said += _COMPARED[found.exceeds].format(moved=moved)
    return [Floor(task="judge", floor=found.floor or 0.0, exceeded=found.exceeds, sentence=said)]


def _interval(result: TaskResult) -> Interval:
    return Interval(result.difference, result.ci_low, result.ci_high, 0.0, result.method, result.n)
