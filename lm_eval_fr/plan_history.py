"""Which plans were used in a study's folder, and whether their results were seen: OUT/study.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.io.reading import read_json_as
from lm_eval_fr.plan import EarlierPlan, Plan, changes

PLAN, STATE, REPORT = "plan.yaml", "study.json", "compare.json"


class UsedPlan(msgspec.Struct, kw_only=True):
    """A plan that was used in the folder. content and seen: unknown to folders of the first version."""

    hash: str
    first_used: str
    content: dict[str, Any] | None = None
    seen: bool | None = None


class State(msgspec.Struct):
    plans: list[UsedPlan] = []


def is_study(path: Path) -> bool:
    """Whether `ab` made this folder."""
    return (path / PLAN).is_file() and (path / "candidate").is_dir() and (path / "reference").is_dir()


def read_state(path: Path) -> State:
    """What the folder remembers; nothing where it is new. Raises InputError for a file of another kind."""
    file = path / STATE
    if not file.exists():
        return State()
    return read_json_as(file, State, what="a study's state", remedy="give another --out")


def earlier_plans(path: Path, plan: Plan) -> tuple[EarlierPlan, ...]:
    """The other plans whose results were seen in the folder; the first version did not note which those were."""
    any_results = (path / REPORT).exists()
    return tuple(
        EarlierPlan(used.hash, None if used.content is None else changes(used.content, plan.content))
        for used in read_state(path).plans
        if used.hash != plan.hash and (any_results if used.seen is None else used.seen)
    )
