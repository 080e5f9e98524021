"""`vllm run-batch` itself on the file that `--batch write` wrote: a tiny random judge, real lines both ways."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lm_eval_fr.judge.batch_session import judge_by_batch
from lm_eval_fr.judge.outcome import read_verdicts
from tests.e2e.environments import environment
from tests.fakes.judging import answer, options, pair, write_profile, write_runs

LIMIT = 600.0  # seconds; loading vLLM takes about one minute
# A random model never ends a JSON string by itself, so the grammar does.
VERDICT = r'\{"reason": "[a-z]{1,8}", "verdict": "(A|B|tie)"\}'

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> tuple[Path, Path]:
    """vLLM's Python, and a model folder."""
    python = environment("vllm")
    folder = tmp_path_factory.mktemp("model")
    maker = Path(__file__).with_name("tiny_model.py")
    texts = shared_data / "piaf" / "piaf-v1.0.json"
    subprocess.run([python, maker, texts, folder], check=True, timeout=LIMIT)
    return python, folder


def test_run_batch_answers_our_lines_and_we_read_its(model: tuple[Path, Path], tmp_path: Path) -> None:
    python, folder = model
    pairing = pair(
        *write_runs(tmp_path / "runs", [answer(n) for n in range(4)], [answer(3 - n, "ou") for n in range(4)])
    )
    profile = write_profile(
        tmp_path,
        "http://127.0.0.1:9/v1",  # nobody is called there
        model=str(folder),
        response_format="none",
        parameters={"temperature": 0, "max_tokens": 60, "structured_outputs": {"regex": VERDICT}},
        prices={},
    )
    said: list[str] = []
    given = options(profile)
    asked, got = tmp_path / "asked.jsonl", tmp_path / "got.jsonl"
    judge_by_batch(pairing, tmp_path / "judged", given, "write", file=asked, say=said.append)
    assert said[-1].startswith("8 questions written")
    command = [python.with_name("vllm"), "run-batch", "-i", asked, "-o", got, "--model", folder, "--enforce-eager"]
    environment_of_vllm = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--dtype", "bfloat16"], env=environment_of_vllm, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    summary = judge_by_batch(pairing, tmp_path / "judged", given, "read", file=got, say=said.append)
    assert "8 replies filed" in said[-1]
    assert summary is not None and summary.finished and summary.usage.batch.calls == 8
    assert summary.usage.input_tokens > 0 and summary.usage.dollars is None
    verdicts = read_verdicts(tmp_path / "judged")
    assert len(verdicts) == 4 and all(v.candidate_first in ("A", "B", "tie") for v in verdicts)
