"""scripts/serve.py with a stand-in for the `vllm` command: real processes and sockets. The real one: tests/e2e."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.checkpoints import W4A4, make_checkpoint, make_mistral_checkpoint
from tests.waiting import LIMIT, wait_for

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Place:
    """A folder with a `vllm` on its PATH, and what serve.py does there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.port = free_port()
        self.started: list[subprocess.Popen[str]] = []
        self.program("vllm", f'exec {sys.executable} {ROOT / "tests" / "fakes" / "vllm_command.py"} "$@"')

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, model: str, *flags: str, mode: str = "ok", **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin", "FAKE_VLLM": mode, **variables}
        environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(self.folder / "hub"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, str(ROOT / "scripts" / "serve.py"), model, *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.started.append(subprocess.Popen(command, cwd=self.folder, env=environment, **pipes))  # type: ignore[call-overload]
        return self.started[-1]

    def serve(self, model: str, *flags: str, mode: str = "ok", **variables: str) -> tuple[int, str, str]:
        """Starts, checks, stops: exit code, stdout, stderr."""
        process = self.start(
            model, *("--port", str(self.port), "--wait", "200", "--once"), *flags, mode=mode, **variables
        )
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out, err

    @property
    def manifest(self) -> dict[str, object]:
        return json.loads((self.folder / "manifest.json").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for process in place.started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=LIMIT)


def only_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert "Traceback" not in err
    return lines[-1]


def test_a_server_and_its_manifest(place: Place) -> None:
    checkpoint = make_checkpoint(place.folder / "mistral-small-4-nvfp4", quantization=W4A4, tekken=True)
    place.program("nvidia-smi", "echo 'NVIDIA GB10, 12.1'")
    code, out, err = place.serve(str(checkpoint), "--served-name", "small", "--", "--max-model-len", "8192")
    assert code == 0, err
    vllm = place.bin / "vllm"
    assert out.startswith(f"{vllm} serve {checkpoint} --host 127.0.0.1 --port {place.port} --served-model-name small ")
    assert "--tokenizer-mode hf" in out
    assert "--attention-backend TRITON_MLA" in out
    assert "--gpu-memory-utilization 0.85" in out
    assert out.count("--max-model-len") == 1
    assert "--max-model-len 8192" in out
    found = place.manifest
    assert found["engine_version"] == "0.32.0"
    assert (found["model"], found["served_name"]) == (str(checkpoint), "small")
    assert found["quantization"] == "compressed-tensors nvfp4-pack-quantized W4A4"
    assert found["kernels"] == [
        "NVFP4 GEMM: FlashInferCutlassNvFp4LinearKernel",
        "NvFp4 MoE: FLASHINFER_CUTLASS",
        "attention: TRITON_MLA",
    ]
    assert (found["kv_cache_dtype"], found["tokenizer_mode"], found["text_prompts"]) == ("fp8", "hf", True)
    assert found["device"] == "NVIDIA GB10 (compute capability 12.1)"
    assert str(found["revision"]).startswith("files:")
    assert found["chat_template_sha256"]
    assert found["start"]["canary"]["answer"] == "Paris."  # type: ignore[index]
    assert "--model hosted-chat" in only_line(err)


def test_the_command_alone(place: Place) -> None:
    process = place.start("mistralai/Mistral-Small-4-119B-2603-NVFP4", "--print")
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert "--tokenizer-mode hf" in out
    assert "--attention-backend TRITON_MLA" in out
    assert "vLLM downloads it first" in err
    assert not (place.folder / "vllm.log").exists()


def test_a_hopper_card_does_not_measure_w4a4(place: Place) -> None:
    place.program("nvidia-smi", "echo 'NVIDIA H200, 9.0'")
    checkpoint = make_checkpoint(place.folder / "m", quantization=W4A4)
    process = place.start(str(checkpoint), "--print")
    assert "runs weight-only here (W4A16)" in process.communicate(timeout=LIMIT)[1]


def test_it_serves_until_it_is_stopped_and_leaves_nothing_behind(place: Place) -> None:
    checkpoint = make_checkpoint(place.folder / "m")
    noted = place.folder / "child"
    process = place.start(str(checkpoint), "--port", str(place.port), mode="child", FAKE_VLLM_CHILD=str(noted))
    wait_for(lambda: (place.folder / "manifest.json").exists() or process.poll() is not None, "the manifest")
    assert process.poll() is None, process.communicate()[1]
    child = int(noted.read_text())
    assert alive(child)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert only_line(err) == "stopping"
    wait_for(lambda: not alive(child), "the server's child goes")


def alive(number: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("dies", "vLLM ended with code 1: ValueError: No available memory for the cache blocks."),
        ("silent", "not healthy after 1 s"),
        ("empty", "the server's answer is empty"),
        ("doubled", "prompts begin with two begin-of-text tokens"),
    ],
)
def test_a_server_that_cannot_be_used(place: Place, mode: str, says: str) -> None:
    checkpoint = make_checkpoint(place.folder / "m")
    code, _, err = place.serve(str(checkpoint), *(("--wait", "1") if mode == "silent" else ()), mode=mode)
    assert code == 2
    assert says in only_line(err)
    assert not (place.folder / "manifest.json").exists()


