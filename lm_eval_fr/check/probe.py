"""Asks a server one question and checks more than the answer: token counts, reasoning, how prompts are encoded."""

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
# Characters per token, beyond either end of what tokenizers give for French prose.
MOST_CHARS = 12.0
FEWEST_CHARS = 1.2
TEMPLATE_TOKENS = 400  # what a template may add around a message, a built-in system text included


@dataclass(frozen=True)
class Encoding:
    """How the server encodes a prompt, by its /tokenize.

    tokens: how many. start_doubled: whether the begin-of-text token appears twice. text_prompts: whether the prompt,
    written out as text and sent back, gives the same tokens; if not, the template's special tokens become plain text.
    """

    tokens: int
    start_doubled: bool
    text_prompts: bool | None


def question(server: Server, body: Mapping[str, Any] | bytes) -> Reply:
    """The reply to one completion request. Raises ArmError if there is none."""
    try:
        reply = read_reply(ask(server, "", body, timeout=ANSWER_LIMIT))
    except CallFailed as failed:
        raise failed.error(ArmError, server.url, "check that the server is up, and its log") from None
    if reply.problem:
        raise ArmError(f"the server answers {reply.problem}", where=server.url, remedy=_remedy(reply.problem))
    found = THINKING.search(reply.text)
    return replace(reply, reasoning=reply.reasoning or (f"the reply has {found[0]}" if found else None))


def encoding(
    server: Server, model: str, prompt: str | Sequence[Mapping[str, Any]], extra: Mapping[str, Any] | None = None
) -> Encoding | None:
    """How the server encodes a text or a conversation; None if it has no /tokenize for it."""
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
    return found if isinstance(found, list) and found else None  # llama.cpp: [] for an unknown body


def _look_up(server: Server, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What one of vLLM's endpoints says; empty if the server has none or is down."""
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
        return "--model hosted-chat sends no seed unless asked to, and under the API's own name"
    return "if a field is named, leave it out: hosted-chat takes omit=FIELD+FIELD"
