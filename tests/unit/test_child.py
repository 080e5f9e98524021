"""An arm lives no longer than its study: whatever ends the study ends the arm. How it goes on: test_study_kill.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.server import FakeOpenAI
from tests.waiting import LIMIT, wait_for

DOCUMENTS = 30


def plan_for(folder: Path, url: str) -> Path:
    rows = [json.dumps({"id": f"d{i}", "input": f"Résume : le chat numéro {i} dort."}) for i in range(DOCUMENTS)]
    (folder / "own.jsonl").write_text("\n".join(rows), encoding="utf-8")
    arm = "{{model: hosted-chat, model_args: {{base_url: '{}/chat/completions', model: {}, num_concurrent: 2}}}}"
    head = "name: ended\ntasks: [own_analysis_fr]\nmetadata: {data: own.jsonl}\n"
    text = f"{head}candidate: {arm.format(url, 'c')}\nreference: {arm.format(url, 'r')}\n"
    (folder / "plan.yaml").write_text(text, encoding="utf-8")
    return folder / "plan.yaml"


def start(plan: Path, out: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "lm_eval_fr", "ab", str(plan), "--out", str(out)]
    return subprocess.Popen(line, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def below(process: int) -> list[int]:
    """The processes that this one has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid for pid, parent in pairs if parent == process]
    return [*found, *(other for pid in found for other in below(pid))]


def alive(process: int) -> bool:
    """Running: what has ended and is not yet collected by its new parent is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_what_ends_the_study_ends_its_arm(
    fake_server: Callable[..., FakeOpenAI], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    server = fake_server("Il dort.", latency=0.3, models=("c", "r"))
    study = start(plan_for(tmp_path, server.url), tmp_path / "out")
    asked = lambda: sum("chat numéro" in call.user for call in server.calls)  # noqa: E731
    wait_for(lambda: asked() >= 4 or study.poll() is not None, "the arm asks nothing")
    children = below(study.pid)
    assert study.poll() is None and children
    os.kill(study.pid, number)
    said = study.communicate(timeout=LIMIT)[1]
    assert study.returncode == code
    if code != -9:
        (line,) = [line for line in said.splitlines() if "interrupted" in line]
        assert f"resume with: lm-eval-fr ab {tmp_path / 'plan.yaml'} --out {tmp_path / 'out'}" in line
    assert "Traceback" not in said
    wait_for(lambda: not any(map(alive, children)), f"still there: {children}")
