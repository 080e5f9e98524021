"""A plan and the flags of `judge` ask for the same judging: `check` counts what `judge --estimate` counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lm_eval_fr.check.judge_check import check_judge
from lm_eval_fr.check.planned_documents import TaskWork
from lm_eval_fr.errors import UsageError
from lm_eval_fr.judge.estimate import estimate_runs
from lm_eval_fr.judge.options import GRADED_CONTROLS, JudgeOptions
from lm_eval_fr.plan import parse_plan
from tests.fakes.judging import answer, pair, verdict_json, write_profile, write_runs
from tests.fakes.server import FakeOpenAI

N = 9
PLAN = """
name: essai
tasks: [analysis_fr]
level: 0.9
margins: {judge: 0.15}
candidate: {model: fr-baseline}
reference: {model: fr-baseline, rerun: true}
judge: {profile: judge.yaml, %s}
"""


def of_plan(tmp_path: Path, judge: str) -> JudgeOptions:
    plan = parse_plan(PLAN % judge, where=tmp_path / "plan.yaml")
    assert plan.judge is not None
    return JudgeOptions.from_plan(plan, plan.judge, tmp_path, "lm-eval-fr ab plan.yaml")


@pytest.mark.parametrize(
    ("judge", "flags"),
    [
        ("orders: both", {}),
        ("orders: both, repeats: 3", {"repeats": 3}),
        ("orders: both, controls: 0, repeats: 2", {"controls": 0, "repeats": 2}),
    ],
)
@pytest.mark.parametrize("rerun", [False, True])
def test_check_counts_the_calls_that_the_estimate_counts(
    judge: str, flags: dict[str, int], rerun: bool, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    profile = write_profile(tmp_path, fake_server(verdict_json("A")).url, "judge")
    long = [" ".join([f"Le texte expose le fait n° {number} et en tire les conséquences."] * 4) for number in range(N)]
    runs = write_runs(tmp_path / "runs", [answer(2)] * N, long)
    again = write_runs(tmp_path / "again", [answer(3)] * N, [answer(4)] * N)[0]
    prompts = tuple(f"Résume le texte n° {number}." for number in range(N))
    work = TaskWork("analysis_fr", True, None, N, prompts, (), {"max_gen_toks": 200}, None)
    _, (checked,) = check_judge(of_plan(tmp_path, judge), [work], rerun=rerun)
    given = JudgeOptions(profile=(profile,), **flags)  # type: ignore[arg-type]
    (estimated,) = estimate_runs(pair(*runs), tmp_path / "out", given, pair(again, runs[1]) if rerun else None)
    assert checked.controls == estimated.controls and checked.calls.high == estimated.calls.high
    assert (checked.pairs, checked.rerun) == (estimated.pairs, estimated.rerun) == (N, N if rerun else 0)
    repeats = 2 * (flags.get("repeats", 1) - 1) * N
    controls = 0 if flags.get("controls") == 0 else 2 * checked.controls
    assert checked.calls.high == controls + 2 * N * (1 + rerun) + repeats


def test_a_plan_says_all_that_the_flags_can_say_of_a_study(tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:9/v1", "judge")
    (tmp_path / "labels.jsonl").touch()
    said = "orders: lazy, repeats: 2, max_usd: 7, concurrency: 3, labels: labels.jsonl, trust_judge: true"
    found = of_plan(tmp_path, said)
    assert found == JudgeOptions(
        profile=(str(tmp_path / "judge.yaml"),),
        orders="lazy",
        max_usd=7.0,
        concurrency=3,
        margin=0.15,
        alpha=found.alpha,
        repeats=2,
        controls=GRADED_CONTROLS,
        trust_judge=True,
        labels=tmp_path / "labels.jsonl",
        command="lm-eval-fr ab plan.yaml",
    )
    assert found.alpha == pytest.approx(0.05)


def test_flags_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="--reparse makes no calls, but --retry-invalid does"):
        JudgeOptions(reparse=True, retry_invalid=True)
    with pytest.raises(UsageError, match="--margin: a net win rate of -3 is not between 0 and 1"):
        JudgeOptions(margin=-3.0)
    with pytest.raises(UsageError, match="--controls: -1 is below 0"):
        JudgeOptions(controls=-1)
