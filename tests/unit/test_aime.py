"""AIME with repeats: every sample is scored, as lm-eval scores one; whole runs through lm-eval."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.arms.harness import main as run_arm
from lm_eval_fr.logs import find_run, read_samples
from tests.fakes.hub import write_rows
from tests.fakes.server import Call, FakeOpenAI
from tests.unit.test_tasks import load

ROWS = [{"id": str(i), "problem": f"Find $n_{i}$ with $n = {i}$.", "answer": str(100 + i)} for i in range(3)]
RESPONSES = [
    r"So the answer is $\boxed{101}$.",
    r"\boxed{101}",
    "$x = 5$ hence $101$",
    "We get 101",
    "101",
    r"\boxed{ 101 }",
    r"\boxed{102}",
    r"First \boxed{7}, then \boxed{101}.",
    r"\boxed",
    "",
    r"\boxed{\frac{1}{2}}",
    "no answer at all",
]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("aime")
    write_rows(folder / "aime25_repeats.jsonl", ROWS)
    return load("aime25_repeats", data_dir=str(folder))


def test_each_sample_scores_as_lm_eval_scores_it(task: Any) -> None:
    from lm_eval.tasks.aime.utils import process_results

    doc = task.eval_docs[1]
    theirs = [process_results(dict(doc), [response])["exact_match"] for response in RESPONSES]
    ours = [task.process_results(doc, [[response]])["exact_match"] for response in RESPONSES]
    assert ours == theirs and 0 < sum(theirs) < len(theirs)
    together = task.process_results(doc, [RESPONSES])
    assert together["exact_match"] == pytest.approx(sum(theirs) / len(theirs))
    assert together["majority"] == together["any_right"] == 1.0


def test_a_majority_may_be_wrong(task: Any) -> None:
    doc = task.eval_docs[1]
    scores = task.process_results(doc, [[r"\boxed{7}", r"\boxed{7}", r"\boxed{101}"]])
    assert scores == {"exact_match": pytest.approx(1 / 3), "majority": 0.0, "any_right": 1.0}
    assert not any(task.process_results(doc, [[None, "", " "]]).values())


def test_both_years_read_both_spellings_of_their_columns(tmp_path: Path) -> None:
    rows = [{"ID": "2024-I-1", "Problem": "Find x.", "Solution": "...", "Answer": 204}]
    write_rows(tmp_path / "aime24_repeats.jsonl", rows)
    doc = load("aime24_repeats", data_dir=str(tmp_path)).eval_docs[0]
    assert doc == {"id": "2024-I-1", "problem": "Find x.", "answer": "204"}


def test_a_run_keeps_and_scores_all_sixteen(
    fake_server: Callable[..., FakeOpenAI], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "aime25_repeats.jsonl", ROWS)

    def answer(call: Call) -> str:
        number = int(call.user.split("n = ")[1].split("$")[0])
        return rf"\boxed{{{100 + number if call.number % 4 else 0}}}"

    server = fake_server(answer)
    arguments = {"base_url": f"{server.url}/chat/completions", "model": "fake-model", "num_concurrent": 1}
    out = tmp_path / "out"
    flags = ["--model", "hosted-chat", "--model_args", json.dumps(arguments), "--data-dir", str(tmp_path)]
    run_arm([*flags, "--tasks", "aime25_repeats", "--output_path", str(out)])
    run = find_run(out)
    samples = list(read_samples(run.tasks["aime25_repeats"]))
    assert len(samples) == 3 and all(len(sample.responses) == 16 for sample in samples)
    assert server.count == 48
    assert sum(sample.scores["exact_match"] for sample in samples) * 16 == pytest.approx(36)
