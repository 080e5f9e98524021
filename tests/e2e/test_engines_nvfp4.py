"""A real NVFP4 checkpoint against its own whole weights: same engine, same questions, only the weights differ."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.arms.checkpoint import inspect_checkpoint
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from tests.e2e.engines import ROOT, Record, lm_eval_fr, run_arm, run_command

pytestmark = pytest.mark.engines
DOCUMENTS = 12
SCHEMES = {"NVFP4A16": "W4A16", "NVFP4": "W4A4"}


@pytest.fixture(scope="module")
def checkpoints(
    tiny_model: Path, nvfp4_python: Path, tmp_path_factory: pytest.TempPathFactory, record: Record
) -> dict[str, Path]:
    """The whole weights, and one checkpoint a scheme that scripts/quantize.py made of them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {"BF16": tiny_model}
    for scheme in SCHEMES:
        started, made[scheme] = time.monotonic(), folder / scheme
        given = (tiny_model, made[scheme], "--scheme", scheme, "--samples", "8", "--tokens", "512")
        run_command([nvfp4_python, ROOT / "scripts" / "quantize.py", *given], cwd=folder)
        calibrated = "no calibration" if scheme == "NVFP4A16" else "8 French texts"
        record.add(f"scripts/quantize.py {scheme}", "llm-compressor", None, started, calibrated)
    return made


class Runs:
    """One arm a checkpoint through `--model hf`, run when it is first asked for."""

    def __init__(self, checkpoints: dict[str, Path], python: Path, data: Path, folder: Path, record: Record) -> None:
        self.checkpoints, self.python, self.data, self.folder, self.record = checkpoints, python, data, folder, record
        self._done: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._done:
            checkpoint = self.checkpoints[name.removesuffix(" again")]
            started, out = time.monotonic(), self.folder / name.replace(" ", "-")
            arguments = {"pretrained": str(checkpoint), "dtype": "bfloat16"}
            flags = ("--tasks", "piaf_fr", "--limit", str(DOCUMENTS), "--device", "cpu", "--batch_size", "4")
            self._done[name] = run_arm("hf", arguments, out, self.data, *flags, python=self.python)
            found = find_run(out).settings["checkpoint.quantization"]
            self.record.add(f"--model hf, {name}", "transformers", DOCUMENTS, started, f"quantisation: {found}")
        return self._done[name]


@pytest.fixture(scope="module")
def runs(
    checkpoints: dict[str, Path],
    nvfp4_python: Path,
    documents: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record: Record,
) -> Runs:
    return Runs(checkpoints, nvfp4_python, documents, tmp_path_factory.mktemp("runs"), record)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_checkpoint_is_what_vllm_and_transformers_load(checkpoints: dict[str, Path], scheme: str) -> None:
    whole, found = inspect_checkpoint(checkpoints["BF16"]), inspect_checkpoint(checkpoints[scheme])
    assert whole.quantization == "none"
    assert found.quantization == f"compressed-tensors nvfp4-pack-quantized {SCHEMES[scheme]}"
    assert found.chat_template_sha256 == whole.chat_template_sha256
    assert size_of(checkpoints[scheme]) < 0.8 * size_of(checkpoints["BF16"])  # half of this model is its vocabulary
    config = json.loads((checkpoints[scheme] / "config.json").read_text())
    assert config["quantization_config"]["ignore"] == ["lm_head"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_four_bits_change_answers_and_compare_says_where(
    runs: Runs, scheme: str, tmp_path: Path, record: Record
) -> None:
    started = time.monotonic()
    pair = pair_runs(find_run(runs[scheme]), find_run(runs["BF16"])).tasks[0]
    changed = sum(one.candidate.answer != one.reference.answer for one in pair.pairs())
    assert pair.n == DOCUMENTS
    assert changed >= DOCUMENTS // 2, f"only {changed} answers differ: were the weights rounded at all?"
    found = compare(runs[scheme], runs["BF16"], tmp_path)
    settings = {setting["name"]: setting for setting in found["settings"]}
    quantization = settings["checkpoint.quantization"]
    assert (quantization["reference"], quantization["differs"]) == ("none", True)
    assert quantization["candidate"] == f"compressed-tensors nvfp4-pack-quantized {SCHEMES[scheme]}"
    assert not settings["checkpoint.chat_template_sha256"]["differs"]
    assert not settings["source"]["differs"]
    difference = f"difference {found['tasks'][0]['difference']:+.2f}"
    record.add(f"compare {scheme} with BF16", "both arms", pair.n, started, f"{changed} answers differ, {difference}")


def test_a_rerun_of_one_arm_shows_no_difference(runs: Runs, tmp_path: Path, record: Record) -> None:
    started = time.monotonic()
    pair = pair_runs(find_run(runs["BF16 again"]), find_run(runs["BF16"])).tasks[0]
    assert [one.candidate.answer for one in pair.pairs()] == [one.reference.answer for one in pair.pairs()]
    found = compare(runs["BF16 again"], runs["BF16"], tmp_path)
    task = found["tasks"][0]
    assert task["difference"] == 0
    assert not task["degradation_detected"]
    assert not [name for name in ("checkpoint.quantization", "checkpoint.revision") if differs(found, name)]
    record.add("compare BF16 with itself", "both arms", pair.n, started, "no answer differs")


def compare(candidate: Path, reference: Path, folder: Path) -> dict[str, Any]:
    lm_eval_fr("compare", candidate, reference, "--json", folder / "compare.json", "--quiet", cwd=folder)
    return json.loads((folder / "compare.json").read_text())


def differs(found: dict[str, Any], name: str) -> bool:
    return next(setting["differs"] for setting in found["settings"] if setting["name"] == name)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
