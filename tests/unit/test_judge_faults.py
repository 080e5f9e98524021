"""Whatever the server does, one bad pair never stops the others, and a failure is never a verdict."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from lm_eval_fr.errors import JudgeError
from lm_eval_fr.pairing import Pairing
from tests.fakes.judging import (
    FAST,
    answer,
    by_quality,
    document,
    judge,
    only,
    outcomes,
    pair,
    verdict_json,
    write_profile,
    write_runs,
)
from tests.fakes.server import Call, FakeOpenAI, Reply

WINS = ["win"] * 6


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    """Six pairs that the candidate wins; the bad one is document 2."""
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), [answer(2)] * 6, [answer(1)] * 6))


def first_times(n: int, reply: Reply | str, number: int = 2) -> Callable[[Call], Reply | str]:
    """A bad `reply` to the first `n` calls for one document."""
    seen: Counter[int] = Counter()

    def respond(call: Call) -> Reply | str:
        seen[document(call)] += 1
        return reply if document(call) == number and seen[number] <= n else by_quality(call)

    return respond


PASSING = {
    "500": Reply("boom", status=500),
    "503": Reply("busy", status=503, headers={"Retry-After": "0.02"}),
    "dropped": Reply(drop=True),
    "hanging": Reply(hang=20),
    "cut body": Reply(verdict_json("A"), cut=True),
    "prose": Reply("Je préfère A, sans hésiter."),
    "verdict outside the set": Reply(verdict_json("C")),
    "empty": Reply(""),
    "null": Reply(None),
    "cut by the limit": Reply('{"reason": "tout', finish_reason="length"),
    "a page": Reply(raw="<html>gateway</html>"),
    "an empty body": Reply(raw=""),
    "broken JSON": Reply(raw='{"object": "chat.completion", "choices": [{"mess'),
    "no choices": Reply(raw='{"object": "chat.completion", "choices": []}'),
    "429": Reply("slow down", status=429),
    "429 in seconds": Reply("slow down", status=429, headers={"Retry-After": "0.1"}),
    "429 in milliseconds": Reply("slow down", status=429, headers={"Retry-After-Ms": "50"}),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_retried(fault: str, pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server: FakeOpenAI = fake_server(first_times(1, PASSING[fault]))
    profile = write_profile(tmp_path, server.url, timeout=3 if fault == "hanging" else 30)
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == WINS
    assert server.count == 13
    assert summary.finished
    paid = PASSING[fault].status == 200 and not (PASSING[fault].drop or PASSING[fault].hang or PASSING[fault].cut)
    paid = paid and fault not in ("a page", "an empty body")
    assert (summary.usage.calls, summary.usage.unusable) == ((13, 1) if paid else (12, 0))
    assert summary.spent.failures == (0 if paid else 1)


@pytest.mark.parametrize("fault", ["500", "dropped", "cut body", "429", "a page", "an empty body"])
def test_what_does_not_pass_is_unjudged_after_a_bounded_number_of_tries(
    fault: str, pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    server = fake_server(only([2], lambda call: PASSING[fault]))
    profile = write_profile(tmp_path, server.url)
    retry = replace(FAST, rate_limited=4)
    summary, verdicts = judge(pairing, tmp_path / "out", profile, retry=retry)
    assert outcomes(verdicts) == ["win", "win", "unjudged", "win", "win", "win"]
    assert server.count == 10 + (retry.rate_limited if fault == "429" else retry.attempts)
    assert not summary.finished
    assert summary.left is not None
    assert summary.left.startswith("1 of 6 pairs are not judged")
    (bad,) = (v for v in verdicts if v.outcome == "unjudged")
    assert len(bad.reasons) == 1
    server.answer = by_quality
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == WINS
    assert (summary.finished, summary.spent.calls) == (True, 2)


@pytest.mark.parametrize(
    ("reply", "outcome", "reason"),
    [
        (Reply("A"), "invalid", "not a JSON object"),
        (Reply(""), "invalid", "empty reply"),
        (Reply(verdict_json("A and B")), "invalid", "verdict outside"),
        (Reply('{"reason": "', finish_reason="length"), "invalid", "cut at the output limit"),
        (Reply("<think>A est plus court"), "invalid", "thinking without a verdict after it"),
        (Reply(raw='{"choices": ' + "[" * 5_000), "invalid", "the body is"),
        (Reply(None, finish_reason="content_filter"), "refused", "content filter"),
        (Reply(None, refusal="Je ne peux pas."), "refused", "refused: Je ne peux pas."),
        (Reply("This model's maximum context length is 8192 tokens", status=400), "refused", "HTTP 400"),
        (Reply("Request too large", status=413), "refused", "HTTP 413"),
        (Reply("Your input was flagged by our moderation", status=403), "refused", "HTTP 403"),
        (Reply("Unprocessable", status=422), "refused twice", "HTTP 422"),
    ],
)
def test_a_text_that_brings_no_verdict_is_asked_a_bounded_number_of_times_over_all_runs(
    reply: Reply, outcome: str, reason: str, pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    """Twice where a reply held no verdict or nobody knows why it is refused, once where it is the text."""
    asks, outcome = 1 if outcome == "refused" else 2, outcome.removesuffix(" twice")
    server = fake_server(only([2], lambda call: reply))
    profile = write_profile(tmp_path, server.url)
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == ["win", "win", outcome, "win", "win", "win"]
    assert server.count == 10 + asks
    assert summary.finished  # it was asked, in vain; that is said apart
    assert summary.usage.unusable == (asks if reply.status == 200 else 0)
    (bad,) = (v for v in verdicts if v.outcome == outcome)
    assert reason in " ".join(bad.reasons.values())
    assert any(f"1 of 6 pairs are {outcome}" in warning for warning in summary.warnings)
    _, again = judge(pairing, tmp_path / "out", profile, reparse=True)
    assert outcomes(again) == outcomes(verdicts)
    server.answer = by_quality
    assert outcomes(judge(pairing, tmp_path / "out", profile)[1]) == outcomes(verdicts)
    assert server.count == 10 + asks  # the next run does not ask again
    final = outcome == "refused" and asks == 1
    _, third = judge(pairing, tmp_path / "out", profile, retry_invalid=True)
    assert outcomes(third) == (outcomes(verdicts) if final else WINS)


def test_a_slow_server_is_waited_for(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server = fake_server(only([2], lambda call: Reply(by_quality(call), delay=0.5)))
    summary, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert outcomes(verdicts) == WINS
    assert summary.spent.failures == 0


STOPPING = {
    401: ("Incorrect API key provided: sk-proj-s3cret***1234.", "check the key in the environment variable FAKE_KEY"),
    403: ("You may not use this model", "ask for access, or choose another --model"),
    404: ("The model `fake-model` does not exist", "check that the server has a model"),
}


@pytest.mark.parametrize("status", STOPPING)
def test_what_every_call_would_meet_stops_before_the_second(
    status: int, pairing: Pairing, fake_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, remedy = STOPPING[status]
    monkeypatch.setenv("FAKE_KEY", "tr3s-s3cret-key")
    server = fake_server(lambda call: Reply(said, status=status), latency=0.05)
    profile = write_profile(tmp_path, server.url, key_env="FAKE_KEY", concurrency=64)
    with pytest.raises(JudgeError) as raised:
        judge(pairing, tmp_path / "out", profile)
    assert server.count == 1
    assert f"HTTP {status}" in str(raised.value)
    assert remedy in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (
            "Unsupported value: 'temperature' does not support 0 with this model.",
            "take temperature out of profile fake",
        ),
        ("Invalid model: fake-model", "check that the server has a model"),
        (
            "'response_format' of type 'json_schema' is not supported",
            "set `response_format: json_object` or `none` in a copy of profile fake",
        ),
    ],
)
def test_a_parameter_that_the_model_does_not_take_stops_too(
    said: str, remedy: str, pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    server = fake_server(lambda call: Reply(said, status=400))
    with pytest.raises(JudgeError, match=remedy):
        judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert server.count == 1


def test_a_key_that_is_revoked_on_the_way_stops_and_what_came_is_kept(
    pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    server = fake_server(lambda call: by_quality(call) if call.number < 6 else Reply("revoked", status=401))
    profile = write_profile(tmp_path, server.url, concurrency=2)
    with pytest.raises(JudgeError, match="HTTP 401: revoked"):
        judge(pairing, tmp_path / "out", profile)
    assert server.count <= 8
    server.answer = by_quality
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == WINS
    assert (summary.usage.calls, summary.spent.calls) == (12, 6)


def test_no_key_is_said_before_anything_is_written(pairing: Pairing, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "http://127.0.0.1:9/v1", key_env="NO_SUCH_KEY_IS_SET")
    with pytest.raises(JudgeError, match=r"NO_SUCH_KEY_IS_SET is empty \(export NO_SUCH_KEY_IS_SET="):
        judge(pairing, tmp_path / "out", profile)
    assert not (tmp_path / "out").exists()


def test_nobody_at_the_address(pairing: Pairing, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"http://127\.0\.0\.1:9/v1.*\(check the server and --base-url\)"):
        judge(pairing, tmp_path / "out", write_profile(tmp_path, "http://127.0.0.1:9/v1"))


def test_a_server_that_dies_ends_the_run_soon_and_it_resumes(fake_server, tmp_path: Path) -> None:
    pairing = pair(*write_runs(tmp_path / "runs", [answer(2)] * 40, [answer(1)] * 40))
    server = fake_server(lambda call: by_quality(call) if call.number < 20 else Reply("gone", status=502))
    profile = write_profile(tmp_path, server.url, concurrency=4)
    retry = replace(FAST, attempts=2, failures_in_a_row=5)
    summary, verdicts = judge(pairing, tmp_path / "out", profile, retry=retry)
    assert "questions in a row got no answer; the last: HTTP 502: gone" in (summary.left or "")
    assert server.count <= 20 + 2 * (5 + 4)
    assert len(verdicts) == 40
    server.answer = by_quality
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert summary.finished
    assert (summary.usage.calls, outcomes(verdicts)) == (80, ["win"] * 40)


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "insufficient_quota"), (400, "billing_hard_limit_reached"), (402, "402"), (200, "insufficient_quota")],
)
def test_an_empty_account_stops_all_calls_and_is_asked_again_when_it_is_topped_up(
    status: int, code: str, pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    spent = json.dumps({"error": {"message": "You exceeded your current quota", "code": code}})
    server = fake_server(lambda call: by_quality(call) if call.number < 3 else Reply(raw=spent, status=status))
    profile = write_profile(tmp_path, server.url, concurrency=1)
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert server.count == 4
    assert summary.left == f"5 of 6 pairs are not judged: HTTP {status}: You exceeded your current quota"
    assert summary.remedy == "top up the account, then rerun to resume"
    assert Counter(outcomes(verdicts)) == {"unjudged": 5, "win": 1}
    server.answer = by_quality
    assert outcomes(judge(pairing, tmp_path / "out", profile)[1]) == WINS
    assert server.count == 4 + 9


def test_a_server_that_asks_for_hours_is_left_alone(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    limited = Reply("daily limit", status=429, headers={"Retry-After": "7200"})
    server = fake_server(lambda call: by_quality(call) if call.number < 3 else limited)
    summary, _ = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url, concurrency=1))
    assert server.count == 4
    assert "the server asks to wait 7,200 s" in (summary.left or "")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_holds_every_call_back(form: str, pairing: Pairing, fake_server, tmp_path: Path) -> None:
    """A date has whole seconds, so 3 s ahead is at least 2."""
    refused_at: list[float] = []

    def respond(call: Call) -> Reply | str:
        if call.number == 4:
            refused_at.append(call.at)
            value = "1" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
            return Reply("slow down", status=429, headers={"Retry-After": value})
        return by_quality(call)

    server = fake_server(respond)
    _, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url, concurrency=2))
    assert outcomes(verdicts) == WINS
    # Only what was already on its way may arrive within the wait.
    early = [call for call in server.calls if refused_at[0] < call.at < refused_at[0] + 0.9]
    assert len(early) <= 1


def test_concurrency_falls_with_429s_and_grows_back(fake_server, tmp_path: Path) -> None:
    """A server that refuses whatever comes above four at once."""
    pairing = pair(*write_runs(tmp_path / "runs", [answer(2)] * 60, [answer(1)] * 60))
    server: FakeOpenAI

    def respond(call: Call) -> Reply | str:
        return Reply("too many", status=429) if server.in_flight > 4 else by_quality(call)

    server = fake_server(respond, latency=0.02)
    profile = write_profile(tmp_path, server.url, concurrency=32)
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert outcomes(verdicts) == ["win"] * 60
    refused = server.count - 120
    assert summary.spent.failures == refused
    assert 0 < refused < 120  # without adapting, 28 of 32 calls are refused again and again


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/chat/completions"])
def test_a_server_s_address_is_completed(pairing: Pairing, fake_server, tmp_path: Path, ending: str) -> None:
    server = fake_server(by_quality)
    profile = write_profile(tmp_path, server.url.removesuffix("/v1") + ending)
    assert outcomes(judge(pairing, tmp_path / "out", profile)[1]) == WINS
    assert {call.path for call in server.calls} == {"/v1/chat/completions"}


def test_no_key_in_anything_that_is_written_or_said(
    pairing: Pairing, fake_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-live-0123456789abcdef"
    monkeypatch.setenv("FAKE_KEY", key)
    echo = Reply(f"internal error, headers: Authorization: Bearer {key}", status=500)
    server = fake_server(first_times(2, echo), api_key=key)
    summary, _ = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url, key_env="FAKE_KEY"))
    assert summary.finished
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert key.encode() not in path.read_bytes()
    assert key not in "".join(capfd.readouterr())
