"""One server that gives log-probabilities: its address, its model, and one request at a time to it, tried again.

The key is read from the environment and goes to the server only; what a server says is scrubbed of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lm_eval_fr.errors import ArmError, UsageError
from lm_eval_fr.io.headers import retry_after
from lm_eval_fr.io.http import Answer, Server, ask
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.judge.live.retry import RetryPolicy

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

TIMEOUT = 600.0  # seconds; a long text behind a full queue
MODELS_TIMEOUT = 30.0
TEXTS_LOST = 3  # in a row, after every try: the server is gone
POLICY = RetryPolicy(attempts=5)
OF_THIS_TEXT = re.compile(
    r"context.?length|too (long|large)|reduce the length|maximum.{0,20}length|max_model_len", re.I
)


@dataclass(frozen=True, slots=True)
class Arm:
    """Where one arm is served. key_env names the environment variable that holds its key, if it wants one."""

    role: Literal["candidate", "reference"]
    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: str = field(default="", repr=False)

    @property
    def identity(self) -> str:
        return f"{self.url} {self.model}"

    def scrub(self, text: str) -> str:
        return " ".join(Redactor((self.secret,) if self.secret else ()).message(text).split())[:300]


class Refused(Exception):
    """The server will not score this text; another one it may."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said

    @property
    def of_this_text(self) -> bool:
        return bool(OF_THIS_TEXT.search(self.said))


class GaveUp(Exception):
    """No reply after every try."""


def find_arm(role: Literal["candidate", "reference"], url: str, model: str | None, key_env: str | None) -> Arm:
    """The arm behind `url`, with the model that it serves. Raises UsageError and ArmError."""
    address = re.sub(r"/(chat/)?completions$", "", url.strip().rstrip("/"))
    if not re.match(r"https?://[^/\s]+", address):
        raise UsageError(f"{url!r} is no address", remedy=f"give the {role} as http://HOST:PORT/v1")
    secret = os.environ.get(key_env, "").strip() if key_env else ""
    if key_env and not secret:
        raise UsageError(f"the environment variable {key_env} is empty", where="--key-env", remedy=f"export {key_env}=")
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    arm = Arm(role, address, model or "", headers, secret)
    if model:
        return arm
    answer = ask(Server(f"{address}/models", headers), timeout=MODELS_TIMEOUT)
    names = _names(answer)
    if len(names) != 1:
        said = f"serves {', '.join(names[:4])}" if names else f"does not say what it serves (HTTP {answer.status})"
        raise UsageError(arm.scrub(f"the {role} {said}"), where=address, remedy=f"name it: --{role}-model NAME")
    return Arm(role, address, names[0], headers, secret)


def _names(answer: Answer) -> list[str]:
    rows = answer.body.get("data") if isinstance(answer.body, dict) else None
    return [str(row["id"]) for row in rows or () if isinstance(row, dict) and row.get("id")]


class Client:
    """Sends bodies to one arm, `concurrency` at a time. Make it inside a running event loop, and `close` it there."""

    def __init__(self, arm: Arm, concurrency: int) -> None:
        import aiohttp

        self.arm = arm
        self._places = asyncio.Semaphore(concurrency)
        self._session: ClientSession = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            headers={"Content-Type": "application/json", **arm.headers},
            trust_env=True,
        )
        self._lost = (aiohttp.ClientError, OSError, TimeoutError)
        self._answered = False
        self._lost_in_a_row = 0

    async def send(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of a 200 reply. Raises Refused, GaveUp, and ArmError when no text will ever be scored there."""
        data = msgspec.json.encode(body)
        waits = POLICY.waits(len(data))
        said = "the server is gone"
        async with self._places:
            for attempt in range(POLICY.attempts):
                if self._lost_in_a_row >= TEXTS_LOST:
                    break  # the others need not wait as long to learn the same
                wait: float | None = None
                try:
                    async with self._session.post(f"{self.arm.url}{path}", data=data) as response:
                        content = await response.read()
                    if response.status == 200:
                        self._answered, self._lost_in_a_row = True, 0
                        return content
                    said = self._refused(response, content)
                    wait = retry_after(response.headers, time.time())
                except self._lost as error:
                    said = self.arm.scrub(str(error) or type(error).__name__)
                    if not self._answered and attempt == 2:
                        raise ArmError(
                            f"no {self.arm.role} answers: {said}", where=self.arm.url, remedy="is the server up?"
                        ) from None
                await asyncio.sleep(max(waits.next(), min(wait or 0.0, POLICY.longest_retry_after)))
        self._lost_in_a_row += 1
        raise GaveUp(said)

    def _refused(self, response: ClientResponse, content: bytes) -> str:
        status = response.status
        try:
            body = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = content[:500].decode(errors="replace")
        said = self.arm.scrub(f"HTTP {status}: {Answer(status, body).said}")
        if status in (401, 403):
            remedy = "name the environment variable that holds its key: --key-env NAME"
            raise ArmError(f"the {self.arm.role} lets nobody in: {said}", where=self.arm.url, remedy=remedy)
        if status in (408, 409, 429) or status >= 500:
            return said
        raise Refused(status, said)

    async def close(self) -> None:
        await self._session.close()
