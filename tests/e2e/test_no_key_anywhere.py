"""A server that repeats everything it is sent, in answers and in errors: the key is on no screen and in no file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import forked
from tests.fakes.server import Call, FakeOpenAI, Reply

KEY = "gw-0123456789-abcdefgh-ijklmnop"  # neither its form nor its variable's name says what it is
VARIABLE = "MY_GATEWAY"
Start = Callable[..., FakeOpenAI]


def echo(call: Call) -> Reply:
    """An answer that a judge's reader takes, with all of the request's headers in it."""
    sent = json.dumps(call.headers)
    verdict = json.dumps({"faults_a": [sent], "faults_b": [], "reason": f"vu {sent}", "verdict": "A"})
    text = verdict if "DÉBUT RÉPONSE" in call.user else f"Paris, dit {sent}"
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
        "echo": call.headers,
    }
    return Reply(raw=json.dumps(body), headers={"X-Echo": json.dumps(call.headers)})


def refuse(status: int) -> Callable[[Call], Reply]:
    def answer(call: Call) -> Reply:
        said = f"not with {call.headers}\nor {json.dumps(call.headers)}"
        return Reply(status=status, raw=json.dumps({"error": {"message": said, "echo": call.headers}}))

    return answer


class Place:
    """A folder of documents, a plan and a judge's profile for one server, and what the commands said there."""

    def __init__(self, folder: Path, server: FakeOpenAI, header: str) -> None:
        self.folder, self.said = folder, ""
        rows = [{"id": f"d{i}", "input": f"Résume le numéro {i}.", "gold": ["Paris"]} for i in range(4)]
        (folder / "own.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        arguments = {
            "base_url": f"{server.url}/chat/completions",
            "model": "fake-model",
            "api_key_env": VARIABLE,
            "api_key_header": header,
            "max_retries": 1,
        }
        profile = {
            "dialect": "openai",
            "model": "fake-model",
            "base_url": server.url,
            "key_env": VARIABLE,
            "prices": {"input": 1.0, "output": 1.0},
            "parameters": {"max_completion_tokens": 100},
        }
        (folder / "echoes.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
        plan = {
            "name": "echoes",
            "tasks": ["own_qa_fr", "own_analysis_fr"],
            "metadata": {"data": "own.jsonl"},
            "candidate": {"model": "hosted-chat", "model_args": arguments},
            "reference": {"model": "hosted-chat", "model_args": {**arguments, "seed": 1}},
            "judge": {"profile": "echoes.yaml", "controls": 0},
        }
        (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
        self.arguments = arguments

    def run(self, *words: str) -> int:
        environment = {VARIABLE: KEY, "OPENAI_API_KEY": KEY, "TMPDIR": str(self.folder)}
        done = forked.run(["-m", "lm_eval_fr", *words], cwd=self.folder, env=environment)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        self.said += done.stdout + done.stderr
        return done.returncode

    def leaks(self) -> list[str]:
        """Where the key is."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        found = [str(path.relative_to(self.folder)) for path in files if KEY.encode() in path.read_bytes()]
        return [*found, *(["what was said"] if KEY in self.said else [])]


def test_a_server_that_repeats_the_key_in_its_answers(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(echo)
    place = Place(tmp_path, server, "x-api-key")
    assert place.run("check", "plan.yaml") in (0, 2)
    assert place.run("ab", "plan.yaml", "--out", "study") == 0, place.said
    assert {KEY in str(call.headers) for call in server.calls} == {True}
    assert list(tmp_path.rglob("report.html"))
    arms = ("study/candidate", "study/reference")
    for words in (
        ("compare", "study", "--html", "again.html", "--json", "again.json"),
        ("show", *arms, "--task", "own_analysis_fr"),
        ("judge", *arms, "--profile", "echoes.yaml", "--out", "judged", "--controls", "0"),
        ("judge", *arms, "--profile", "echoes.yaml", "--out", "judged", "--controls", "0", "--reparse"),
        ("export", *arms, "--out", "exported"),
        ("card", "again.json"),
    ):
        assert place.run(*words) == 0, place.said
    assert place.leaks() == []


@pytest.mark.parametrize("status", [400, 401, 429])
def test_a_server_that_repeats_the_key_in_its_errors(fake_server: Start, tmp_path: Path, status: int) -> None:
    place = Place(tmp_path, fake_server(refuse(status)), "x-api-key")
    fast = {**place.arguments, "max_wait": 0.01}
    data = ["--tasks", "own_qa_fr", "--metadata", "data=own.jsonl"]
    assert place.run("check", "plan.yaml") == 2
    for model in ("hosted-chat",) if status == 429 else ("hosted-chat", "local-chat-completions"):
        given: dict[str, Any] = fast if model == "hosted-chat" else {n: fast[n] for n in ("base_url", "model")}
        code = place.run("run", "--model", model, "--model_args", json.dumps(given), *data, "--output_path", model)
        assert code in (2, 4), place.said
    (tmp_path / "text.txt").write_text("Il pleut sur la ville.", encoding="utf-8")
    if status in (400, 401):  # the others are asked again, with pauses
        server = place.arguments["base_url"].removesuffix("/chat/completions")
        words = ("--texts", "text.txt", "--key-env", VARIABLE, "--model", "fake-model")
        assert place.run("fidelity", server, server, *words) in (2, 4)
    assert place.leaks() == []
