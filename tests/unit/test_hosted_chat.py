"""`hosted-chat` over real sockets: what is sent, what is retried, what stops everything, what is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.errors import ArmError, Unfinished, UsageError
from lm_eval_fr.io.http import Answer
from lm_eval_fr.io.retry import retry_after
from lm_eval_fr.models.chat_replies import read_reply
from lm_eval_fr.models.sender import Sender
from tests.fakes.server import Call, FakeOpenAI, Reply

pytest.importorskip("lm_eval")

SETTINGS = {"until": ["</s>"], "max_gen_toks": 16, "temperature": 0.0, "do_sample": False}
Start = Callable[..., FakeOpenAI]


class Hook:
    """A cache hook that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    def add_answer(self, method: str, arguments: Any, answer: str, record: dict[str, Any]) -> None:
        self.told.append((str(arguments[0]), answer, record))


def requests(count: int) -> list[Any]:
    return [SimpleNamespace(args=(f"Question {number} ?", dict(SETTINGS))) for number in range(count)]


def model(server: FakeOpenAI, **arguments: Any) -> Any:
    from lm_eval_fr.models.hosted import HostedChat

    class Quick(HostedChat):
        def sender(self) -> Sender:
            sender = super().sender()
            return replace(sender, policy=replace(sender.policy, first_wait=0.01))

    made = Quick(model="fake-model", base_url=f"{server.url}/chat/completions", **arguments)
    made.set_cache_hook(Hook())
    return made


