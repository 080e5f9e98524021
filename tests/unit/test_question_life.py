"""One function of the journal's rows decides whether a question is asked; everyone who asks or counts reads it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.judge.asking.profile import load_profile, load_rubric
from lm_eval_fr.judge.asking.worklist import Questioner, worklist
from lm_eval_fr.judge.batch.batch_session import judge_by_batch, open_questions
from lm_eval_fr.judge.estimate import estimate_runs
from lm_eval_fr.judge.session import lives_of
from lm_eval_fr.judge.verdicts.journal import Failure, Journal, QuestionRows, StoredReply
from lm_eval_fr.judge.verdicts.question_life import QuestionLife, open_orders, question_life
from lm_eval_fr.pairing import Pairing
from tests.fakes.batch import FakeBatches
from tests.fakes.judging import answer, by_quality, judge, only, options, outcomes, pair, write_profile, write_runs
from tests.fakes.server import FakeOpenAI, Reply

KEY = b"k" * 32
PROSE = {"choices": [{"message": {"content": "Plutôt A."}, "finish_reason": "stop"}]}
CUT = {"choices": [{"message": {"content": '{"reason": "'}, "finish_reason": "length"}]}
FILTERED = {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}
REFUSAL = {"choices": [{"message": {"content": "", "refusal": "non"}, "finish_reason": "stop"}]}
BUSY = {"error": {"code": 429, "message": "slow down"}}
BROKE = {"error": {"code": 402, "message": "no credits"}}


def verdict(which: str) -> dict[str, object]:
    text = json.dumps({"reason": "plus juste", "verdict": which})
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def life(*events: object, waiting: bool = False, since: float = 0.0, repeat: int = 0) -> QuestionLife:
    """Of replies (bodies) and failures ((kind, detail)), a second apart."""
    replies, failures = [], []
    for at, event in enumerate(events, 1):
        if isinstance(event, tuple):
            failures.append(Failure(KEY, 1, *event, 0.0, float(at)))
        else:
            replies.append(
                StoredReply(KEY, 1, json.dumps(event).encode(), repeat=repeat, attempt=len(replies) + 1, at=float(at))
            )
    rows = QuestionRows(tuple(replies), tuple(failures))
    return question_life(rows, repeat=repeat, waiting=waiting, since=since)


@pytest.mark.parametrize(
    ("events", "state", "judgement", "asked_again"),
    [
        ((), "open", None, True),
        ((("rate", "HTTP 429"), ("server", "HTTP 502"), ("transport", "dropped")), "open", None, True),
        ((("lost", "killed"),), "open", None, True),
        ((BUSY,), "open", None, True),  # as an earlier version stored it
        ((verdict("A"),), "answered", "A", False),
        ((("server", "HTTP 500"), PROSE, verdict("tie")), "answered", "tie", False),
        ((PROSE,), "unreadable", None, True),
        ((CUT,), "unreadable", None, True),
        ((PROSE, CUT), "unreadable", "invalid", False),
        ((PROSE, ("server", "HTTP 500"), PROSE), "unreadable", "invalid", False),
        ((BUSY, PROSE, BUSY), "unreadable", None, True),
        ((REFUSAL,), "refused", "refused", False),
        ((FILTERED,), "refused", "refused", False),
        ((PROSE, FILTERED), "refused", "refused", False),
        ((("moderated", "HTTP 403: flagged"),), "refused", "refused", False),
        ((("too_long", "HTTP 400: context"), ("rate", "HTTP 429")), "refused", "refused", False),
        ((("request", "HTTP 422: unprocessable"),), "open", None, True),
        ((("request", "HTTP 422: unprocessable"),) * 2, "refused", "refused", False),
        ((("quota", "HTTP 402"),), "blocked", None, True),
        ((BROKE,), "blocked", None, True),
        ((("key", "HTTP 401"),), "blocked", None, True),
        ((("stop", "HTTP 403: not your model"),), "blocked", None, True),  # as an earlier version called it
        ((("request", "HTTP 400: billing_hard_limit_reached: the hard limit of billing"),) * 3, "blocked", None, True),
        ((("quota", "HTTP 402"), ("rate", "HTTP 429")), "open", None, True),
        ((("quota", "HTTP 402"), verdict("B")), "answered", "B", False),
    ],
)
def test_the_life_of_a_question(
    events: tuple[object, ...], state: str, judgement: str | None, asked_again: bool
) -> None:
    found = life(*events)
    assert (found.state, found.judgement, found.open) == (state, judgement, asked_again)


def test_a_batch_has_it_until_the_reply_is_there() -> None:
    assert life(waiting=True).state == "waiting" and not life(waiting=True).open
    assert life(PROSE, waiting=True).state == "waiting"
    assert life(verdict("A"), waiting=True).state == "answered"
    assert life(PROSE, CUT, waiting=True).judgement == "invalid"


def test_what_held_no_verdict_is_forgiven_and_a_refusal_is_not() -> None:
    assert life(PROSE, PROSE, since=3.0).open
    assert life(PROSE, PROSE, PROSE, since=2.5).state == "unreadable"
    assert not life(PROSE, PROSE, PROSE, PROSE, since=2.5).open
    assert life(REFUSAL, since=9.0).judgement == "refused"


def test_each_asking_for_noise_has_a_life_of_its_own() -> None:
    assert life(PROSE, PROSE, repeat=1).judgement == "invalid"
    raw = json.dumps(PROSE).encode()
    rows = QuestionRows(tuple(StoredReply(KEY, 1, raw, repeat=1, attempt=n, at=1.0) for n in (1, 2)))
    assert question_life(rows, repeat=0).state == "open"


@given(st.lists(st.sampled_from([PROSE, CUT, BUSY, BROKE, ("rate", ""), ("server", ""), ("quota", "")]), max_size=8))
def test_it_is_asked_until_two_replies_hold_no_verdict_whatever_else_happens(events: list[object]) -> None:
    replies = sum(event in (PROSE, CUT) for event in events)
    assert life(*events).open == (replies < 2)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_pair_is_over_when_one_order_can_bring_nothing(lazy: bool) -> None:
    states: dict[str, QuestionLife] = {
        "open": QuestionLife(),
        "waiting": QuestionLife("waiting"),
        "A": QuestionLife("answered", "A"),
        "tie": QuestionLife("answered", "tie"),
        "invalid": QuestionLife("unreadable", "invalid"),
        "refused": QuestionLife("refused", "refused"),
    }
    for one, other in itertools.product(states, states):
        left = open_orders({"candidate_first": states[one], "reference_first": states[other]}, lazy=lazy)
        over = {"invalid", "refused"} & {one, other} or (lazy and {"tie", "waiting"} & {one, other})
        expected = [name for name, s in (("candidate_first", one), ("reference_first", other)) if s == "open"]
        assert list(left) == ([] if over else expected)


# live, batch and estimate


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), [answer(2)] * 4, [answer(1)] * 4))


def counts(pairing: Pairing, out: Path, profile: str, server: FakeOpenAI, **changes: object) -> dict[str, int]:
    """How many questions the estimate, a batch and a live run would ask of one journal, in that order."""
    given_options = options(profile, **changes)
    (estimate,) = estimate_runs(pairing, out, given_options)
    with Journal.open(out / "journal.sqlite") as journal:
        questioner = Questioner(load_profile(profile), load_rubric("analyses_fr"), journal.salt)
        lives = lives_of(journal, given_options)
        batch = sum(1 for _ in open_questions(worklist(pairing), questioner, lives, given_options))
    before = server.count
    judge(pairing, out, profile, **changes)
    return {"estimate": int(estimate.calls.high), "batch": batch, "live": server.count - before}


def poisoned(reply: Reply) -> Callable[..., Reply | str]:
    return only([1], lambda call: reply)


@pytest.mark.parametrize(
    ("first", "left"),
    [
        (Reply("Plutôt A."), 0),  # twice without a verdict: over
        (Reply(None, refusal="non"), 0),
        (Reply("flagged by our moderation", status=403), 0),
        (Reply("boom", status=500), 2),
        (Reply(raw=json.dumps(BUSY)), 2),
        (Reply(raw=json.dumps(BROKE)), 2),
    ],
    ids=["prose", "refusal", "moderated", "500", "429 in 200", "402 in 200"],
)
def test_live_batch_and_estimate_see_the_same_open_questions(
    first: Reply, left: int, pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(poisoned(first))
    profile = write_profile(tmp_path, server.url, concurrency=1)
    judge(pairing, tmp_path / "out", profile)
    server.answer = by_quality
    found = counts(pairing, tmp_path / "out", profile, server)
    if "402" in str(first.raw):
        assert found["estimate"] == found["batch"] == found["live"] > 2  # the run stopped at once
    else:
        assert found == {"estimate": left, "batch": left, "live": left}


def test_one_unreadable_reply_is_asked_once_more_by_whichever_comes_first(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    """A journal with one prose reply to one order: its second and last asking, and the other order's first."""
    server = fake_server(by_quality)
    profile, out = write_profile(tmp_path, server.url), tmp_path / "out"
    judge(pairing, out, profile)
    with Journal.open(out / "journal.sqlite") as journal:
        questioner = Questioner(load_profile(profile), load_rubric("analyses_fr"), journal.salt)
        question, other = questioner.both(next(iter(worklist(pairing)))).values()
        for key in (question.key, other.key):
            journal._writer.execute("DELETE FROM replies WHERE key = ?", (key,))
        journal.store(StoredReply(question.key, 1, json.dumps(PROSE).encode())).result(5)
    (out / "judge.json").unlink()  # it rests on replies that are gone now
    (out / "journal.sqlite.count").unlink()
    assert counts(pairing, out, profile, server) == {"estimate": 2, "batch": 2, "live": 2}


