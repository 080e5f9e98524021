"""When to ask again, and how many calls at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of one question in one run. Times in seconds."""

    attempts: int = 6  # without a reply: server errors, dropped, hanging and cut connections
    rate_limited: int = 20  # refused for the rate, which is nobody's fault
    asks: int = 3  # replies that hold no verdict
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 300.0  # a server that asks for more is left alone until the next run
    failures_in_a_row: int = 20  # questions that brought no reply, without any that did: the server is gone
    seed: int = 0

    def waits(self, salt: int = 0) -> Backoff:
        return Backoff(self, random.Random(self.seed * 1_000_003 + salt))


class Backoff:
    """The waits of one question: doubling, and scattered so that a server that comes back is not hit by all at once."""

    def __init__(self, policy: RetryPolicy, source: random.Random) -> None:
        self._policy = policy
        self._source = source
        self._next = policy.first_wait

    def next(self) -> float:
        wait = min(self._next, self._policy.longest_wait)
        self._next = wait * 2
        return wait * self._source.uniform(0.5, 1.0)


class Throttle:
    """How many calls may be in flight: one until `open`, then up to `most`, halved by each 429 and slowly regrown.

    A server's "wait" holds every call back, not only the one that was told.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = 1.0
        self.in_flight = 0
        self.waits_until = 0.0
        self._opened = self._closed = False
        self._last_cut = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pause(self) -> float:
        """Seconds for which nothing will be sent."""
        return max(0.0, self.waits_until - time.monotonic())

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
        """Lets everyone through who waits: there is nothing left to send, and they will see it."""
        self._closed = True
        self._wake()

    def release(self) -> None:
        self.in_flight -= 1
        self._wake()

    def open(self) -> None:
        """The server has answered: no need to try it with one call at a time any more."""
        if not self._opened:
            self._opened, self.limit = True, float(self.most)
            self._wake()

    def succeeded(self) -> None:
        self.open()
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)

    def refused(self, sent_at: float, wait: float | None) -> None:
        """A 429 to a call sent at `sent_at` (monotonic). Calls sent before the last cut say nothing new."""
        now = time.monotonic()
        if self._opened and sent_at >= self._last_cut:
            self.limit = max(1.0, min(self.limit, float(self.in_flight)) / 2)
            self._last_cut = now
        if wait is not None:
            self.waits_until = max(self.waits_until, now + wait)

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

    def _pause_over(self) -> None:
        self._timer = None
        self._wake()
