"""Text of a fixed width: wrapped lines, aligned columns."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence


def width(text: str) -> int:
    """Columns that the text takes on a terminal: two for wide characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, columns: int) -> str:
    """At most that many columns, cut in the middle: the names of two arms often differ only at the end."""
    if width(text) <= columns:
        return text
    tail = (columns - 1) // 2
    return f"{text[: columns - 1 - tail]}…{text[len(text) - tail :]}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> list[str]:
    """Aligned columns: those in `left` to the left, numbers to the right; no trailing spaces."""
    widths = [max(width(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = []
        for i, cell in enumerate(row):
            space = " " * (widths[i] - width(cell))
            cells.append(cell + space if i in left else space + cell)
        return "  ".join(cells).rstrip()

    return [line(header), *(line(row) for row in rows)]


def wrap(text: str, columns: int, indent: str = "  ", first: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=True,
        break_on_hyphens=False,
    )


def fit(
    header: list[str], rows: list[list[str]], columns: int, left: Sequence[int], names: Sequence[int] = (0,)
) -> list[str]:
    """The table; if it is wider than the page, columns with names shrink, the widest first."""
    lines = table(header, rows, left=left)
    for _ in names:
        excess = max(width(line) for line in lines) - columns
        if excess <= 0:
            break
        longest, index = max((max(width(row[i]) for row in rows), i) for i in names)
        room = max(10, longest - excess)
        rows = [[shorten(cell, room) if i == index else cell for i, cell in enumerate(row)] for row in rows]
        lines = table(header, rows, left=left)
    return lines
