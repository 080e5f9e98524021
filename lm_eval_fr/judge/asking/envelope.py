"""What the body of a chat completion holds: the text, why it ended, what it used. Bodies differ between servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from lm_eval_fr.judge.asking.protocol import Parse, Verdict

Again = Literal["yes", "once", "no"]


@dataclass(frozen=True, slots=True)
class CallUsage:
    """Tokens of one call. `input` is the whole prompt; `cached` and `written` are the parts of it that the cache had
    or took."""

    input: int
    cached: int
    written: int
    output: int


@dataclass(frozen=True, slots=True)
class Envelope:
    text: str = ""
    finish: str | None = None
    refusal: str = ""
    usage: CallUsage | None = None
    model: str | None = None  # as the server names it
    problem: str = ""  # why there is no text to read at all


@dataclass(frozen=True, slots=True)
class Read:
    """A reply as this version reads it. Without a verdict, `again` says whether asking once more may help."""

    verdict: Verdict | None
    reason: str
    problem: str
    again: Again
    usage: CallUsage | None


def open_body(raw: bytes) -> Envelope:
    """Never raises: a body that is no chat completion has a `problem`."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Envelope(problem="the body is not JSON")
    if not isinstance(body, dict):
        return Envelope(problem="the body is not a chat completion")
    usage, model = _usage(body.get("usage")), body.get("model")
    model = model if isinstance(model, str) else None
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return Envelope(usage=usage, model=model, problem="the body has no message")
    finish, refusal = choice.get("finish_reason"), message.get("refusal")
    return Envelope(
        text=_text(message.get("content")),
        finish=finish if isinstance(finish, str) else None,
        refusal=refusal if isinstance(refusal, str) else "",
        usage=usage,
        model=model,
    )


def read_reply(raw: bytes, parse: Parse) -> Read:
    """The verdict in a stored body, or why there is none."""
    envelope = open_body(raw)

    def without(problem: str, again: Again, reason: str = "") -> Read:
        return Read(None, reason, problem, again, envelope.usage)

    if envelope.problem:
        return without(envelope.problem, "yes")
    if envelope.refusal:
        return without(f"refused: {envelope.refusal[:200]}", "no")
    if envelope.finish == "content_filter":
        return without("stopped by the server's content filter", "no")
    if envelope.finish == "length":
        return without("cut at the output limit", "once")
    if not envelope.text.strip():
        return without("empty reply", "yes")
    parsed = parse(envelope.text)
    if parsed.verdict is None:
        return without(parsed.problem or "no verdict in it", "yes", parsed.reason)
    return Read(parsed.verdict, parsed.reason, "", "no", envelope.usage)


def offline_body(text: str, model: str) -> bytes:
    """The body in which a judge of this process answers: a completion that used nothing."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return msgspec.json.encode({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage})


def _text(content: Any) -> str:
    """A string, or the text parts of a list (reasoning models put their thinking in parts of another type)."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(part for part in parts if isinstance(part, str))


def _usage(usage: Any) -> CallUsage | None:
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
        return None
    sent = usage["prompt_tokens"]
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    # Some servers leave the reasoning out of completion_tokens, and bill it: the total has it.
    output = max(_count(usage, "completion_tokens"), _count(usage, "total_tokens") - sent)
    cached = min(_count(details, "cached_tokens"), sent)
    return CallUsage(sent, cached, min(_count(details, "cache_write_tokens"), sent - cached), output)


def _count(tokens: dict[str, Any], name: str) -> int:
    value = tokens.get(name)
    return value if isinstance(value, int) and value > 0 else 0
