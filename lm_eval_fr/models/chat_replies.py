"""What a completions API answered for one document: the text, how it ended, what it used; or why there is no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from lm_eval_fr.io.clean import at, count_at, one_line, rows_at
from lm_eval_fr.io.http import Answer
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.logs.reply_records import ENDED_ITSELF


@dataclass(frozen=True, slots=True)
class Reply:
    """text: what is logged, "" where there is no answer. error: why there is no answer; None if there is one, even
    an empty one that the model ended itself.

    problem: the server's or the connection's failure; None if there is a reply, even a refusal or an empty one.
    reasoning: how the reply shows that the model reasoned; None if it does not. seconds: of the call that brought it.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, int | None] | None = None
    error: str | None = None
    problem: Problem | None = None
    reasoning: str | None = None
    seconds: float = 0.0

    @classmethod
    def failed(cls, problem: Problem, seconds: float = 0.0) -> Reply:
        return cls(error=str(problem), problem=problem, seconds=seconds)

    @property
    def prompt_tokens(self) -> int | None:
        """By the server's count; None if it does not say."""
        return None if self.usage is None else self.usage["prompt_tokens"]

    def record(self) -> dict[str, Any]:
        """What is kept beside the samples. failure: the kind of `problem` (see io.replies)."""
        return {
            "finish_reason": self.finish_reason,
            "usage": None if self.usage is None else dict(self.usage),
            "error": self.error,
            "failure": None if self.problem is None else self.problem.kind,
            "reasoned": self.reasoning is not None,
            "seconds": round(self.seconds, 3),
        }


def read_reply(answer: Answer, redactor: Redactor | None = None) -> Reply:
    """Never raises, whatever the bytes are."""
    if problem := answer.problem(redactor):
        return Reply.failed(problem, answer.seconds)
    content = answer.json
    choice = at(content, "choices", 0)
    message = choice.get("message", choice) if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        said = one_line(answer.body[:400].decode("utf-8", "replace"), 80)
        problem = Problem("server", f"not a completion: {said}" if said else "an empty reply", answer.status)
        return Reply.failed(problem, answer.seconds)
    reply = _read_message(choice, message)
    tokens = _usage(content["usage"]) if isinstance(at(content, "usage"), dict) else None
    spent = tokens["reasoning_tokens"] if tokens else None
    reasoning = reply.reasoning or (f"the reply cost {spent} reasoning tokens" if spent else None)
    return replace(reply, usage=tokens, reasoning=reasoning, seconds=answer.seconds)


def has_scores(content: Any, sent: Sequence[Any]) -> bool:
    """Whether a reply has the log-probabilities of everything that was sent. sent: prompts, as texts or as tokens."""
    choices = at(content, "choices")
    if not isinstance(choices, list) or len(choices) != len(sent):
        return False
    fewest = [0 if isinstance(prompt, str) else len(prompt) for prompt in sent]
    numbered = all(isinstance(choice, dict) and type(choice.get("index")) is int for choice in choices)
    return numbered and all(map(_scores_all, sorted(choices, key=lambda choice: choice["index"]), fewest))


def _scores_all(choice: Mapping[str, Any], fewest: int) -> bool:
    own, best = at(choice, "logprobs", "token_logprobs"), at(choice, "logprobs", "top_logprobs")
    if not (isinstance(own, list) and isinstance(best, list) and min(len(own), len(best)) >= max(fewest, 1)):
        return False
    listed = (value for top in best[1:-1] for value in (top.values() if isinstance(top, dict) and top else (None,)))
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in chain(own[1:-1], listed))


def _read_message(choice: Mapping[str, Any], message: Mapping[str, Any]) -> Reply:
    content = message.get("content") if "message" in choice else choice.get("text")
    text = _text(content)
    finish = choice.get("finish_reason")
    reason = one_line(str(finish), 40) if finish is not None else None
    reasoning, refusal = _reasoning(message), message.get("refusal")
    error = None
    if not text.strip() and refusal:
        error = f"refusal: {one_line(str(refusal), 200)}"
    elif not text.strip() and (content is None or reasoning or reason is None or reason.lower() not in ENDED_ITSELF):
        error = f"no content (finish reason: {reason})"
    return Reply(text, reason, error=error, reasoning=reasoning)


def _text(content: Any) -> str:
    """Mistral's reasoning models answer with a list of parts; the thinking parts are not the answer."""
    if isinstance(content, list):
        parts = (part for part in rows_at(content) if part.get("type", "text") == "text")
        return "".join(text for part in parts if isinstance(text := part.get("text"), str))
    return "" if content is None else str(content)


def _reasoning(message: Mapping[str, Any]) -> str | None:
    for name in ("reasoning_content", "reasoning"):
        if isinstance(text := message.get(name), str) and text.strip():
            return f"the reply has `{name}`"
    thought = any(part.get("type") == "thinking" for part in rows_at(message, "content"))
    return "the reply has a `thinking` part" if thought else None


def _usage(usage: Mapping[str, Any]) -> dict[str, int | None]:
    return {
        "prompt_tokens": count_at(usage, "prompt_tokens"),
        "completion_tokens": count_at(usage, "completion_tokens"),
        "cached_tokens": count_at(usage, "prompt_tokens_details", "cached_tokens"),
        "reasoning_tokens": count_at(usage, "completion_tokens_details", "reasoning_tokens"),
    }
