"""How a text is shown on a terminal: in the terminal's width, and cut to a screenful.

Data for a pipe or a file is left unchanged.
"""

from __future__ import annotations

import os
import re
import textwrap
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TextIO

LINES = 15  # of any command's text on a terminal
USUAL = 80
NARROWEST, WIDEST = 40, 1000  # columns: the limits of what COLUMNS may ask for
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_GAP = re.compile(r"\S {2,}(?=\S)")  # between the columns of a table


def wants_colour(stream: TextIO) -> bool:
    """Colours only on a terminal, unless the user turned them off (NO_COLOR, TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def asked_columns() -> int | None:
    """The width in COLUMNS, even for a pipe."""
    asked = os.environ.get("COLUMNS", "")
    return min(max(int(asked), NARROWEST), WIDEST) if asked.isdecimal() and int(asked) else None


def columns_of(stream: TextIO, otherwise: int = USUAL) -> int:
    """The width in COLUMNS, or of the terminal behind `stream`; `otherwise` if there is none."""
    if (asked := asked_columns()) is not None:
        return asked
    try:
        return os.get_terminal_size(stream.fileno()).columns or otherwise
    except (OSError, ValueError, AttributeError):  # a pipe; a stream that is closed, or has no number
        return otherwise


def fold(text: str, columns: int) -> str:
    """Breaks lines that are too wide between words.

    Paths, addresses and table rows stay whole, so that they can be copied.
    """
    return "\n".join(folded for line in text.split("\n") for folded in _fold(line, columns))


def in_brief(text: str, stream: TextIO, *, full: bool = False, rest: str = "--full") -> str:
    """The text; on a terminal its first lines, in its width, and where the rest is.

    Cut after a complete paragraph if possible.
    """
    if not stream.isatty():
        return text
    columns = columns_of(stream)
    lines = fold(text, columns).split("\n")
    rows = list(accumulate(_rows(line, columns) for line in lines))
    if full or rows[-1] <= LINES:
        return "\n".join(lines)
    most = bisect_right(rows, LINES - 1)
    ends = [number for number in range(most // 3, most + 1) if not lines[number].strip()]
    shown = lines[: ends[-1] if ends else most]
    return "\n".join([*shown, f"… {len(lines) - len(shown):,} more lines: {rest}"])


def in_columns(words: Sequence[str], width: int) -> list[str]:
    """The words in as many columns as fit, to read from top to bottom."""
    room = max(map(len, words)) + 2
    down = -(-len(words) // max(1, width // room))
    return ["".join(word.ljust(room) for word in words[row::down]).rstrip() for row in range(down)]


def _fold(line: str, columns: int) -> list[str]:
    if _rows(line, columns) == 1 or len(_GAP.findall(line)) > 1:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    after = indent if len(indent) > columns // 2 else f"{indent}  "
    return textwrap.wrap(line, columns, subsequent_indent=after, break_long_words=False, break_on_hyphens=False)


def _rows(line: str, columns: int) -> int:
    """Of the screen that the line takes."""
    return max(1, -(-len(_COLOUR.sub("", line)) // columns))
