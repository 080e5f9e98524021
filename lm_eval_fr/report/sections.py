"""A part of the report as headings, sentences, tables and charts; said once, shown by every face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lm_eval_fr.report import words as w
from lm_eval_fr.report.layout import fit, wrap

CHART = (52.0, 14.0, 408.0, 176.0)
"""left, top, right, bottom of the plot inside a view box of 420 x 216."""

LineKind = Literal["candidate", "reference", "assumed", "plain"]


@dataclass(frozen=True, slots=True)
class Table:
    """names: the columns that give way where the page is too narrow."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)
    caption: str = ""
    names: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Line:
    """Points in the data's units; band: (low, high) of each, drawn as an area."""

    label: str
    kind: LineKind
    x: tuple[float, ...]
    y: tuple[float, ...]
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """One measured point with its interval."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """level: a value of y that is drawn across. percent: y is a share."""

    title: str
    sentence: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    level: float | None = None
    percent: bool = False
    whole_x: bool = False


Block = str | Table | Chart


@dataclass(frozen=True, slots=True)
class Panel:
    """key: its anchor in the page."""

    key: str
    title: str
    blocks: tuple[Block, ...]


def text_lines(panel: Panel, columns: int) -> list[str]:
    """Without its title. A chart is what its table says: it is left to the HTML."""
    lines: list[str] = []
    for block in panel.blocks:
        if isinstance(block, Table):
            lines += ["", *wrap(block.caption, columns)] if block.caption else [""] if lines else []
            rows = [list(row) for row in block.rows]
            lines += [f"  {line}" for line in fit(list(block.header), rows, columns - 2, block.left, block.names)]
            lines.append("")
        elif isinstance(block, str):
            lines += wrap(w.printable(block), columns)
    return [line for i, line in enumerate(lines) if line or (0 < i < len(lines) - 1 and lines[i - 1])]


@dataclass(frozen=True, slots=True)
class DrawnLine:
    label: str
    kind: LineKind
    points: str
    band: str
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class DrawnMark:
    label: str
    x: float
    y: float
    low: float | None
    high: float | None
    label_x: float
    anchor: Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart in coordinates of its view box."""

    chart: Chart
    lines: tuple[DrawnLine, ...]
    marks: tuple[DrawnMark, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    level_y: float | None


def draw(chart: Chart) -> Drawing:
    left, top, right, bottom = CHART
    x_low, x_high = _range([value for line in chart.lines for value in line.x] + [mark.x for mark in chart.marks])
    ys = [value for line in chart.lines for value in line.y]
    ys += [value for line in chart.lines for ends in line.band for value in ends]
    ys += [value for mark in chart.marks for value in (mark.y, mark.low, mark.high) if value is not None]
    y_low, y_high = _range(ys + ([] if chart.level is None else [chart.level]), room=0.06)

    def x(value: float) -> float:
        return round(left + (right - left) * (value - x_low) / (x_high - x_low), 2)

    def y(value: float) -> float:
        return round(bottom - (bottom - top) * (value - y_low) / (y_high - y_low), 2)

    def points(xs: Sequence[float], values: Sequence[float]) -> str:
        return " ".join(f"{x(a)},{y(b)}" for a, b in zip(xs, values, strict=True))

    heights = _apart([y(line.y[-1]) - 4 for line in chart.lines])
    lines = tuple(
        DrawnLine(
            line.label,
            line.kind,
            points(line.x, line.y),
            f"{points(line.x, [e[1] for e in line.band])} {points(line.x[::-1], [e[0] for e in line.band[::-1]])}"
            if line.band
            else "",
            x(line.x[-1]) - 3,
            height,
        )
        for line, height in zip(chart.lines, heights, strict=True)
    )
    marks = []
    for m in chart.marks:
        late = x(m.x) > (left + right) / 2  # its name would leave the plot on the right
        low, high = (None if end is None else y(end) for end in (m.low, m.high))
        marks.append(
            DrawnMark(m.label, x(m.x), y(m.y), low, high, x(m.x) + (-8 if late else 8), "end" if late else "start")
        )
    return Drawing(
        chart,
        lines,
        tuple(marks),
        tuple((x(value), f"{value:g}") for value in _ticks(x_low, x_high, 6, whole=chart.whole_x)),
        tuple((y(value), _said(value, chart.percent)) for value in _ticks(y_low, y_high, 4)),
        None if chart.level is None else y(chart.level),
    )


def _apart(heights: Sequence[float]) -> list[float]:
    """Labels that would cover each other move up, the lowest stays."""
    placed: dict[int, float] = {}
    last = math.inf
    for i in sorted(range(len(heights)), key=lambda i: -heights[i]):
        last = placed[i] = round(max(min(heights[i], last - 11), CHART[1] - 4), 2)
    return [placed[i] for i in range(len(heights))]


def _range(values: Sequence[float], room: float = 0.0) -> tuple[float, float]:
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return low - room * span, high + room * span if high > low else low + span


def _ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _said(value: float, percent: bool) -> str:
    return f"{100 * value:g}" if percent else f"{value:g}"
