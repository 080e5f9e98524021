"""When to retry a call, and how many calls a server gets at once: one policy for arms, judge and fidelity.

A server's "Retry-After" is honoured within bounds: never a shorter pause than ours, never an endless one.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from lm_eval_fr.io.streams import say_on_stderr


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server asks to wait, at least 0, or None. now: Unix time, which an HTTP date is held against.

    RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's. Header names are case-insensitive.
    """
    found = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        with suppress(KeyError, ValueError):
            if math.isfinite(seconds := float(found[name]) / unit):
                return max(0.0, seconds)
    with suppress(KeyError, ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(found["retry-after"]).timestamp() - now)
    return None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of one question in one run. Times in seconds."""

    attempts: int = 6  # without a reply: server errors; dropped, hanging and cut connections
    rate_limited: int = 20  # refused for the rate: not a failure
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 300.0  # a server that asks for longer is not asked again in this run
    failures_in_a_row: int = 20  # questions in a row without a reply: the server is gone

    def waits(self, salt: int = 0) -> Backoff:
        return Backoff(self, random.Random(salt))


class Backoff:
    """The waits of one question: doubling, with jitter, so that a recovering server is not hit by all at once."""

    def __init__(self, policy: RetryPolicy, source: random.Random) -> None:
        self._policy = policy
        self._source = source
        self._next = policy.first_wait

    def next(self, asked: float | None = None) -> float:
        """Seconds until the next try. asked: the server's request, which may lengthen the wait up to the bound."""
        wait = min(self._next, self._policy.longest_wait)
        self._next = wait * 2
        return max(wait * self._source.uniform(0.5, 1.0), min(asked or 0.0, self._policy.longest_retry_after))


class Waiting:
    """Reports long waits for a server, but not every one. where: the server's name for people."""

    LONG, EVERY = 5.0, 30.0  # seconds

    def __init__(self, where: str, say: Callable[[str], None] = say_on_stderr) -> None:
        self.where, self._say = where, say
        self._said_at = -math.inf

    def tell(self, pause: float, problem: object) -> None:
        now = time.monotonic()
        if pause >= self.LONG and now - self._said_at >= self.EVERY:
            self._said_at = now
            self._say(f"waiting {pause:.0f} s: {self.where} answers {problem}")


STUCK_AFTER = 5.0  # seconds: a younger call does not count as stuck, however fast the others are
STUCK_FACTOR = 5.0  # times as long as a usual call
MOST_ASIDE = 256


@dataclass(eq=False, slots=True)
class _Slot:
    """One call in flight. overtaken: calls sent after it that have been answered. aside: it hangs, and another
    call has its slot."""

    sent: float
    overtaken: int = 0
    aside: bool = False


class Throttle:
    """How many calls may be in flight: one until `open`, then up to `most`, halved by each 429 and slowly regrown.

    A server's "wait" holds back every call, not only the one that received it; so does a pause of our own, which grows
    with refusals in a row. A call that hangs while others are answered gives up its slot (`when_aside` is called), so
    that a few hanging calls cannot hold all slots until their time-out.
    """

    def __init__(
        self,
        most: int,
        policy: RetryPolicy | None = None,
        *,
        stuck_after: float = STUCK_AFTER,
        when_aside: Callable[[], object] = lambda: None,
    ) -> None:
        self.most = most
        self._policy = policy or RetryPolicy()
        self._when_aside = when_aside
        self._refusals = 0  # since the last answer; simultaneous ones count once
        self.limit = 1.0
        self.in_flight = 0  # without those that hang
        self.aside = 0
        self.waits_until = 0.0
        self._stuck_after = stuck_after
        self._usual = 0.0  # seconds of a call, as a running mean
        self._slots: deque[_Slot] = deque()
        self._opened = self._closed = False
        self._last_cut = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None

    @property
    def pause(self) -> float:
        """Seconds until the next call may be sent."""
        return max(0.0, self.waits_until - time.monotonic())

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A slot for one call, which it may lose to another one if it hangs."""
        await self.acquire()
        slot = _Slot(time.monotonic())
        self._slots.append(slot)
        try:
            yield
        finally:
            self._slots.remove(slot)
            if slot.aside:
                self.aside -= 1
            else:
                self.release()

    async def acquire(self) -> None:
        if not self._waiting and self._free():
            self.in_flight += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._wake()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()
            else:
                place.cancel()
            raise

    def close(self) -> None:
        """Releases all waiting calls: there is nothing left to send, and they will see it."""
        self._closed = True
        self._wake()

    def release(self) -> None:
        self.in_flight -= 1
        self._wake()

    def open(self) -> None:
        """The server has answered: stop sending one call at a time."""
        if not self._opened:
            self._opened, self.limit = True, float(self.most)
            self._wake()

    def succeeded(self, seconds: float | None = None) -> None:
        """An answer. seconds: how long it took, to recognise calls that hang."""
        self.open()
        self._refusals = 0
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)
        if seconds is not None:
            self._usual += (seconds - self._usual) / 20 if self._usual else seconds
            self._overtaken(time.monotonic() - seconds)

    def refused(self, sent_at: float, wait: float | None) -> None:
        """A 429 to a call sent at `sent_at` (monotonic). Calls sent before the last cut are no new information."""
        now, policy = time.monotonic(), self._policy
        if sent_at >= self._last_cut:
            if self._opened:
                self.limit = max(1.0, min(self.limit, float(self.in_flight)) / 2)
            self._last_cut = now
            floor = min(policy.first_wait * 2.0 ** min(self._refusals, 30), policy.longest_wait)
            self._refusals += 1
            self.waits_until = max(self.waits_until, now + floor)
        if wait is not None:
            self.waits_until = max(self.waits_until, now + min(wait, policy.longest_retry_after))

    @property
    def patience(self) -> float:
        """Seconds after which a call counts as hanging."""
        return max(self._stuck_after, STUCK_FACTOR * self._usual)

    def _overtaken(self, sent: float) -> None:
        """Only a call that later ones have overtaken hangs alone: a server that is slow for all gets no more calls."""
        for slot in [slot for slot in self._slots if slot.sent < sent]:
            slot.overtaken += 1
            if time.monotonic() - slot.sent > self.patience and slot.overtaken >= self.most:
                self._set_aside(slot)

    def _set_aside(self, slot: _Slot) -> None:
        if not slot.aside and self.aside < MOST_ASIDE:
            slot.aside = True
            self.aside += 1
            self.release()
            self._when_aside()

    def _look(self) -> None:
        """If all calls seem to hang, the oldest one's slot goes to a call that shows whether the server hangs."""
        self._watch = None
        active = [slot for slot in self._slots if not slot.aside]
        # Before the first answer its duration is unknown: a slow server must not get ever more calls.
        hang = time.monotonic() - active[-1].sent > self.patience if active else False
        if hang and self._waiting and not self._free() and (self._usual or self.aside < self.most):
            self._set_aside(active[0])
        self._wake()

    def _free(self) -> bool:
        return self._closed or (self.in_flight < int(self.limit) and self.pause == 0.0)

    def _wake(self) -> None:
        while self._waiting and self._free():
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)
        if self._waiting and self.pause and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.pause, self._pause_over)
        if self._waiting and self._slots and self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self.patience / 2, self._look)

    def _pause_over(self) -> None:
        self._timer = None
        self._wake()
