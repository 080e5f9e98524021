"""Sends many requests to one chat endpoint at once, patiently, and gives up for the right reasons only."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.http import is_loopback
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.models.chat_replies import Reply, read_reply

FIRST_ALONE = 2.0  # seconds that the first call has to itself: a wrong key or model shows before the second
REFUSED_AT_FIRST = 3  # requests turned down (400) with none answered: it is not the documents
GONE = 20  # documents in a row without an answer: the server is not coming back
RATE_PATIENCE = 3  # times as many attempts when the server says "too fast"


@dataclass(frozen=True)
class Policy:
    """attempts: calls for one document. longest_wait: bound of one pause, whatever the server asks for. Seconds."""

    concurrent: int = 8
    attempts: int = 6
    timeout: float = 300.0
    first_wait: float = 0.5
    longest_wait: float = 60.0
    seed: int = 0


@dataclass(frozen=True)
class Endpoint:
    """headers hold the key and are never shown. remedies: for what cannot succeed, by status."""

    url: str
    headers: Mapping[str, str]
    remedies: Mapping[int, str]
    tls: ssl.SSLContext | bool = True


class Sender:
    """One `send` at a time. proven: this endpoint has answered such requests before."""

    def __init__(self, endpoint: Endpoint, policy: Policy, *, proven: bool = False) -> None:
        self._endpoint, self._policy, self._proven = endpoint, policy, proven
        self._random = random.Random(policy.seed)
        self._resume_at = 0.0
        self._answered = self._refused = self._failed_in_a_row = 0

    def send(self, bodies: Sequence[bytes], done: Callable[[int, Reply, float], None]) -> None:
        """Calls `done(index, reply, seconds)` for each body as its answer or its final failure arrives.

        Raises ArmError when no further call can succeed; what `done` was given stands.
        """
        try:
            run_async(self._send(bodies, done))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        if bodies and not self._answered and not self._proven:
            raise ArmError("the server answered none of the requests", where=self._endpoint.url, remedy="see its log")

    async def _send(self, bodies: Sequence[bytes], done: Callable[[int, Reply, float], None]) -> None:
        workers = min(self._policy.concurrent, len(bodies))
        self._opened = asyncio.Event()
        connector = aiohttp.TCPConnector(limit=workers or 1, ssl=self._endpoint.tls)
        timeout = aiohttp.ClientTimeout(total=self._policy.timeout)
        headers = {"Content-Type": "application/json", **self._endpoint.headers}
        far = not is_loopback(self._endpoint.url)  # a proxy for the world is no way to this machine
        session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers, trust_env=far)
        async with session:
            jobs = iter(enumerate(bodies))
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(number, session, jobs, done))

    async def _work(
        self,
        number: int,
        session: aiohttp.ClientSession,
        jobs: Iterator[tuple[int, bytes]],
        done: Callable[[int, Reply, float], None],
    ) -> None:
        if number:
            try:
                await asyncio.wait_for(self._opened.wait(), FIRST_ALONE)
            except TimeoutError:
                self._opened.set()
        for index, body in jobs:
            reply, seconds = await self._ask(session, body)
            self._judge(reply)
            done(index, reply, seconds)

    async def _ask(self, session: aiohttp.ClientSession, body: bytes) -> tuple[Reply, float]:
        """The answer, or the last failure after all attempts."""
        wait, attempt = self._policy.first_wait, 0
        while True:
            if (pause := self._resume_at - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            started = time.monotonic()
            reply = await self._call(session, body)
            seconds = time.monotonic() - started
            attempt += 1
            patience = self._policy.attempts * (RATE_PATIENCE if reply.status == 429 else 1)
            if reply.kind != "again" or attempt >= patience:
                return reply, seconds
            if reply.wait is not None:
                # The server has said when to come back: nobody knocks before.
                self._resume_at = max(self._resume_at, time.monotonic() + min(reply.wait, self._policy.longest_wait))
            else:
                await asyncio.sleep(wait * self._random.uniform(0.5, 1.0))
                wait = min(2 * wait, self._policy.longest_wait)

    async def _call(self, session: aiohttp.ClientSession, body: bytes) -> Reply:
        try:
            async with session.post(self._endpoint.url, data=body) as response:
                content = await response.read()
                return read_reply(response.status, response.headers, content, time.time())
        except TimeoutError:
            return Reply("again", error=f"no reply in {self._policy.timeout:.0f} s")
        except aiohttp.ClientError as error:
            return Reply("again", error=f"connection: {type(error).__name__}")

    def _judge(self, reply: Reply) -> None:
        """Raises when what went wrong with this document will go wrong with all."""
        if reply.kind == "answer":
            self._answered += 1
            self._failed_in_a_row = 0
            self._opened.set()
            return
        where = self._endpoint.url
        if reply.kind == "hopeless":
            remedy = self._endpoint.remedies.get(reply.status or 0, "")
            raise ArmError(f"the server answers {reply.error}", where=where, remedy=remedy)
        if reply.kind == "refused":
            self._refused += 1
            if self._refused >= REFUSED_AT_FIRST and not self._answered and not self._proven:
                remedy = self._endpoint.remedies.get(400, "")
                raise ArmError(f"the server refuses every request, {reply.error}", where=where, remedy=remedy)
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= GONE:
            what = f"{GONE} documents in a row got no answer, the last one {reply.error}"
            raise ArmError(what, where=where, remedy="the same command resumes when the server is back")
