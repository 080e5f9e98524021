"""docs/engines.md has a plan for each engine that `lm-eval-fr manifest` knows, and each is one that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.arms.endpoint import endpoint_of
from lm_eval_fr.arms.flags import parse_call
from lm_eval_fr.arms.planned import arm_flags, planned_arms
from lm_eval_fr.arms.server_dialects import BY_OWNER
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.plan.plan_reader import load_plan
from tests.e2e import documented

PAGE = documented.ROOT / "docs" / "engines.md"
PLANS = {block.file.removesuffix(".yaml"): block.text for block in documented.blocks(PAGE) if block.file}


def test_each_engine_has_a_plan() -> None:
    assert sorted(PLANS) == sorted(dialect.__name__ for dialect in BY_OWNER.values())


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_read_and_its_arms_are_flags_that_run_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path(f"{name}.yaml")
    file.write_text(PLANS[name], encoding="utf-8")
    plan = load_plan(file)
    asked = []
    for role, arm in planned_arms(plan):
        if arm.manifest:
            Path(arm.manifest).write_text("{}", encoding="utf-8")
        call = parse_call([*arm_flags(plan, role, arm), "--output_path", role], Redactor(()))
        endpoint = endpoint_of(call)
        assert endpoint is not None and endpoint.url.endswith("/v1/chat/completions")
        asked.append((endpoint.url, endpoint.model))
    assert len(set(asked)) == 2, "two arms that are one"
