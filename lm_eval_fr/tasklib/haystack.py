"""A long French text, and windows of a given number of tokens into which sentences can be inserted.

Texts are kept here while the process lives, under their digest: a document names its text and positions in it, and its
prompt is rendered on demand. As strings in a data set, 200 prompts of 128k tokens take a gigabyte.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.sentences import sentence_ends
from lm_eval_fr.tasklib.tokenizing import TokenCount

_PIECE = 2000  # characters counted at a time: the whole text's tokens at once would take hundreds of megabytes
_TEXTS: dict[str, str] = {}


@dataclass(frozen=True)
class Haystack:
    """places: where one sentence ends and the next begins. counts: how many tokens are before each of `marks`."""

    digest: str
    places: Sequence[int]
    marks: Sequence[int]
    counts: Sequence[float]

    @classmethod
    def of(cls, text: str, count: TokenCount) -> Haystack:
        text = text.replace("\r\n", "\n").strip()
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        _TEXTS[digest] = text
        places = [end for end in sentence_ends(text) if _starts(text, end)]
        marks, counts = [0], [0.0]
        while marks[-1] < len(text):
            piece = text[marks[-1] : marks[-1] + _PIECE]
            piece = piece[: piece.rfind(" ") if len(piece) == _PIECE and " " in piece else None] or piece
            marks.append(marks[-1] + len(piece))
            counts.append(counts[-1] + count(piece))
        return cls(digest, places, marks, counts)

    @property
    def tokens(self) -> float:
        return self.counts[-1]

    def window(self, tokens: float, draw: Random) -> tuple[int, int] | None:
        """A stretch of whole sentences of at most `tokens` tokens, drawn evenly; None if the text is too short."""
        if self.tokens < tokens:
            return None
        latest = self._place_of(self.tokens - tokens)
        starts = [0, *self.places[: bisect_right(self.places, latest)]]
        start = draw.choice(starts)
        last = bisect_right(self.places, self._place_of(_interpolated(start, self.marks, self.counts) + tokens)) - 1
        return start, max(self.places[last] if last >= 0 else start, start)

    def inside(self, start: int, end: int) -> Sequence[int]:
        """The positions in a window where a sentence can be inserted."""
        return self.places[bisect_right(self.places, start) : bisect_left(self.places, end)]

    def _place_of(self, tokens: float) -> int:
        return int(_interpolated(tokens, self.counts, self.marks))


def render(digest: str, start: int, end: int, needles: Sequence[Mapping[str, object]]) -> str:
    """The window with each needle's `sentence` inserted after the sentence that ends at its `place`."""
    text = _TEXTS.get(digest)
    if text is None:
        raise InputError(f"text {digest} is not loaded", remedy="render the documents where they were loaded")
    parts, last = [], start
    for needle in sorted(needles, key=lambda needle: int(str(needle["place"]))):
        place = int(str(needle["place"]))
        parts += [text[last:place], " ", str(needle["sentence"])]
        last = place
    return "".join([*parts, text[last:end]]).strip()


def contains(digest: str, words: str) -> bool:
    return words in _TEXTS[digest]


def _starts(text: str, end: int) -> bool:
    """Whether a sentence begins after this position: « Quoi ? » dit-il continues."""
    return text[end : end + 8].lstrip().lstrip("«—–- \u00a0\u202f")[:1].isupper()


def _interpolated(value: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    at = min(max(bisect_right(xs, value), 1), len(xs) - 1)
    width = xs[at] - xs[at - 1]
    share = (value - xs[at - 1]) / width if width else 0.0
    return ys[at - 1] + share * (ys[at] - ys[at - 1])
