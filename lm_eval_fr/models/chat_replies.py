"""What a chat API answered, and what to do about it: a function of status, headers and body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from lm_eval_fr.io.retry import retry_after

HOPELESS = (401, 402, 403, 404)  # every further call would get the same
PASSING = (408, 409, 425, 429)
Kind = Literal["answer", "refused", "again", "hopeless"]


@dataclass(frozen=True, slots=True)
class Reply:
    """kind: "answer" (text is what to log, perhaps ""), "refused" (this document cannot be asked), "again" (a later
    call may succeed; wait is what the server asks for, in seconds), "hopeless" (no call will succeed).
    error: why there is no usable text, None when there is.
    """

    kind: Kind
    text: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, int | None] | None = None
    error: str | None = None
    status: int | None = None
    wait: float | None = None

    def record(self, seconds: float) -> dict[str, Any]:
        """What is kept beside the samples."""
        return {
            "finish_reason": self.finish_reason,
            "usage": None if self.usage is None else dict(self.usage),
            "error": self.error,
            "seconds": round(seconds, 3),
        }


def read_reply(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
    """now: Unix time, against which an HTTP date in Retry-After is read."""
    if status == 200:
        return _read_answer(body)
    said = f"{status}: {_message(body)}"
    if status in HOPELESS or (status == 429 and b"insufficient_quota" in body):
        return Reply("hopeless", error=said, status=status)
    if status in PASSING or status >= 500:
        return Reply("again", error=said, status=status, wait=retry_after(headers, now))
    return Reply("refused", error=said, status=status)


def _read_answer(body: bytes) -> Reply:
    try:
        content = msgspec.json.decode(body)
        choice = content["choices"][0]
        message = choice["message"]
        text, refusal = _text(message.get("content")), message.get("refusal")
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError):
        return Reply("again", error="the reply is not a chat completion", status=200)
    reason = choice.get("finish_reason")
    error = None
    if not text:
        error = f"refusal: {refusal}" if refusal else f"no content (finish reason: {reason})"
    return Reply("answer", text or "", reason, _usage(content.get("usage")), error, 200)


def _text(content: Any) -> str | None:
    """Mistral's reasoning models answer with a list of parts, of which the thinking is not the answer."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if part.get("type", "text") == "text")
    return None if content is None else str(content)


def _usage(usage: Any) -> dict[str, int | None] | None:
    if not isinstance(usage, Mapping):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "cached_tokens": cached,
    }


def _message(body: bytes) -> str:
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return " ".join(body.decode("utf-8", "replace").split())[:200] or "no message"
    error = content.get("error", content) if isinstance(content, dict) else content
    message = (error.get("message") or error.get("detail")) if isinstance(error, dict) else error
    return " ".join(str(message or content).split())[:200]
