"""The last number of an answer, as French and English write numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

Language = Literal["fr", "en"]

_NUMBER = re.compile(
    r"""
    (?: (?<![\w)\]]) (?P<sign>[-−–]) )?
    (?: [$€£] [^\S\r\n]? )?
    (?<![^\W_])
    (?P<digits>
        # Thousands apart: by white space of any kind, a comma, a Swiss apostrophe or a dot, one kind in a number.
        [1-9][0-9]{0,2} (?P<sep>[^\S\r\n]|[,'’.]) [0-9]{3} (?: (?P=sep) [0-9]{3} )* (?![0-9])
        (?: (?!(?P=sep)) [.,] [0-9]+ )?
        | [0-9]* \. [0-9]+
        | [0-9]+ (?: , [0-9]+ )?
    )
    (?P<fraction> (?: [^\S\r\n]? / [^\S\r\n]? [0-9.,]* [0-9] )+ )?
    (?P<ordinal> (?:er|ère|e|ème|st|nd|rd|th)\b )?
    """,
    re.VERBOSE,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_MOST_BOXES = 8  # bounds the work that a runaway answer can cause
_LATEX = [(re.compile(r"\{,\}"), ","), (re.compile(r"\\[,;:! ]|~"), " "), (re.compile(r"\\([$%€])"), r"\1")]


def last_number(text: str, language: Language) -> Decimal | None:
    """The number in the last \\boxed{} that holds one, else the last of the text; None where there is none.

    `70 000` with white space of any kind, `80,000` and `1.000,50` are grouped; `1.500` is 1500 in French, 1.5 in
    English. A currency, a unit or a per cent sign does not change a number. Fractions (`3/4`, a date), ordinals (`2e`)
    and numbers in words are not read.
    """
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    for inside in reversed(_boxes(text)):
        if (found := _last(inside, language)) is not None:
            return found
    return _last(text, language)


def numbers_in(text: str, language: Language) -> list[Decimal]:
    """Every number of a text, in its order."""
    found = [match for match in _NUMBER.finditer(text) if not match["fraction"] and not match["ordinal"]]
    return [_value(match, language) for match in found]


def _last(text: str, language: Language) -> Decimal | None:
    return next(reversed(numbers_in(text, language)), None)


def _value(match: re.Match[str], language: Language) -> Decimal:
    digits, separator = match["digits"], match["sep"]
    if separator == "." and language == "en" and digits.count(".") == 1 and "," not in digits:
        separator = None  # 1.500 is one and a half
    if separator is not None:
        digits = digits.replace(separator, "")
    value = Decimal(digits.replace(",", "."))
    return -value if match["sign"] else value


def _boxes(text: str) -> list[str]:
    """What stands in each \\boxed{...}, to its own closing brace or, where the answer was cut, to the end."""
    found = []
    for opening in list(_BOX.finditer(text))[-_MOST_BOXES:]:
        depth, place = 1, opening.end()
        while place < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            place += 1
        found.append(text[opening.end() : place])
    return found
