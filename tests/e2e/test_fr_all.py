"""A plan with `tasks: [fr_all]`, end to end on two local servers: every task asked, scored, paired and reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lm_eval_fr.demo import plan_path
from lm_eval_fr.models.damage import spoil
from lm_eval_fr.models.french_prompt import read_prompt
from lm_eval_fr.models.heuristics import answer
from lm_eval_fr.tasklib.definitions import judged_names, tasks_behind
from tests.e2e import forked
from tests.fakes.server import Call, FakeOpenAI

LIMIT = 24
TASKS = tasks_behind(["fr_all"]) or ()


def whole(call: Call) -> str:
    return answer(read_prompt(call.user))


def damaged(call: Call) -> str:
    task = read_prompt(call.user)
    return spoil(answer(task), task, call.user, damage=0.6, seed=3)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[FakeOpenAI, FakeOpenAI]]:
    with FakeOpenAI(damaged) as candidate, FakeOpenAI(whole, context=8192) as reference:
        yield candidate, reference


@pytest.fixture(scope="module")
def study(servers: tuple[FakeOpenAI, FakeOpenAI], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fr_all")
    plan = {
        "name": "all",
        "tasks": ["fr_all"],
        "limit": LIMIT,
        "metadata": {"lengths": [4096, 8192], "documents": 40},
        "margins": {"gold": 0.10, "judge": 0.20},
        "data_dir": str(plan_path().parent / "data"),
        "candidate": {
            "model": "hosted-chat",
            "model_args": {"model": "fake-model", "base_url": f"{servers[0].url}/chat/completions"},
        },
        "reference": {
            "model": "local-completions",
            "model_args": {"model": "fake-model", "base_url": f"{servers[1].url}/completions"},
        },
        "judge": {"profile": "offline"},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    command = ["-m", "lm_eval_fr", "ab", str(folder / "plan.yaml"), "--out", str(folder / "out")]
    done = forked.run(command, env={"NO_COLOR": "1"})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder / "out"


@pytest.fixture(scope="module")
def report(study: Path) -> dict[str, Any]:
    return dict(json.loads((study / "compare.json").read_text(encoding="utf-8")))


def rows(study: Path, arm: str, task: str) -> list[dict[str, Any]]:
    (path,) = (study / arm).glob(f"*/samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_task_is_asked_and_reported(study: Path, report: dict[str, Any]) -> None:
    assert len(TASKS) == 9
    scored = [task for task in TASKS if task not in judged_names()]
    assert {task["task"] for task in report["tasks"]} == set(scored)
    for task in TASKS:
        for arm in ("candidate", "reference"):
            assert 12 <= len(rows(study, arm, task)) <= LIMIT, task
    assert report["judge"] is not None
    assert report["overall"]["verdict"] in ("inferior", "inconclusive", "no_verdict")
    for task in report["tasks"]:
        assert task["difference"] is not None, task
        assert 0 <= task["candidate_mean"] <= task["reference_mean"] + 0.2


def test_the_primary_score_is_the_first_metric_and_reproduces_the_printed_one(study: Path) -> None:
    for arm in ("candidate", "reference"):
        (path,) = (study / arm).glob("*/results_*.json")
        printed = json.loads(path.read_text(encoding="utf-8"))["results"]
        for task, metric in (
            ("ifeval_fr", "prompt_strict"),
            ("long_context_fr", "recall"),
            ("structured_fr", "field_f1"),
        ):
            scores = [row[metric] for row in rows(study, arm, task)]
            assert printed[task][f"{metric},none"] == pytest.approx(sum(scores) / len(scores))
        verdicts = [kept for row in rows(study, arm, "ifeval_fr") for kept in row["inst_strict"]]
        assert printed["ifeval_fr"]["inst_strict,none"] == pytest.approx(sum(verdicts) / len(verdicts))


def test_long_prompts_reach_both_kinds_of_server_whole(study: Path, servers: tuple[FakeOpenAI, FakeOpenAI]) -> None:
    for server in servers:
        long = [
            call.user for call in server.calls if call.user.startswith("Lis le texte, puis réponds à la question qui")
        ]
        assert len(long) == LIMIT
        assert max(map(len, long)) > 25_000
    docs = [{row["doc_hash"] for row in rows(study, arm, "long_context_fr")} for arm in ("candidate", "reference")]
    assert docs[0] == docs[1]


def test_strata_are_shown_under_their_tasks(report: dict[str, Any]) -> None:
    strata = {task["task"]: {row["name"]: row["n"] for row in task["strata"]} for task in report["tasks"]}
    long = strata["long_context_fr"]
    assert long["length: 4k"] == long["length: 8k"] == LIMIT // 2
    assert [long[f"kind: {kind}"] for kind in ("one", "several", "none", "count")] == [LIMIT // 4] * 4
    assert long["depth: absent"] == LIMIT // 4
    assert strata["ifeval_fr"].keys() >= {
        f"family: {name}" for name in ("change_case", "length_constraints", "keywords")
    }
    assert {name.partition(": ")[2] for name in strata["structured_fr"]} == {"2-3", "none"}
