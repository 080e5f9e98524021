"""The plans that ship: they load, their tasks exist, and their claims are about them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from lm_eval_fr.analyses.claims import find_claims
from lm_eval_fr.arms.requested_tasks import locate_tasks
from lm_eval_fr.plan import load_plan

FOLDER = Path(__file__).resolve().parents[2] / "plans"
CLAIMS = {
    "nemotron_3_nano": ("nemotron_3_nano_nvfp4",),
    "acereason": ("acereason_nvfp4", "acereason_nvfp4_qad"),
    "mistral_small_4": ("mistral_small_4_nvfp4",),
}


def test_every_plan_is_listed() -> None:
    # scripts/ladder.py has a format of its own.
    plans = {path.stem for path in FOLDER.glob("*.yaml") if not path.stem.startswith("ladder")}
    assert plans == CLAIMS.keys()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.yaml`" in readme and all(f"`{one}`" in readme for one in CLAIMS[name]) for name in plans)


@pytest.mark.parametrize("name", CLAIMS)
def test_its_tasks_exist_and_answer_its_claims(name: str) -> None:
    plan = load_plan(FOLDER / f"{name}.yaml")
    locate_tasks(plan.tasks, None)  # refuses an unknown name
    for table in CLAIMS[name]:
        for row in find_claims(table).claims:
            if row.judge is not None:
                assert plan.judge is not None
            elif row.tasks:
                # A group's tasks are named after it.
                pairs = [(task, pattern) for task in plan.tasks for pattern in row.tasks]
                assert any(fnmatchcase(task, pattern) or pattern == f"{task}_*" for task, pattern in pairs), row


@pytest.mark.parametrize("name", CLAIMS)
def test_its_arms_differ_in_the_checkpoint_and_not_in_the_sampling(name: str) -> None:
    plan = load_plan(FOLDER / f"{name}.yaml")
    assert plan.candidate.gen_kwargs == plan.reference.gen_kwargs
    assert plan.candidate.apply_chat_template is plan.reference.apply_chat_template is True
    assert plan.candidate.model_args != plan.reference.model_args
