"""The content of a chat completion's body: the text, why it ended, what it used. Bodies differ between servers, and
some are hostile: whatever comes in, the result is bounded, printable and can be written to a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lm_eval_fr.io.clean import BadJson, at, count_at, parse_untrusted, rows_at, whole_text
from lm_eval_fr.io.replies import Problem, find_problem
from lm_eval_fr.judge.asking.prompt import parse_reply
from lm_eval_fr.judge.asking.protocol import CallUsage, Cause, Read

MOST_TOKENS = 100_000_000  # of one call; larger reports are not believed
MOST_REASON = 2_000  # characters that are kept of a judge's reason
THINKING = re.compile(r"\s*(<think(ing)?>|\[THINK\]|<\|begin_of_thought\|>)", re.IGNORECASE)
THOUGHT = re.compile(r"</think(?:ing)?>|\[/THINK\]|<\|end_of_thought\|>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Envelope:
    text: str = ""
    finish: str | None = None
    refusal: str = ""
    thought: bool = False  # the reasoning came in a separate field
    usage: CallUsage | None = None
    problem: str = ""  # why there is no text to read
    error: Problem | None = None  # the body is an error, whatever its HTTP status


def open_body(raw: bytes) -> Envelope:
    """Never raises: a body that is not a chat completion has a `problem`."""
    try:
        body = parse_untrusted(raw)
    except BadJson as bad:
        return Envelope(problem=f"the body is {str(bad).partition(':')[0]}")
    if not isinstance(body, dict):
        return Envelope(problem="the body is not a chat completion")
    usage = _usage(body.get("usage"))
    if (b'"error"' in raw or "choices" not in body) and (error := find_problem(200, {}, raw)) is not None:
        return Envelope(usage=usage, problem=str(error), error=error)
    message, finish = at(body, "choices", 0, "message"), at(body, "choices", 0, "finish_reason")
    if not isinstance(message, dict):
        return Envelope(usage=usage, problem="the body has no message")
    refusal = message.get("refusal")
    return Envelope(
        text=_text(message.get("content")),
        finish=finish if isinstance(finish, str) else None,
        refusal=refusal if isinstance(refusal, str) else "",
        thought=any(message.get(name) for name in ("reasoning_content", "reasoning")),
        usage=usage,
    )


def read_reply(raw: bytes) -> Read:
    """The verdict in a stored body, or why there is none. Never raises."""
    envelope = open_body(raw)

    def without(cause: Cause, problem: str, reason: str = "") -> Read:
        return Read(None, _kept(reason), _kept(problem), cause, envelope.usage)

    if envelope.error is not None:
        return Read(None, "", _kept(envelope.problem), "error", envelope.usage, envelope.error)
    if envelope.problem:
        return without("no completion", envelope.problem)
    if envelope.refusal:
        return without("refused", f"refused: {envelope.refusal[:200]}")
    if envelope.finish == "content_filter":
        return without("refused", "stopped by the server's content filter")
    parsed = parse_reply(envelope.text)
    if parsed.verdict is None and (thoughts := list(THOUGHT.finditer(envelope.text))):
        parsed = parse_reply(envelope.text[thoughts[-1].end() :])
    if parsed.verdict is not None:
        return Read(parsed.verdict, _kept(parsed.reason), usage=envelope.usage)
    if envelope.finish == "length":
        return without("length", "cut at the output limit", parsed.reason)
    if THINKING.match(envelope.text) or (envelope.thought and not envelope.text.strip()):
        return without("thinking", "thinking without a verdict after it")
    if not envelope.text.strip():
        return without("empty", "empty reply")
    return without("prose", parsed.problem or "no verdict in it", parsed.reason)


def _kept(text: str) -> str:
    return whole_text(text if len(text) <= MOST_REASON else f"{text[:MOST_REASON]}…")


def _text(content: Any) -> str:
    """A string, or the text parts of a list (reasoning models put their thinking in parts of another type)."""
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in rows_at(content) if part.get("type") == "text"]
    return "".join(part for part in parts if isinstance(part, str))


def _usage(usage: Any) -> CallUsage | None:
    """None if the server does not say what the call used, or says something impossible."""

    def count(*path: str) -> int | None:
        return count_at(usage, *path, most=MOST_TOKENS)

    if (sent := count("prompt_tokens")) is None:
        return None
    # Some servers leave reasoning out of completion_tokens but bill it: the total includes it.
    output = max(count("completion_tokens") or 0, (count("total_tokens") or 0) - sent)
    cached = min(count("prompt_tokens_details", "cached_tokens") or 0, sent)
    written = min(count("prompt_tokens_details", "cache_write_tokens") or 0, sent - cached)
    return CallUsage(sent, cached, written, output)
