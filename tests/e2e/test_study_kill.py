"""The plug is pulled in every stage of a study: the same command goes on, and nothing answered is asked again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.material import data_folder
from tests.fakes.server import Call, FakeOpenAI

LIMIT = 30
AT_ONCE = 2  # calls in flight at most, so also the calls that a kill may cost
WAIT = 60.0


def answer(name: str) -> Callable[[Call], str]:
    return lambda call: f"{name} a lu {len(call.user)} signes."


def judge_reply(call: Call) -> str:
    return json.dumps({"reason": "égalité", "verdict": "tie"})


def start(plan: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lm_eval_fr", "ab", str(plan), "--out", str(out)]
    env = {**os.environ, "OPENAI_API_KEY": "sk-test"}
    return subprocess.Popen(
        command, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
    )


def kill_when(process: subprocess.Popen[str], server: FakeOpenAI, calls: int) -> None:
    """SIGKILL to the study and to the arm that it runs, as soon as the server has seen so many calls."""
    deadline = time.monotonic() + WAIT
    while server.count < calls:
        assert process.poll() is None, f"ended before it could be killed:\n{process.communicate()[1]}"
        assert time.monotonic() < deadline, f"{server.count} of {calls} calls after {WAIT:.0f} s"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=WAIT)


@pytest.mark.timeout(200)
def test_a_study_killed_in_every_stage_asks_nothing_twice(
    shared_data: Path, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    candidate = fake_server(answer("Le candidat"), latency=0.05)
    reference = fake_server(answer("La référence"), latency=0.05)
    judge = fake_server(judge_reply, latency=0.05)
    data_folder(shared_data, tmp_path / "data")
    arms = {
        name: {
            "model": "local-completions",
            "model_args": {"model": "m", "base_url": f"{server.url}/completions", "num_concurrent": AT_ONCE},
        }
        for name, server in (("candidate", candidate), ("reference", reference))
    }
    judging = {"profile": "gpt-4.1", "base_url": judge.url, "concurrency": AT_ONCE}
    plan = {"name": "killed", "tasks": ["analysis_fr"], "limit": LIMIT, "data_dir": "data", **arms, "judge": judging}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    out = tmp_path / "out"
    for server, calls in ((candidate, 7), (candidate, 19), (reference, 11), (judge, 20), (judge, 45)):
        kill_when(start(tmp_path / "plan.yaml", out), server, calls)
    done = start(tmp_path / "plan.yaml", out)
    _, errors = done.communicate(timeout=WAIT)
    assert done.returncode == 0, errors
    for server, kills in ((candidate, 2), (reference, 1)):
        asked = Counter(call.user for call in server.calls if "Réponse :" in call.user)  # not the greeting of a start
        assert len(asked) == LIMIT
        assert sum(asked.values()) <= LIMIT + kills * AT_ONCE, "answers already stored were asked for again"
    bodies = Counter(json.dumps(call.body, sort_keys=True) for call in judge.calls)
    again = sum(count - 1 for count in bodies.values())
    assert again <= 2 * AT_ONCE, "stored verdicts were paid again"
    verdicts = (out / "judge" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert Counter(json.loads(line)["outcome"] for line in verdicts) == {"tie": LIMIT}
