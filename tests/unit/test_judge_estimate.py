from __future__ import annotations

import json
from pathlib import Path

import pytest

from lm_eval_fr.judge.asking.prompt import shared_part
from lm_eval_fr.judge.estimate import estimate_runs
from lm_eval_fr.pairing import Pairing
from tests.fakes.judging import PRICES, answer, by_quality, judge, options, pair, write_profile, write_runs
from tests.fakes.server import Call, FakeOpenAI, Reply

LONG = "Une phrase de plus, pour la longueur. " * 150  # 5,700 bytes: enough to be cached


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    """Thirty pairs, three of them identical, on long texts."""
    texts = [f"Résume le texte n° {i} : {LONG}" for i in range(30)]
    answers = [answer(1 + i % 3) for i in range(30)]
    other = [answer(2, "" if i < 9 else "Autre.") for i in range(30)]
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), answers, other, texts=texts))


class RealUsage:
    """Counts about as a tokenizer would, and caches beginnings as published: from 1,024 tokens, in steps of 128."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, call: Call) -> Reply:
        sent = round(len(json.dumps(call.messages, ensure_ascii=False).encode()) / 4.1)
        shared = shared_part(call.messages)
        cached = round(len(shared.encode()) / 4.1) // 128 * 128 if shared in self.seen else 0
        self.seen.add(shared)
        used = {"prompt_tokens": sent, "completion_tokens": 70, "prompt_tokens_details": {"cached_tokens": cached}}
        return Reply(by_quality(call), usage=used)


def test_it_calls_nobody_and_writes_nothing(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server: FakeOpenAI = fake_server(by_quality)
    profile = write_profile(tmp_path, server.url, key_env="NO_SUCH_KEY_IS_SET")
    (found,) = estimate_runs(pairing, tmp_path / "out", options(profile))
    assert server.count == 0
    assert not (tmp_path / "out").exists()
    assert (found.pairs, found.identical, found.stored) == (30, 3, 0)
    assert found.calls.low == found.calls.expected == found.calls.high == 54
    assert found.dollars is not None
    assert found.batch_dollars is not None
    for value in (found.input_tokens, found.output_tokens, found.dollars):
        assert 0 < value.low < value.expected < value.high
    assert found.cached_tokens.high == 0 < min(found.cached_tokens.expected, found.cached_tokens.low)
    assert found.dollars.high == pytest.approx((found.input_tokens.high * 2 + found.output_tokens.high * 8) / 1e6)
    assert found.batch_dollars.high == pytest.approx(found.dollars.high / 2)
    assert "54" in found.text()
    assert "note: tokens are estimated from bytes" in found.text()


def test_lazy_canaries_and_repeats_change_the_calls(pairing: Pairing, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "http://127.0.0.1:9/v1")

    def calls(**more: object) -> tuple[float, float]:
        (found,) = estimate_runs(pairing, tmp_path / "out", options(profile, **more))
        return found.calls.low, found.calls.high

    assert calls(orders="lazy") == (27, 54)
    low, high = calls(repeats=3, repeat_sample=10)
    assert low == high and 54 < low <= 54 + 10 * 2 * 2  # identical pairs of the sample are not asked again
    assert calls(controls=40)[0] > 54


@pytest.mark.parametrize("orders", ["both", "lazy"])
def test_the_bill_lies_within_the_estimate(orders: str, pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server = fake_server(RealUsage())
    profile = write_profile(tmp_path, server.url)
    (found,) = estimate_runs(pairing, tmp_path / "out", options(profile, orders=orders))
    summary, _ = judge(pairing, tmp_path / "out", profile, orders=orders)
    assert found.calls.low <= server.count <= found.calls.high
    assert found.input_tokens.low <= summary.usage.input_tokens <= found.input_tokens.high
    assert found.dollars is not None
    assert summary.usage.dollars is not None
    assert found.dollars.low <= summary.usage.dollars <= found.dollars.high


def test_what_is_stored_is_not_counted_and_teaches_the_rate(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server = fake_server(RealUsage())
    profile = write_profile(tmp_path, server.url)
    judge(pairing, tmp_path / "out", profile)
    calls = server.count
    (found,) = estimate_runs(pairing, tmp_path / "out", options(profile))
    assert (found.stored, found.calls.high) == (54, 0) and not any("estimated from bytes" in n for n in found.notes)
    assert found.dollars is not None
    assert found.dollars.high == 0.0
    more = write_profile(tmp_path, server.url, "more", parameters={"temperature": 1, "max_tokens": 300})
    (fresh,) = estimate_runs(pairing, tmp_path / "out", options(more))
    assert (fresh.stored, fresh.calls.high) == (0, 54)
    assert server.count == calls


def test_unknown_prices_and_limits_are_said(pairing: Pairing, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "http://127.0.0.1:9/v1", prices={}, parameters={})
    (found,) = estimate_runs(pairing, tmp_path / "out", options(profile, stop="anytime", margin=0.1))
    assert found.dollars is None
    assert found.text().count("unknown") >= 2
    assert "sets no output limit" in found.text()
    assert "--stop anytime asks less" in found.text()
    no_batch = write_profile(tmp_path, "http://127.0.0.1:9/v1", prices=PRICES | {"batch": None})
    (found,) = estimate_runs(pairing, tmp_path / "out", options(no_batch))
    assert found.batch_dollars is None
    assert found.dollars is not None
