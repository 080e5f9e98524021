"""A report in at most fifteen terminal lines: the verdict, a small forest, what to do next, where the rest is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from lm_eval_fr.io.terminal import LINES, columns_of, fold, wants_colour
from lm_eval_fr.report import words as w
from lm_eval_fr.report.charts import ForestScale, tally
from lm_eval_fr.report.layout import shorten, table, width, wrap
from lm_eval_fr.report.model import ManyReport, Report
from lm_eval_fr.report.sections import Claim, Forest
from lm_eval_fr.report.text_writer import COLOURS, Paint, painter, text_columns
from lm_eval_fr.report.verdict_section import cautions, forest_of

SENTENCE, ALARM, ADVICE, REST = 4, 2, 2, 2  # lines that each may always have
MARKS = {"non_inferior": "✓", "inferior": "✗", "inconclusive": "?", "no_verdict": "?", None: "?"}
NARROWEST, WIDEST = 11, 41  # columns of the drawing
NAME, NARROW_NAME, NARROW, TINY = 20, 14, 80, 56


@dataclass(frozen=True)
class Signs:
    """The characters of the drawing; the plain ones are for ASCII-only terminals."""

    line: str = "─"
    left: str = "├"
    right: str = "┤"
    point: str = "●"
    margin: str = "┊"
    zero: str = "│"
    cut_left: str = "◄"
    cut_right: str = "►"


DRAWN = Signs()
PLAIN = Signs("-", "[", "]", "o", ":", "|", "<", ">")
UNPAINTED = painter(False)


def on_terminal(stream: TextIO, *, full: bool, whole: Callable[..., str], brief: Callable[..., str]) -> str:
    """brief(columns, colour, plain) on a terminal unless full, else whole(columns, colour); COLUMNS wins."""
    colour = wants_colour(stream)
    if full or not stream.isatty():
        return whole(columns=text_columns(stream), colour=colour)
    plain = "utf" not in (stream.encoding or "").lower()
    return brief(columns=columns_of(stream), colour=colour, plain=plain)


def render_brief(
    report: Report, *, columns: int, colour: bool = False, plain: bool = False, rest: str = "--full"
) -> str:
    """rest: where everything else is."""
    paint = painter(colour)
    forest = forest_of(report)
    others = len(cautions(report, alarming=False))
    more = f"{w.plural(others, 'caution')} and everything else" if others else "Everything else"
    advice = report.overall.advice
    texts = _cut_to_fit(
        [
            (wrap(w.printable(report.overall.sentence), columns), SENTENCE),
            (_alarm(report, columns), ALARM),
            (wrap(w.printable(f"Next: {advice}"), columns) if advice else [], ADVICE),
            (fold(f"  {more}: {rest}", columns).split("\n"), REST),
        ],
        LINES - 1 - len(forest.claims) - 1,
    )
    sentence, alarm, *end = texts
    room = LINES - 1 - sum(map(len, texts))
    drawing = forest_lines(forest, columns, room, paint, PLAIN if plain else DRAWN)
    lines = [_title(report, columns, paint), *sentence, *drawing, *(paint("31", line) for line in alarm)]
    return _shown([*lines, *(line for text in end for line in text)], plain)


def render_brief_many(many: ManyReport, *, columns: int, colour: bool = False, plain: bool = False) -> str:
    """A verdict and a sentence for each candidate, as many as fit."""
    paint = painter(colour)
    most = min(len(many.reports), LINES - 2)
    each = max(1, (LINES - 2) // most)
    lines: list[str] = []
    for report in many.reports[:most]:
        sentence = wrap(w.printable(report.overall.sentence), columns)
        lines += [_title(report, columns, paint), *(_cut(sentence, each - 1) if each > 1 else ())]
    left = len(many.reports) - most
    lines += [f"  and {w.plural(left, 'other candidate')}"] if left else []
    return _shown([*lines, "  Every task, all claims together, the ranking: --full"], plain)


def _shown(lines: Sequence[str], plain: bool) -> str:
    text = "\n".join(lines)
    return text.translate(_ASCII).encode("ascii", "replace").decode() if plain else text


def _cut_to_fit(texts: Sequence[tuple[list[str], int]], room: int) -> list[list[str]]:
    """Each text with its least number of lines, and with more if everything fits; the first texts first."""
    spare = room - sum(min(len(lines), least) for lines, least in texts)
    found = []
    for lines, least in texts:
        extra = max(0, min(len(lines) - least, spare))
        spare -= extra
        found.append(_cut(lines, least + extra))
    return found


_ASCII = str.maketrans({"✓": "+", "✗": "x", "…": "~", "−": "-", "’": "'", "·": "/"})


def _title(report: Report, columns: int, paint: Paint) -> str:
    verdict = report.verdict
    label = f"{MARKS[verdict]} {w.word(verdict).upper()}"
    title = shorten(w.titled(report), columns - width(label) - 2)
    return f"{paint('1;' + COLOURS[verdict], label)}  {title}"


def forest_lines(
    forest: Forest, columns: int, most: int = LINES, paint: Paint = UNPAINTED, signs: Signs = DRAWN
) -> list[str]:
    """The forest drawn in at most `most` lines of `columns` columns; what does not fit is counted."""
    claims = _most_telling(forest, most - 1)
    if not claims:
        return []
    names = [shorten(w.printable(claim.name), NAME if columns >= NARROW else NARROW_NAME) for claim in claims]
    flips = [_flips(claim) for claim in claims]
    words = [_said(claim, columns) if forest.in_margins else "" for claim in claims]
    fixed = [("", "diff.", "lost/gained" if columns >= NARROW else "-/+", "")]
    fixed += [(n, c.difference, f, v) for n, c, f, v in zip(names, claims, flips, words, strict=True)]
    taken = sum(max(width(row[i]) for row in fixed) for i in range(4)) + 2 * 5
    room = min(WIDEST, columns - taken)
    header = ["", _axis(forest, room) if room >= NARROWEST else "", *fixed[0][1:]]
    rows = []
    for claim, row in zip(claims, fixed[1:], strict=True):
        drawing = _draw(claim, ForestScale.of(forest), room, signs) if room >= NARROWEST else ""
        rows.append([row[0], drawing, *row[1:]])
    lines = [f"  {line}" for line in table(header, rows, left=(0, 1, 4))]
    for i, claim in enumerate(claims, 1):
        if words[i - 1]:
            lines[i] = lines[i].replace(words[i - 1], paint(COLOURS[claim.verdict], words[i - 1]))
    left = len(forest.claims) - len(claims)
    return [*lines, *([f"  and {w.plural(left, 'other claim')}"] if left else [])]


def _most_telling(forest: Forest, most: int) -> list[Claim]:
    """All claims, or the worst ones behind the verdict, in the report's order; one line is kept to say so."""
    if len(forest.claims) <= most:
        return list(forest.claims)
    first = [verdict for verdict, _ in tally(forest)]
    worst = sorted(
        forest.claims,
        key=lambda claim: (
            first.index(claim.verdict) if claim.verdict in first else len(first),
            claim.span.low if claim.span else 0.0,
        ),
    )
    chosen = {id(claim) for claim in worst[: most - 1]}
    return [claim for claim in forest.claims if id(claim) in chosen]


