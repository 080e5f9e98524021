"""Plants one fault into a good answer: the effect of rounding a model's weights, in a known dose.

A fault makes the answer longer or shorter, as requested: a judge that follows length must not pass because of it. An
edit that does not apply, or that the source would support, is not made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Literal, get_args

Kind = Literal["figure", "name", "dropped", "added", "foreign", "repeated"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Length = Literal["longer", "shorter"]
GRADES: Mapping[Kind, str] = {
    "figure": "word",
    "name": "word",
    "dropped": "sentence",
    "added": "sentence",
    "foreign": "sentence",
    "repeated": "passage",
}
IN_TURN: Mapping[Length, tuple[Kind, ...]] = {
    "longer": ("figure", "added", "name", "repeated", "foreign"),
    "shorter": ("name", "dropped", "figure", "foreign", "dropped"),
}
LEAST_WORDS = 6  # words of a sentence that is worth dropping, adding or repeating
NEARBY = 60  # characters within which a name does not appear twice
COPIES = 2  # copies of a repeated sentence
MONTHS = ("mars", "avril", "octobre", "novembre")
# English, Chinese, German and Spanish: the languages into which multilingual models slip.
FOREIGN = (
    "In short, this passage gives the most important facts in the order in which they happened.",
    "These points were confirmed by later research and are still discussed today.",
    "这一段概括了文章的主要内容。",
    "随后的发展证实了这一点,并且一直持续到今天。",
    "Diese Entwicklung setzte sich in den folgenden Jahren ohne Unterbrechung fort.",
    "Das zeigt der Text sehr deutlich.",
    "Este hecho tuvo consecuencias importantes para toda la región.",
    "Así lo explica el texto.",
)
_BREAK = re.compile(r"(?<=[^\sA-Z][^\sA-Z][.!?…])[ \u00a0]+(?=[A-ZÀ-ÖØ-ÞŒ«\"(])")
_MARKER = re.compile(r"\s*(?:[-–—*•]|\d{1,2}[.)]|#{1,6})\s+")
_FIGURE = re.compile(r"(?<![\w.,])(?<!\d[ \u00a0\u202f])(?:\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)(?![.,]?\d|\w)")
_YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}")
_CAPITAL = "A-ZÀ-ÖØ-ÞŒ"
_NAME = re.compile(
    rf"(?<=[\w,] )[{_CAPITAL}][\w’'-]*[a-zà-öø-ÿœ](?: (?:(?:de|du|des|la|le) )?[{_CAPITAL}][\w’'-]*[a-zà-öø-ÿœ])*"
)
_FRENCH = re.compile(r"\b(?:le|la|les|des|du|une?|est|et|dans|par|pour|sur|qui|que)\b", re.IGNORECASE)
Edit = Callable[[str, str, str, Length, Random], Iterator[str]]


def plant(kind: Kind, length: Length, answer: str, source: str, stranger: str, random: Random) -> str | None:
    """`answer` with a fault of this kind, longer or shorter than it was; None where none can be planted.

    source: the task as asked, which decides what is true. stranger: an answer on another article.
    """
    for twin in _EDITS[kind](answer, source, stranger, length, random):
        if len(twin) != len(answer) and (len(twin) > len(answer)) == (length == "longer"):
            return twin
    return None


def sentences(text: str) -> list[tuple[int, int]]:
    """The positions of sentences (or lines of a list) with enough words to matter."""
    found = []
    for line in re.finditer(r"[^\n]+", text):
        start = line.start()
        for end in [*(start + m.start() for m in _BREAK.finditer(line.group())), line.end()]:
            part = text[start:end]
            left = end - len(part.lstrip())
            if len(part.split()) >= LEAST_WORDS:
                found.append((left, left + len(part.strip())))
            start = end
    return found


def _figure(answer: str, source: str, stranger: str, length: Length, random: Random) -> Iterator[str]:
    """A figure of the source, replaced by one that is not in it: a digit too many, or one too few."""
    known = {_plain(match.group()) for match in _FIGURE.finditer(source)}
    found = [m for m in _FIGURE.finditer(answer) if _plain(m.group()) in known and not _numbers_an_item(answer, m)]
    random.shuffle(found)
    for match in found:
        other = _other_figure(answer, match, length, random)
        if other is not None and not known & {_plain(m.group()) for m in _FIGURE.finditer(other)}:
            yield answer[: match.start()] + other + answer[match.end() :]


def _other_figure(answer: str, match: re.Match[str], length: Length, random: Random) -> str | None:
    figure = match.group()
    groups = re.split(r"([ \u00a0\u202f])", figure)
    if length == "shorter":
        return "".join(groups[:-2]) if len(groups) > 1 else figure[:-1] or None
    if _YEAR.fullmatch(figure) and answer[: match.start()].endswith(("en ", "En ")):
        return f"{random.choice(MONTHS)} {int(figure) + random.choice((-20, -11, -9, 9, 11, 20))}"
    if len(groups) > 1:
        return f"{random.randint(1, 9)}{figure}" if len(groups[0]) < 3 else f"{random.randint(1, 9)}{groups[1]}{figure}"
    return f"{figure}{random.randint(1, 9)}"


def _numbers_an_item(answer: str, match: re.Match[str]) -> bool:
    marker = _MARKER.match(answer, _line_around(answer, match.start())[0])
    return marker is not None and match.start() < marker.end()


def _plain(figure: str) -> str:
    return re.sub(r"\D", "", figure)


def _name(answer: str, source: str, stranger: str, length: Length, random: Random) -> Iterator[str]:
    """A name of the source, replaced by another one: the wrong person or place."""
    words = set(re.findall(r"\w+", source))
    pool = sorted({m.group() for m in _NAME.finditer(source) if m.group()[0].lower() + m.group()[1:] not in words})
    found = [match for match in _NAME.finditer(answer) if match.group() in pool]
    random.shuffle(found)
    random.shuffle(pool)
    for match in found:
        name = match.group()
        nearby = answer[max(0, match.start() - NEARBY) : match.end() + NEARBY]
        for other in pool:
            unrelated = not set(name.casefold().split()) & set(other.casefold().split())
            fits = _vowel(name) == _vowel(other) and (len(other) > len(name)) == (length == "longer")
            if unrelated and fits and other not in nearby:
                yield answer[: match.start()] + other + answer[match.end() :]


def _line_around(text: str, at: int) -> tuple[int, int]:
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end


def _vowel(name: str) -> bool:
    return name[0].casefold() in "aàâäæeéèêëhiîïoôöœuùûüy"


def _dropped(answer: str, source: str, stranger: str, length: Length, random: Random) -> Iterator[str]:
    found = sentences(answer)
    if len(found) < 2:
        return
    random.shuffle(found)
    for start, end in found:
        before, after = answer[:start], answer[end:]
        line_start, line_end = _line_around(answer, start)
        if not before[line_start:].strip() and end == line_end:  # it was the whole line
            yield (before[:line_start] + after.removeprefix("\n")).strip("\n")
        else:
            kept = before.rstrip(" ") + (after if after[:1] in ("\n", "") else f" {after.lstrip(' ')}")
            yield kept.strip(" ")


def _added(answer: str, source: str, stranger: str, length: Length, random: Random) -> Iterator[str]:
    others = [_unmarked(stranger[start:end]) for start, end in sentences(stranger)]
    others = [other for other in others if other not in source and other not in answer]
    random.shuffle(others)
    for other in others:
        yield from _inserted(answer, other, random)


def _repeated(answer: str, source: str, stranger: str, length: Length, random: Random) -> Iterator[str]:
    found = sentences(answer)
    random.shuffle(found)
    for start, end in found:
        again = _unmarked(answer[start:end])
        yield answer[:end] + f" {again}" * COPIES + answer[end:]


def _foreign(answer: str, source: str, stranger: str, length: Length, random: Random) -> Iterator[str]:
    """A sentence of a French answer in another language; the longer twin keeps what was there."""
    if 8 * len(_FRENCH.findall(answer)) < len(answer.split()):
        return
    foreign = list(FOREIGN)
    random.shuffle(foreign)
    for other in foreign:
        if length == "longer":
            yield from _inserted(answer, other, random)
            continue
        found = sentences(answer)
        random.shuffle(found)
        for start, end in found:
            marker = _MARKER.match(answer, start, end)
            yield answer[: marker.end() if marker else start] + other + answer[end:]


def _inserted(answer: str, other: str, random: Random) -> Iterator[str]:
    """`other` after one of the answer's sentences."""
    found = sentences(answer)
    random.shuffle(found)
    for _, end in found:
        yield f"{answer[:end]} {other}{answer[end:]}"


def _unmarked(sentence: str) -> str:
    return _MARKER.sub("", sentence, count=1) if _MARKER.match(sentence) else sentence


_EDITS: Mapping[Kind, Edit] = {
    "figure": _figure,
    "name": _name,
    "dropped": _dropped,
    "added": _added,
    "foreign": _foreign,
    "repeated": _repeated,
}