def test_answers_come_in_order_with_what_is_known_of_them(fake_server: Start) -> None:
    server = fake_server(lambda call: Reply(call.user.upper(), finish_reason="length"), latency=0.01)
    made = model(server, num_concurrent=8)
    assert made.generate_until(requests(40), disable_tqdm=True) == [f"QUESTION {n} ?" for n in range(40)]
    assert server.most_in_flight <= 8
    assert {record["finish_reason"] for _, _, record in made.cache_hook.told} == {"length"}
    usage = made.cache_hook.told[0][2]["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 3, "cached_tokens": None, "reasoning_tokens": None}


@pytest.mark.parametrize(
    ("arguments", "sent", "absent"),
    [
        ({}, {"max_tokens": 16, "stop": ["</s>"], "temperature": 0.0}, {"seed", "random_seed", "reasoning_effort"}),
        ({"preset": "mistral", "seed": 5}, {"random_seed": 5, "max_tokens": 16}, {"seed"}),
        ({"preset": "openai", "seed": 5}, {"seed": 5, "max_completion_tokens": 16}, {"max_tokens", "random_seed"}),
        ({"reasoning_effort": "none", "extra_body": {"top_k": 1}}, {"reasoning_effort": "none", "top_k": 1}, set()),
        ({"omit": "stop+temperature"}, {"max_tokens": 16}, {"stop", "temperature"}),
    ],
)
def test_each_dialect(fake_server: Start, arguments: dict[str, Any], sent: dict[str, Any], absent: set[str]) -> None:
    server = fake_server("oui")
    model(server, **arguments).generate_until(requests(1), disable_tqdm=True)
    body = server.calls[0].body
    assert {name: body.get(name) for name in sent} == sent
    assert not absent & body.keys()
    assert body["messages"] == [{"role": "user", "content": "Question 0 ?"}]


def test_key_comes_from_the_named_variable(fake_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_GATEWAY_KEY", "gw-0123456789")
    server = fake_server("oui")
    model(server, api_key_env="MY_GATEWAY_KEY").generate_until(requests(1), disable_tqdm=True)
    model(server, api_key_env="MY_GATEWAY_KEY", api_key_header="api-key").generate_until(requests(1), disable_tqdm=True)
    assert server.calls[0].headers["Authorization"] == "Bearer gw-0123456789"
    assert server.calls[1].headers["api-key"] == "gw-0123456789"
    assert "Authorization" not in server.calls[1].headers


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_cannot_succeed_stops_before_the_second_call(fake_server: Start, status: int) -> None:
    server = fake_server(lambda call: Reply("non", status=status))
    with pytest.raises(ArmError, match=f"{status}: non"):
        model(server, num_concurrent=16).generate_until(requests(50), disable_tqdm=True)
    assert server.count == 1


def test_a_spent_quota_is_no_rate_limit(fake_server: Start) -> None:
    body = json.dumps({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    server = fake_server(lambda call: Reply(status=429, raw=body))
    with pytest.raises(Unfinished, match="quota"):
        model(server).generate_until(requests(5), disable_tqdm=True)
    assert server.count == 1


def test_bad_moments_are_retried(fake_server: Start) -> None:
    seen: dict[str, int] = {}
    troubles = [Reply(status=500), Reply(drop=True), Reply(cut=True), Reply(raw="<html>"), Reply(status=503)]

    def answer(call: Call) -> str | Reply:
        seen[call.user] = seen.get(call.user, 0) + 1
        number = int(call.user.split()[1])
        return troubles[number % 5] if seen[call.user] == 1 else "enfin"

    made = model(fake_server(answer))
    assert made.generate_until(requests(10), disable_tqdm=True) == ["enfin"] * 10
    assert set(seen.values()) == {2}


def test_retry_after_holds_every_call_back(fake_server: Start) -> None:
    told: list[float] = []

    def answer(call: Call) -> str | Reply:
        if call.number == 3:
            told.append(time.monotonic())
            return Reply(status=429, headers={"Retry-After": "1"})
        return "oui"

    server = fake_server(answer)
    assert model(server, num_concurrent=1).generate_until(requests(6), disable_tqdm=True) == ["oui"] * 6
    later = [call.at for call in server.calls if call.number > 3]
    assert min(later) - told[0] >= 0.95


def test_a_long_retry_after_is_bounded(fake_server: Start) -> None:
    server = fake_server(
        lambda call: Reply(status=429, headers={"Retry-After": "86400"}) if call.number == 1 else "oui"
    )
    assert model(server, max_wait=0.1).generate_until(requests(4), disable_tqdm=True) == ["oui"] * 4


def test_a_document_that_fails_is_kept_as_a_failure(fake_server: Start) -> None:
    def answer(call: Call) -> str | Reply:
        if "Question 2 " in call.user:
            return Reply("too long for the context", status=400)
        return Reply(status=500) if "Question 3 " in call.user else "oui"

    server = fake_server(answer)
    made = model(server, max_retries=3)
    assert made.generate_until(requests(5), disable_tqdm=True) == ["oui", "oui", "", "", "oui"]
    errors = {prompt: record["error"] for prompt, _, record in made.cache_hook.told}
    assert errors["Question 2 ?"] == "HTTP 400: too long for the context"
    assert errors["Question 3 ?"].startswith("HTTP 500:")
    assert errors["Question 0 ?"] is None
    asked = [call.user for call in server.calls]
    assert (asked.count("Question 2 ?"), asked.count("Question 3 ?")) == (1, 3)


def test_a_server_that_refuses_everything_is_said_early(fake_server: Start) -> None:
    for said, calls in (("Unsupported parameter: 'stop'", 1), ("Bad request", 3)):
        server = fake_server(lambda call, said=said: Reply(said, status=400))
        with pytest.raises(ArmError, match=rf"{said}.*omit="):
            model(server).generate_until(requests(100), disable_tqdm=True)
        assert server.count == calls


def test_a_server_that_went_away_ends_the_run(fake_server: Start) -> None:
    server = fake_server(lambda call: "oui" if call.number < 5 else Reply(drop=True))
    with pytest.raises(Unfinished, match="20 documents in a row"):
        model(server, max_retries=1, num_concurrent=4).generate_until(requests(100), disable_tqdm=True)
    assert 25 <= server.count <= 25 + 4


def test_no_content_is_no_answer(fake_server: Start) -> None:
    server = fake_server(
        lambda call: Reply(None, refusal="Je ne peux pas") if call.number else Reply(None, finish_reason="length")
    )
    made = model(server, num_concurrent=1)
    assert made.generate_until(requests(2), disable_tqdm=True) == ["", ""]
    assert [record["error"] for *_, record in made.cache_hook.told] == [
        "no content (finish reason: length)",
        "refusal: Je ne peux pas",
    ]


def test_a_model_that_ends_at_once_has_answered(fake_server: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = fake_server(lambda call: Reply("", finish_reason="stop"))
    made = model(server, num_concurrent=1)
    assert made.generate_until(requests(2), disable_tqdm=True) == ["", ""]
    assert [record["error"] for *_, record in made.cache_hook.told] == [None, None]
    assert "got no answer" not in caplog.text


def test_thinking_is_not_the_answer() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hum"}]}, {"type": "text", "text": "Lyon"}]
    body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}).encode()
    assert read_reply(Answer(200, {}, body, 0.0)).text == "Lyon"


def test_retry_after_in_seconds_and_as_a_date() -> None:
    assert retry_after({"Retry-After": "7"}, 0.0) == 7
    assert retry_after({"Retry-After": formatdate(1_000_030, usegmt=True)}, 1_000_000.0) == 30
    assert retry_after({"Retry-After-Ms": "250"}, 0.0) == 0.25
    assert retry_after({"Retry-After": formatdate(1, usegmt=True)}, 1_000.0) == 0
    assert retry_after({"Retry-After": "soon"}, 0.0) is None
    assert retry_after({}, 0.0) is None


def test_wrong_arguments_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval_fr.models.hosted import HostedChat

    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with pytest.raises(UsageError, match="no such preset"):
        HostedChat(model="m", preset="mistrl")
    with pytest.raises(UsageError, match="base_url or preset is missing"):
        HostedChat(model="m")
    with pytest.raises(ArmError, match="MISTRAL_API_KEY is not set"):
        HostedChat(model="m", preset="mistral")


def test_a_server_that_always_refuses_at_once_is_not_flooded(fake_server: Start, capsys: Any) -> None:
    server = fake_server(lambda call: Reply(status=429, headers={"Retry-After": "0"}))
    made = model(server, num_concurrent=64, max_wait=0.05)
    with pytest.raises(Unfinished, match="8 calls in a row were refused for the rate: HTTP 429"):
        made.generate_until(requests(200), disable_tqdm=True)
    assert server.count == 8 and server.most_in_flight == 1


@pytest.mark.parametrize("asked", ["0", "-5", "1e9", "Wed, 21 Oct 2099 07:28:00 GMT", "nan", "soon"])
def test_whatever_a_server_asks_to_wait(fake_server: Start, asked: str) -> None:
    server = fake_server(lambda call: Reply(status=429, headers={"Retry-After": asked}) if call.number < 3 else "oui")
    assert model(server, max_wait=0.1).generate_until(requests(3), disable_tqdm=True) == ["oui"] * 3


def test_calls_that_hang_do_not_hold_the_others_up(fake_server: Start) -> None:
    """Twenty of 400 calls hang: more are on their way than there are places, for those give theirs away."""
    seen: set[str] = set()

    def answer(call: Call) -> str | Reply:
        first = call.user not in seen
        seen.add(call.user)
        number = int(call.user.split()[1])
        return Reply(hang=60) if first and number < 160 and number % 8 == 7 else "oui"

    server = fake_server(answer, latency=0.005)
    made = model(server, num_concurrent=4, timeout=4.0)
    assert made.generate_until(requests(400), disable_tqdm=True) == ["oui"] * 400
    assert server.count == 420
    assert server.most_in_flight > 6  # those that hang wait beside the four places


@given(st.sampled_from([200, 200, 200, 400, 500]), st.binary(max_size=200))
def test_any_bytes_are_a_reply(status: int, body: bytes) -> None:
    record = read_reply(Answer(status, {}, body, 0.0)).record()
    assert json.loads(json.dumps(record, allow_nan=False).encode()) == record


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
names = st.sampled_from(["choices", "message", "content", "text", "type", "refusal", "usage", "prompt_tokens", "error"])
nested = st.recursive(leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4))


@given(nested)
def test_any_json_is_a_reply(body: Any) -> None:
    reply = read_reply(Answer(200, {}, json.dumps(body).encode(), 0.0))
    reply.text.encode()
    json.dumps(reply.record(), allow_nan=False).encode()
    assert reply.problem is not None or reply.text.strip() or reply.error or reply.finish_reason is not None


@pytest.mark.parametrize(
    ("choice", "text", "error"),
    [
        ({"message": {"content": "Paris \ud83d"}, "finish_reason": "stop"}, "Paris \ufffd", None),
        ({"text": "Lyon", "finish_reason": "length"}, "Lyon", None),
        (
            {"message": {"content": None}, "finish_reason": "content_filter"},
            "",
            "no content (finish reason: content_filter)",
        ),
        ({"message": {"content": "Par"}, "finish_reason": "content_filter"}, "Par", None),
        ({"message": {"content": "", "refusal": "Non.\x1b[2J"}}, "", "refusal: Non.\\u001b[2J"),
        ({"message": {"content": 7}}, "7", None),
        ({"text": "", "finish_reason": "stop"}, "", None),  # the model ended at once: its answer
        ({"message": {"content": ""}, "finish_reason": "STOP"}, "", None),
        ({"message": {"content": None}, "finish_reason": "stop"}, "", "no content (finish reason: stop)"),
        ({"message": {"content": ""}, "finish_reason": None}, "", "no content (finish reason: None)"),
        (
            {"message": {"content": "", "reasoning_content": "Voyons."}, "finish_reason": "stop"},
            "",
            "no content (finish reason: stop)",  # thought without an end, or a parser that took the answer for thought
        ),
    ],
)
def test_each_way_to_answer(choice: dict[str, Any], text: str, error: str | None) -> None:
    reply = read_reply(Answer(200, {}, json.dumps({"choices": [choice]}).encode(), 0.0))
    assert (reply.text, reply.error, reply.finish_reason) == (text, error, choice.get("finish_reason"))


def test_reasoning_is_told() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    body = {"choices": [{"message": {"content": "oui", "reasoning_content": "Voyons."}}], "usage": usage}
    record = read_reply(Answer(200, {}, json.dumps(body).encode(), 0.5)).record()
    assert record["reasoned"] and record["usage"]["reasoning_tokens"] == 7 and record["seconds"] == 0.5
    plain = {"choices": [{"message": {"content": "oui"}}], "usage": {"prompt_tokens": -1, "completion_tokens": "9"}}
    record = read_reply(Answer(200, {}, json.dumps(plain).encode(), 0.0)).record()
    assert not record["reasoned"] and set(record["usage"].values()) == {None}


def test_an_error_inside_a_200_is_kept_in_the_servers_words(fake_server: Start) -> None:
    body = json.dumps({"error": {"message": "upstream overloaded, says the provider", "code": 502}})
    server = fake_server(lambda call: Reply(raw=body) if call.user == "Question 1 ?" else "oui")
    made = model(server, max_retries=2)
    assert made.generate_until(requests(3), disable_tqdm=True) == ["oui", "", "oui"]
    told = {prompt: record for prompt, _, record in made.cache_hook.told}
    assert told["Question 1 ?"]["error"] == "HTTP 200: upstream overloaded, says the provider"
    assert told["Question 1 ?"]["failure"] == "server"
    assert server.count == 4
