"""The types that the parts of the judge share: the question, the judge, the reply.

A question never says which arm an answer is from: it has two answers and an order. With the arms and the order both
exchanged, the same messages are sent, so the same stored reply answers it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, NamedTuple

from lm_eval_fr.io.replies import Problem

Order = Literal["candidate_first", "reference_first"]
ORDERS: tuple[Order, Order] = ("candidate_first", "reference_first")
Verdict = Literal["A", "B", "tie"]
VERDICTS: tuple[Verdict, ...] = ("A", "B", "tie")
Message = dict[str, Any]  # {"role": ..., "content": a text, or a list of text parts where a cache breakpoint is set}
Dialect = Literal["openai", "mistral", "offline"]
ResponseFormat = Literal["json_schema", "json_object", "none"]
OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")  # of a request's parameters, as servers name it
BYTES_PER_TOKEN = 12  # French has 3 to 5; with fewer tokens than bytes / 12 the prompt was not read
Cause = Literal["refused", "length", "thinking", "prose", "empty", "no completion", "error"]
"""Why a reply has no verdict. error: the body is an error, whatever its HTTP status."""
FENCE_DIGITS = 12  # hexadecimal: 48 bits


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per million tokens; `batch` multiplies them all. None is unknown, never 0."""

    input: float | None = None
    cached: float | None = None
    output: float | None = None
    batch: float | None = None
    cache_write: float | None = None  # None: writing a prefix to the cache costs what input costs


@dataclass(frozen=True)
class Profile:
    """One judge: the model, where it is served, what it is sent and what it costs."""

    name: str
    model: str
    base_url: str | None = None  # None: the openai package's own address
    key_env: str | None = "OPENAI_API_KEY"  # None: the server asks for no key
    dialect: Dialect = "openai"
    parameters: dict[str, Any] = field(default_factory=dict)  # sent as they are: temperature, max_tokens, ...
    response_format: ResponseFormat = "json_schema"
    prices: Prices = field(default_factory=Prices)
    shutdown: date | None = None
    successor: str | None = None  # the profile to change to when the model goes
    cache_key: bool = False  # whether the server takes `prompt_cache_key`
    cache_breakpoint: bool = False  # whether to mark the end of the shared part (for GPT-5.6's cache)
    context: int | None = None  # the most tokens that the model reads; longer answers are cut to equal length, visibly
    concurrency: int = 16
    timeout: float = 120.0

    @property
    def max_output_tokens(self) -> int | None:
        for name in OUTPUT_LIMITS:
            if isinstance(value := self.parameters.get(name), int):
                return value
        return None


@dataclass(frozen=True, slots=True)
class Rubric:
    """What the judge is told to look at. `sha256` covers all fields after it."""

    name: str
    text: str
    sha256: str
    language: Literal["fr", "en"] = "fr"
    criteria: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallUsage:
    """Tokens of one call. `input` is the whole prompt; `cached` and `written` are the parts read from and written
    to the cache."""

    input: int
    cached: int
    written: int
    output: int

    def misses(self, sent: int | None) -> bool:
        """Whether the server silently truncated the prompt, judging by the `sent` bytes."""
        return bool(sent and self.input and sent > BYTES_PER_TOKEN * self.input)


NOTHING = CallUsage(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Read:
    """A reply as this version reads it. Without a verdict, `problem` says why in a few words, and `cause` of what kind
    that is."""

    verdict: Verdict | None
    reason: str = ""
    problem: str = ""
    cause: Cause | None = None
    usage: CallUsage | None = None
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One call: its body, and the key under which its reply is stored. `repeat` is 0, or 1.. when asked once more to
    measure the judge's noise."""

    key: bytes
    body: dict[str, Any]
    repeat: int = 0


class Fences(NamedTuple):
    """The codes of one call's fences, which no answer can predict without the journal's salt."""

    task: str  # per journal: documents on one article then share the beginning of their prompt
    first: str  # per document: two calls that show it with the same answer A are identical up to answer B
    second: str  # the call's


def make_fences(salt: bytes, task_system: str | None, task_text: str, first: str, second: str) -> Fences:
    """The fences of a call that shows `first` as A and `second` as B: the same after a resume, and whichever arm
    wrote which answer."""
    digest = hashlib.sha256(salt)
    codes = [digest.hexdigest()[:FENCE_DIGITS]]
    for texts in ((task_system or "", task_text), (first, second)):
        for text in texts:
            part = text.encode("utf-8", "surrogatepass")
            digest.update(len(part).to_bytes(8, "big") + part)
        codes.append(digest.hexdigest()[:FENCE_DIGITS])
    return Fences(*codes)
