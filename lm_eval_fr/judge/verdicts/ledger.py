"""What calls cost: tokens by the profile's prices, sums by kind of call, and a budget that counts what is in flight.

An unknown price makes an unknown sum, never a smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lm_eval_fr.judge.asking.envelope import CallUsage, open_body
from lm_eval_fr.judge.asking.protocol import Prices, Profile
from lm_eval_fr.judge.verdicts.journal import Journal, Source
from lm_eval_fr.stats.judging import Tokens, Usage

MILLION = 1_000_000
FRAME_TOKENS = 64  # what a server adds around the messages: roles, separators, the reply's opening


def cost(usage: CallUsage, prices: Prices, *, batch: bool = False) -> float | None:
    """Dollars of one call, or None when a price that it needs is unknown.

    Without a price of its own, a cached token costs what an input token does, and so does a written one.
    """
    fresh = usage.input - usage.cached - usage.written
    parts = (
        (fresh, prices.input),
        (usage.cached, prices.input if prices.cached is None else prices.cached),
        (usage.written, prices.input if prices.cache_write is None else prices.cache_write),
        (usage.output, prices.output),
    )
    total = 0.0
    for tokens, price in parts:
        if tokens and price is None:
            return None
        total += tokens * (price or 0.0) / MILLION
    if not batch or not total:
        return total
    return None if prices.batch is None else total * prices.batch


def cost_at_most(body: dict[str, Any], profile: Profile) -> float | None:
    """More than the call can cost: no token is shorter than a byte. None when a price or the output limit lacks."""
    prices, output = profile.prices, profile.max_output_tokens
    if prices.input is None or prices.output is None or output is None:
        return None
    sent = len(msgspec.json.encode(body)) + FRAME_TOKENS
    return (sent * max(prices.input, prices.cache_write or 0.0) + output * prices.output) / MILLION


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    dollars: float | None = 0.0

    def add(self, usage: CallUsage | None, dollars: float | None) -> None:
        self.calls += 1
        if usage is not None:
            self.input += usage.input
            self.cached += usage.cached
            self.output += usage.output
        self.dollars = None if self.dollars is None or dollars is None else self.dollars + dollars

    def tokens(self) -> Tokens:
        return Tokens(self.calls, self.input, self.cached, self.output, self.dollars)


@dataclass(slots=True)
class Ledger:
    """Adds calls up. One a run and one a set of verdicts; `usage` is what judge.json shows."""

    live: _Sum = field(default_factory=_Sum)
    batch: _Sum = field(default_factory=_Sum)
    unusable: int = 0
    failures: int = 0
    without_usage: int = 0
    lost: float | None = 0.0

    def reply(self, usage: CallUsage | None, source: Source, prices: Prices, *, usable: bool = True) -> None:
        priced = cost(usage, prices, batch=source == "batch") if usage is not None else _free(prices)
        (self.batch if source == "batch" else self.live).add(usage, priced)
        self.without_usage += usage is None
        self.unusable += not usable

    def failure(self, dollars: float | None, count: int = 1) -> None:
        self.failures += count
        self.lost = None if self.lost is None or dollars is None else self.lost + dollars

    def usage(self) -> Usage:
        live, batch = self.live.tokens(), self.batch.tokens()
        dollars = None if live.dollars is None or batch.dollars is None else live.dollars + batch.dollars
        unknown = None
        if dollars is None:
            unknown = "no price in the profile"
            if self.without_usage:
                unknown = f"{self.without_usage} replies did not say what they used"
        return Usage(
            live=live,
            batch=batch,
            unusable=self.unusable,
            failures=self.failures,
            without_usage=self.without_usage,
            lost_dollars=self.lost,
            dollars=dollars,
            unknown=unknown,
        )


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Several judges' ledgers as one."""
    shares = list(parts)
    dollars = [share.dollars for share in shares]
    return Usage(
        live=_sum_tokens([share.live for share in shares]),
        batch=_sum_tokens([share.batch for share in shares]),
        unusable=sum(share.unusable for share in shares),
        failures=sum(share.failures for share in shares),
        without_usage=sum(share.without_usage for share in shares),
        lost_dollars=_sum_dollars([share.lost_dollars for share in shares]),
        dollars=_sum_dollars(dollars),
        unknown=next((share.unknown for share in shares if share.unknown), None),
    )


def _sum_tokens(parts: list[Tokens]) -> Tokens:
    return Tokens(
        calls=sum(part.calls for part in parts),
        input_tokens=sum(part.input_tokens for part in parts),
        cached_tokens=sum(part.cached_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        dollars=_sum_dollars([part.dollars for part in parts]),
    )


def _sum_dollars(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _free(prices: Prices) -> float | None:
    """A reply that does not say what it used costs nothing only where nothing costs anything."""
    return 0.0 if prices.input == 0 and prices.output == 0 else None


def price_of(judge: int, judges: dict[int, tuple[str, str, Prices]], profile: Profile) -> Prices:
    """The prices a stored reply was paid at; the profile's of today where that model's were not yet known then."""
    _, model, then = judges[judge]
    return profile.prices if then == Prices() and model == profile.model else then


class Budget:
    """`--max-usd`: what the journal has cost so far plus what is in flight never exceeds it."""

    def __init__(self, limit: float, spent: float) -> None:
        self.limit = limit
        self.spent = spent
        self.in_flight = 0
        self._reserved = 0.0

    def fits(self, dollars: float) -> bool:
        return self.spent + self._reserved + dollars <= self.limit

    def reserve(self, dollars: float) -> None:
        self.in_flight += 1
        self._reserved += dollars

    def settle(self, reserved: float, paid: float) -> None:
        self.in_flight -= 1
        # Sums of floats do not come back to 0 by themselves, and a remainder would be waited for.
        self._reserved = self._reserved - reserved if self.in_flight else 0.0
        self.spent += paid


def spent_so_far(journal: Journal, profile: Profile) -> float | None:
    """Dollars of everything in the journal, calls that may have been billed without a reply included."""
    judges, total = journal.judges(), 0.0
    for judge, source, raw in journal.all_replies():
        usage, prices = open_body(raw).usage, price_of(judge, judges, profile)
        paid = cost(usage, prices, batch=source == "batch") if usage is not None else _free(prices)
        if paid is None:
            return None
        total += paid
    for _judge, _kind, dollars, _count in journal.failures():
        if dollars is None:
            return None
        total += dollars
    return total
