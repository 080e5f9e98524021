"""Where the sentences of a French text end."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(r"[.!?…](?:[”\")\]]|[ \u00a0\u202f]?»)*(?=\s|$)")
_NO_END = re.compile(r"(?:\b(?:M|MM|Mme|Mlle|Dr|Pr|St|Ste|av|apr|env|cf|ex|vol|chap|art|fig|éd|p|n)|\b[^\W\d_])\.$")


def sentence_ends(text: str, stop: int | None = None) -> Iterator[int]:
    """The positions right after the end of each sentence, ignoring abbreviations and initials."""
    for match in _END.finditer(text, 0, len(text) if stop is None else stop):
        if not _NO_END.search(text[max(0, match.end() - 8) : match.end()]):
            yield match.end()


def cut_at_sentence(text: str, most: int) -> str:
    """The complete sentences at the start of a text, at most `most` words; "" if the first one is longer."""
    words = [match.end() for match in re.finditer(r"\S+", text)]
    if len(words) <= most:
        return text.strip()
    return text[: max((end for end in sentence_ends(text, words[most]) if end <= words[most - 1]), default=0)].strip()
