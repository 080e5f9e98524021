"""What calls cost: tokens by the profile's prices, sums by kind of call, and a budget that counts what is in flight.

An unknown price makes an unknown sum, never a smaller one. A reply that does not report its usage counts at its
greatest possible cost, in this run and in every later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from lm_eval_fr.judge.asking.envelope import open_body
from lm_eval_fr.judge.asking.protocol import NOTHING, CallUsage, Prices, Profile
from lm_eval_fr.judge.verdicts.journal import Journal, Source, StoredReply
from lm_eval_fr.stats.judging import Tokens, Usage

MILLION = 1_000_000
FRAME_TOKENS = 64  # what a server adds around the messages: roles, separators, the reply's opening


def cost(usage: CallUsage, prices: Prices, *, batch: bool = False) -> float | None:
    """Dollars of one call, or None if a price that it needs is unknown.

    Without a price of its own, a cached or written token costs as much as an input token.
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
    """An upper bound of the call's cost: no token is shorter than a byte. None without a price or output limit."""
    usage = usage_at_most(len(msgspec.json.encode(body)), profile.max_output_tokens)
    return None if usage is None else _most(usage, profile.prices)


def usage_at_most(sent: int | None, output: int | None) -> CallUsage | None:
    """The most tokens of a request of `sent` bytes with that output limit; None if either is unknown."""
    return None if sent is None or output is None else CallUsage(sent + FRAME_TOKENS, 0, 0, output)


def _most(usage: CallUsage, prices: Prices) -> float | None:
    """As if nothing were cached and all were written to the cache."""
    if prices.input is None or prices.output is None:
        return None
    return (usage.input * max(prices.input, prices.cache_write or 0.0) + usage.output * prices.output) / MILLION


@dataclass(frozen=True, slots=True)
class Paid:
    """What a reply cost: `dollars` None if a price is missing, `usage` None if the server did not report it."""

    usage: CallUsage | None
    dollars: float | None


def price(usage: CallUsage | None, most: CallUsage | None, prices: Prices, source: Source) -> Paid:
    """`most`: what counts if the server did not report the usage."""
    if usage is not None:
        return Paid(usage, cost(usage, prices, batch=source == "batch"))
    if prices.input == 0 and prices.output == 0:
        return Paid(None, 0.0)
    dollars = None if most is None else _most(most, prices)
    if source == "batch" and dollars is not None:
        dollars = None if prices.batch is None else dollars * prices.batch
    return Paid(None, dollars)


@dataclass(slots=True)
class Ledger:
    """Adds up calls. One per run and one per set of verdicts; `usage` is what judge.json shows."""

    live: Tokens = field(default_factory=Tokens)
    batch: Tokens = field(default_factory=Tokens)
    unusable: int = 0
    failures: int = 0
    without_usage: int = 0
    lost: float | None = 0.0

    def reply(self, paid: Paid, source: Source, *, usable: bool = True) -> None:
        used = paid.usage or NOTHING
        tokens = Tokens(1, used.input, used.cached, used.output, paid.dollars)
        if source == "batch":
            self.batch += tokens
        else:
            self.live += tokens
        self.without_usage += paid.usage is None
        self.unusable += not usable

    def failure(self, dollars: float | None, count: int = 1) -> None:
        self.failures += count
        self.lost = None if self.lost is None or dollars is None else self.lost + dollars

    def add(self, usage: Usage) -> None:
        """Another judge's."""
        self.live += usage.live
        self.batch += usage.batch
        self.unusable += usage.unusable
        self.without_usage += usage.without_usage
        self.failure(usage.lost_dollars, usage.failures)

    def usage(self) -> Usage:
        parts = [self.live.dollars, self.batch.dollars, self.lost]
        dollars = None if None in parts else sum(part for part in parts if part is not None)
        unknown = None
        if dollars is None:
            unknown = "no price in the profile"
            if self.without_usage:
                unknown = f"{self.without_usage} replies did not report their usage, and have no known limit"
        return Usage(
            live=self.live,
            batch=self.batch,
            unusable=self.unusable,
            failures=self.failures,
            without_usage=self.without_usage,
            lost_dollars=self.lost,
            dollars=dollars,
            unknown=unknown,
        )


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Several judges' ledgers as one."""
    ledger, reasons = Ledger(), []
    for usage in parts:
        ledger.add(usage)
        reasons.append(usage.unknown)  # it does not follow from the sums
    return replace(ledger.usage(), unknown=next(filter(None, reasons), None))


Judges = Mapping[int, tuple[str, str, Prices]]
"""As `Journal.judges` has them."""


def price_stored(reply: StoredReply, usage: CallUsage | None, judges: Judges, profile: Profile) -> Paid:
    """The cost of a reply in the journal, at the prices of that time, or at today's if they were unknown then."""
    _, model, then = judges[reply.judge]
    ours, most = model == profile.model, usage_at_most(reply.sent, reply.output)
    if most is None and ours:  # stored before sizes were: the model's context bounds what it can have read
        most = usage_at_most(profile.context, profile.max_output_tokens)
    return price(usage, most, profile.prices if then == Prices() and ours else then, reply.source)


@dataclass
class Budget:
    """`--max-usd`: the journal's cost so far plus calls in flight never exceed it."""

    limit: float
    spent: float
    in_flight: int = 0
    _reserved: float = 0.0

    def fits(self, dollars: float) -> bool:
        return self.spent + self._reserved + dollars <= self.limit

    def reserve(self, dollars: float) -> None:
        self.in_flight += 1
        self._reserved += dollars

    def settle(self, reserved: float, paid: float) -> None:
        self.in_flight -= 1
        # Sums of floats do not return to exactly 0, and a remainder would be waited for.
        self._reserved = self._reserved - reserved if self.in_flight else 0.0
        self.spent += paid


def spent_so_far(journal: Journal, profile: Profile) -> float | None:
    """Dollars of everything in the journal, including calls that may have been billed without a reply."""
    judges, total = journal.judges(), 0.0
    for reply in journal.all_replies():
        found = open_body(reply.raw)
        if found.error is not None and found.usage is None:
            continue  # an earlier version stored errors as replies; servers do not bill them
        paid = price_stored(reply, found.usage, judges, profile)
        if paid.dollars is None:
            return None
        total += paid.dollars
    for _judge, _kind, dollars, _count in journal.failures():
        if dollars is None:
            return None
        total += dollars
    return total
