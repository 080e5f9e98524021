"""Whose answers a set of verdicts is on. Without it, verdicts read with the arms exchanged would change sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lm_eval_fr.errors import InputError

if TYPE_CHECKING:
    from lm_eval_fr.pairing import PairedTask

ARMS = ("candidate", "reference")
Answers = Mapping[str, Mapping[str, str]]
"""Per judged task and arm: the SHA-256 of the arm's samples."""


def answers_of(tasks: Iterable[PairedTask]) -> dict[str, dict[str, str]]:
    """The judged tasks' samples as they are now. Raises InputError for a file that cannot be read."""
    return {
        task.task: {arm: side.sha256 for arm, side in zip(ARMS, task.sides, strict=True)}
        for task in tasks
        if task.judged
    }


def check_answers(judged: Answers, tasks: Iterable[PairedTask], where: Path) -> None:
    """InputError when the verdicts in `where` are on other answers than these runs'."""
    for name, now in answers_of(task for task in tasks if task.task in judged).items():
        then = judged[name]
        if all(then.get(arm) == now[arm] for arm in ARMS):
            continue
        if all(then.get(arm) == now[other] for arm, other in zip(ARMS, reversed(ARMS), strict=True)):
            raise InputError(
                f"the verdicts on {name} were given with the arms exchanged",
                where=where,
                remedy="exchange CANDIDATE and REFERENCE here, or judge again in this order: no call is paid twice",
            )
        changed = " and ".join(f"the {arm}'s answers" for arm in ARMS if then.get(arm) != now[arm])
        raise InputError(
            f"the verdicts on {name} are on other runs: {changed} are not those that were judged",
            where=where,
            remedy="give the --judge folder of these two runs, or judge again: unchanged answers cost nothing",
        )
