"""Asks one question until it is answered, refused for good, or out of tries; and stops all asking when it must.

What is stored is never asked again. A failure belongs to its question: the others go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import Any, Literal

from lm_eval_fr.errors import JudgeError, LmEvalFrError
from lm_eval_fr.io.retry import Backoff, RetryPolicy, Throttle
from lm_eval_fr.judge.asking.envelope import Again, Read, read_reply
from lm_eval_fr.judge.asking.protocol import VERDICTS, Parse, Profile, Question
from lm_eval_fr.judge.live.client import CallFailed
from lm_eval_fr.judge.verdicts.journal import Failure, Journal, NewReply, Sending, Source
from lm_eval_fr.judge.verdicts.ledger import Budget, Ledger, cost, cost_at_most
from lm_eval_fr.judge.verdicts.outcome import Judgement

Send = Callable[[dict[str, Any]], Awaitable[bytes]]
PROBES = 3  # tries of a server that has never answered before it is taken for a wrong address, or for gone


@dataclass(frozen=True, slots=True)
class Halt:
    """Why nothing more is sent. `error` is set when the run cannot end well; `what` says it in a line."""

    why: Literal["budget", "server", "interrupt", "error", "decided", "no calls"]
    what: str
    remedy: str = ""
    error: LmEvalFrError | None = None


@dataclass(slots=True)
class _Tries:
    waits: Backoff
    failed: int = 0
    rate_limited: int = 0


@dataclass(slots=True)
class Asker:
    """The one place that sends. Use it in one event loop."""

    journal: Journal
    judge: int  # the profile's number in the journal
    profile: Profile
    parse: Parse
    send: Send
    throttle: Throttle
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    budget: Budget | None = None
    source: Source = "live"
    ledger: Ledger = field(default_factory=Ledger)  # of this run
    elsewhere: Container[tuple[bytes, int]] = frozenset()  # key and repeat of what a batch is going to answer
    retries: int = 0
    waiting: int = 0  # questions left to a batch
    halt: Halt | None = None
    _answered: bool = False  # whether the server ever gave a reply in this run
    _failed_in_a_row: int = 0
    _asking: dict[tuple[bytes, int], asyncio.Future[None]] = field(default_factory=dict)
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, halt: Halt) -> None:
        """Sends nothing more. What is in flight is waited for by those who sent it. The first reason stays."""
        if self.halt is None:
            self.halt = halt
            self.halted.set()
            self._settled.set()
            self.throttle.close()

    def stored(self, key: bytes, repeat: int = 0) -> Judgement:
        """What the journal says: a verdict, `invalid` if replies or a refusal hold none, None if there is nothing."""
        found: Judgement = None
        for reply in self.journal.replies(key):
            if reply.repeat == repeat:
                verdict = read_reply(reply.raw, self.parse).verdict
                if verdict is not None:
                    return verdict
                found = "invalid"
        if found is None and (failure := self.journal.last_failure(key)) is not None and failure[0] == "request":
            return "invalid"  # the server will not take this very text
        return found

    async def ask(self, question: Question) -> Judgement:
        """The stored verdict, or the server's. Raises JournalError only."""
        place = (question.key, question.repeat)
        while (other := self._asking.get(place)) is not None:
            await asyncio.shield(other)  # the same words in another pair: one call answers both
        found = self.stored(question.key, question.repeat)
        if found in VERDICTS or self.halt is not None:
            return found
        if place in self.elsewhere:
            self.waiting += 1
            return found
        mine = self._asking[place] = asyncio.get_running_loop().create_future()
        try:
            return await self._ask(question, found)
        finally:
            del self._asking[place]
            mine.set_result(None)

    async def _ask(self, question: Question, found: Judgement) -> Judgement:
        tries = _Tries(self.policy.waits(int.from_bytes(question.key[:6], "big") + question.repeat))
        asked = 0
        while True:
            read = await self._obtain(question, tries)
            if read is None:
                return found or self.stored(question.key, question.repeat)
            if read.verdict is not None:
                return read.verdict
            found, asked = "invalid", asked + 1
            if asked >= self._most_asks(read.again) or self.halt is not None:
                return found
            self.retries += 1

    def _most_asks(self, again: Again) -> int:
        return {"yes": self.policy.asks, "once": min(2, self.policy.asks), "no": 1}[again]

    async def _obtain(self, question: Question, tries: _Tries) -> Read | None:
        """One reply, stored and read; None when the question is given up or asking has stopped."""
        while self.halt is None:
            failed: CallFailed | None = None
            await self.throttle.acquire()
            try:
                if self.halt is not None or not await self._reserve(question):
                    return None
                reserved = self._at_most(question)
                sending = await self._announce(question, reserved)
                sent_at = time.monotonic()
                try:
                    raw = await self.send(question.body)
                except CallFailed as error:
                    failed = error
                    await self._file_failure(question, failed, reserved, sending)
                    if failed.kind == "rate":
                        self.throttle.refused(sent_at, failed.wait)
                    elif failed.kind == "timeout":
                        self.throttle.open()  # one question that hangs must not keep the others waiting for the first
                else:
                    return await self._keep(question, raw, reserved, sending)
            finally:
                self.throttle.release()
            wait = self._wait_after(failed, tries)
            if wait is None:
                return None
            self.retries += 1
            await self._sleep(wait)
        return None

    async def _keep(self, question: Question, raw: bytes, reserved: float, sending: int | None) -> Read:
        reply = NewReply(question.key, self.judge, raw, self.source, question.repeat, sending)
        await asyncio.wrap_future(self.journal.store(reply))
        # Only now is it read: whatever happens here, the reply is kept.
        read = read_reply(raw, self.parse)
        self._answered, self._failed_in_a_row = True, 0
        self.throttle.succeeded()
        self.ledger.reply(read.usage, self.source, self.profile.prices, usable=read.verdict is not None)
        paid = None if read.usage is None else cost(read.usage, self.profile.prices)
        self._settle(reserved, reserved if paid is None else paid)
        return read

    async def _file_failure(self, question: Question, failed: CallFailed, reserved: float, sending: int | None) -> None:
        lost = self._lost(question, reserved) if failed.billed else 0.0
        failure = Failure(question.key, self.judge, failed.kind, failed.detail, lost, sending)
        await asyncio.wrap_future(self.journal.fail(failure))
        self.ledger.failure(lost)
        self._settle(reserved, reserved if failed.billed else 0.0)

    def _wait_after(self, failed: CallFailed, tries: _Tries) -> float | None:
        """Seconds until the next try; None when this question is given up. May stop all asking."""
        if failed.kind == "stop":
            self.stop(self._error(failed.detail, failed.remedy))
            return None
        if failed.kind == "quota":
            self.stop(Halt("server", failed.detail, failed.remedy))
            return None
        if failed.kind == "request":
            return None
        if failed.wait is not None and failed.wait > self.policy.longest_retry_after:
            self.stop(Halt("server", f"{failed.detail}; the server asks to wait {failed.wait:.0f} s", "run again then"))
            return None
        wait = max(tries.waits.next(), failed.wait or 0.0)
        if failed.kind == "rate":
            tries.rate_limited += 1
            if tries.rate_limited < self.policy.rate_limited:
                return wait
            self._give_up(failed)
            return None
        tries.failed += 1
        if failed.kind == "unreachable" and not self._answered and tries.failed >= PROBES:
            self.stop(self._error(failed.detail, failed.remedy))
            return None
        if tries.failed < self.policy.attempts:
            return wait
        self._give_up(failed)
        return None

    def _give_up(self, failed: CallFailed) -> None:
        self._failed_in_a_row += 1
        most = self.policy.failures_in_a_row if self._answered else PROBES
        if self._failed_in_a_row >= most:
            what = f"{self._failed_in_a_row} questions in a row got no answer; the last: {failed.detail}"
            self.stop(Halt("server", what, "run again when the server answers"))

    def _error(self, what: str, remedy: str) -> Halt:
        where = f"profile {self.profile.name}"
        return Halt("error", what, remedy, JudgeError(what, where=where, remedy=remedy))

    async def _reserve(self, question: Question) -> bool:
        """Holds the call's greatest cost back from the budget; False when it does not fit any more."""
        if self.budget is None:
            return True
        most = self._at_most(question)
        while not self.budget.fits(most):
            if not self.budget.in_flight:
                what = (
                    f"${self.budget.spent:.4f} of ${self.budget.limit:g} are spent, and one call may cost ${most:.4f}"
                )
                self.stop(Halt("budget", what, "raise --max-usd"))
            if self.halt is not None:
                return False
            self._settled.clear()
            await self._settled.wait()
        self.budget.reserve(most)
        return True

    async def _announce(self, question: Question, reserved: float) -> int | None:
        if self.budget is None:
            return None
        sending = Sending(question.key, self.judge, reserved)
        return await asyncio.wrap_future(self.journal.announce(sending))

    def _settle(self, reserved: float, paid: float) -> None:
        if self.budget is not None:
            self.budget.settle(reserved, paid)
            self._settled.set()

    def _at_most(self, question: Question) -> float:
        return 0.0 if self.budget is None else cost_at_most(question.body, self.profile) or 0.0

    def _lost(self, question: Question, reserved: float) -> float | None:
        return reserved if self.budget is not None else cost_at_most(question.body, self.profile)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.halted.wait(), seconds)
        except TimeoutError:
            return
