"""Sends many concurrent requests to one endpoint, patiently, and gives up only for the right reasons."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lm_eval_fr.errors import ArmError, LmEvalFrError, Unfinished
from lm_eval_fr.io.http import CallFailed, Http, Server, shown_address
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.io.replies import Kind, Problem
from lm_eval_fr.io.retry import STUCK_AFTER, RetryPolicy, Throttle, Waiting
from lm_eval_fr.models.chat_replies import Reply, read_reply

FIRST_ALONE = 2.0  # seconds for the first call alone: a wrong key or model shows before the second
REFUSED_AT_FIRST = 3  # requests refused with none answered: the documents are not the cause
OUTAGE = 3  # last documents without an answer: the server's failure, not theirs
AT_FIRST = 8  # refusals for the rate by a server that has never answered: about a minute
PROBES = 3  # tries to reach a server that has never answered
STUCK_SHARE = 100  # of the time-out: hanging calls must give up their slots long before it

Done = Callable[[int, Reply], None]


@dataclass
class Sender:
    """For one `send`. concurrent: calls at once. timeout: of one call, in seconds.

    remedies: what to do about a problem that every further call would have, by its kind.
    proven: whether an earlier run got answers the same way; then a refusal concerns the document.
    """

    server: Server
    concurrent: int = 8
    timeout: float = 300.0
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    remedies: Mapping[Kind, str] = field(default_factory=dict)
    proven: bool = False
    _answered: int = 0
    _refused: int = 0
    _lost_in_a_row: int = 0
    _limited_in_a_row: int = 0
    _last_lost: Problem | None = None
    _over: LmEvalFrError | None = None

    def __post_init__(self) -> None:
        self._where = shown_address(self.server.url)
        self._waiting = Waiting(self._where)

    def send(self, bodies: Sequence[bytes], done: Done) -> None:
        """Calls `done(index, reply)` for each body as its answer or its final failure arrives.

        Raises ArmError if no further call can succeed, Unfinished if one may later; answers passed to `done` stay
        valid.
        """
        try:
            run_async(self._send(bodies, done))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        if bodies and not self._answered and not self.proven:
            raise ArmError("the server answered none of the requests", where=self._where, remedy="see its log")
        if self._last_lost is not None and self._lost_in_a_row >= OUTAGE:
            what = f"the last {self._lost_in_a_row} documents got no answer: {self._last_lost}"
            raise Unfinished(what, where=self._where, remedy="the answers are kept; rerun the same command to resume")

    async def _send(self, bodies: Sequence[bytes], done: Done) -> None:
        jobs = iter(enumerate(bodies))
        async with Http(self.server, timeout=self.timeout) as http, asyncio.TaskGroup() as group:
            throttle = Throttle(
                self.concurrent,
                self.policy,
                stuck_after=min(STUCK_AFTER, self.timeout / STUCK_SHARE),
                when_aside=lambda: group.create_task(self._work(http, throttle, jobs, done)),
            )
            asyncio.get_running_loop().call_later(FIRST_ALONE, self._open, throttle)
            for _ in range(min(self.concurrent + 1, len(bodies))):  # one waits, to notice a hanging call
                group.create_task(self._work(http, throttle, jobs, done))

    def _open(self, throttle: Throttle) -> None:
        """A slow first answer does not hold up the others; a refused one does."""
        if not self._lost_in_a_row and not self._limited_in_a_row:
            throttle.open()

    async def _work(self, http: Http, throttle: Throttle, jobs: Iterator[tuple[int, bytes]], done: Done) -> None:
        for index, body in jobs:
            reply = await self._ask(http, throttle, body, index)
            if reply.problem is not None and reply.problem.passing:
                self._count_lost(reply.problem)
            done(index, reply)

    async def _ask(self, http: Http, throttle: Throttle, body: bytes, index: int) -> Reply:
        """The answer, or the last failure after all attempts."""
        waits, lost, limited = self.policy.waits(index), 0, 0
        while True:
            reply = await self._call(http, throttle, body)
            problem = reply.problem
            if problem is None or not problem.passing:
                return reply
            if problem.kind == "rate":
                limited += 1
                self._count_limited(problem)
            else:
                lost += 1
                if problem.status is None and not problem.billed and not self._answered and lost >= PROBES:
                    raise self._error(str(problem), problem)
            if lost >= self.policy.attempts or limited >= self.policy.rate_limited:
                return reply
            self._waiting.tell(throttle.pause, problem)
            await asyncio.sleep(waits.next(problem.wait))

    async def _call(self, http: Http, throttle: Throttle, body: bytes) -> Reply:
        async with throttle.slot():
            if self._over is not None:
                raise self._over
            sent_at = time.monotonic()
            try:
                reply = read_reply(await http.call("", body), http.redactor)
            except CallFailed as failed:
                reply = Reply.failed(failed.problem, time.monotonic() - sent_at)
            problem = reply.problem
            if problem is None:
                self._answered += 1
                self._lost_in_a_row = self._limited_in_a_row = 0
                throttle.succeeded(reply.seconds)
            elif problem.kind == "rate" or problem.wait is not None:
                throttle.refused(sent_at, problem.wait)
            elif problem.billed:
                throttle.open()  # a hanging document must not keep the others waiting
            if problem is not None and not problem.passing:
                self._judge(problem)  # before the next call gets this slot
        return reply

    def _judge(self, problem: Problem) -> None:
        """Raises if this document's problem will affect all others."""
        new = not self._answered and not self.proven
        if problem.kind in ("key", "address") or (new and problem.kind in ("model", "parameter")):
            raise self._error(f"the server answers {problem}", problem)
        if problem.kind == "quota":
            raise self._error(f"the server answers {problem}", problem, Unfinished)
        self._refused += 1
        if new and self._refused >= REFUSED_AT_FIRST and problem.kind != "moderated":
            raise self._error(f"the server refuses every request: {problem}", problem)

    def _count_lost(self, problem: Problem) -> None:
        self._lost_in_a_row += 1
        self._last_lost = problem
        if self._lost_in_a_row >= self.policy.failures_in_a_row:
            what = f"{self._lost_in_a_row} documents in a row got no answer; the last: {problem}"
            raise self._error(what, problem, Unfinished, "rerun the same command when the server is back")

    def _count_limited(self, problem: Problem) -> None:
        self._limited_in_a_row += 1
        most = self.policy.failures_in_a_row if self._answered else min(AT_FIRST, self.policy.failures_in_a_row)
        if self._limited_in_a_row >= most:
            what = f"{self._limited_in_a_row} calls in a row were refused for the rate: {problem}"
            raise self._error(what, problem, Unfinished, "rerun to resume; try a lower num_concurrent=")

    def _error(
        self, what: str, problem: Problem, kind: type[LmEvalFrError] = ArmError, remedy: str = ""
    ) -> LmEvalFrError:
        advice = remedy or problem.remedy or self.remedies.get(problem.kind, "")
        self._over = kind(what, where=self._where, remedy=advice)
        return self._over
