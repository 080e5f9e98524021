"""judge.json: how the verdicts beside it came about, on which answers, what they cost, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.reading import read_json_as
from lm_eval_fr.judge.verdicts.outcome import Outcome, file_in
from lm_eval_fr.stats.judging import JudgeControls, PanelReport, PositionReport, Usage
from lm_eval_fr.stats.sensitivity import ControlsAsked

if TYPE_CHECKING:
    from lm_eval_fr.pairing import PairedTask

FILE = "judge.json"
SCHEMA_VERSION = 2  # 1 filed the position and the controls of a panel under its judges


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why `--stop anytime` stopped. The verdicts include only the units up to here."""

    decision: Literal["non_inferior", "inferior"]
    margin: float
    alpha: float  # one-sided
    units: int  # clusters, or documents where a document is its own cluster
    units_planned: int
    pairs: int
    pairs_planned: int
    largest_unit: int | None = None  # pairs; None in summaries of before it was kept


@dataclass(frozen=True, slots=True)
class JournalMark:
    """The journal that the verdicts were read from, and how many replies it had."""

    name: str
    replies: int


@dataclass(frozen=True)
class JudgeSummary:
    profile: str
    model: str
    rubric: str
    rubric_sha256: str
    rubric_text: str
    orders: Literal["both", "lazy"]
    stop: Literal["never", "anytime"]
    planned: int  # pairs
    counts: Mapping[Outcome, int]
    usage: Usage  # of the replies behind these verdicts, whenever they were paid
    spent: Usage  # of the run that wrote this
    finished: bool
    left: str | None = None  # what an unfinished run still has to do, and why it stopped
    remedy: str | None = None  # what to do about it, if more than to rerun
    stopped: Stopped | None = None
    controls: JudgeControls = field(default_factory=JudgeControls)  # of one judge; those of a panel are in `panel`
    controls_asked: ControlsAsked | None = None  # None: none were asked, or before there were graded ones
    prompt_version: int | None = None
    position: PositionReport | None = None
    panel: PanelReport = field(default_factory=PanelReport)
    warnings: tuple[str, ...] = ()
    command: str = ""
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # task and arm -> SHA-256 of the samples
    shutdown: str | None = None  # ISO date after which the model cannot be asked again
    successor: str | None = None  # the profile to change to by then
    seconds: float = 0.0
    journal: JournalMark | None = None
    verdicts_sha256: str | None = None  # of verdicts.jsonl as it was written
    schema_version: int = SCHEMA_VERSION


def write_summary(path: Path, summary: JudgeSummary) -> None:
    write_atomic(path, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n", durable=True)


def read_summary(path: Path) -> JudgeSummary:
    """judge.json, or the one in the folder that `judge` wrote."""
    file = file_in(path, FILE)
    remedy = "`lm-eval-fr judge` writes it, and rewrites it with --reparse"
    summary = read_json_as(file, JudgeSummary, what="the judge's summary", remedy=remedy)
    if summary.panel.judges and summary.schema_version < SCHEMA_VERSION:
        raise InputError("a panel's summary by an earlier version of this program", where=file, remedy=remedy)
    return summary


ARMS = ("candidate", "reference")


def answers_of(tasks: Iterable[PairedTask]) -> dict[str, dict[str, str]]:
    """The judged tasks' samples as they are now. Raises InputError for a file that cannot be read."""
    return {
        task.task: {arm: side.sha256 for arm, side in zip(ARMS, task.sides, strict=True)}
        for task in tasks
        if task.judged
    }


def check_answers(judged: Mapping[str, Mapping[str, str]], tasks: Iterable[PairedTask], where: Path) -> None:
    """InputError if the verdicts in `where` are about other answers than these runs'."""
    for name, now in answers_of(task for task in tasks if task.task in judged).items():
        then = judged[name]
        if all(then.get(arm) == now[arm] for arm in ARMS):
            continue
        if all(then.get(arm) == now[other] for arm, other in zip(ARMS, reversed(ARMS), strict=True)):
            raise InputError(
                f"the verdicts on {name} were given with the arms exchanged",
                where=where,
                remedy="exchange CANDIDATE and REFERENCE here, or judge again in this order: no call is paid for twice",
            )
        changed = " and ".join(f"the {arm}'s answers" for arm in ARMS if then.get(arm) != now[arm])
        raise InputError(
            f"the verdicts on {name} are about other runs: {changed} are not the judged ones",
            where=where,
            remedy="give the --judge folder of these two runs, or judge again: unchanged answers cost nothing",
        )
