"""Runs the package and the engines that it drives as a user would: commands in processes of their own, all bounded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND_LIMIT = 420.0  # seconds; loading vLLM on a CPU takes about one minute
START_LIMIT = 300.0
STOP_LIMIT = 60.0
# One gigabyte of cache is a hundred of these prompts; nothing may look for a network.
VARIABLES = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "NO_COLOR": "1"}
# Two engines may run at once: neither takes more than its share of the memory.
VLLM_ARGUMENTS = {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 8192, "gpu_memory_utilization": 0.3}
VLLM_FLAGS = (
    *("--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "8192"),
    *("--gpu-memory-utilization", "0.3"),
)


@dataclass(frozen=True)
class Ran:
    """One line of the table that `make e2e` ends with."""

    what: str
    on: str
    documents: int | None
    seconds: float
    found: str


@dataclass
class Record:
    rows: list[Ran] = field(default_factory=list)

    def add(self, what: str, on: str, documents: int | None, started: float, found: str) -> None:
        self.rows.append(Ran(what, on, documents, time.monotonic() - started, found))

    def table(self) -> list[str]:
        cells = [("what", "on", "documents", "seconds", "found")]
        cells += [
            (row.what, row.on, "" if row.documents is None else str(row.documents), f"{row.seconds:.0f}", row.found)
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in cells) for column in range(5)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]


def run_command(command: Sequence[str | Path], *, cwd: Path, limit: float = COMMAND_LIMIT, **variables: str) -> str:
    """stdout. A command that fails or takes too long is shown with what it said."""
    shown = " ".join(map(str, command))
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env={**os.environ, **VARIABLES, **variables},
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode("utf-8", "replace") if isinstance(error.stderr, bytes) else error.stderr
        raise AssertionError(f"not done in {limit:.0f} s: {shown}\n{_end_of(said or '')}") from None
    assert done.returncode == 0, f"{shown} ended with {done.returncode}\n{_end_of(done.stdout + done.stderr)}"
    return done.stdout


def lm_eval_fr(*arguments: str | Path, cwd: Path, python: Path | str = sys.executable, **variables: str) -> str:
    return run_command([python, "-m", "lm_eval_fr", *arguments], cwd=cwd, **variables)


def run_arm(
    model: str, arguments: Mapping[str, Any], out: Path, data: Path, *flags: str, python: Path | str = sys.executable
) -> Path:
    """One arm through `lm-eval-fr run`; returns its --output_path."""
    settings = ("--model", model, "--model_args", json.dumps(arguments), "--data-dir", str(data))
    lm_eval_fr("run", *settings, "--output_path", str(out), *flags, cwd=out.parent, python=python)
    return out


class Served:
    """A checkpoint behind scripts/serve.py, which is stopped by its own process id."""

    def __init__(self, checkpoint: Path, folder: Path, vllm: Path, name: str) -> None:
        self.name, self.folder = name, folder
        self.manifest, self.log = folder / "manifest.json", folder / "vllm.log"
        self._said = folder / "serve.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, str(ROOT / "scripts" / "serve.py"), str(checkpoint), "--vllm", str(vllm)]
        command += ["--port", str(self.port), "--served-name", name, "--wait", str(START_LIMIT), "--", *VLLM_FLAGS]
        with self._said.open("w") as out:
            self._process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **VARIABLES}, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def wait_until_ready(self) -> Served:
        deadline = time.monotonic() + START_LIMIT
        while not self.manifest.exists():
            ended = self._process.poll()
            assert ended is None, f"serve.py ended with {ended}\n{self.end_of_logs()}"
            assert time.monotonic() < deadline, f"no server in {START_LIMIT:.0f} s\n{self.end_of_logs()}"
            time.sleep(0.5)
        return self

    def stop(self) -> int:
        """serve.py's exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=STOP_LIMIT)

    def end_of_logs(self) -> str:
        paths = (self._said, self.log)
        return "\n".join(f"--- {path.name}\n{_end_of(path.read_text('utf-8'))}" for path in paths if path.exists())


@contextlib.contextmanager
def served_together(
    checkpoints: Mapping[str, Path], vllm: Path, factory: pytest.TempPathFactory, record: Record, what: str
) -> Iterator[tuple[Served, ...]]:
    """One server for each named checkpoint: started together, stopped together. what: for the closing table."""
    started = time.monotonic()
    servers = tuple(Served(folder, factory.mktemp(name), vllm, name) for name, folder in checkpoints.items())
    try:
        for served in servers:
            served.wait_until_ready()
        record.add(what, "vllm serve", None, started, "healthy")
        yield servers
    finally:
        for served in servers:
            served.stop()


def _end_of(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])
