"""Reruns of an arm -> the noise floor: how far runs of one arm differ, and whether a difference exceeds that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.pairing.reruns import Role
from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Floor, Noise, RerunShift
from lm_eval_fr.report.task_model import TaskResult
from lm_eval_fr.stats import Interval, exceeds_noise, noise_floor

CHURN_DOCUMENTS = 20_000
"""Answers are compared text by text on at most this many documents of a task."""

ROLES: tuple[Role, ...] = ("candidate", "reference")


def noise_of(
    pairing: Pairing, results: Sequence[TaskResult], judge: JudgeResult | None, options: CompareOptions
) -> Noise | None:
    """None if no arm was run twice and the judge did not compare two runs of one arm."""
    by_task = {result.task: result for result in results}
    reruns = [
        _rerun(again, role, by_task.get(task.task), options)
        for role in ROLES
        for task in pairing.tasks
        for again in _alike(
            [one.tasks[task.task] for one in pairing.reruns if one.arm == role and task.task in one.tasks]
        )
    ]
    moves: dict[str, list[Interval]] = {}
    for rerun in reruns:
        if rerun.moved is not None:
            moves.setdefault(rerun.task, []).append(rerun.moved)
    floors = [_floor(result, moves[result.task]) for result in results if result.task in moves]
    floors += [] if judge is None else _judge_floor(judge)
    if not reruns and not floors:
        return None
    once = [role for role in ROLES if not any(rerun.arm == role for rerun in pairing.reruns)]
    whose = "its" if len(once) == 1 else "their"
    sentence = f"Run only once: the {' and the '.join(once)}. How far {whose} runs would differ is unknown."
    return Noise(reruns=tuple(reruns), floors=tuple(floors), sentence=sentence if once else "")


def _alike(reruns: Sequence[PairedTask]) -> Iterator[list[PairedTask]]:
    """Reruns of the same documents, taken together; one with fewer documents stands alone."""
    groups: dict[bytes, list[PairedTask]] = {}
    for one in reruns:
        groups.setdefault(one.doc_ids.tobytes(), []).append(one)
    yield from groups.values()


def _rerun(reruns: Sequence[PairedTask], role: Role, result: TaskResult | None, options: CompareOptions) -> RerunShift:
    """Each has the further run as its candidate and the arm's first run as its reference."""
    task, moved = reruns[0], None
    if result is not None and all(result.metric in one.candidate for one in reruns):
        again = [one.candidate[result.metric] for one in reruns]
        moved = noise_floor(task.reference[result.metric], again, clusters=task.clusters, level=options.level)
    return RerunShift(
        arm=role,
        task=task.task,
        metric=result.metric if result else None,
        n=task.n,
        runs=len(reruns),
        churn=sum(_churn(one, options.seed) for one in reruns) / len(reruns),
        moved=moved,
        scale=result.scale if result else 100.0,
    )


def _churn(task: PairedTask, seed: int) -> float:
    rows: Sequence[int] = range(task.n)
    if task.n > CHURN_DOCUMENTS:
        rows = np.sort(np.random.default_rng(seed).choice(task.n, CHURN_DOCUMENTS, replace=False)).tolist()
    changed = sum(pair.candidate.shown != pair.reference.shown for pair in task.pairs(rows))
    return changed / len(rows)


_COMPARED = {
    True: "exceeds the noise: {moved}, and the whole interval lies beyond that.",
    False: "is within the noise: {moved}.",
    None: "cannot be told from noise: {moved}, and the interval reaches into that range.",
}


def _floor(result: TaskResult, moves: Sequence[Interval]) -> Floor:
    found = exceeds_noise(result.paired.interval, moves)
    moved = f"a rerun moved by {w.plain(found.floor, result.scale)} on average"
    said = f"{result.task}: the difference of {w.signed(result.difference, result.scale)} "
    return Floor(task=result.task, compared=found, sentence=said + _COMPARED[found.exceeds].format(moved=moved))


def _judge_floor(judge: JudgeResult) -> list[Floor]:
    """The judge on two runs of one arm: the net win that it finds where there is none."""
    noise = judge.controls.noise
    if noise is None or noise.net_win.estimate is None or not judge.interval.defined:
        return []
    found = exceeds_noise(judge.interval, [noise.net_win])
    moved = f"between two runs of one arm the judge found {w.plain(found.floor)}"
    said = f"judge: the net win rate of {w.signed(judge.net_win)} points "
    return [Floor(task="judge", compared=found, sentence=said + _COMPARED[found.exceeds].format(moved=moved))]
