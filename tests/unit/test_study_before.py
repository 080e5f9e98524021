"""What the later stages would refuse stops a study before an arm runs; a study whose budget is spent says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.demo import plan_path
from lm_eval_fr.errors import InputError, JudgeError, LmEvalFrError, PlanError, UsageError
from lm_eval_fr.plan import load_plan
from lm_eval_fr.study import run_study
from tests.fakes.judging import by_quality

PLAN = """\
name: test
tasks: [fr_quality]
candidate: {model: fr-baseline}
reference: {model: fr-baseline}
"""
DAMAGED = "candidate: {model: fr-baseline, model_args: {damage: 0.5, seed: 7}}"
UNPRICED = "model: m\nbase_url: http://127.0.0.1:9/v1\nkey_env: null\n"


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ("judge: {profile: nosuch}", InputError, "unknown name nosuch"),
        ("judge: {profile: offline, rubric: nosuch}", InputError, "unknown name nosuch"),
        ("judge: {profile: gpt-4.1}", JudgeError, "OPENAI_API_KEY is empty"),
        ("judge: {profile: unpriced.yaml, max_usd: 5}", UsageError, "--max-usd cannot be kept"),
        ("allow: [prompt]", PlanError, "there is no mismatch called 'prompt'"),
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
        run_study(plan, out=tmp_path / "out", say=lambda message: None)
    assert not (tmp_path / "out").exists()


def test_margins_of_tasks_that_are_not_ours_wait_until_they_have_run(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("fr_quality", "gsm8k") + "margins: {gsm8k_sub: 0.1}\n")
    assert load_plan(plan).margin("gsm8k_sub") == 0.1


@pytest.mark.usefixtures("forked_arms")
def test_a_spent_budget_is_raised_in_the_plan(tmp_path: Path, fake_server) -> None:
    paid = UNPRICED.replace("http://127.0.0.1:9/v1", fake_server(by_quality).url)
    paid += "parameters: {max_tokens: 300}\nprices: {input: 2, output: 8}\n"
    (tmp_path / "judge.yaml").write_text(paid)
    plan = tmp_path / "plan.yaml"
    data = plan_path().parent / "data"
    plan.write_text(
        PLAN.replace("fr_quality", "analysis_fr").replace("candidate: {model: fr-baseline}", DAMAGED)
        + f"limit: 6\ndata_dir: {data}\njudge: {{profile: judge.yaml, max_usd: 0.0001}}\n"
    )
    result = run_study(plan, out=tmp_path / "out", say=lambda message: None)
    assert result.unfinished is not None and "of $0.0001 are spent" in result.unfinished
    assert result.remedy == "raise max_usd in the plan, then rerun the same command to resume"
