"""One call to an OpenAI-compatible server, and what its failure means. No retry is made here: `ask` decides.

The key is read from the environment and goes to the server only; what a server or a library says is scrubbed of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import TYPE_CHECKING, Any, Literal

from lm_eval_fr.errors import JudgeError
from lm_eval_fr.judge.protocol import Profile
from lm_eval_fr.judge.retry import retry_after
from lm_eval_fr.redaction import MASK, Redactor

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

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
    """Sends bodies to `profile`'s server. Use inside a running event loop, and `close` it there."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._key = read_key(profile)
        self._client = _openai(profile, self._key)
        self.address = str(self._client.base_url)

    async def send(self, body: dict[str, Any]) -> bytes:
        """The whole body of a 200 reply, as it came. Raises CallFailed."""
        import openai

        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            async with asyncio.timeout(self.profile.timeout):
                # with_raw_response: what was paid for is stored before anything, the openai package included, reads it.
                reply = await self._client.chat.completions.with_raw_response.create(
                    model=body["model"], messages=body["messages"], extra_body=rest
                )
                return reply.content
        except (TimeoutError, openai.APITimeoutError):
            raise CallFailed("timeout", f"no reply within {self.profile.timeout:g} s") from None
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except openai.APIConnectionError as error:
            raise self._lost(error) from None

    async def close(self) -> None:
        await self._client.close()

    def _lost(self, error: APIConnectionError) -> CallFailed:
        cause = error.__cause__ or error
        said = self._scrub(f"{self.address}: {str(cause) or type(cause).__name__}")
        if type(cause).__name__ in ("ConnectError", "ConnectTimeout", "UnsupportedProtocol"):
            return CallFailed("unreachable", said, remedy="is the server up? check --base-url")
        return CallFailed("connection", said)

    def _refused(self, error: APIStatusError) -> CallFailed:
        status, said = error.status_code, self._scrub(_message(error))
        named = f"HTTP {status}: {said}"
        if status == 429:
            if _code(error) in ("insufficient_quota", "billing_hard_limit_reached"):
                return CallFailed("quota", named, status=status, remedy="top up the account, then run again to resume")
            return CallFailed("rate", named, status=status, wait=retry_after(error.response.headers, time.time()))
        if status in (408, 409) or status >= 500:
            return CallFailed("server", named, status=status, wait=retry_after(error.response.headers, time.time()))
        if remedy := self._remedy(error, said):
            return CallFailed("stop", f"{self.address}: {named}", status=status, remedy=remedy)
        return CallFailed("request", named, status=status)

    def _remedy(self, error: APIStatusError, said: str) -> str:
        """What to mend when every further call would be refused in the same way; empty when only this one is."""
        status, profile = error.status_code, self.profile
        variable = f"the environment variable {profile.key_env}" if profile.key_env else "key_env in the profile"
        if status == 401:
            return f"check the key in {variable}"
        if status == 402:
            return "the account cannot pay: top it up"
        if status == 403:
            return f"the key in {variable} may not use {profile.model}: ask for access, or choose another --model"
        if status == 404 or (status in (400, 422) and MODEL_UNKNOWN.search(said)):
            return f"--model must name a model served there (not {profile.model}?), --base-url an address ending in /v1"
        if status in (400, 422):
            if OF_THIS_TEXT.search(f"{_code(error)} {said}"):
                return ""
            sent = (*profile.parameters, "response_format", "prompt_cache_key", "prompt_cache_breakpoint")
            refused = [name for name in sent if name == error.param or name in said]
            return f"take {refused[0]} out of profile {profile.name}, or correct it" if refused else ""
        return "check --base-url" if status in (301, 302, 307, 308, 405) else ""

    def _scrub(self, text: str) -> str:
        return scrub(text, self._key)


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


def _openai(profile: Profile, key: str) -> AsyncOpenAI:
    import openai

    try:
        return openai.AsyncOpenAI(api_key=key, base_url=profile.base_url, max_retries=0, timeout=profile.timeout)
    except (openai.OpenAIError, ValueError) as error:
        raise JudgeError(scrub(str(error), key), where=f"profile {profile.name}", remedy="check --base-url") from None


def _message(error: APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        for value in (body.get("message"), body.get("detail"), body.get("error")):
            if isinstance(value, str) and value:
                return value
    return str(body or error.message)


def _code(error: APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("code") or body.get("type") or "")