def _said(claim: Claim, columns: int) -> str:
    return MARKS[claim.verdict] + (f" {w.word(claim.verdict)}" if columns >= TINY else "")


def _flips(claim: Claim) -> str:
    return "/".join(words.split()[0] for words, _ in claim.counts)


def _axis(forest: Forest, room: int) -> str:
    if not forest.in_margins:
        return f"{'worse':<{room - 6}}better"[:room]
    scale = ForestScale.of(forest)
    at = _place(-1.0, scale, room)
    label = "-margin"
    start = max(0, min(room - len(label), at - len(label) // 2))
    return (" " * start + label).ljust(room)[:room]


def _place(value: float, scale: ForestScale, room: int) -> int:
    return round(scale.share(value) * (room - 1))


def _draw(claim: Claim, scale: ForestScale, room: int, signs: Signs) -> str:
    cells = [" "] * room
    cells[_place(0.0, scale, room)] = signs.zero
    if scale.in_margins:
        cells[_place(-1.0, scale, room)] = signs.margin
    if claim.span is None:
        return "".join(cells)
    low, high = (_place(end, scale, room) for end in (claim.span.low, claim.span.high))
    for i in range(low, high + 1):
        cells[i] = cells[i] if cells[i] != " " else signs.line
    cells[low] = signs.cut_left if claim.span.low < scale.low else signs.left
    cells[high] = signs.cut_right if claim.span.high > scale.high else signs.right
    if scale.low <= claim.span.at <= scale.high:
        cells[_place(claim.span.at, scale, room)] = signs.point
    return "".join(cells)


def _alarm(report: Report, columns: int) -> list[str]:
    found = cautions(report, alarming=True)
    if not found:
        return []
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return wrap(w.printable(found[0]) + more, columns, indent="    ", first="  ! ")


def _cut(lines: Sequence[str], most: int) -> list[str]:
    """The first lines; the last of them says that there is more."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"{lines[most - 1].rstrip('.')[:-1]}…"]
