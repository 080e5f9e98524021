"""lm-eval's own API models, asked in our way: what they send stays theirs, what comes back is guarded."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from lm_eval_fr.errors import ArmError
from tests.fakes.server import Call, FakeOpenAI, Reply

pytest.importorskip("lm_eval")

Start = Callable[..., FakeOpenAI]
SETTINGS = {"until": ["</s>"], "max_gen_toks": 16, "temperature": 0.0}
KEY = "sk-test-0123456789abcdef"


class Characters:
    """A tokenizer whose tokens are characters."""

    eos_token, eos_token_id, bos_token_id = "</s>", 0, None

    def __call__(self, texts: str | list[str], **more: Any) -> SimpleNamespace:
        encoded = [ord(c) for c in texts] if isinstance(texts, str) else [[ord(c) for c in text] for text in texts]
        return SimpleNamespace(input_ids=encoded)


def patient(url: str, *, chat: bool = False, tokens: bool = False, **arguments: Any) -> Any:
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    from lm_eval_fr.models.patient import make_patient

    kind = LocalChatCompletion if chat else LocalCompletionsAPI
    lm = kind(base_url=url, model="m", tokenizer_backend=None, tokenized_requests=False, **arguments)
    if tokens:
        lm.tokenizer, lm.tokenizer_backend, lm.tokenized_requests = Characters(), "huggingface", True
    make_patient(lm)
    return lm


def asked(*contexts: str) -> list[Any]:
    return [SimpleNamespace(args=(context, dict(SETTINGS))) for context in contexts]


def test_what_is_sent_is_lm_evals_own(fake_server: Start) -> None:
    server = fake_server("oui")
    url = f"{server.url}/completions"
    assert patient(url, num_concurrent=2, seed=7).generate_until(asked("a", "b")) == ["oui", "oui"]
    common = {"model": "m", "max_tokens": 16, "temperature": 0.0, "stop": ["</s>"], "seed": 7}
    assert sorted(map(json.dumps, (call.body for call in server.calls))) == [
        json.dumps({"prompt": prompt, **common}) for prompt in ("a", "b")
    ]
    patient(url, tokens=True, max_length=20).generate_until(asked("abcdefgh"))
    assert server.calls[-1].body["prompt"] == [[ord(c) for c in "fgh"]]  # lm-eval cuts to what the context leaves


def test_a_failing_document_does_not_end_the_others(fake_server: Start) -> None:
    def answer(call: Call) -> str | Reply:
        return (
            Reply("too long for the context", status=400)
            if call.user == "b"
            else Reply(raw='{"choices": [{"text": "x\\ud800"}]}')
        )

    server = fake_server(answer)
    assert patient(f"{server.url}/completions").generate_until(asked("a", "b", "c")) == ["x\ufffd", "", "x\ufffd"]


def scores(call: Call) -> Reply:
    size = len(call.body["prompt"][0])
    logprobs = {"token_logprobs": [None] + [-1.0] * size, "top_logprobs": [None] + [{"t": -1.0}] * size}
    return Reply(raw=json.dumps({"choices": [{"index": 0, "text": "", "logprobs": logprobs}]}))


@pytest.mark.parametrize("concurrent", [1, 4])
def test_log_probabilities_come_through_a_bad_moment(fake_server: Start, concurrent: int) -> None:
    server = fake_server(lambda call: Reply(status=503) if call.number == 1 else scores(call))
    lm = patient(f"{server.url}/completions", tokens=True, num_concurrent=concurrent)
    requests = [SimpleNamespace(args=(f"contexte {i}", " oui")) for i in range(5)]
    assert lm.loglikelihood(requests) == [(-4.0, True)] * 5
    assert server.count == 6


@pytest.mark.parametrize("concurrent", [1, 4])
@pytest.mark.parametrize("scored", [True, False])
def test_no_key_and_no_prompt_follow_a_redirect(
    fake_server: Start, monkeypatch: pytest.MonkeyPatch, concurrent: int, scored: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    thief = fake_server("volé")

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{thief.url}/completions"})

    with FakeOpenAI().mount(web.post("/away/completions", redirect)) as server:
        url = server.url.replace("/v1", "/away/completions")
        lm = patient(url, tokens=scored, num_concurrent=concurrent, max_retries=1)
        with pytest.raises(ArmError, match=f"redirects to 127.0.0.1:{thief.port}"):
            if scored:
                lm.loglikelihood([SimpleNamespace(args=("a", "b"))])
            else:
                lm.generate_until(asked("a"))
    assert thief.count == 0


def with_scores(own: Any, best: Any, **more: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "logprobs": {"token_logprobs": own, "top_logprobs": best}, **more}]})


GOOD = [{"t": -1.0}] * 20


@pytest.mark.parametrize("concurrent", [1, 4])
@pytest.mark.parametrize(
    "raw",
    [
        "5",
        '{"choices": {"0": 1}}',
        '{"choices": []}',
        '{"choices": [{"index": 0, "logprobs": null}]}',
        with_scores(["-1.0"] * 20, GOOD),
        with_scores([True] * 20, GOOD),
        with_scores([-1.0] * 20, [{}] * 20),
        with_scores([-1.0] * 20, [{"t": "x"}] * 20),
        with_scores([-1.0] * 20, [None] * 20),
        with_scores([-1.0] * 3, GOOD),
        with_scores([-1.0] * 20, GOOD, index="0"),
    ],
)
def test_what_does_not_hold_log_probabilities(fake_server: Start, raw: str, concurrent: int) -> None:
    server = fake_server(lambda call: Reply(raw=raw))
    lm = patient(f"{server.url}/completions", tokens=True, num_concurrent=concurrent, max_retries=1)
    with pytest.raises(ArmError, match="does not have the log-probabilities of what was sent"):
        lm.loglikelihood([SimpleNamespace(args=("contexte", " oui"))])
