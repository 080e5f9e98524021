"""Further runs of an arm: its repeats, and runs into folders of their own. Scores are the mean over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lm_eval_fr.errors import MismatchError, UsageError
from lm_eval_fr.logs.find_run import Run
from lm_eval_fr.models.presets import PACE
from lm_eval_fr.pairing.agreement import arm_settings
from lm_eval_fr.pairing.pairs import PairedTask

Role = Literal["candidate", "reference"]


@dataclass(frozen=True)
class Rerun:
    """A further run of one arm. tasks: paired with the arm's own run, with the further run as candidate."""

    arm: Role
    tasks: Mapping[str, PairedTask]


def check_rerun(role: Role, run: Run, rerun: Run, allow: Collection[str]) -> str | None:
    """Notes what was allowed. UsageError for the compared run itself, or a run without its tasks.

    MismatchError for a run of another model, unless `allow` has "reruns": averaging it in would hide a loss.
    """
    where = f"--{role}-rerun"
    if run.fingerprint == rerun.fingerprint:
        remedy = "run the arm a second time into its own folder"
        raise UsageError(f"the rerun of the {role} is the compared run itself", where=where, remedy=remedy)
    if not run.tasks.keys() & rerun.tasks.keys():
        raise UsageError(
            f"the rerun of the {role} has none of its tasks", where=where, remedy="run the same tasks again"
        )
    if (other := _another_model(run, rerun)) is None:
        return None
    what = f"{other} in the {role}'s rerun, so it is not a rerun of that arm"
    if "reruns" not in allow:
        remedy = f"give a run of the {role} itself, or average this one in with --allow reruns, and the report says so"
        raise MismatchError("reruns", what, where=where, remedy=remedy)
    return f"reruns: {what}"


def _another_model(run: Run, rerun: Run) -> str | None:
    """The first setting in which the two models differ, apart from seeds and pace; None if they are the same.

    A server at another address has the same model if both servers name the weights that they serve, and these are the
    same.
    """
    weights = run.settings.get("manifest.revision")
    aside = {*PACE, "seed"}
    if weights is not None and weights == rerun.settings.get("manifest.revision"):
        aside.add("base_url")
    mine, theirs = (
        {"source": one.source, "model": one.model}
        | {f"model_args.{name}": value for name, value in one.model_args.items() if name not in aside}
        | {name: value for name, value in one.settings.items() if name.startswith(("checkpoint.", "manifest."))}
        for one in (run, rerun)
    )
    for setting in arm_settings(mine, theirs):
        if str(setting.candidate) != str(setting.reference):  # a=1 and {"a": 1} are one argument in two spellings
            return f"{setting.name} is {setting.candidate} in its run, {setting.reference}"
    return None


def average(task: PairedTask, reruns: Sequence[Rerun]) -> PairedTask:
    """The task with the mean score of each document. Reruns of other documents are left out."""
    both = tuple(_answers(task, role, reruns) for role in ("candidate", "reference"))
    if not task.scored or all(len(found) == 1 for found in both):
        return task
    names = [name for name in task.metrics if all(name in one for found in both for one in found)]
    each = tuple({name: np.stack([one[name] for one in found]) for name in names} for found in both)
    return replace(
        task,
        metrics=tuple(names),
        candidate={name: rows.mean(axis=0) for name, rows in each[0].items()},
        reference={name: rows.mean(axis=0) for name, rows in each[1].items()},
        each=(each[0], each[1]),
    )


def _answers(task: PairedTask, role: Role, reruns: Sequence[Rerun]) -> list[Mapping[str, np.ndarray]]:
    """The arm's scores by metric, of its own run and of each further one, in the task's order of documents."""
    found = [task.candidate if role == "candidate" else task.reference]
    for again in (rerun.tasks[task.task] for rerun in reruns if rerun.arm == role and task.task in rerun.tasks):
        rows = same_documents(task, again)
        if rows is not None and task.scored and task.metrics[0] in again.candidate:
            found.append({name: scores[rows] for name, scores in again.candidate.items()})
    return found


def same_documents(task: PairedTask, again: PairedTask) -> np.ndarray | None:
    """The row of each document of `task` in `again`; None if the documents differ."""
    _, rows = common_rows(task, again)
    return rows if len(rows) == task.n == again.n else None


def common_rows(task: PairedTask, other: PairedTask) -> tuple[np.ndarray, np.ndarray]:
    """The rows in `task` of the documents that both have, and their rows in `other`; in the order of `task`."""
    place = {key: row for row, key in enumerate(_keys(other))}
    both = [(row, place[key]) for row, key in enumerate(_keys(task)) if key in place]
    rows = np.array(both, dtype=np.intp).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _keys(task: PairedTask) -> Iterator[tuple[str, int]]:
    """A document listed twice counts as two."""
    seen: Counter[str] = Counter()
    for name in task.doc_hashes:
        yield name, seen[name]
        seen[name] += 1
