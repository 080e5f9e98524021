"""What servers say when they do not answer, in the words of the APIs that exist."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.io.clean import printable
from lm_eval_fr.io.replies import Kind, find_page, find_problem
from lm_eval_fr.io.retry import Waiting

OPENAI_LENGTH = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
AZURE_FILTER = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
GOOGLE_RATE = "You exceeded your current quota, please check your plan and billing details. Please retry in 23.4s."


BATCH = {"id": "batch_1", "object": "batch", "status": "failed", "errors": {"data": [{"message": "too large"}]}}
JOB = {"id": "1", "object": "batch", "status": "FAILED", "errors": [{"message": "no such model", "count": 1}]}


def openai(message: str, code: str | None = None, param: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, openai("Incorrect API key provided: sk-abc***def.", "invalid_api_key"), "key"),
        (429, openai("You exceeded your current quota, check your billing.", "insufficient_quota"), "quota"),
        (429, openai("Rate limit reached on tokens per min. Please try again in 1.2s.", "rate_limit_exceeded"), "rate"),
        (400, openai("Billing hard limit has been reached", "billing_hard_limit_reached"), "quota"),
        (404, openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"), "model"),
        (403, openai("Your organization must be verified to use the model `o3`.", "model_not_found"), "model"),
        (400, openai(OPENAI_LENGTH, "context_length_exceeded", "messages"), "too_long"),
        (400, openai("max_tokens is too large: 100000. At most 16384.", "invalid_value", "max_tokens"), "parameter"),
        (400, openai("Could not parse the JSON body of your request."), "request"),
        (
            400,
            openai(AZURE_FILTER, "content_filter", "prompt", innererror={"code": "ResponsibleAIPolicyViolation"}),
            "moderated",
        ),
        (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}, "model"),
        (401, {"statusCode": 401, "message": "Unauthorized. Access token is missing."}, "key"),
        (
            403,
            {"error": {"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["x"]}}},
            "moderated",
        ),
        (402, {"error": {"code": 402, "message": "This request requires more credits."}}, "quota"),
        (200, {"error": {"code": 502, "message": "Provider returned error"}}, "server"),
        (200, {"error": {"code": 401, "message": "No auth credentials found"}}, "key"),
        (200, {"error": {"code": "content_filter", "message": "blocked"}}, "moderated"),
        (200, {"choices": [{"error": {"code": 429, "message": "slow down"}, "message": {"content": ""}}]}, "rate"),
        (200, {"detail": "Not authenticated"}, "server"),
        (200, {"errors": [{"code": 503, "message": "no healthy upstream"}], "success": False}, "server"),
        (200, {"success": False, "errors": [{"code": 10000, "message": "Invalid API key"}], "result": None}, "key"),
        (200, {"code": "Throttling", "message": "Requests throttling triggered", "request_id": "1"}, "rate"),
        (200, {"statusCode": 402, "message": "Payment required"}, "quota"),
        (200, {"error_code": 17, "error_msg": "Rate limit of the day reached"}, "rate"),
        (200, {"error": "model 'x' not found, try pulling it first"}, "model"),
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, "model"),
        (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError"}, "model"),
        (400, {"error": {"code": 400, "message": "exceeds the available context size", "type": "x"}}, "too_long"),
        (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, "server"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "server"),
        (429, [{"error": {"code": 429, "message": GOOGLE_RATE, "status": "RESOURCE_EXHAUSTED"}}], "rate"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass one."}}], "key"),
        (413, {}, "too_long"),
        (307, {}, "address"),
        (405, {"detail": "Method Not Allowed"}, "address"),
        (403, {"message": "Forbidden"}, "key"),
    ],
)
def test_each_kind(status: int, body: Any, kind: Kind) -> None:
    found = find_problem(status, {}, json.dumps(body).encode())
    assert found is not None and found.kind == kind


@pytest.mark.parametrize(
    ("status", "body", "parameter"),
    [
        (400, openai("Unsupported parameter: 'max_tokens'.", "unsupported_parameter", "max_tokens"), "max_tokens"),
        (400, openai("Unrecognized request argument supplied: prompt_cache_key"), "prompt_cache_key"),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}]}, "seed"),
        (422, {"object": "error", "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra"}]}}, "seed"),
        (400, openai("'temperature' does not support 0 with this model."), "temperature"),
    ],
)
def test_the_refused_field_is_named(status: int, body: Any, parameter: str) -> None:
    found = find_problem(status, {}, json.dumps(body).encode())
    assert found is not None
    assert (found.kind, found.parameter) == ("parameter", parameter)


def test_the_servers_words_are_kept_in_one_printable_line_without_keys() -> None:
    body = openai("bad key Bearer abc-123-def\n\x1b]52;c;ZXZpbA==\x07 at http://me:pass@host/v1?api_key=topsecret")
    found = find_problem(401, {}, json.dumps(body).encode())
    assert found is not None
    assert not any(secret in found.said for secret in ("abc-123", "pass@", "topsecret", "\x1b", "\n"))
    assert found.said.startswith("bad key Bearer [redacted]")
    page = find_problem(502, {}, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body>")
    assert str(page) == "HTTP 502: 502 Bad Gateway"
    latin = find_problem(503, {"Retry-After": "7"}, "Accès impossible".encode("latin-1"))
    assert latin is not None and (latin.said, latin.wait) == ("Acc\ufffds impossible", 7)


def test_an_answer_is_no_problem() -> None:
    for body in (
        {"choices": [{"message": {"content": "oui"}}], "error": None},
        {"data": []},
        [1, 2],
        "text",
        BATCH,
        JOB,
        {},
    ):
        assert find_problem(200, {}, json.dumps(body).encode()) is None
    assert find_problem(200, {}, b"<html>") is None  # what an answer should look like is for its reader to say


@given(st.sampled_from([200, 204, 302, 400, 403, 429, 500]), st.binary(max_size=300))
def test_any_bytes(status: int, body: bytes) -> None:
    found = find_problem(status, {}, body)
    assert found is None or (printable(found.said) == found.said and len(found.said) <= 300)


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
fields = st.sampled_from(
    ["error", "message", "detail", "code", "type", "param", "status", "choices", "loc", "metadata", "raw"]
)
nested = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=4), max_leaves=12
)


@given(st.sampled_from([200, 400, 422, 429, 503]), nested)
def test_any_json(status: int, body: Any) -> None:
    found = find_problem(status, {}, json.dumps(body).encode())
    assert found is None or printable(found.said) == found.said


@pytest.mark.parametrize(
    ("body", "said", "billed"),
    [
        (b"<html><title>Sign in</title>", "a page instead of JSON: Sign in", False),
        (b"upstream connect error", "a page instead of JSON: upstream connect error", False),
        (b"\xef\xbb\xbf \r\n", "an empty body", True),
    ],
)
def test_a_page_is_no_completion(body: bytes, said: str, billed: bool) -> None:
    found = find_page(200, body)
    assert found is not None
    assert (found.kind, found.said, found.billed) == ("server", said, billed)


@pytest.mark.parametrize("body", [b' {"choices": []}', b"\xef\xbb\xbf[1", b'{"cut'])
def test_what_begins_as_json_is_no_page(body: bytes) -> None:
    assert find_page(200, body) is None


def test_a_long_wait_is_said_and_not_said_again_at_once() -> None:
    said: list[str] = []
    waiting = Waiting("http://server/v1", said.append)
    for pause in (1.0, 8.0, 60.0):
        waiting.tell(pause, "HTTP 429: slow down")
    assert said == ["waiting 8 s: http://server/v1 answers HTTP 429: slow down"]
