"""Replies that nobody writes except on purpose: each is kept, none is fatal, none is paid twice. A judge that brings no
verdict is stopped before it costs more."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lm_eval_fr.errors import JudgeError, UsageError
from lm_eval_fr.judge.asking.envelope import MOST_REASON, read_reply
from lm_eval_fr.judge.asking.protocol import CallUsage, Profile
from lm_eval_fr.judge.live.client import account_headers
from lm_eval_fr.judge.session import judge_runs
from lm_eval_fr.judge.verdicts.journal import QuestionRows, StoredReply
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, read_verdicts, write_verdicts
from lm_eval_fr.judge.verdicts.question_life import question_life
from lm_eval_fr.pairing import Pairing
from tests.fakes.judging import (
    FAST,
    answer,
    by_quality,
    document,
    judge,
    only,
    options,
    outcomes,
    pair,
    verdict_json,
    write_profile,
    write_runs,
)
from tests.fakes.server import Call, FakeOpenAI, Reply


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), [answer(2)] * 4, [answer(1)] * 4))


def raw_reply(text: str, usage: str = '{"prompt_tokens": 900, "completion_tokens": 20}') -> str:
    choice = f'{{"finish_reason": "stop", "message": {{"content": {json.dumps(text)}}}}}'
    return f'{{"choices": [{choice}], "usage": {usage}}}'


FAIR = '{"reason": "ok", "verdict": "%s"}'
POISON = {
    "half an emoji": lambda v: raw_reply(FAIR.replace("ok", "\\ud83d") % v),
    "half an emoji in the body": lambda v: raw_reply(FAIR % v).replace('"choices"', '"\\udc00x": 1, "choices"'),
    "400 digits": lambda v: raw_reply(FAIR % v, '{"prompt_tokens": ' + "9" * 400 + "}"),
    "a negative count": lambda v: raw_reply(FAIR % v, '{"prompt_tokens": -5, "completion_tokens": -7}'),
    "an endless count": lambda v: raw_reply(FAIR % v, '{"prompt_tokens": Infinity}'),
    "a megabyte": lambda v: raw_reply(FAIR.replace("ok", "la " * 400_000) % v),
    "control characters": lambda v: raw_reply(FAIR.replace("ok", "\\u001b]0;x\\u0007\\u202e") % v),
    "deep": lambda v: '{"choices": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "not UTF-8": lambda v: b'{"\xff\xfe',
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_reply_harms_nobody_in_this_run_and_in_all_later_ones(
    kind: str, pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    def respond(call: Call) -> Reply | str:
        fair = by_quality(call)
        return Reply(raw=POISON[kind](json.loads(fair)["verdict"])) if document(call) == 2 else fair

    readable = kind not in ("deep", "not UTF-8")
    server = fake_server(respond)
    profile = write_profile(tmp_path, server.url)
    expected = ["win", "win", "win" if readable else "invalid", "win"]
    for changes in ({"max_usd": 5.0}, {"max_usd": 5.0, "reparse": True}, {"max_usd": 5.0}):
        summary, verdicts = judge(pairing, tmp_path / "out", profile, **changes)
        assert outcomes(verdicts) == expected
        assert summary.finished
        assert summary.usage.dollars is not None and 0 < summary.usage.dollars < 0.2
    assert server.count == (8 if readable else 6 + 2)
    assert max(len(reason) for verdict in verdicts for reason in verdict.reasons.values()) <= MOST_REASON + 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "refusal", "usage", "prompt_tokens", "total_tokens", "error", "code"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=16,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.binary(max_size=400) | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_bytes_are_stored_a_life_can_be_read_and_written(tmp_path: Path, raw: bytes) -> None:
    read = read_reply(raw)
    assert (read.verdict is None) == (read.cause is not None)
    if read.usage is not None:
        assert 0 <= read.usage.cached <= read.usage.input and read.usage.output >= 0
    life = question_life(QuestionRows((StoredReply(b"k", 1, raw),)))
    verdict = PairVerdict("t", 0, "h", "unjudged", reasons={"candidate_first": life.said})
    write_verdicts(tmp_path / "verdicts.jsonl", [verdict])
    assert read_verdicts(tmp_path) == [verdict]


def test_a_body_without_an_end_is_read_up_to_a_bound(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    """9 MB of spaces that come as 9 kB: more than any answer, so the call has failed, and is made again."""
    seen: Counter[int] = Counter()

    def respond(call: Call) -> Reply | str:
        seen[document(call)] += 1
        if document(call) == 1 and seen[1] == 1:
            packed = gzip.compress(raw_reply(FAIR % "A").encode()[:-1] + b" " * (9 << 20) + b"}")
            return Reply(raw=packed, headers={"Content-Encoding": "gzip"})
        return by_quality(call)

    server = fake_server(respond)
    summary, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert outcomes(verdicts) == ["win"] * 4
    assert (server.count, summary.spent.failures) == (9, 1)
    assert summary.spent.lost_dollars  # it may have been billed


HOPELESS = {
    "length": (Reply("", finish_reason="length"), {}, "cut at the output limit", "raise max_tokens in a copy of"),
    "thinking": (Reply("<think>d'abord"), {}, "thinking without a verdict", "--reasoning-parser NAME"),
    "prose": (Reply("A, je crois"), {}, "not a JSON object", "a server that enforces `response_format`"),
    "prose, unasked": (Reply("A"), {"response_format": "none"}, "not a JSON", "set `response_format: json_schema`"),
    "empty": (Reply(""), {}, "empty reply", "raise max_tokens"),
    "another API": (Reply(raw='{"portal": 1}'), {}, "the body has no message", "OpenAI-compatible server"),
    "refused": (Reply(None, refusal="non"), {}, "refused: non", "choose a judge without that filter"),
    "cut prompt": (
        Reply("A", usage={"prompt_tokens": 12, "completion_tokens": 5}),
        {},
        "not a JSON object",
        "raise the server's context length",
    ),
    "moderated": (Reply("your input was flagged", status=403), {}, "HTTP 403", "choose a judge without that filter"),
}


@pytest.mark.parametrize("cause", HOPELESS)
def test_a_judge_without_a_verdict_is_stopped_after_twenty_questions(
    cause: str, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    reply, changes, said, remedy = HOPELESS[cause]
    pairing = pair(*write_runs(tmp_path / "runs", [answer(2)] * 60, [answer(1)] * 60))
    server = fake_server(lambda call: reply)
    profile = write_profile(tmp_path, server.url, concurrency=4, **changes)
    summary, verdicts = judge(pairing, tmp_path / "out", profile)
    assert server.count <= 2 * (20 + 4)
    assert not summary.finished
    assert "20 questions in a row got no verdict, 20 of them: " in (summary.left or "")
    assert said in (summary.left or "")
    assert remedy in (summary.remedy or "")
    assert outcomes(verdicts).count("unjudged") >= 30


def test_twenty_in_a_row_and_not_twenty_in_all(fake_server: Callable[..., FakeOpenAI], tmp_path: Path) -> None:
    pairing = pair(*write_runs(tmp_path / "runs", [answer(2)] * 60, [answer(1)] * 60))
    server = fake_server(lambda call: by_quality(call) if document(call) % 3 else Reply("A, je crois"))
    summary, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert summary.finished
    assert Counter(outcomes(verdicts)) == {"win": 40, "invalid": 20}


def test_what_follows_the_thinking_is_read(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(lambda call: f'<think>{{"verdict": "B"}} non…</think>\n\n{by_quality(call)}')
    _, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert outcomes(verdicts) == ["win"] * 4
    # A thought's end inside a verdict's own reason is no thought.
    text = json.dumps({"reason": 'écrit </think>{"verdict": "B"}', "verdict": "A"})
    assert read_reply(raw_reply(text).encode()).verdict == "A"


def test_a_prompt_that_the_server_cut_is_said_of_each_pair(
    fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    texts = ["Résume : " + "une phrase longue. " * 3000, *(f"Résume le texte n° {i}." for i in range(3))]
    pairing = pair(*write_runs(tmp_path / "runs", [answer(2)] * 4, [answer(1)] * 4, texts=texts))

    def respond(call: Call) -> Reply:
        tokens = min(2048, len(json.dumps(call.messages, ensure_ascii=False).encode()) // 4)
        return Reply(by_quality(call), usage={"prompt_tokens": tokens, "completion_tokens": 9})

    server = fake_server(respond)
    summary, verdicts = judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    assert [bool(verdict.cautions) for verdict in sorted(verdicts, key=lambda v: v.doc_id)] == [True] + [False] * 3
    (warning,) = [w for w in summary.warnings if "cut the prompts" in w]
    assert warning.startswith("the server cut the prompts of 1 pairs (first: analysis_fr/0)")


@pytest.mark.parametrize(("tokens", "misses"), [(1000, False), (400, False), (300, True), (0, False)])
def test_no_text_has_twelve_bytes_a_token(tokens: int, misses: bool) -> None:
    assert CallUsage(tokens, 0, 0, 5).misses(4_000) is misses
    assert not CallUsage(tokens, 0, 0, 5).misses(None)


def test_calls_that_hang_do_not_hold_the_others(fake_server: Callable[..., FakeOpenAI], tmp_path: Path) -> None:
    """One call in twenty hangs: its place is given to another, so that more are in flight than there are places."""
    timeout, n = 4.0, 120
    pairing = pair(*write_runs(tmp_path / "runs", [answer(2)] * n, [answer(1)] * n))
    seen: set[int] = set()

    def respond(call: Call) -> Reply | str:
        number = document(call)
        if number % 10 == 0 and number not in seen:
            seen.add(number)
            return Reply(hang=60.0)
        return by_quality(call)

    server = fake_server(respond)
    profile = write_profile(tmp_path, server.url, timeout=timeout, concurrency=4)
    summary, verdicts = judge(pairing, tmp_path / "out", profile, retry=FAST)
    assert outcomes(verdicts) == ["win"] * n
    assert summary.spent.failures == len(seen) == n // 10
    assert server.most_in_flight > 4


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-Lyon")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_7")
    yield


def test_the_organisation_and_the_project_are_named_live(
    account: None, pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(by_quality)
    judge(pairing, tmp_path / "out", write_profile(tmp_path, server.url))
    named = {(call.headers["OpenAI-Organization"], call.headers["OpenAI-Project"]) for call in server.calls}
    assert named == {("org-Lyon", "proj_7")}
    assert account_headers(Profile("m", "m", dialect="mistral")) == {}


def test_an_organisation_that_no_header_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org\nX-Evil: 1")
    with pytest.raises(JudgeError, match="OPENAI_ORG_ID: not one word of ASCII"):
        account_headers(Profile("p", "m"))


@pytest.mark.parametrize("address", ["http://u:s3cr3tpass@127.0.0.1:1/v1", "http://127.0.0.1:1/v1?api_key=s3cr3tpass"])
def test_an_address_with_a_secret_is_refused_and_not_repeated(address: str, pairing: Pairing, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "http://127.0.0.1:1/v1")
    with pytest.raises(UsageError) as refused:
        judge_runs(pairing, tmp_path / "out", options(profile, base_url=address))
    assert "s3cr3t" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_reply_without_usage_counts_at_its_most_in_every_run(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    silent = only([1], lambda call: Reply(verdict_json("A" if "2" in call.user else "B"), usage={}))
    server = fake_server(lambda call: silent(call) if document(call) == 1 else by_quality(call))
    profile, out = write_profile(tmp_path, server.url), tmp_path / "out"
    spent = []
    for _ in range(2):
        summary, _ = judge(pairing, out, profile, max_usd=5.0)
        assert summary.usage.without_usage == 2
        assert any("2 replies did not report their usage" in warning for warning in summary.warnings)
        spent.append(summary.usage.dollars)
    assert server.count == 8
    assert spent[0] == spent[1]
    assert spent[0] is not None and spent[0] > 2 * 300 * 8 / 1e6  # at least the whole of two replies' output limit
