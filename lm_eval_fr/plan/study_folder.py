"""A study's folder: who writes to it, which plans gave results in it, which of its arms are done.

OUT/plan.yaml                the plan as it was given last
OUT/study.json               every plan used here, whether its results were seen, and where the plan came from
OUT/study.lock               held while `ab` runs
OUT/candidate/arm.done, ...  what the arm was run with
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError, PlanError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.locks import Lock
from lm_eval_fr.io.reading import read_json_as
from lm_eval_fr.plan.study_plan import ArmPlan, EarlierPlan, Plan, arm_hash, changes

PLAN, STATE, REPORT, DONE = "plan.yaml", "study.json", "compare.json", "arm.done"
REMEDY = "give an --out that can be written"
STATE_REMEDY = "copy it back, or move it away and give the plan from its own folder; answers and verdicts are kept"
_OF_ARMS = ("tasks", "limit", "seed", "data_dir", "metadata")


class UsedPlan(msgspec.Struct, kw_only=True):
    """A plan that was used in the folder. content and seen: unknown to folders of the first version."""

    hash: str
    first_used: str
    content: dict[str, Any] | None = None
    seen: bool | None = None


class State(msgspec.Struct):
    """home: the folder that the plan's relative paths start from; unknown to folders of the first version."""

    plans: list[UsedPlan] = []
    home: str | None = None


class DoneArm(msgspec.Struct, frozen=True):
    """What an arm was run with. plan and files: the plan's hash and its documents; unknown to the first version."""

    work: str
    plan: str | None = None
    files: dict[str, str] | None = None
    repeats: int = 1


class StudyFolder:
    """The folder of a running study. Raises UsageError if another process runs it or it cannot be written."""

    def __init__(self, path: Path, plan: Plan, plan_text: str, files: Mapping[str, str], home: Path) -> None:
        """files: the digest of each file of the user's documents. home: where the plan's paths start from."""
        self.path, self.plan, self.files = path, plan, dict(files)
        self._lock = Lock(path / "study", remedy="wait until it ends, or give another --out")
        try:
            self.state = read_state(path)
            self.state.home = str(home)
            self._note(seen=False)
            write_atomic(path / PLAN, plan_text, remedy=REMEDY)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> StudyFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._lock.release()

    def why_again(self, name: str, arm: ArmPlan) -> str | None:
        """Why an arm has to be rerun; None if it is done.

        "" if it has not run, or with fewer answers: then it resumes.
        """
        return _why_again(self.path / name, self.plan, arm, self.files, self.state)

    def arm_is_done(self, name: str, arm: ArmPlan) -> None:
        done = DoneArm(arm_hash(self.plan, arm), self.plan.hash, self.files, self.plan.answers(name))
        write_atomic(self.path / name / DONE, msgspec.json.encode(done), remedy=REMEDY)

    def results_seen(self) -> None:
        """Records that this plan has given results here."""
        self._note(seen=True)

    def _note(self, *, seen: bool) -> None:
        used = next((used for used in self.state.plans if used.hash == self.plan.hash), None)
        if used is None:
            used = UsedPlan(hash=self.plan.hash, first_used=time.strftime("%Y-%m-%dT%H:%M:%S%z"), seen=False)
            self.state.plans.append(used)
        used.content = self.plan.content
        used.seen = seen or used.seen
        write_atomic(self.path / STATE, msgspec.json.format(msgspec.json.encode(self.state), indent=1), remedy=REMEDY)


def read_done(arm: Path) -> DoneArm | None:
    """The note in the arm's folder if it is done; else None."""
    try:
        text = (arm / DONE).read_bytes()
        return msgspec.json.decode(text, type=DoneArm) if text.startswith(b"{") else DoneArm(text.decode().strip())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        raise InputError("not a valid note of an arm", where=arm / DONE, remedy="delete it to rerun the arm") from None


def was_run(arm_folder: Path, plan: Plan, arm: ArmPlan, files: Mapping[str, str]) -> bool:
    """Whether the arm is done as the plan says, on the documents whose digests are in `files`."""
    return _why_again(arm_folder, plan, arm, files, State()) is None


def _why_again(arm_folder: Path, plan: Plan, arm: ArmPlan, files: Mapping[str, str], state: State) -> str | None:
    """StudyFolder.why_again. state: has the plan that the arm was run with, to say what changed."""
    done = read_done(arm_folder)
    if done is None:
        return ""
    if done.work != arm_hash(plan, arm):
        return _what_changed(arm_folder.name, done, plan, state) or "its settings changed"
    if done.files is not None and (other := done.files.items() ^ files.items()):
        return f"its documents changed: {', '.join(sorted({path for path, _ in other}))}"
    return None if done.repeats == plan.answers(arm_folder.name) else ""


def _what_changed(name: str, done: DoneArm, plan: Plan, state: State) -> str:
    before = next((used.content for used in state.plans if used.hash == done.plan), None)
    if before is None:
        return ""
    part = name.partition("-rerun")[0]
    found = changes(before, plan.content)
    return ", ".join(str(change) for change in found if change.key.split(".")[0] in (part, *_OF_ARMS))


def plan_home(plan_file: Path) -> Path:
    """Where the plan's relative paths start from: its folder, or for a study's copy of it the folder it came from.

    Raises PlanError where that folder is gone.
    """
    folder = plan_file.resolve().parent
    home = read_state(folder).home if plan_file.name == PLAN else None
    if home is None or Path(home).is_dir():
        return folder if home is None else Path(home)
    remedy = f"restore it, or write the plan into the folder of its data and run it with --out {folder}"
    raise PlanError(f"a study's copy of a plan from {home}, which is gone", where=plan_file, remedy=remedy)


def is_study(path: Path) -> bool:
    """Whether `ab` made this folder."""
    return (path / PLAN).is_file() and (path / "candidate").is_dir() and (path / "reference").is_dir()


def read_state(path: Path) -> State:
    """What the folder records; nothing if it is new. Raises InputError for a file of another kind."""
    file = path / STATE
    if not file.exists():
        return State()
    return read_json_as(file, State, what="a study's state", remedy=STATE_REMEDY)


def earlier_plans(path: Path, plan: Plan) -> tuple[EarlierPlan, ...]:
    """The other plans whose results were seen in the folder; the first version did not note which those were."""
    any_results = (path / REPORT).exists()
    return tuple(
        EarlierPlan(used.hash, None if used.content is None else changes(used.content, plan.content))
        for used in read_state(path).plans
        if used.hash != plan.hash and (any_results if used.seen is None else used.seen)
    )