@pytest.mark.parametrize(("mode", "says"), [("letters", "use only chat requests"), ("reasons", "it reasons before")])
def test_a_server_that_is_used_with_care(place: Place, mode: str, says: str) -> None:
    code, _, err = place.serve(str(make_checkpoint(place.folder / "m")), mode=mode)
    assert code == 0, err
    assert f"warning: {says}" in err or says in err
    assert place.manifest["text_prompts"] is (mode != "letters")
    assert (place.manifest["reasoning"] is not None) is (mode == "reasons")


def test_a_server_that_ends_by_itself(place: Place) -> None:
    process = place.start(str(make_checkpoint(place.folder / "m")), "--port", str(place.port), mode="ends")
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 2
    assert "vLLM ended with code 3" in only_line(err)


def test_checkpoints_that_cannot_be_served(place: Place) -> None:
    whole = make_checkpoint(place.folder / "whole")
    half = make_checkpoint(place.folder / "half", shards=2)
    (half / "model-00002-of-00002.safetensors").unlink()
    stranger = make_checkpoint(place.folder / "stranger", tokens=101)
    mistral = make_mistral_checkpoint(place.folder / "mistral")
    for model, flags, says in (
        (str(half), (), "download incomplete: model-00002-of-00002.safetensors missing (finish the download"),
        (str(stranger), (), "the tokenizer does not fit the model: it has a token 100, the model only 100 tokens"),
        (str(mistral), (), "which would encode a rendered prompt twice (add tokenizer.json from the hub"),
        (str(place.folder / "no"), (), "no such checkpoint folder"),
        (str(whole), ("--vllm", "no-such-vllm"), "no such program"),
        (
            str(whole),
            ("--max-model-len", "8"),
            "unrecognized arguments: --max-model-len 8 (vLLM's own flags follow `--`",
        ),
        (str(whole), ("--", "--api-key", "sk-secret"), "export VLLM_API_KEY"),
    ):
        code, out, err = place.serve(model, *flags)
        assert code == 2, err
        assert says in only_line(err)
        assert "sk-secret" not in out + err
    code, out, err = place.serve(str(mistral), "--tokenizer-mode", "mistral")
    assert code == 0, err
    assert "only chat requests" in err


def test_a_port_in_use(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        code, _, err = place.serve(str(make_checkpoint(place.folder / "m")))
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{place.port}: Address already in use (--port " in only_line(err)


@pytest.mark.skipif(Path(sys.executable).with_name("vllm").exists(), reason="vLLM is installed beside this Python")
def test_without_vllm(place: Place) -> None:
    shutil.rmtree(place.bin)
    code, _, err = place.serve(str(make_checkpoint(place.folder / "m")))
    assert code == 2
    assert only_line(err) == "serve: vLLM is not installed (pip install 'lm-eval-fr[vllm]')"
