"""Sections as GitHub-flavoured Markdown, for a pull request or a CI job summary; well under 1 MB for any run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lm_eval_fr.report import sections as s
from lm_eval_fr.report import words as w

MARKS = {"non_inferior": "✅", "inferior": "❌", "inconclusive": "❔", "no_verdict": "❔", None: "❔"}
# An underscore inside a word is not emphasis; bullets, headings and numbered items only begin a line.
_SPECIAL = re.compile(r"[\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^(?:[#+=-]+|\d+[.)])(?=\s|$)")


def escape(text: object) -> str:
    """Text from a run as inert Markdown: no HTML, image, emphasis, table cell, heading or mention."""
    inert = _SPECIAL.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", w.printable(text))
    return inert.replace("@", "@\N{ZERO WIDTH NON-JOINER}")


def code(text: object) -> str:
    """As inline code, with a longer fence than any run of backticks inside; a bar would end the table cell."""
    inside = w.printable(text).replace("|", "\N{BROKEN BAR}")
    fence = "`" * (max((len(run) for run in re.findall("`+", inside)), default=0) + 1)
    space = " " if inside.startswith("`") or inside.endswith("`") else ""
    return f"{fence}{space}{inside}{space}{fence}" if inside else ""


def render(sections: Iterable[s.Section]) -> str:
    """Leaves out what only a page can show (charts, folded parts). Sections of the method are folded together."""
    shown: list[str] = []
    method: list[str] = []
    for one in sections:
        (method if one.tab == "method" else shown).append("\n\n".join(_section(one)))
    if method:
        inside = "\n\n".join(method)
        shown.append(f"<details><summary>Evidence, settings, provenance</summary>\n\n{inside}\n\n</details>")
    return "\n\n".join(shown) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Cells are Markdown already."""
    rule = [":---" if i in left else "---:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def _section(one: s.Section) -> Iterator[str]:
    if one.verdict is None:
        yield f"### {escape(one.title)}"
    else:
        verdict = one.verdict.verdict
        yield f"## {MARKS[verdict]} {w.word(verdict).capitalize()}: {escape(one.title)}"
    for part in s.unfolded(one.parts):
        yield from _part(part)


def _part(part: s.Part) -> Iterator[str]:
    if isinstance(part, str):
        yield escape(part)
    elif isinstance(part, s.Items):
        listed = "\n".join(f"- {escape(item)}" for item in part.items)
        yield "> [!WARNING]\n" + "\n".join(f"> {line}" for line in listed.splitlines()) if part.alarm else listed
    elif isinstance(part, s.Facts | s.Figures):
        facts = [(escape(label), ", ".join(map(_cell, cells))) for label, *cells in part.rows]
        yield table(("", ""), facts, left=(0, 1))
    elif isinstance(part, s.Table):
        rows = [[_cell(cell) for cell in row] for row in part.rows]
        shown = table([escape(cell) for cell in part.header], rows, left=part.left)
        yield f"{escape(part.caption)}\n\n{shown}" if part.caption else shown
    elif isinstance(part, s.Forest):
        yield _forest(part)


def _forest(forest: s.Forest) -> str:
    rows = []
    for claim, is_part, cells, word in forest.rows:
        name = f"↳ {escape(claim.name)}" if is_part else f"{escape(claim.name)} {escape(claim.metric)}"
        flips = " · ".join(escape(words) for words, _ in claim.counts)
        note = f"<br>{escape(claim.note)}" if claim.note else ""
        rows.append([name, *map(escape, cells), f"{_cell(word) if word else ''}{note}", flips])
    last = len(forest.header) - 1
    return table([*map(escape, forest.header), "lost and gained"], rows, left=(0, last, last + 1))


def _cell(cell: s.Cell) -> str:
    if isinstance(cell, s.Word):
        return f"{MARKS[cell.verdict]} {w.word(cell.verdict)}"
    return code(cell.text) if isinstance(cell, s.Code) else escape(cell)
