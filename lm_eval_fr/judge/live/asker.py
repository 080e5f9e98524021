"""Asks one question until it is settled or out of tries, and stops all asking when it must.

What is stored is never asked again. A failure concerns only its question: the others continue.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

from lm_eval_fr.io.http import Answer, CallFailed
from lm_eval_fr.io.replies import Problem, find_page
from lm_eval_fr.io.retry import Backoff, RetryPolicy, Throttle
from lm_eval_fr.judge.asking.envelope import open_body, read_reply
from lm_eval_fr.judge.asking.protocol import Profile, Question
from lm_eval_fr.judge.live.client import TOP_UP, Send, blocked, in_our_words
from lm_eval_fr.judge.live.hopeless import PROBES, Halt, Streak
from lm_eval_fr.judge.verdicts.journal import Failure, Source, StoredReply
from lm_eval_fr.judge.verdicts.ledger import Budget, Ledger, cost, cost_at_most, price, usage_at_most
from lm_eval_fr.judge.verdicts.question_life import BLOCKED, Lives, QuestionLife

HANGS = 2  # time-outs of one question in one run: each takes as long as all other tries together


@dataclass(slots=True)
class _Tries:
    waits: Backoff
    failed: int = 0
    rate_limited: int = 0
    hung: int = 0
    asked: bool = False


@dataclass(slots=True)
class Asker:
    """The one place that sends. Use it in one event loop."""

    lives: Lives
    judge: int  # the profile's number in the journal
    profile: Profile
    send: Send
    throttle: Throttle
    streak: Streak
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    budget: Budget | None = None
    source: Source = "live"
    ledger: Ledger = field(default_factory=Ledger)  # of this run
    retries: int = 0
    waiting: int = 0  # questions left to a batch
    halt: Halt | None = None
    _asking: dict[tuple[bytes, int], asyncio.Future[None]] = field(default_factory=dict)
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, halt: Halt) -> None:
        """Sends nothing more. Callers still wait for what is in flight. The first reason stays."""
        if self.halt is None:
            self.halt = halt
            self.halted.set()
            self._settled.set()
            self.throttle.close()

    async def ask(self, question: Question) -> QuestionLife:
        """The question's outcome: as stored, or as the server answers. Raises only JournalError."""
        place = (question.key, question.repeat)
        while (other := self._asking.get(place)) is not None:
            await asyncio.shield(other)  # the same text in another pair: one call answers both
        life = self.lives.of(question)
        self.waiting += life.state == "waiting"
        if not life.open or self.halt is not None:
            return life
        mine = self._asking[place] = asyncio.get_running_loop().create_future()
        try:
            return await self._ask(question, life)
        finally:
            del self._asking[place]
            mine.set_result(None)

    async def _ask(self, question: Question, life: QuestionLife) -> QuestionLife:
        tries = _Tries(self.policy.waits(int.from_bytes(question.key[:6], "big") + question.repeat))
        while life.open and self.halt is None:
            self.retries += tries.asked
            obtained = await self._obtain(question, tries)
            life = self.lives.of(question)
            if not obtained:
                break
        if tries.asked and (halt := self.streak.add(life)) is not None:
            self.stop(halt)
        return life

    async def _obtain(self, question: Question, tries: _Tries) -> bool:
        """Whether a reply or a refusal of this text was stored; otherwise it is given up, or asking has stopped."""
        while self.halt is None:
            async with self.throttle.slot():
                if self.halt is not None or not await self._reserve(question):
                    return False
                tries.asked = True
                problem, seconds = await self._call(question)
            if problem is None or problem.of_this_text:
                return True
            tries.hung += seconds >= self.profile.timeout
            wait = self._wait_after(problem, tries)
            if wait is None:
                return False
            self.retries += 1
            await self._sleep(wait)
        return False

    async def _call(self, question: Question) -> tuple[Problem | None, float]:
        """One call; its result goes into the journal. Returns the problem (None for a reply) and the duration."""
        reserved, sending = self._at_most(question), None
        if self.budget is not None:
            sending = await asyncio.wrap_future(self.lives.journal.announce(question.key, self.judge, reserved))
        sent_at = time.monotonic()
        answer: Answer | None = None
        try:
            answer = await self.send(question.body)
            found = answer.problem() or find_page(answer.status, answer.body)
            problem = None if found is None else in_our_words(found, self.profile)
        except CallFailed as failed:
            problem = failed.problem
        seconds = time.monotonic() - sent_at
        if answer is not None and problem is None:
            await self._keep(question, answer.body, reserved, sending)
            self.streak.replied = True
            self.throttle.succeeded(seconds)
            return None, seconds
        assert problem is not None
        await self._file_failure(question, problem, reserved, sending, b"" if answer is None else answer.body)
        if problem.kind == "rate":
            self.throttle.refused(sent_at, problem.wait)
        elif problem.of_this_text or seconds >= self.profile.timeout:
            self.streak.replied = self.streak.replied or problem.of_this_text
            self.throttle.open()  # a hanging question must not make the others wait for the first answer
        return problem, seconds

    async def _keep(self, question: Question, raw: bytes, reserved: float, sending: int | None) -> None:
        sent, output = len(msgspec.json.encode(question.body)), self.profile.max_output_tokens
        reply = StoredReply(question.key, self.judge, raw, self.source, question.repeat, sent, output)
        await asyncio.wrap_future(self.lives.journal.store(reply, sending))
        # It is parsed only now: whatever happens here, the reply is kept.
        read = read_reply(raw)
        paid = price(read.usage, usage_at_most(sent, output), self.profile.prices, self.source)
        self.ledger.reply(paid, self.source, usable=read.verdict is not None)
        self._settle(reserved, reserved if paid.dollars is None else paid.dollars)

    async def _file_failure(
        self, question: Question, problem: Problem, reserved: float, sending: int | None, body: bytes
    ) -> None:
        lost = self._lost(question, problem, reserved, body)
        failure = Failure(question.key, self.judge, problem.kind, str(problem), lost)
        await asyncio.wrap_future(self.lives.journal.fail(failure, sending))
        self.ledger.failure(lost)
        self._settle(reserved, reserved if lost is None else lost)

    def _lost(self, question: Question, problem: Problem, reserved: float, body: bytes) -> float | None:
        """What a call without a reply may have cost: as its body says, or the most if the work may have been done."""
        if problem.billed:
            return reserved if self.budget is not None else cost_at_most(question.body, self.profile)
        used = open_body(body).usage
        return 0.0 if used is None else cost(used, self.profile.prices)

    def _wait_after(self, problem: Problem, tries: _Tries) -> float | None:
        """Seconds until the next try; None when this question is given up. May stop all asking."""
        if problem.kind == "quota":
            self.stop(Halt("server", str(problem), TOP_UP))
            return None
        if problem.kind in BLOCKED:
            self._stop_for_good(problem)
            return None
        if problem.wait is not None and problem.wait > self.policy.longest_retry_after:
            self.stop(Halt("server", f"{problem}; the server asks to wait {problem.wait:,.0f} s", "rerun then"))
            return None
        wait = tries.waits.next(problem.wait)
        if problem.kind == "rate":
            tries.rate_limited += 1
            return wait if tries.rate_limited < self.policy.rate_limited else None
        tries.failed += 1
        if not problem.billed and problem.status is None and not self.streak.replied and tries.failed >= PROBES:
            self._stop_for_good(problem)
            return None
        return wait if tries.failed < self.policy.attempts and tries.hung < HANGS else None

    def _stop_for_good(self, problem: Problem) -> None:
        error = blocked(problem, self.profile)
        self.stop(Halt("error", error.what, error.remedy, error))

    async def _reserve(self, question: Question) -> bool:
        """Reserves the call's greatest possible cost in the budget; False if it no longer fits."""
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

    def _settle(self, reserved: float, paid: float) -> None:
        if self.budget is not None:
            self.budget.settle(reserved, paid)
            self._settled.set()

    def _at_most(self, question: Question) -> float:
        return 0.0 if self.budget is None else cost_at_most(question.body, self.profile) or 0.0

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.halted.wait(), seconds)
        except TimeoutError:
            return
