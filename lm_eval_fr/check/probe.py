"""Asks a server one question and looks at more than the answer: token counts, reasoning, how prompts are encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.http import CallFailed, Server, ask
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.models.chat_replies import Reply, read_reply

ANSWER_LIMIT = 120.0  # seconds; a first answer may have to wait for kernels to compile
TOKENIZE_LIMIT = 20.0
THINKING = re.compile(r"<think>|</think>|\[/?THINK\]|<\|channel\|>analysis", re.IGNORECASE)
# Characters a token, on either side of what any tokenizer makes of French prose.
MOST_CHARS = 12.0
FEWEST_CHARS = 1.2
TEMPLATE_TOKENS = 400  # what a template may add around a message, a built-in system text included


@dataclass(frozen=True)
class Encoding:
    """What the server makes of a prompt, by its /tokenize.

    tokens: how many. start_doubled: whether the begin-of-text mark is there twice. text_prompts: whether the prompt,
    written out as text and sent back, gives the same tokens; if not, marks of the template become plain letters.
    """

    tokens: int
    start_doubled: bool
    text_prompts: bool | None


def question(server: Server, body: Mapping[str, Any] | bytes) -> Reply:
    """The reply to one completion request. Raises ArmError when there is none."""
    try:
        reply = read_reply(ask(server, "", body, timeout=ANSWER_LIMIT))
    except CallFailed as failed:
        raise failed.error(ArmError, server.url, "is the server up? look at its log") from None
    if reply.problem:
        raise ArmError(f"the server answers {reply.problem}", where=server.url, remedy=_remedy(reply.problem))
    found = THINKING.search(reply.text)
    return replace(reply, reasoning=reply.reasoning or (f"the reply has {found[0]}" if found else None))


def encoding(
    server: Server, model: str, prompt: str | Sequence[Mapping[str, Any]], extra: Mapping[str, Any] | None = None
) -> Encoding | None:
    """How the server encodes a text or a conversation; None where it has no /tokenize that takes it."""
    body: dict[str, Any] = {"model": model, **(extra or {})}
    body |= {"prompt": prompt} if isinstance(prompt, str) else {"messages": list(prompt)}
    tokens = _tokens(server, body)
    if tokens is None:
        return None
    doubled = len(tokens) > 1 and tokens[0] == tokens[1]
    if isinstance(prompt, str):
        return Encoding(len(tokens), doubled, None)
    written = _look_up(server, "/detokenize", {"model": model, "tokens": tokens})
    again = None
    if isinstance(text := written.get("prompt"), str):
        again = _tokens(server, {"model": model, "prompt": text, "add_special_tokens": False})
    return Encoding(len(tokens), doubled, None if again is None else again == tokens)


def count_is_sane(chars: int, tokens: int) -> bool:
    """Whether `tokens` can be what a tokenizer makes of a French prompt of `chars` characters."""
    return chars / MOST_CHARS <= tokens <= chars / FEWEST_CHARS + TEMPLATE_TOKENS


def _tokens(server: Server, body: Mapping[str, Any]) -> list[int] | None:
    found = _look_up(server, "/tokenize", body).get("tokens")
    return found if isinstance(found, list) and found else None  # llama.cpp answers [] to a body that it does not know


def _look_up(server: Server, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an endpoint of vLLM's says, empty where the server has none or is away."""
    try:
        answer = ask(server.root, path, body, timeout=TOKENIZE_LIMIT)
    except CallFailed:
        return {}
    found = answer.json
    return found if answer.status == 200 and isinstance(found, dict) else {}


def _remedy(problem: Problem) -> str:
    if problem.remedy:
        return problem.remedy
    if problem.status == 200 and problem.kind == "server":
        return "is this an OpenAI-compatible server?"
    if "seed" in f"{problem.parameter} {problem.said}":
        return "--model hosted-chat sends no seed unless asked, and by the API's own name"
    return "if a field is named, leave it out: hosted-chat takes omit=FIELD+FIELD"
