"""One server that returns log-probabilities: its address, its model, and one request at a time with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from lm_eval_fr.errors import ArmError, UsageError
from lm_eval_fr.io.clean import rows_at
from lm_eval_fr.io.http import MEGABYTE, MOST_BYTES, Answer, CallFailed, Http, Server, api_address, ask, check_address
from lm_eval_fr.io.redaction import required_key
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.io.retry import RetryPolicy, Waiting

TIMEOUT = 600.0  # seconds; a long text behind a full queue
MODELS_TIMEOUT = 30.0
MOST_SCORES = 256 * MEGABYTE  # twenty log-probabilities per token of the longest text
SCORE_BYTES = 64  # of one log-probability, per byte of text; a token of French prose has three to four bytes
TEXTS_LOST = 3  # in a row, with all retries: the server is gone
POLICY = RetryPolicy(attempts=5)


@dataclass(frozen=True, slots=True)
class ScoringArm:
    """Where one arm is served. server: its address, ending in /v1, and its key, if it needs one."""

    role: Literal["candidate", "reference"]
    server: Server
    model: str

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def identity(self) -> str:
        return f"{self.url} {self.model}"


class TextRefused(Exception):
    """The server refuses this text; it may score another."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.said = str(problem)

    @property
    def of_this_text(self) -> bool:
        return self.problem.kind in ("too_long", "moderated")


class GaveUp(Exception):
    """No reply after all retries."""


def find_arm(role: Literal["candidate", "reference"], url: str, model: str | None, key_env: str | None) -> ScoringArm:
    """The arm behind `url`, with the model that it serves. Raises UsageError and ArmError."""
    address = api_address(check_address(url, f"the {role}'s address"))
    server = Server(address, required_key(key_env))
    if model:
        return ScoringArm(role, server, model)
    try:
        answer = ask(server, "/models", timeout=MODELS_TIMEOUT)
    except CallFailed as failed:
        raise failed.error(ArmError, address, "start the server, or correct the address") from None
    names = _names(answer)
    if len(names) != 1:
        problem = answer.problem()
        said = f"does not report what it serves ({problem or 'not a list of models'})"
        if names:
            said = f"serves {', '.join(names[:4])}"
        raise UsageError(f"the {role} {said}", where=address, remedy=f"name it: --{role}-model NAME")
    return ScoringArm(role, server, names[0])


def _names(answer: Answer) -> list[str]:
    return [str(row["id"]) for row in rows_at(answer.json, "data") if row.get("id")]


class Client:
    """Sends request bodies to one arm, `concurrency` at a time. Create and `close` it in a running event loop."""

    def __init__(self, arm: ScoringArm, concurrency: int) -> None:
        self.arm = arm
        self._places = asyncio.Semaphore(concurrency)
        self._http = Http(arm.server, timeout=TIMEOUT)
        self._waiting = Waiting(arm.url)
        self._answered = False
        self._lost_in_a_row = 0

    async def send(self, path: str, body: Mapping[str, Any], top: int) -> bytes:
        """The body of a 200 reply, no larger than `top` log-probabilities per token can be. Raises Refused, GaveUp, and
        ArmError when no text will ever be scored there."""
        data = msgspec.json.encode(body)
        most = min(MOST_SCORES, MOST_BYTES + len(data) * (top + 1) * SCORE_BYTES)
        waits = POLICY.waits(len(data))
        said = "the server is gone"
        async with self._places:
            for attempt in range(POLICY.attempts):
                if self._lost_in_a_row >= TEXTS_LOST:
                    break  # the others need not wait as long to find out
                outcome = await self._try(path, data, most)
                if isinstance(outcome, bytes):
                    self._answered, self._lost_in_a_row = True, 0
                    return outcome
                said = str(outcome)
                if outcome.status is None and not self._answered and (attempt == 2 or not outcome.passing):
                    what = f"no {self.arm.role} answers: {said}"
                    raise ArmError(what, where=self.arm.url, remedy="is the server up?")
                pause = waits.next(outcome.wait)
                self._waiting.tell(pause, outcome)
                await asyncio.sleep(pause)
        self._lost_in_a_row += 1
        raise GaveUp(said)

    async def _try(self, path: str, data: bytes, most: int) -> bytes | Problem:
        """The body, or a problem that may pass."""
        try:
            answer = await self._http.call(path, data, most_bytes=most)
        except CallFailed as failed:
            if failed.problem.status and not failed.problem.passing:
                raise failed.error(ArmError, self.arm.url) from None
            return failed.problem
        # A good reply is long: its reader checks whether it has log-probabilities.
        problem = None if answer.status == 200 else answer.problem(self._http.redactor)
        if problem is None:
            return answer.body
        if problem.kind == "key":
            remedy = "name the environment variable that holds its key: --key-env NAME"
            raise ArmError(f"the {self.arm.role} denies access: {problem}", where=self.arm.url, remedy=remedy)
        if problem.kind == "quota":
            raise ArmError(f"the {self.arm.role}: {problem}", where=self.arm.url, remedy="top up the account")
        if not problem.passing:
            raise TextRefused(problem)
        return problem

    async def close(self) -> None:
        await self._http.close()
