"""What the later stages would refuse stops a study before an arm runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError, JudgeError, LmEvalFrError, PlanError, UsageError
from lm_eval_fr.plan import load_plan
from lm_eval_fr.study import run_study

PLAN = """\
name: test
tasks: [fr_quality]
candidate: {model: fr-baseline}
reference: {model: fr-baseline}
"""
UNPRICED = "model: m\nbase_url: http://127.0.0.1:9/v1\nkey_env: null\n"


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ("judge: {profile: nosuch}", InputError, "unknown name nosuch"),
        ("judge: {profile: offline, rubric: nosuch}", InputError, "unknown name nosuch"),
        ("judge: {profile: gpt-4.1}", JudgeError, "OPENAI_API_KEY is empty"),
        ("judge: {profile: unpriced.yaml, max_usd: 5}", UsageError, "--max-usd cannot be kept"),
        ("allow: [prompt]", PlanError, "no mismatch is called 'prompt'"),
        ("margins: {piaf: 0.1}", PlanError, "plan.yaml:5: margins names 'piaf'.*did you mean 'piaf_fr'"),
        ("margins: {analysis_fr: 0.1}", PlanError, "analysis_fr is judged: its margin is the judge's"),
        ("metrics: {sib200: exact_match}", PlanError, "plan.yaml:5: metrics names 'sib200'"),
    ],
)
def test_is_refused_before_an_arm_runs(
    more: str, error: type[LmEvalFrError], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "unpriced.yaml").write_text(UNPRICED)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN + more + "\n")
    with pytest.raises(error, match=says):
        run_study(load_plan(plan), plan, out=tmp_path / "out", say=lambda message: None)
    assert not (tmp_path / "out").exists()


def test_margins_of_tasks_that_are_not_ours_wait_until_they_have_run(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("fr_quality", "gsm8k") + "margins: {gsm8k_sub: 0.1}\n")
    assert load_plan(plan).margin("gsm8k_sub") == 0.1
