"""A pseudo language model behind a FakeOpenAI: it scores prompts as vLLM's `prompt_logprobs` and the old `echo` do.

    with FakeOpenAI(PseudoModel()) as reference, FakeOpenAI(PseudoModel(damage=0.3)) as candidate:
        ...

Its vocabulary is 64 words and whatever stands in the prompt. The probabilities after a token depend on that token only,
so a test can compute them itself: `model.distribution(token, actual)` is the whole distribution. `damage` moves the
logits at random, the same way every time; `jitter` moves them differently at every request, as batching does.
"""

from __future__ import annotations

import itertools
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from tests.fakes.server import Call, Reply

WORDS = tuple(f" mot{i}" for i in range(64))
START = "<s>"


def cut(text: str, letters: bool = False) -> list[str]:
    """Tokens with the white space before them, or single letters: another tokenizer."""
    return list(text) if letters else re.findall(r"\s*[\w’']+|\s*[^\w\s]|\s+", text)


def number(token: str) -> int:
    return zlib.crc32(token.encode())


@dataclass(frozen=True)
class PseudoModel:
    seed: int = 0
    damage: float = 0.0
    jitter: float = 0.0
    letters: bool = False
    knows: tuple[str, ...] = ("prompt_logprobs", "echo")
    most: int = 20  # log-probabilities that one may ask for
    longest: int = 4096  # tokens
    says: Mapping[str, float | None] = field(default_factory=dict)  # token -> what stands for its log-probability

    def logits(self, before: str, call: int = 0) -> np.ndarray:
        """Of the 64 words after `before`, and last of the token that stands there."""
        found = _draw(before, self.seed) * 2
        found[-1] += 2.0
        if self.damage:
            found = found + self.damage * _draw(before, -1 - self.seed)
        if self.jitter:
            found = found + self.jitter * _draw(before, 1000 + call)
        return found

    def distribution(self, before: str, actual: str, call: int = 0) -> dict[str, float]:
        """Token -> log-probability; exact, all of it."""
        logits = self.logits(before, call)
        logprobs = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        return dict(zip((*WORDS, actual), logprobs.tolist(), strict=True))

    def __call__(self, call: Call) -> Reply | str:
        body = call.body
        text, chat = _text_of(body)
        tokens = [START, *cut(text, self.letters)] if body.get("add_special_tokens", True) else cut(text, self.letters)
        if len(tokens) > self.longest:
            return Reply(f"This model's maximum context length is {self.longest} tokens.", status=400)
        if "prompt_logprobs" in body and "prompt_logprobs" in self.knows:
            return self._limited(body["prompt_logprobs"]) or self._numbered(tokens, call, body, chat)
        if body.get("echo") and body.get("logprobs") and "echo" in self.knows:
            return self._limited(body["logprobs"]) or self._echoed(tokens, call, body)
        return "sans probabilités"

    def _limited(self, top: int) -> Reply | None:
        if top <= self.most:
            return None
        said = f"Requested prompt logprobs of {top}, which is greater than max allowed: {self.most}"
        return Reply(said, status=400)

    def _rows(self, tokens: list[str], call: Call, top: int) -> list[dict[str, float | None]]:
        rows = []
        for before, actual in itertools.pairwise(tokens):
            whole = self.distribution(before, actual, call.number)
            likely = sorted(whole, key=whole.__getitem__, reverse=True)[:top]
            rows.append({token: self.says.get(token, whole[token]) for token in (actual, *likely)})
        return rows

    def _numbered(self, tokens: list[str], call: Call, body: dict[str, Any], chat: bool) -> Reply:
        positions = [None] + [
            {
                str(number(token)): {"logprob": value, "rank": rank, "decoded_token": token}
                for rank, (token, value) in enumerate(row.items())
            }
            for row in self._rows(tokens, call, body["prompt_logprobs"])
        ]
        told = {"prompt_logprobs": positions, "prompt_token_ids": [number(token) for token in tokens]}
        choice = {"index": 0, "text": "x", "finish_reason": "length"}
        reply = {"choices": [choice], **told} if chat else {"choices": [choice | told]}
        return Reply(raw=json.dumps(reply | {"usage": {"completion_tokens": 1}}))

    def _echoed(self, tokens: list[str], call: Call, body: dict[str, Any]) -> Reply:
        rows = self._rows(tokens, call, body["logprobs"])
        logprobs = {
            "tokens": [*tokens, " x"],
            "token_logprobs": [None, *(row[token] for token, row in zip(tokens[1:], rows, strict=True)), -1.0],
            "top_logprobs": [None, *rows, {" x": -1.0}],
            "text_offset": [],
        }
        choice = {"index": 0, "text": "x", "logprobs": logprobs, "finish_reason": "length"}
        return Reply(raw=json.dumps({"choices": [choice], "usage": {"completion_tokens": 1}}))


def _text_of(body: dict[str, Any]) -> tuple[str, bool]:
    if "messages" not in body:
        return body["prompt"], False
    return "".join(f"<|{m['role']}|>{m['content']}" for m in body["messages"]), True


@lru_cache(maxsize=100_000)
def _cached(before: str, seed: int) -> np.ndarray:
    return np.random.default_rng([number(before), seed + 2**20]).standard_normal(len(WORDS) + 1)


def _draw(before: str, seed: int) -> np.ndarray:
    return _cached(before, seed).copy()
