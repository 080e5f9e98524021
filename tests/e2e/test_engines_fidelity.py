"""BF16 against the weights of its NVFP4 checkpoint, both behind `vllm serve` on a CPU.

vLLM has no NVFP4 kernel on a CPU, so the checkpoint's weights are written out as bfloat16: what is compared is the
rounding that NVFP4 does to weights, as weight-only serving on an older GPU would show it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.engines import ROOT, Record, Served, lm_eval_fr, run_arm, run_command, served_together
from tests.e2e.material import long_articles

pytestmark = pytest.mark.engines
TEXTS = 24


@pytest.fixture(scope="module")
def rounded(tiny_model: Path, nvfp4_python: Path, tmp_path_factory: pytest.TempPathFactory, record: Record) -> Path:
    """The tiny model with the weights that its NVFP4 checkpoint holds."""
    started, folder = time.monotonic(), tmp_path_factory.mktemp("nvfp4")
    packed, out = folder / "packed", folder / "rounded"
    run_command([nvfp4_python, ROOT / "scripts" / "quantize.py", tiny_model, packed], cwd=folder)
    run_command([nvfp4_python, Path(__file__).with_name("dequantise.py"), packed, out], cwd=folder)
    record.add("NVFP4A16 checkpoint, written out as bfloat16", "llm-compressor", None, started, "weights")
    return out


@pytest.fixture(scope="module")
def servers(
    tiny_model: Path,
    rounded: Path,
    vllm_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record: Record,
) -> Iterator[tuple[Served, Served]]:
    """The candidate and the reference, started together."""
    checkpoints, vllm = {"nvfp4-weights": rounded, "bf16": tiny_model}, vllm_python.with_name("vllm")
    with served_together(checkpoints, vllm, tmp_path_factory, record, "two servers at once") as (candidate, reference):
        yield candidate, reference


def test_rounded_weights_are_farther_away_than_a_rerun(
    servers: tuple[Served, Served], shared_data: Path, tmp_path: Path, record: Record
) -> None:
    candidate, reference = servers
    texts = tmp_path / "texts.jsonl"
    with texts.open("w", encoding="utf-8") as out:
        for title, text in list(long_articles(shared_data).items())[:TEXTS]:
            out.write(json.dumps({"title": title, "text": text[:1500]}, ensure_ascii=False) + "\n")
    started = time.monotonic()
    flags = ("--texts", texts, "--rerun", "--out", tmp_path / "out")
    said = lm_eval_fr("fidelity", candidate.url, reference.url, *flags, cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "fidelity.json").read_text(encoding="utf-8"))
    distance, floor = found["distance"], found["floor"]
    record.add("lm-eval-fr fidelity, a rerun", "two vllm serve", TEXTS, started, said.splitlines()[1].strip())
    assert (found["candidate"]["dialect"], found["candidate"]["model"]) == ("prompt_logprobs", "nvfp4-weights")
    assert distance["documents"] == TEXTS and distance["tokens"] > 3000 and found["compared_by"] == "id"
    assert distance["divergence"]["low"] > floor["divergence"]["value"] >= 0
    assert found["excess"]["low"] > 0 and "exceeds the noise" in " ".join(said.split())
    assert 0.5 < distance["agreement"]["value"] < 1 and 0 < distance["covered"] < 1
    # The passages are the texts that were sent, accents and all.
    whole = "".join(json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines())
    assert all(one["text"] in whole for one in found["worst"]) and len(found["worst"]) == 5


@pytest.mark.parametrize("form", ["local-completions", "hosted-chat"])
def test_the_answers_of_a_run_are_compared_without_their_prompts(
    servers: tuple[Served, Served], documents: Path, tmp_path: Path, record: Record, form: str
) -> None:
    candidate, reference = servers
    path = "/chat/completions" if form == "hosted-chat" else "/completions"
    arguments = {"model": reference.name, "num_concurrent": 4, "base_url": f"{reference.url}{path}"}
    run = run_arm(form, arguments, tmp_path / "run", documents, "--tasks", "piaf_fr", "--limit", "8")
    started = time.monotonic()
    flags = ("--texts", run, "--out", tmp_path / "out")
    lm_eval_fr("fidelity", candidate.url, reference.url, *flags, cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "fidelity.json").read_text(encoding="utf-8"))
    record.add(f"fidelity on a run of {form}", "two vllm serve", 8, started, f"{found['distance']['tokens']} tokens")
    assert found["distance"]["documents"] + found["empty"] + len(found["unaligned"]) == 8
    assert not found["unaligned"] and not found["refused"]
    # 64 tokens were generated at most, a random text is cut anew into some more; prompts are several times as long.
    assert all(1 <= row["tokens"] <= 128 for row in found["documents"])
