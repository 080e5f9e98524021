"""What an arm's record says was sent, whoever decided it; a stop that a client does not send ends the answer here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.arms.harness import run_arm
from lm_eval_fr.arms.sent import Sent, cut_at, sent_by
from lm_eval_fr.models.baseline import FrBaseline
from tests.fakes.server import FakeOpenAI

SETTINGS = {"until": ["</s>"], "max_gen_toks": 256, "temperature": 0.0, "do_sample": False}
FIVE = ["alpha", "beta", "gamma", "delta", "STOP"]


def run(folder: Path, kind: str, *flags: str, **arguments: Any) -> tuple[dict[str, Any], list[str]]:
    """The record of the task, and the answers as scored."""
    rows = [json.dumps({"id": f"d{i}", "input": f"Question {i} ?", "gold": ["Paris"]}) for i in range(3)]
    (folder / "docs.jsonl").write_text("\n".join(rows), encoding="utf-8")
    data, out = json.dumps({"data": str(folder / "docs.jsonl")}), folder / "out"
    line = ["--model", kind, "--model_args", json.dumps(arguments), "--tasks", "own_qa_fr", "--metadata", data]
    done = run_arm([*line, "--output_path", str(out), *flags])
    record = max(done.folder.glob("arm_*.json"))
    samples = done.samples["own_qa_fr"].read_text(encoding="utf-8").splitlines()
    return json.loads(record.read_text())["sent"]["own_qa_fr"], [json.loads(line)["resps"][0][0] for line in samples]


@pytest.mark.parametrize(
    ("model", "path", "arguments", "flags", "sent"),
    [
        ("hosted-chat", "/chat/completions", {}, [], {"seed": None, "stop": ["</s>"], "max_tokens_from": "task"}),
        (
            "hosted-chat",
            "/chat/completions",
            {"preset": "openai", "seed": 7, "omit": "stop+temperature", "extra_body": {"top_k": 1}},
            [],
            {"seed": 7, "stop": [], "stop_applied_here": ["</s>"], "temperature": None, "other": {"top_k": 1}},
        ),
        ("local-chat-completions", "/chat/completions", {}, [], {"seed": 1234, "max_tokens": 256}),
        ("local-completions", "/completions", {"seed": 3}, [], {"seed": 3, "max_tokens": 256, "repeats": 1}),
        ("hosted-chat", "/chat/completions", {}, ["--gen_kwargs", '{"max_gen_toks": 9}'], {"max_tokens": 9}),
        ("hosted-chat", "/chat/completions", {}, ["--gen_kwargs", '{"max_tokens": 9}'], {"max_tokens": 9, "other": {}}),
        (
            "hosted-chat",
            "/chat/completions",
            {"extra_body": {"max_tokens": 5, "temperature": 1, "stop": ["\n"]}},
            [],
            {"max_tokens": 5, "max_tokens_from": "model_args", "temperature": 1, "stop_applied_here": ["</s>"]},
        ),
        ("hosted-chat", "/chat/completions", {"omit": "max_tokens"}, [], {"max_tokens_from": "server"}),
        ("openai-chat-completions", "/chat/completions", {"model": "o3"}, [], {"temperature": 1, "stop": []}),
    ],
)
def test_what_an_api_is_sent(
    fake_server: Callable[..., FakeOpenAI],
    tmp_path: Path,
    model: str,
    path: str,
    arguments: dict[str, Any],
    flags: list[str],
    sent: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    server = fake_server("Paris", models=("m", "o3"))
    record, _ = run(tmp_path, model, *flags, **{"base_url": f"{server.url}{path}", "model": "m", **arguments})
    assert {name: record[name] for name in sent} == sent
    body = next(call.body for call in server.calls if "Question" in json.dumps(call.body))
    assert record["max_tokens"] == body.get("max_tokens", body.get("max_completion_tokens"))
    assert record["stop"] == body.get("stop", [])


def test_a_stop_that_is_not_sent_ends_the_answer_here(fake_server: Callable[..., FakeOpenAI], tmp_path: Path) -> None:
    server = fake_server("Paris STOP et encore", models=("m",))
    flags = ["--gen_kwargs", json.dumps({"until": FIVE})]
    where = {"base_url": f"{server.url}/chat/completions", "model": "m"}
    record, answers = run(tmp_path, "hosted-chat", *flags, **where)
    assert (record["stop"], record["stop_applied_here"]) == (FIVE[:4], ["STOP"])
    assert answers == ["Paris "] * 3
    again = run(tmp_path, "hosted-chat", *flags, **where)  # from the cache
    assert again[1] == ["Paris "] * 3 and server.count == 3


class Engine:
    """Stands for an engine of lm-eval's in this process: it has a default length and takes every stop."""

    max_gen_toks = 256


def test_what_an_engine_is_given() -> None:
    found = sent_by(Engine(), {"until": FIVE, "top_p": 0.9, "do_sample": True, "temperature": 0.7}, {"seed": 5})
    assert found == Sent(256, "client", FIVE, (), 0.7, 5, {"top_p": 0.9})
    assert sent_by(Engine(), {"until": "x"}, {"max_gen_toks": 256}).max_tokens_from == "model_args"
    assert sent_by(Engine(), SETTINGS, {}).max_tokens_from == "task"
    unknown = sent_by(FrBaseline(), {"until": []}, {})
    assert (unknown.max_tokens, unknown.max_tokens_from, unknown.stop) == (None, None, [])


class Client:
    """Stands for a client of lm-eval's whose body has another shape."""

    _seed, eos_string = 1234, "<eos>"

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def _create_payload(self, messages: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        return {**self.body, "messages": messages[0]["content"]}


@pytest.mark.parametrize(
    "body",
    [
        {"sampling_params": {"max_new_tokens": 9, "temperature": 0, "stop": ["</s>", "<eos>"]}, "input_ids": [1]},
        {"max_tokens": 9, "temperature": 0, "stop_sequences": ["</s>", "<eos>"], "system": "x"},
    ],
)
def test_clients_of_other_endpoints(body: dict[str, Any]) -> None:
    assert sent_by(Client(body), SETTINGS, {}) == Sent(9, "model_args", ["</s>"], [], 0)


def test_cut_at() -> None:
    assert cut_at("un b deux a", ["a", "b", ""]) == "un "
    assert cut_at("rien", []) == "rien"
