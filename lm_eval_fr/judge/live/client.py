"""One call to an OpenAI-compatible server, and what its failure means. No retry is made here: `ask` decides.

aiohttp and not the openai package, whose client takes several milliseconds of CPU a call at 64 calls at once, and which
reads a reply before we could store it.

The key is read from the environment and goes to the server only; what a server or a library says is scrubbed of it.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lm_eval_fr.errors import JudgeError
from lm_eval_fr.io.redaction import MASK, Redactor
from lm_eval_fr.io.retry import retry_after
from lm_eval_fr.judge.asking.protocol import Profile

if TYPE_CHECKING:
    from aiohttp import ClientResponse

OPENAI = "https://api.openai.com/v1"
KEEP_ALIVE = 4.0  # seconds; many servers close an idle connection after five, and a call on a dead one is lost
Kind = Literal["rate", "server", "connection", "unreachable", "timeout", "request", "stop", "quota"]
"""rate, server, connection, unreachable, timeout may pass. request: just this question is refused. stop, quota: every
call would be."""

HALF_MASKED = re.compile(r"\bsk-[\w.*-]{6,}")  # how OpenAI repeats a key that it refuses
NO_KEY = "none"  # what is sent to a server that asks for no key
OF_THIS_TEXT = re.compile(
    r"context.?length|too (long|large)|reduce the length|content.?(filter|policy|management)", re.I
)
MODEL_UNKNOWN = re.compile(
    r"(unknown|invalid|no such|not\s+\w*\s*exist|does not exist|not found).*model|"
    r"model.*(unknown|invalid|not\s+\w*\s*exist|does not exist|not found|not supported)",
    re.I,
)


class CallFailed(Exception):
    """A call that brought no reply. `billed`: whether the server may have done, and charge, the work all the same."""

    def __init__(
        self, kind: Kind, detail: str, *, status: int | None = None, wait: float | None = None, remedy: str = ""
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.wait = wait
        self.remedy = remedy
        self.billed = kind in ("connection", "timeout")


class ChatClient:
    """Sends bodies to `profile`'s server. Make it inside a running event loop, and `close` it there."""

    def __init__(self, profile: Profile) -> None:
        import aiohttp

        self.profile = profile
        self._key = read_key(profile)
        self.address = address(profile)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=profile.timeout),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            trust_env=True,
        )
        self._lost = (aiohttp.ClientError, OSError)
        self._unreachable = (aiohttp.ClientConnectorError, aiohttp.InvalidURL)

    async def send(self, body: dict[str, Any]) -> bytes:
        """The whole body of a 200 reply, as it came. Raises CallFailed."""
        data = msgspec.json.encode(body)
        try:
            async with self._session.post(
                f"{self.address}/chat/completions", data=data, allow_redirects=False
            ) as response:
                content = await response.read()
        except TimeoutError:
            raise CallFailed("timeout", f"no reply within {self.profile.timeout:g} s") from None
        except self._unreachable as error:
            said = self._scrub(f"{self.address}: {error}")
            raise CallFailed("unreachable", said, remedy="is the server up? check --base-url") from None
        except self._lost as error:
            raise CallFailed("connection", self._scrub(str(error) or type(error).__name__)) from None
        if response.status == 200:
            return content
        raise self._refused(response, content)

    async def close(self) -> None:
        await self._session.close()

    def _refused(self, response: ClientResponse, content: bytes) -> CallFailed:
        status, error = response.status, _Error.of(content)
        named = self._scrub(f"HTTP {status}: {error.message}")
        if status == 429 and error.code in ("insufficient_quota", "billing_hard_limit_reached"):
            return CallFailed("quota", named, status=status, remedy="top up the account, then run again to resume")
        if status in (408, 409, 429) or status >= 500:
            wait = retry_after(response.headers, time.time())
            return CallFailed("rate" if status == 429 else "server", named, status=status, wait=wait)
        if remedy := self._remedy(status, error):
            return CallFailed("stop", f"{self.address}: {named}", status=status, remedy=remedy)
        return CallFailed("request", named, status=status)

    def _remedy(self, status: int, error: _Error) -> str:
        """What to mend when every further call would be refused in the same way; empty when only this one is."""
        profile = self.profile
        variable = f"the environment variable {profile.key_env}" if profile.key_env else "key_env in the profile"
        if status == 401:
            return f"check the key in {variable}"
        if status == 402:
            return "the account cannot pay: top it up"
        if status == 403:
            return f"the key in {variable} may not use {profile.model}: ask for access, or choose another --model"
        if status == 404 or (status in (400, 422) and MODEL_UNKNOWN.search(error.message)):
            return f"--model must name a model served there (not {profile.model}?), --base-url an address ending in /v1"
        if status in (400, 422):
            if OF_THIS_TEXT.search(f"{error.code} {error.message}"):
                return ""
            sent = (*profile.parameters, "response_format", "prompt_cache_key", "prompt_cache_breakpoint")
            refused = [name for name in sent if name == error.param or name in error.message]
            return f"take {refused[0]} out of profile {profile.name}, or correct it" if refused else ""
        return "check --base-url" if 300 <= status < 400 or status == 405 else ""

    def _scrub(self, text: str) -> str:
        return scrub(text, self._key)


@dataclass(frozen=True, slots=True)
class _Error:
    """An error body, whatever its server's shape."""

    message: str
    code: str = ""
    param: str = ""

    @classmethod
    def of(cls, content: bytes) -> _Error:
        try:
            body = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return cls(content[:1000].decode(errors="replace").strip() or "no explanation")
        inner = body.get("error", body) if isinstance(body, dict) else body
        if not isinstance(inner, dict):
            return cls(str(inner))
        message = next((str(inner[name]) for name in ("message", "detail", "error") if inner.get(name)), str(inner))
        return cls(message, str(inner.get("code") or inner.get("type") or ""), str(inner.get("param") or ""))


def address(profile: Profile) -> str:
    """Where the profile's server is: the part before /chat/completions. Raises JudgeError for what is no address."""
    given = (profile.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI).strip().rstrip("/")
    if not re.match(r"https?://[^/\s]+", given):
        raise JudgeError(
            f"{given!r} is no address", where=f"profile {profile.name}", remedy="--base-url http://HOST:PORT/v1"
        )
    return given


def read_key(profile: Profile) -> str:
    """The key from the environment variable that the profile names. Raises JudgeError when there is none."""
    if profile.key_env is None:
        return NO_KEY
    key = os.environ.get(profile.key_env, "").strip()
    if not key:
        raise JudgeError(
            f"the environment variable {profile.key_env} is empty",
            where=f"profile {profile.name}",
            remedy=f"export {profile.key_env}=..., or key_env: null in a profile of a server that asks for none",
        )
    if not (key.isascii() and key.isprintable()):
        raise JudgeError(f"the key in {profile.key_env} is not one word of ASCII", remedy="export it again")
    return key


def scrub(text: str, key: str) -> str:
    """`text` in one short line, without the key or anything that looks like one."""
    text = Redactor(() if key == NO_KEY else (key,)).message(text)
    return " ".join(HALF_MASKED.sub(MASK, text).split())[:300]
