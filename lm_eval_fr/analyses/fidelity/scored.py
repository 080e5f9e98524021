"""One arm's scores of one text: the probabilities of the most likely tokens at every position."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
KeyKind = Literal["id", "text"]
MISSING = -1  # no token: fills rows shorter than the longest
NO_PROBABILITY = -9999.0  # what servers write for the logarithm of 0, which JSON cannot express
ROUNDED_UP = 1e-3  # a log-probability may exceed 0 by rounding only
UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # part of a letter: servers write such tokens like this


@dataclass(frozen=True, slots=True)
class Scored:
    """n tokens with the log-probabilities that the arm gave at each before seeing it.

    keys, logprobs: (n, w), the tokens listed at each position and their log-probabilities, MISSING and -inf where a
    row is shorter. own: (n,), the log-probability of the token at that position. tokens: their texts. ids: (n,), their
    numbers, where `kind` is "id"; where it is "text" keys are hashes of token texts. names: key -> text. Values
    are as the server sent them: NaN where it sent no number, -9999 where it sent -9999.
    """

    kind: KeyKind
    tokens: tuple[str, ...]
    ids: Keys
    keys: Keys
    logprobs: Floats
    own: Floats
    names: Mapping[int, str]

    @property
    def n(self) -> int:
        return len(self.tokens)

    @property
    def not_a_number(self) -> Mask:
        """(n,), the tokens at which some log-probability is invalid: NaN, infinite, above 0."""
        listed = (self.keys != MISSING) & _no_logprob(self.logprobs)
        found: Mask = listed.any(axis=1) | _no_logprob(self.own)
        return found

    @property
    def no_probability(self) -> Mask:
        """(n,), the tokens with probability 0 (-9999 or less), where all else is a number."""
        return (self.own <= NO_PROBABILITY) & ~self.not_a_number

    def part(self, start: int) -> Scored:
        """From token `start` on."""
        return self if start == 0 else self.at(np.arange(start, self.n))

    def at(self, places: Keys) -> Scored:
        """The tokens at `places`. Tokens that a server lists with probability 0 are dropped from the lists."""
        keys, logprobs = self.keys[places], self.logprobs[places]
        impossible = logprobs <= NO_PROBABILITY
        return Scored(
            self.kind,
            tuple(self.tokens[place] for place in places.tolist()),
            self.ids[places],
            np.where(impossible, MISSING, keys),
            np.where(impossible, -np.inf, logprobs),
            self.own[places],
            self.names,
        )

    def by_text(self) -> Scored:
        """The same, with keys comparable across servers: hashes of the tokens' texts.

        A text that several tokens of a row share, or that is only part of a letter, identifies none of them.
        """
        if self.kind == "text":
            return self
        hashes = {key: text_key(name) for key, name in self.names.items()}
        rows = [[hashes.get(key, MISSING) for key in row] for row in self.keys.tolist()]
        rows = [[MISSING if row.count(key) > 1 else key for key in row] for row in rows]
        keys = np.array(rows, dtype=np.int64).reshape(self.keys.shape)
        names = {hashes[key]: name for key, name in self.names.items()}
        ids = np.array([text_key(token) for token in self.tokens], dtype=np.int64)
        return Scored("text", self.tokens, ids, keys, self.logprobs, self.own, names)


def _no_logprob(values: Floats) -> Mask:
    found: Mask = np.isnan(values) | (values > ROUNDED_UP)
    return found


def text_key(text: str) -> int:
    if not text or UNREADABLE in text:
        return MISSING
    number = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    return number >> 1  # positive, as MISSING is not


def from_flat(
    kind: KeyKind,
    tokens: Sequence[str],
    ids: Sequence[int],
    sizes: Sequence[int],
    keys: Sequence[int],
    logprobs: Sequence[float],
    own: Sequence[float],
    names: Mapping[int, str],
) -> Scored:
    """From the concatenated keys and log-probabilities of all positions; sizes: how many each position has."""
    width = max((1, *sizes))
    inside = np.arange(width)[None, :] < np.array(sizes, dtype=np.int64)[:, None]
    grid = np.full((len(sizes), width), MISSING, dtype=np.int64)
    values = np.full((len(sizes), width), -np.inf)
    grid[inside], values[inside] = keys, logprobs
    values[grid == MISSING] = -np.inf
    return Scored(
        kind, tuple(tokens), np.array(ids, dtype=np.int64), grid, values, np.array(own, dtype=np.float64), names
    )


class _Stored(msgspec.Struct, array_like=True):
    kind: KeyKind
    tokens: tuple[str, ...]
    ids: bytes
    keys: bytes
    logprobs: bytes
    own: bytes
    names: dict[int, str]


def encode(scored: Scored) -> bytes:
    """For the store. Log-probabilities are kept as the 32-bit numbers that servers compute."""
    return msgspec.msgpack.encode(
        _Stored(
            scored.kind,
            scored.tokens,
            scored.ids.tobytes(),
            scored.keys.tobytes(),
            scored.logprobs.astype(np.float32).tobytes(),
            scored.own.astype(np.float32).tobytes(),
            dict(scored.names),
        )
    )


def decode(content: bytes) -> Scored:
    stored = msgspec.msgpack.decode(content, type=_Stored)
    n = len(stored.tokens)
    shape = (n, -1) if n else (0, 0)
    return Scored(
        stored.kind,
        stored.tokens,
        np.frombuffer(stored.ids, dtype=np.int64),
        np.frombuffer(stored.keys, dtype=np.int64).reshape(shape),
        np.frombuffer(stored.logprobs, dtype=np.float32).astype(np.float64).reshape(shape),
        np.frombuffer(stored.own, dtype=np.float32).astype(np.float64),
        stored.names,
    )
