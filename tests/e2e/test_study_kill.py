"""The plug is pulled in every stage of a study: its arm ends with it, the same command goes on, no call is repeated."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lm_eval_fr.judge.asking.offline import verdict_offline
from lm_eval_fr.judge.asking.prompt import read_back
from tests import waiting
from tests.e2e.material import data_folder
from tests.fakes.judging import verdict_json
from tests.fakes.server import Call, FakeOpenAI
from tests.waiting import wait_for

LIMIT = 30
pytestmark = pytest.mark.slow
AT_ONCE = 2  # calls in flight at most, so also the calls that a kill may cost


def answer(name: str) -> Callable[[Call], str]:
    return lambda call: f"{name} a lu {len(call.user)} signes."


def judge_reply(call: Call) -> str:
    """The arms are as good as each other; an answer that is not one of theirs is a damaged one, or a gross control."""
    shown = read_back(call.messages)
    whole = [bool(re.fullmatch(r"L[ea] \w+ a lu \d+ signes\.", text)) for text in (shown.first, shown.second)]
    if not any(whole):
        return verdict_offline(call.messages)
    return verdict_json("tie" if all(whole) else "A" if whole[0] else "B")


def start(plan: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lm_eval_fr", "ab", str(plan), "--out", str(out), *flags]
    env = {**os.environ, "OPENAI_API_KEY": "sk-test"}
    return subprocess.Popen(
        command, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
    )


def end_when(process: subprocess.Popen[str], server: FakeOpenAI, calls: int, how: signal.Signals, arm: bool) -> str:
    """Ends the study, and it alone, as soon as the server has seen this many more calls; with it ends the arm, if one
    runs. Returns its stderr."""
    enough = server.count + calls
    wait_for(lambda: server.count >= enough or process.poll() is not None, f"{calls} calls")
    assert process.poll() is None, f"ended by itself before the signal:\n{process.communicate()[1]}"
    children = below(process.pid)
    os.kill(process.pid, how)
    said = process.communicate(timeout=waiting.LIMIT)[1]
    assert bool(children) is arm
    wait_for(lambda: not any(map(alive, children)), f"still there: {children}")
    return said


def below(process: int) -> list[int]:
    """The processes that this one has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid for pid, parent in pairs if parent == process]
    return [*found, *(other for pid in found for other in below(pid))]


def alive(process: int) -> bool:
    """Running: what has ended and is not yet collected by its new parent is not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return found.returncode == 0 and not found.stdout.startswith("Z")


def write_plan(
    folder: Path, shared_data: Path, candidate: FakeOpenAI, reference: FakeOpenAI, judge: FakeOpenAI
) -> Path:
    data_folder(shared_data, folder / "data")
    arms = {
        name: {
            "model": "local-completions",
            "model_args": {"model": "m", "base_url": f"{server.url}/completions", "num_concurrent": AT_ONCE},
        }
        for name, server in (("candidate", candidate), ("reference", reference))
    }
    judging = {"profile": "gpt-4.1", "base_url": judge.url, "concurrency": AT_ONCE}
    plan = {"name": "killed", "tasks": ["analysis_fr"], "limit": LIMIT, "data_dir": "data", **arms, "judge": judging}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return folder / "plan.yaml"


def test_a_study_ended_in_every_stage_goes_on_and_asks_nothing_twice(
    shared_data: Path, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    candidate = fake_server(answer("Le candidat"), latency=0.1)
    reference = fake_server(answer("La référence"), latency=0.1)
    judge = fake_server(judge_reply, latency=0.05)
    plan = write_plan(tmp_path, shared_data, candidate, reference, judge)
    out = tmp_path / "out"
    resume = f"resume with: lm-eval-fr ab {plan} --out {out}"
    for server, calls, how, flags in (
        (candidate, 7, signal.SIGINT, ()),
        (candidate, 7, signal.SIGTERM, ()),
        (reference, 11, signal.SIGKILL, ()),
        (judge, 20, signal.SIGINT, ("--quiet",)),
        (judge, 25, signal.SIGKILL, ()),
    ):
        process = start(plan, out, *flags)
        said = end_when(process, server, calls, how, arm=server is not judge)
        assert "Traceback" not in said
        if how == signal.SIGKILL:
            continue
        assert process.returncode == 128 + how
        assert said.splitlines()[-1].endswith(" ".join([resume, *flags]))
        assert "lm-eval-fr run" not in said, "the arm's own command does not resume the study"
        assert not flags or len(said.strip().splitlines()) == 1, said
    done = start(plan, out, "--quiet")
    assert (*done.communicate(timeout=waiting.LIMIT), done.returncode) == ("", "", 0)
    for server, ends in ((candidate, 2), (reference, 1)):
        asked = Counter(call.user for call in server.calls if "Réponse :" in call.user)  # not the greeting of a start
        assert len(asked) == LIMIT
        assert sum(asked.values()) <= LIMIT + ends * AT_ONCE, "answers already stored were asked for again"
    bodies = Counter(json.dumps(call.body, sort_keys=True) for call in judge.calls)
    again = sum(count - 1 for count in bodies.values())
    assert again <= 2 * AT_ONCE, "stored verdicts were paid again"
    verdicts = (out / "judge" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert Counter(json.loads(line)["outcome"] for line in verdicts) == {"tie": LIMIT}
