"""`vllm run-batch` itself on what an arm and a judge wrote for it: a tiny random model, real lines both ways."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lm_eval_fr.judge.batch.batch_session import judge_by_batch
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from lm_eval_fr.logs import find_run
from tests.e2e.engines import VLLM_FLAGS, Record, run_arm, run_command
from tests.fakes.judging import answer, options, pair, write_profile, write_runs

# A random model never ends a JSON string by itself, so the grammar does.
VERDICT = r'\{"reason": "[a-z]{1,8}", "verdict": "(A|B|tie)"\}'

pytestmark = pytest.mark.engines


def test_run_batch_answers_arms_and_judge(
    vllm_python: Path, tiny_model: Path, documents: Path, tmp_path: Path, record: Record
) -> None:
    """One run of vLLM answers both: their lines have one shape, and each reader takes its own."""
    started, model, said = time.monotonic(), str(tiny_model), list[str]()
    pairing = pair(
        *write_runs(tmp_path / "runs", [answer(n) for n in range(4)], [answer(3 - n, "ou") for n in range(4)])
    )
    given = options(judge_of(tmp_path, model))
    arm, judge, asked, got = (tmp_path / f"{name}.jsonl" for name in ("arm", "judge", "asked", "got"))
    judge_by_batch(pairing, tmp_path / "judged", given, "write", file=judge, say=said.append)
    assert said[-1].startswith("8 questions written")
    with pytest.raises(AssertionError, match="6 requests written"):  # exit 4: run it again with the answers
        run_batch_arm(model, documents, tmp_path, write=arm)
    asked.write_bytes(arm.read_bytes() + judge.read_bytes())
    command = [vllm_python.with_name("vllm"), "run-batch", "-i", asked, "-o", got, "--model", model, *VLLM_FLAGS]
    run_command(command, cwd=tmp_path, PATH=f"{vllm_python.parent}:{os.environ['PATH']}")

    (task,) = find_run(run_batch_arm(model, documents, tmp_path, read=got)).tasks.values()
    assert task.n_logged == 6
    replies = list(task.replies.values())
    assert [one.failed for one in replies] == [False] * 6
    assert all(one.input is not None and one.input > 100 for one in replies)
    record.add("--model batch-chat", "vllm run-batch", 6, started, "6 lines written, answered, read and scored")

    started = time.monotonic()
    summary = judge_by_batch(pairing, tmp_path / "judged", given, "read", file=got, say=said.append)
    assert "8 replies filed" in said[-1]
    assert summary is not None
    assert summary.finished
    assert summary.usage.batch.calls == 8
    assert summary.usage.input_tokens > 0
    assert summary.usage.dollars is None
    verdicts = read_verdicts(tmp_path / "judged")
    assert len(verdicts) == 4
    assert all(verdict.candidate_first in ("A", "B", "tie") for verdict in verdicts)
    record.add("judge --batch write, read", "vllm run-batch", 4, started, "8 lines written, answered and filed")


def run_batch_arm(model: str, data: Path, folder: Path, **files: Path) -> Path:
    arguments = {"model": model, **{name: str(path) for name, path in files.items()}}
    return run_arm("batch-chat", arguments, folder / "arm", data, "--tasks", "piaf_fr", "--limit", "6")


def judge_of(folder: Path, model: str) -> str:
    return write_profile(
        folder,
        "http://127.0.0.1:9/v1",  # nobody is called there
        model=model,
        response_format="none",
        parameters={"temperature": 0, "max_tokens": 60, "structured_outputs": {"regex": VERDICT}},
        prices={},
    )
