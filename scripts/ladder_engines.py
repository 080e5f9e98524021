"""The engines that run a ladder's arms: llama.cpp from its wheel; transformers and vLLM in the environments that
`make e2e` builds."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec

from lm_eval_fr.errors import ArmError, UsageError

Engine = Literal["llama.cpp", "hf", "vllm"]
ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = {"hf": "nvfp4", "vllm": "vllm"}
START_LIMIT = 300.0  # seconds until a server answers; vLLM needs one of them on two idle cores
STOP_LIMIT = 20.0
CONTEXT = 4096
# One gigabyte of cache holds a hundred of these prompts, and two servers may run at once.
VARIABLES = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
VLLM = {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": CONTEXT, "gpu_memory_utilization": 0.3}
# A CPU without bfloat16 arithmetic is slow in it; float32 holds the same weights.
TRANSFORMERS = {"dtype": "float32"}


class Processes:
    """What the study has started; nothing outlives the study."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    @contextlib.contextmanager
    def started(self, command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Its output goes to `log`; it is stopped when the context ends."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out, self._lock:
            if self._ended:
                raise ArmError("the study was interrupted")
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                stdout=out,
                stderr=out,
                env={**os.environ, **VARIABLES},
                start_new_session=True,
            )
            self._running.add(process)
        try:
            yield process
        finally:
            _stop(process)
            self._running.discard(process)

    def run(self, command: Sequence[str | Path], log: Path, limit: float) -> None:
        """Raises ArmError for a command that fails or takes longer than `limit` seconds."""
        with self.started(command, log) as process:
            try:
                code = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                raise ArmError(f"not done in {limit:.0f} s", where=log, remedy="rerun to resume") from None
        if code:
            said = _last_line(log)
            raise ArmError(f"ended with {code}: {said}", where=log, remedy="read the log and rerun to resume")

    def end(self) -> None:
        """Stops everything, including what another thread is waiting for."""
        with self._lock:
            self._ended = True
            for process in list(self._running):
                _stop(process)

    @contextlib.contextmanager
    def server(self, command: Sequence[str | Path], port: int, log: Path) -> Iterator[str]:
        """Its address, ending in /v1, as soon as it is healthy. Raises ArmError if it does not come up."""
        with self.started(command, log) as process:
            ends = time.monotonic() + START_LIMIT
            while not _is_healthy(port):
                if process.poll() is not None or time.monotonic() > ends:
                    said = _last_line(log)
                    raise ArmError(f"the server did not come up: {said}", where=log, remedy="read its last lines")
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def serving(
    engine: Engine, checkpoint: Path, folder: Path, processes: Processes, *, chat: bool = False
) -> Iterator[list[str]]:
    """The beginning of the command that runs an arm: the engine's Python, `lm-eval-fr run`, and which model."""
    if engine == "llama.cpp":
        port = _port_of(folder)
        command: list[str | Path] = [sys.executable, ROOT / "scripts/serve_gguf.py", checkpoint, "--port", str(port)]
        command += ["--name", checkpoint.stem, "--context", str(CONTEXT)]
        with processes.server(command, port, folder / "server.log") as url:
            kind = "chat-completions" if chat else "completions"
            address = f"{url}/{kind.replace('-', '/')}"
            asked = {"base_url": address, "tokenized_requests": False, "tokenizer_backend": None}
            yield _run(sys.executable, f"local-{kind}", {"model": checkpoint.stem, **asked}, chat)
    else:
        settings = VLLM if engine == "vllm" else TRANSFORMERS
        yield _run(python_of(engine), engine, {"pretrained": name_of(checkpoint), **settings}, chat)


def name_of(checkpoint: Path) -> str:
    """The name for a run's folder: inside the checkout, a path that stays the same if the checkout is moved."""
    return str(checkpoint.relative_to(ROOT) if checkpoint.is_relative_to(ROOT) else checkpoint)


def _run(python: str | Path, model: str, arguments: dict[str, Any], chat: bool) -> list[str]:
    named = ["--model", model, "--model_args", msgspec.json.encode(arguments).decode()]
    named += ["--apply_chat_template"] if chat else []
    return [str(python), "-m", "lm_eval_fr", "run", *named]


@contextlib.contextmanager
def scoring(checkpoint: Path, name: str, log: Path, processes: Processes) -> Iterator[str]:
    """The address of a vLLM server, which gives log-probabilities of texts; llama.cpp's server gives none."""
    port = free_port()
    command: list[str | Path] = [python_of("vllm").with_name("vllm"), "serve", checkpoint, "--host", "127.0.0.1"]
    command += ["--port", str(port)]
    command += ["--served-model-name", name, "--dtype", "bfloat16", "--enforce-eager"]
    command += ["--max-model-len", str(CONTEXT), "--gpu-memory-utilization", "0.3"]
    with processes.server(command, port, log) as url:
        yield url


def python_of(engine: Engine) -> Path:
    """Raises UsageError where the engine is not installed."""
    if engine == "llama.cpp":
        if missing := [name for name in ("gguf", "xllamacpp") if find_spec(name) is None]:
            raise UsageError(f"{missing[0]} is not installed", remedy="pip install 'lm-eval-fr[study]'")
        return Path(sys.executable)
    name = ENVIRONMENTS[engine]
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        remedy = f"build it: python tests/e2e/environments.py {name}; or name the arms you want: --only ARM"
        raise UsageError(f"no environment for {engine}", where=python.parents[1], remedy=remedy)
    return python


def _port_of(folder: Path) -> int:
    """The same port each time, if free: an arm's answers are also keyed by its server's address."""
    kept = folder / "port"
    port = int(kept.read_text()) if kept.is_file() else free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(str(port))
    return port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """The process and what it has started: each leads a session of its own."""
    for number in (15, 9):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_LIMIT)
            return


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
