"""Sections as plain text of at most `columns` columns: what a terminal shows and a decision memo quotes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from lm_eval_fr.io.terminal import asked_columns, columns_of
from lm_eval_fr.report import sections as s
from lm_eval_fr.report import words as w
from lm_eval_fr.report.layout import fit, shorten, width, wrap

COLOURS = {"non_inferior": "32", "inferior": "31", "inconclusive": "33", "no_verdict": "33", None: "33"}
LONGEST_LABEL = 18
WIDTH = 100  # columns: what a pipe and a file get, and the most that a wide terminal does
Paint = Callable[[str, str], str]


def text_columns(stream: TextIO) -> int:
    """The width for a whole report on `stream`; a table of numbers may need more."""
    return asked_columns() or min(columns_of(stream, WIDTH), WIDTH)


def render(sections: Iterable[s.Section], *, columns: int = WIDTH, colour: bool = False) -> str:
    """Leaves out what only a page can show (charts, folded parts); their tables are here."""
    paint = painter(colour)
    return "\n\n".join("\n".join(_section(one, columns, paint)) for one in sections) + "\n"


def painter(colour: bool) -> Paint:
    return lambda code, text: f"\033[{code}m{text}\033[0m" if colour else text


def _section(one: s.Section, columns: int, paint: Paint) -> Iterator[str]:
    if one.verdict is None:
        yield paint("1", shorten(one.title.upper(), columns))
    else:
        label = w.word(one.verdict.verdict).upper()
        title = shorten(one.title, columns - width(label) - 2)
        yield f"{paint('1;' + COLOURS[one.verdict.verdict], label)}  {title}"
    labels = [row[0] for part in s.unfolded(one.parts) if isinstance(part, s.Facts | s.Figures) for row in part.rows]
    room = min(LONGEST_LABEL, max(map(width, labels), default=0))
    before: s.Part | None = None
    for part in s.unfolded(one.parts):
        lines = list(_part(part, columns, room))
        if lines and before is not None and (isinstance(part, s.Table) or isinstance(before, s.Table)):
            yield ""
        yield from lines
        before = part if lines else before


def _part(part: s.Part, columns: int, room: int) -> Iterator[str]:
    if isinstance(part, str):
        yield from wrap(w.printable(part), columns)
    elif isinstance(part, s.Items):
        for item in part.items:
            yield from wrap(w.printable(item), columns, indent="    ", first="  ! " if part.alarm else "  - ")
    elif isinstance(part, s.Facts | s.Figures):
        for label, *cells in part.rows:
            first = f"  {w.printable(label):<{room}}  "
            yield from wrap(", ".join(map(text_of, cells)), columns, indent=" " * (room + 4), first=first)
    elif isinstance(part, s.Table):
        yield from wrap(part.caption, columns) if part.caption else ()
        yield from _table(part, columns)
    elif isinstance(part, s.Forest):
        yield from _forest(part, columns)


def _table(table: s.Table, columns: int) -> Iterator[str]:
    rows = [[text_of(cell) for cell in row] for row in table.rows]
    for line in fit(list(table.header), rows, columns - 2, table.left, table.names):
        yield f"  {line}"


def _forest(forest: s.Forest, columns: int) -> Iterator[str]:
    rows = [
        [f"  {claim.name}" if is_part else claim.name, *map(w.printable, cells), text_of(word) if word else ""]
        for claim, is_part, cells, word in forest.rows
    ]
    last = len(forest.header) - 1
    yield from (f"  {line}" for line in fit(list(forest.header), rows, columns - 2, (0, last)))
    for claim in forest.claims:
        if claim.note:
            yield from wrap(w.printable(f"{claim.name}: {claim.note}"), columns, indent="    ", first="  ")


def text_of(cell: s.Cell) -> str:
    if isinstance(cell, s.Word):
        return w.word(cell.verdict)
    return w.printable(cell.text if isinstance(cell, s.Code) else cell)
