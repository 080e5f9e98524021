"""What a manifest keeps, what it refuses, and what vLLM's log says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lm_eval_fr.arms.manifest import Canary, Manifest, Start, identity, read_engine_log, read_manifest, write_manifest
from lm_eval_fr.errors import InputError, UsageError

CANARY = Canary(question="?", answer="Paris", finish_reason="stop", prompt_tokens=12)
FIRST = Start(made="2026-11-21T18:00:00+00:00", base_url="http://127.0.0.1:8000/v1", log="vllm.log", canary=CANARY)
WHOLE = Manifest(
    engine="vllm",
    engine_version="0.32.0",
    model="org/model",
    served_name="model",
    revision="0123",
    quantization="compressed-tensors nvfp4-pack-quantized W4A4",
    engine_quantization="compressed-tensors",
    kernels=("NVFP4 GEMM: FlashInferCutlassNvFp4LinearKernel",),
    weight_only=False,
    kv_cache_dtype="fp8",
    dtype="bfloat16",
    max_model_len=16384,
    tokenizer_mode="hf",
    text_prompts=True,
    reasoning=None,
    chat_template_sha256="ab",
    device="NVIDIA GB10 (compute capability 12.1)",
    flags=("--tokenizer-mode", "hf"),
    start=FIRST,
)


def test_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(WHOLE, path)
    found = read_manifest(path, "model")
    assert found == read_manifest(path, "org/model") == json.loads(json.dumps(dataclasses.asdict(WHOLE)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]
    with pytest.raises(UsageError, match="cannot be written"):
        write_manifest(WHOLE, tmp_path / "no" / "manifest.json")


def test_the_same_server_started_again_is_the_same(tmp_path: Path) -> None:
    def of(**changes: object) -> str:
        return identity(dataclasses.asdict(dataclasses.replace(WHOLE, **changes)))  # type: ignore[arg-type]

    later = Start(made="later", base_url="http://x", log="b", canary=dataclasses.replace(CANARY, answer="x"))
    assert of(start=later) == of()
    assert of(kv_cache_dtype="auto") != of()
    assert of(flags=("--enforce-eager",)) != of()


@pytest.mark.parametrize(("content", "what"), [("{", "not JSON"), ("[1]", "one JSON object")])
def test_what_is_no_manifest(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(InputError, match=what):
        read_manifest(path)


def test_a_manifest_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(WHOLE, path)
    with pytest.raises(InputError, match="describes model or org/model, but the arm asks for other"):
        read_manifest(path, "other")
    path.write_text('{"engine": "sglang", "anything": 1}')
    assert read_manifest(path, "other") == {"engine": "sglang", "anything": 1}


def test_a_log_of_a_hopper_card() -> None:
    found = read_engine_log(
        [
            "INFO 11-21 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='m', "
            "tokenizer='m', tokenizer_mode=hf, revision=abc, dtype=torch.bfloat16, max_seq_len=4096, "
            "quantization=compressed-tensors, quantization_config=None, kv_cache_dtype=auto, device_config=cuda",
            "WARNING [marlin.py:34] Your GPU does not have native support for FP4 computation but FP4 quantization is "
            "being used. Weight-only FP4 compression will be used leveraging the Marlin kernel.",
            "INFO [__init__.py:1240] Using MarlinNvFp4LinearKernel for NVFP4 GEMM",
            "INFO [cuda.py:507] Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN'].",
            "INFO [__init__.py:1240] Using MarlinNvFp4LinearKernel for NVFP4 GEMM",
        ]
    )
    assert found.engine_version == "0.32.0"
    assert found.engine_quantization == "compressed-tensors"
    assert found.kernels == ("NVFP4 GEMM: MarlinNvFp4LinearKernel", "attention: FLASH_ATTN")
    assert found.weight_only
    assert (found.kv_cache_dtype, found.dtype, found.tokenizer_mode) == ("auto", "bfloat16", "hf")
    assert (found.max_model_len, found.revision) == (4096, "abc")


def test_a_log_that_says_nothing() -> None:
    found = read_engine_log(["INFO nothing of interest"])
    assert found.engine_version is None
    assert found.kernels == ()
    assert found.engine_quantization is None
