"""The request for a text's log-probabilities, in the two forms that servers support, and its reply.

prompt_logprobs  vLLM: token numbers, their texts and log-probabilities, on both of its endpoints
echo             the legacy completions endpoint: the prompt comes back with `logprobs`, tokens by their text only
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, Literal

import msgspec
import numpy as np

from lm_eval_fr.analyses.fidelity.scored import MISSING, Scored, from_flat, text_key
from lm_eval_fr.analyses.fidelity.texts import Passage
from lm_eval_fr.io.clean import MOST_VALUES, BadJson, one_line, parse_untrusted

BYTES_PER_VALUE = 8  # at least, on average, of a text's log-probabilities and their names
MOST_UNEVEN = 25  # times the mean length of a list; the lists of one request differ by a few entries
Dialect = Literal["prompt_logprobs", "echo"]
DIALECTS: tuple[Dialect, ...] = ("prompt_logprobs", "echo")


class NoLogprobs(Exception):
    """A reply without log-probabilities of the prompt."""


class _Entry(msgspec.Struct, gc=False):
    logprob: float | None
    decoded_token: str | None = None


_Position = dict[int, _Entry] | None


class _Echoed(msgspec.Struct):
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None


class _Choice(msgspec.Struct):
    prompt_logprobs: list[_Position] | None = None
    prompt_token_ids: list[int] | None = None
    logprobs: _Echoed | None = None


class _Usage(msgspec.Struct):
    completion_tokens: int | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice]
    prompt_logprobs: list[_Position] | None = None
    prompt_token_ids: list[int] | None = None
    usage: _Usage | None = None


def path_of(passage: Passage) -> str:
    return "/chat/completions" if passage.turns else "/completions"


def body_of(passage: Passage, model: str, top: int, dialect: Dialect) -> dict[str, Any]:
    """The request. One token is generated because some servers do not accept 0; it is ignored."""
    body: dict[str, Any] = {"model": model, "max_tokens": 1, "temperature": 0}
    if passage.turns:
        messages = [{"role": turn.role, "content": turn.content} for turn in passage.turns]
        body["messages"] = [*messages, {"role": "assistant", "content": passage.scored}]
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    else:
        body["prompt"] = passage.prompt + passage.scored
    if dialect == "echo":
        return body | {"echo": True, "logprobs": top}
    body |= {"prompt_logprobs": top, "return_token_ids": True}
    return body if passage.special or passage.turns else body | {"add_special_tokens": False}


def read_reply(content: bytes, dialect: Dialect) -> Scored:
    """Every token of the prompt except the first, which nothing precedes. Raises NoLogprobs."""
    reply = _decoded(content)
    if not reply.choices:
        raise NoLogprobs("the reply has none for the prompt")
    choice = reply.choices[0]
    if dialect == "echo":
        generated = reply.usage.completion_tokens if reply.usage else None
        return _echoed(choice.logprobs, 1 if generated is None else generated)
    positions = choice.prompt_logprobs or reply.prompt_logprobs
    ids = choice.prompt_token_ids or reply.prompt_token_ids
    if not positions or not ids or len(positions) != len(ids):
        raise NoLogprobs("the reply has none for the prompt")
    return _numbered(positions, ids)


def _decoded(content: bytes) -> _Reply:
    if sum(map(content.count, b",[{")) > len(content) // BYTES_PER_VALUE + MOST_VALUES:
        raise NoLogprobs("most values in the reply are empty")
    try:
        return msgspec.json.decode(content, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # as Python writes it, including NaN, or not present at all
    try:
        return msgspec.convert(parse_untrusted(content), _Reply, str_keys=True)
    except (BadJson, msgspec.ValidationError, RecursionError) as error:
        raise NoLogprobs(f"the reply cannot be read: {one_line(str(error))}") from None


def _number(logprob: float | None) -> float:
    return math.nan if logprob is None else logprob


def _numbered(positions: list[_Position], ids: list[int]) -> Scored:
    """Flat lists and few Python loops: this runs while the server waits for its next text."""
    listed = [position for position in positions[1:] if position is not None]
    if len(listed) != len(ids) - 1:
        raise NoLogprobs("the reply leaves some out")
    try:
        there = [position[token] for position, token in zip(listed, ids[1:], strict=True)]
    except KeyError:
        raise NoLogprobs("the reply leaves some out") from None
    _check_shape([*map(len, listed)])
    keys = [*chain.from_iterable(listed)]
    entries = [*chain.from_iterable(map(dict.values, listed))]
    return from_flat(
        "id",
        [entry.decoded_token or "" for entry in there],
        ids[1:],
        [*map(len, listed)],
        keys,
        [_number(entry.logprob) for entry in entries],
        [_number(entry.logprob) for entry in there],
        dict(zip(keys, [entry.decoded_token or "" for entry in entries], strict=True)),
    )


def _check_shape(sizes: list[int]) -> None:
    """The grid is as wide as the longest list: one very long list would make it huge."""
    if len(sizes) * max(sizes, default=0) > MOST_UNEVEN * sum(sizes) + MOST_VALUES:
        raise NoLogprobs("the reply lists far more at one token than at the others")


def _echoed(given: _Echoed | None, generated: int) -> Scored:
    if given is None or not (given.tokens and given.token_logprobs and given.top_logprobs):
        raise NoLogprobs("the reply has none for the prompt")
    end = len(given.tokens) - generated
    if len(given.token_logprobs) < end or len(given.top_logprobs) < end or end < 1:
        raise NoLogprobs("the reply has none for the prompt")
    rows: list[dict[int, float]] = []
    names: dict[int, str] = {}
    own = []
    for token, logprob, listed in zip(
        given.tokens[1:end], given.token_logprobs[1:end], given.top_logprobs[1:end], strict=True
    ):
        row = {text_key(text): _number(value) for text, value in {token: logprob, **(listed or {})}.items()}
        row.pop(MISSING, None)
        rows.append(row)
        names |= {text_key(text): text for text in (token, *(listed or ()))}
        own.append(_number(logprob))
    if own and np.isnan(own).all():
        raise NoLogprobs("the reply has none for the prompt")
    tokens, sizes = given.tokens[1:end], [*map(len, rows)]
    _check_shape(sizes)
    values = [value for row in rows for value in row.values()]
    keys = [*chain.from_iterable(rows)]
    return from_flat("text", tokens, [text_key(token) for token in tokens], sizes, keys, values, own, names)