def test_a_journal_of_the_first_release_is_read_and_its_errors_are_open_again(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(by_quality)
    profile, out = write_profile(tmp_path, server.url, context=32_000), tmp_path / "out"
    with Journal.open(out / "journal.sqlite") as journal:
        number = journal.judge(load_profile(profile))
        questioner = Questioner(load_profile(profile), load_rubric("analyses_fr"), journal.salt)
        first, second, third, fourth = (list(questioner.both(item).values()) for item in worklist(pairing))
        for _ in range(3):
            journal.store(StoredReply(first[0].key, number, json.dumps(BUSY).encode())).result(5)
        journal.store(StoredReply(second[0].key, number, json.dumps(PROSE).encode())).result(5)
        journal.store(StoredReply(second[0].key, number, json.dumps(PROSE).encode())).result(5)
        journal.fail(Failure(third[0].key, number, "request", "HTTP 400: insufficient_quota: no money")).result(5)
        journal.fail(Failure(fourth[0].key, number, "connection", "reset by peer", 0.001)).result(5)
        journal._writer.execute("DROP TABLE sizes")
    summary, verdicts = judge(pairing, out, profile, max_usd=5.0)
    assert outcomes(verdicts) == ["win", "invalid", "win", "win"]
    assert (server.count, summary.finished) == (6, True)


def test_retry_invalid_asks_what_two_replies_left_without_a_verdict(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(poisoned(Reply("Plutôt A.")))
    profile, out = write_profile(tmp_path, server.url), tmp_path / "out"
    judge(pairing, out, profile)
    assert counts(pairing, out, profile, server, retry_invalid=True) == {"estimate": 2, "batch": 2, "live": 2}
    server.answer = by_quality
    _, verdicts = judge(pairing, out, profile)
    assert outcomes(verdicts).count("invalid") == 1  # not without the flag
    _, verdicts = judge(pairing, out, profile, retry_invalid=True)
    assert outcomes(verdicts) == ["win"] * 4


def test_a_question_in_a_batch_is_open_for_nobody(pairing: Pairing, tmp_path: Path) -> None:
    server = FakeOpenAI(by_quality)
    batches = FakeBatches(server, hold=True)
    with server:
        profile, out = write_profile(tmp_path, server.url), tmp_path / "out"
        judge_by_batch(pairing, out, options(profile), "submit")
        assert counts(pairing, out, profile, server) == {"estimate": 0, "batch": 0, "live": 0}
        assert len(batches.batches) == 1
