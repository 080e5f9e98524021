"""The judge's small parts: waiting, adapting, reading bodies, adding up, showing progress."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.io.http import Answer
from lm_eval_fr.io.retry import RetryPolicy, Throttle, retry_after
from lm_eval_fr.judge.asking.envelope import open_body, read_reply
from lm_eval_fr.judge.asking.profile import load_rubric
from lm_eval_fr.judge.asking.protocol import CallUsage, Prices, Profile
from lm_eval_fr.judge.asking.worklist import Questioner
from lm_eval_fr.judge.live.asker import Asker
from lm_eval_fr.judge.live.hopeless import Streak
from lm_eval_fr.judge.live.schedule import Schedule
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.ledger import Budget, Ledger, cost, cost_at_most, price, sum_usage, usage_at_most
from lm_eval_fr.judge.verdicts.question_life import Lives
from lm_eval_fr.stats.judging import Tokens
from tests.waiting import LIMIT

GPT = Prices(input=2.0, cached=0.5, output=8.0, batch=0.5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(1_000_060, usegmt=True)}, 60.0),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=1_000_000.0) == seconds


def test_waits_double_up_to_a_limit_and_are_scattered_by_the_seed() -> None:
    policy = RetryPolicy(first_wait=1.0, longest_wait=10.0)
    waits = policy.waits(3)
    found = [waits.next() for _ in range(8)]
    for wait, most in zip(found, (1, 2, 4, 8, 10, 10, 10, 10), strict=True):
        assert most / 2 <= wait <= most
    again, other = policy.waits(3), policy.waits(4)
    assert [again.next() for _ in range(8)] == found
    assert other.next() != found[0]


def test_the_throttle_tries_one_call_before_it_opens() -> None:
    async def run() -> None:
        throttle = Throttle(8)
        await throttle.acquire()
        second = asyncio.create_task(throttle.acquire())
        await asyncio.sleep(0.01)
        assert not second.done()
        throttle.succeeded()
        await asyncio.wait_for(second, LIMIT)
        for _ in range(6):
            await asyncio.wait_for(throttle.acquire(), LIMIT)
        ninth = asyncio.create_task(throttle.acquire())
        await asyncio.sleep(0.01)
        assert (throttle.in_flight, ninth.done()) == (8, False)
        ninth.cancel()
        throttle.release()
        await asyncio.sleep(0)
        assert throttle.in_flight == 7

    asyncio.run(run())


def test_the_throttle_halves_once_for_a_burst_of_429s_and_grows_back() -> None:
    async def run() -> None:
        throttle = Throttle(16, RetryPolicy(first_wait=0.01))
        throttle.succeeded()
        for _ in range(16):
            await throttle.acquire()
        sent_at = time.monotonic()
        for _ in range(10):
            throttle.refused(sent_at, None)
        assert throttle.limit == 8
        for _ in range(200):
            throttle.succeeded()
        assert throttle.limit == 16
        throttle.refused(time.monotonic(), 0.5)
        assert 0 < throttle.pause <= 0.5
        waiting = asyncio.create_task(throttle.acquire())
        for _ in range(16):
            throttle.release()
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.wait_for(waiting, LIMIT)
        assert throttle.pause == 0

    asyncio.run(run())


def test_a_server_that_has_not_answered_yet_is_not_asked_ever_more() -> None:
    """One that needs a minute for its first answer looks as if all calls hung."""

    async def run() -> None:
        throttle, sent = Throttle(2, stuck_after=0.01), []

        async def call(number: int) -> None:
            async with throttle.slot():
                sent.append(number)
                await asyncio.sleep(60)

        throttle.open()
        calls = [asyncio.create_task(call(number)) for number in range(20)]
        await asyncio.sleep(0.5)
        assert len(sent) <= 2 * throttle.most
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(run())


def test_a_closed_throttle_lets_everyone_through() -> None:
    async def run() -> None:
        throttle = Throttle(1)
        throttle.refused(0.0, 60.0)
        waiting = [asyncio.create_task(throttle.acquire()) for _ in range(5)]
        await asyncio.sleep(0)
        throttle.close()
        await asyncio.wait_for(asyncio.gather(*waiting), LIMIT)
        assert throttle.in_flight == len(waiting)

    asyncio.run(run())


def completion(**message: object) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[]", "the body is not a chat completion"),
        (b"{}", "the body has no message"),
        (b'{"choices": [null]}', "the body has no message"),
        (b'{"choices": [{"message": "A"}]}', "the body has no message"),
        (completion(content=None), "empty reply"),
        (completion(content=7), "empty reply"),
        (completion(content=[{"type": "thinking", "thinking": "A"}]), "empty reply"),
        (completion(content="", refusal="no"), "refused: no"),
    ],
)
def test_a_body_without_a_verdict_says_why(raw: bytes, problem: str) -> None:
    read = read_reply(raw)
    assert (read.verdict, read.problem) == (None, problem)


def test_the_text_parts_of_a_reasoning_model_are_read() -> None:
    parts = [{"type": "thinking", "thinking": "..."}, {"type": "text", "text": '{"reason": "r", "verdict": "B"}'}]
    assert read_reply(completion(content=parts)).verdict == "B"


@given(st.binary(max_size=300))
def test_no_body_is_too_strange_to_read(raw: bytes) -> None:
    assert read_reply(raw).verdict is None  # no 300 random bytes are a completion with a verdict


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "prompt_tokens", "text", "type"]), inner
            )
        ),
        max_leaves=20,
    )
)
def test_no_json_is_too_strange_to_read(body: object) -> None:
    assert read_reply(json.dumps(body).encode()).verdict is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 3}, CallUsage(10, 0, 0, 3)),
        (
            {
                "prompt_tokens": 2000,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 512},
            },
            CallUsage(2000, 1024, 512, 3),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 113}, CallUsage(10, 0, 0, 103)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 99}}, CallUsage(10, 10, 0, 0)),
        ({"prompt_tokens": 10, "prompt_tokens_details": None, "completion_tokens": None}, CallUsage(10, 0, 0, 0)),
        ({"prompt_tokens": "10"}, None),
        ("none", None),
    ],
)
def test_usage_as_servers_write_it(usage: object, expected: CallUsage | None) -> None:
    assert open_body(json.dumps({"usage": usage}).encode()).usage == expected


def test_cost_by_hand() -> None:
    usage = CallUsage(input=3000, cached=1024, written=0, output=100)
    assert cost(usage, GPT) == pytest.approx((1976 * 2.0 + 1024 * 0.5 + 100 * 8.0) / 1e6)
    assert cost(usage, GPT, batch=True) == pytest.approx((1976 * 2.0 + 1024 * 0.5 + 100 * 8.0) / 2e6)
    written = CallUsage(input=3000, cached=0, written=2000, output=0)
    assert cost(written, Prices(1.0, 0.1, 5.0, None, 1.25)) == pytest.approx((1000 + 2000 * 1.25) / 1e6)


def test_an_unknown_price_that_is_needed_makes_the_cost_unknown() -> None:
    usage = CallUsage(3000, 0, 0, 100)
    assert cost(usage, Prices()) is None
    assert cost(usage, Prices(input=2.0)) is None
    assert cost(usage, Prices(2.0, None, 8.0), batch=True) is None
    assert cost(CallUsage(0, 0, 0, 0), Prices(), batch=True) == 0.0


@given(st.text(max_size=400))
def test_no_call_costs_more_than_its_reserve(text: str) -> None:
    profile = Profile("p", "m", parameters={"max_tokens": 100}, prices=GPT)
    body = {"messages": [{"role": "user", "content": text.encode("utf-8", "replace").decode()}]}
    most = cost_at_most(body, profile)
    tokens = len(text.encode("utf-8", "replace"))  # one a byte, more than any tokenizer makes
    assert most is not None
    assert most >= (cost(CallUsage(tokens + 30, 0, 0, 100), GPT) or 0.0)


@given(st.lists(st.tuples(st.floats(0, 0.1), st.floats(0, 1)), min_size=1, max_size=60), st.randoms())
def test_a_settled_budget_holds_nothing_back(calls: list[tuple[float, float]], order: Random) -> None:
    """Floats that are added and taken away again leave remainders; a budget must not wait for those."""
    budget = Budget(limit=1.0, spent=0.0)
    settled: list[tuple[float, float]] = []
    for most, share in calls:
        if budget.fits(most):
            budget.reserve(most)
            settled.append((most, most * share))
    order.shuffle(settled)
    for most, paid in settled:
        assert budget.in_flight > 0
        budget.settle(most, paid)
    assert budget.in_flight == 0
    assert budget.spent <= 1.0 + 1e-12
    assert budget.fits(1.0 - budget.spent - 1e-12)


def test_the_ledger_adds_up_and_a_reply_that_says_nothing_counts_at_its_most() -> None:
    ledger, used, most = Ledger(), CallUsage(1000, 0, 0, 10), usage_at_most(4000, 600)
    ledger.reply(price(used, most, GPT, "live"), "live")
    ledger.reply(price(used, most, GPT, "batch"), "batch", usable=False)
    ledger.failure(0.0)
    ledger.failure(0.01)
    usage = ledger.usage()
    assert (usage.calls, usage.unusable, usage.failures, usage.lost_dollars) == (2, 1, 2, 0.01)
    assert usage.dollars == pytest.approx(0.00208 + 0.00104 + 0.01)
    ledger.reply(price(None, most, GPT, "live"), "live")
    ledger.reply(price(None, most, GPT, "batch"), "batch")
    assert ledger.usage().without_usage == 2
    assert ledger.usage().dollars == pytest.approx(0.01312 + 1.5 * (4064 * 2.0 + 600 * 8.0) / 1e6)
    both = sum_usage([usage, usage])
    assert both.dollars == pytest.approx(2 * (usage.dollars or 0))
    assert both.live.input_tokens == 2000
    ledger.reply(price(None, usage_at_most(4000, None), GPT, "live"), "live")
    assert ledger.usage().dollars is None
    assert "3 replies did not report their usage" in (ledger.usage().unknown or "")
    assert sum_usage([usage, ledger.usage()]).dollars is None
    unpriced = Ledger()
    unpriced.reply(price(used, most, Prices(), "live"), "live")
    quiet = Ledger()
    quiet.reply(price(None, most, GPT, "live"), "live")
    assert sum_usage([quiet.usage(), unpriced.usage()]).unknown == "no price in the profile"
    assert price(None, None, Prices(0.0, 0.0, 0.0), "live").dollars == 0.0


def schedule(done: int, *, fresh: int, dollars: float | None = 0.5) -> Schedule:
    """After ten seconds, in which the judge was asked twice for every pair that is done."""

    async def send(body: dict[str, Any]) -> Answer:
        raise AssertionError("nothing is sent")

    profile = Profile("p", "m")
    asker = Asker(Lives(cast(Journal, None)), 1, profile, send, Throttle(8), Streak(profile), retries=3)
    asker.ledger.live = Tokens(2 * done, dollars=dollars)
    asker.throttle.in_flight, asker.throttle.limit = 4, 8.0
    found = Schedule(asker, Questioner(profile, load_rubric("analyses_fr"), b""), lazy=False, concurrency=8, total=100)
    found.done, found.fresh, found.started = done, fresh, time.monotonic() - 10.0
    return found


def test_progress_says_what_matters_first() -> None:
    found = schedule(20, fresh=20)
    found.asker.throttle.waits_until = time.monotonic() + 4.2
    said = ["2.0/s", "40 s left", "$0.50", "waiting 4 s for the server", "40 calls", "3 retries", "4/8 in flight"]
    assert found.progress() == said
    assert schedule(4, fresh=4).progress()[0] == "2.5 s each"
    assert "cost unknown" in schedule(20, fresh=20, dollars=None).progress()
    assert not any("left" in part for part in (*schedule(0, fresh=0).progress(), *schedule(50, fresh=0).progress()))
