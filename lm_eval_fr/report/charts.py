"""Positions in the report's drawings, in percent of a width or in the units of a view box."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lm_eval_fr.report import words as w
from lm_eval_fr.report.sections import Bar, Chart, Claim, Forest, Line, LineKind, Point, Segment
from lm_eval_fr.stats import Verdict

PLOT = (52.0, 14.0, 408.0, 176.0)
"""left, top, right, bottom of the plot inside a view box of 420 x 216."""

Anchor = Literal["start", "middle", "end"]
FARTHEST = 20.0  # margins to either side; beyond them is an arrow
NARROW = 0.1  # of the width
PARTS = 1.5  # how many times farther than its claims a forest may reach for their parts
LEAST = 1.5  # margins that are shown to either side


@dataclass(frozen=True, slots=True)
class DrawnClaim:
    """In percent of the width; None if there is nothing to draw, or if the estimate itself is off the scale."""

    claim: Claim
    at: float | None = None
    low: float | None = None
    high: float | None = None
    cut_low: bool = False
    cut_high: bool = False
    floor: tuple[float, float] | None = None
    strata: tuple[DrawnClaim, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnForest:
    """margin: None where no claim has one."""

    claims: tuple[DrawnClaim, ...]
    margin: float | None
    zero: float
    ticks: tuple[tuple[float, str, Anchor], ...]


@dataclass(frozen=True, slots=True)
class ForestScale:
    """What the forest shows, in margins or in shares; claims farther out end in an arrow."""

    low: float
    high: float
    in_margins: bool

    @classmethod
    def of(cls, forest: Forest, *, parts: bool = False) -> ForestScale:
        """parts: whether to draw the claims' parts too."""
        low, high = _reach(forest.claims)
        if forest.in_margins:
            low, high = min(low, -LEAST), max(high, LEAST)
        inner_low, inner_high = _reach([part for claim in forest.claims for part in claim.strata if parts])
        low, high = min(low, max(inner_low, PARTS * low)), max(high, min(inner_high, PARTS * high))
        if forest.in_margins:
            return cls(max(-FARTHEST, low * 1.06), min(FARTHEST, high * 1.06), True)
        room = 0.06 * (high - low) or 0.01
        return cls(low - room, high + room, False)

    def share(self, value: float) -> float:
        """0 at the left end, 1 at the right end."""
        return max(0.0, min(1.0, (value - self.low) / (self.high - self.low)))

    @property
    def ticks(self) -> list[tuple[float, str, Anchor]]:
        if self.in_margins and 1 / (self.high - self.low) < NARROW:  # too narrow for three labels
            return [(-1.0, "−margin", "end"), (0.0, "0", "middle")]
        if self.in_margins:
            return [(-1.0, "−margin", "middle"), (0.0, "0", "middle"), (1.0, "+margin", "middle")]
        return [(value, w.signed(value), "middle") for value in _ticks(self.low, self.high, 6)]


def _reach(claims: Sequence[Claim]) -> tuple[float, float]:
    spans = [claim.span for claim in claims if claim.span]
    return min([0.0, *(span.low for span in spans)]), max([0.0, *(span.high for span in spans)])


def draw_forest(forest: Forest) -> DrawnForest:
    scale = ForestScale.of(forest, parts=True)

    def x(value: float) -> float:
        return round(100 * scale.share(value), 2)

    def drawn(claim: Claim) -> DrawnClaim:
        floor = None if claim.floor is None else (x(-claim.floor), x(claim.floor))
        strata, span = tuple(map(drawn, claim.strata)), claim.span
        if span is None:
            return DrawnClaim(claim, floor=floor, strata=strata)
        at = x(span.at) if scale.low <= span.at <= scale.high else None
        cut_low, cut_high = span.low < scale.low, span.high > scale.high
        return DrawnClaim(claim, at, x(span.low), x(span.high), cut_low, cut_high, floor, strata)

    places = tuple((x(value), label, anchor) for value, label, anchor in scale.ticks)
    return DrawnForest(tuple(map(drawn, forest.claims)), x(-1.0) if forest.in_margins else None, x(0.0), places)


def tally(forest: Forest) -> list[tuple[Verdict, int]]:
    """How many claims have which verdict, the worst first."""
    found = Counter(claim.verdict for claim in forest.claims)
    worst_first: tuple[Verdict, ...] = ("inferior", "no_verdict", "inconclusive", "non_inferior")
    return [(verdict, found[verdict]) for verdict in worst_first if found[verdict]]


@dataclass(frozen=True, slots=True)
class DrawnSegment:
    segment: Segment
    share: str
    x: float
    width: float


def draw_bar(bar: Bar) -> tuple[DrawnSegment, ...]:
    total = sum(segment.count for segment in bar.segments)
    drawn, x = [], 0.0
    for segment in bar.segments:
        share = segment.count / total if total else None
        width = 100 * (share or 0.0)
        drawn.append(DrawnSegment(segment, w.percent(share, 0), round(x, 2), round(width, 2)))
        x += width
    return tuple(drawn)


@dataclass(frozen=True, slots=True)
class DrawnLine:
    label: str
    kind: LineKind
    points: str
    band: str
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class DrawnPoint:
    label: str
    x: float
    y: float
    low: float | None
    high: float | None
    label_x: float
    label_y: float
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class DrawnChart:
    lines: tuple[DrawnLine, ...]
    points: tuple[DrawnPoint, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    level: float | None
    limit: float | None


class _Scale:
    """From the data's units to the view box. What lies far beyond a cut range is only more digits."""

    def __init__(self, chart: Chart) -> None:
        values = [value for line in chart.lines for value in line.x] + [point.x for point in chart.points]
        self.x_low, self.x_high = (-0.5, len(chart.x_names) - 0.5) if chart.x_names else _range(values)
        self.y_low, self.y_high = chart.y_range or _range(_heights(chart), room=0.06)
        self.named = bool(chart.x_names)
        self.far = (self.y_high - self.y_low) if chart.y_range else math.inf

    def x(self, value: float) -> float:
        left, _, right, _ = PLOT
        return round(left + (right - left) * (value - self.x_low) / (self.x_high - self.x_low), 2)

    def y(self, value: float) -> float:
        _, top, _, bottom = PLOT
        value = max(self.y_low - self.far, min(self.y_high + self.far, value))
        return round(bottom - (bottom - top) * (value - self.y_low) / (self.y_high - self.y_low), 2)

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{self.x(a)},{self.y(b)}" for a, b in zip(xs, ys, strict=True))

    def line(self, line: Line, label_y: float) -> DrawnLine:
        lows, highs = [ends[0] for ends in line.band], [ends[1] for ends in line.band]
        band = f"{self.points(line.x, highs)} {self.points(line.x[::-1], lows[::-1])}" if line.band else ""
        return DrawnLine(line.label, line.kind, self.points(line.x, line.y), band, self.x(line.x[-1]) - 3, label_y)

    def point(self, point: Point, valley: bool) -> DrawnPoint:
        """valley: lines rise from it to both sides, so that its name is better off below."""
        x, y = self.x(point.x), self.y(point.y)
        low, high = (None if end is None else self.y(end) for end in (point.low, point.high))
        if self.named:  # over its interval, where no line passes
            return DrawnPoint(point.label, x, y, low, high, x, (y if high is None else high) - 8, "middle")
        late = x > (PLOT[0] + PLOT[2]) / 2  # its name would run off the plot on the right
        label = (x + (-8 if late else 8), y + (15 if valley else -6))
        return DrawnPoint(point.label, x, y, low, high, *label, "end" if late else "start")


def draw_chart(chart: Chart) -> DrawnChart:
    scale = _Scale(chart)
    heights = _apart([scale.y(line.y[-1]) - 4 for line in chart.lines])
    return DrawnChart(
        tuple(scale.line(line, height) for line, height in zip(chart.lines, heights, strict=True)),
        tuple(scale.point(point, _is_valley(chart.points, i)) for i, point in enumerate(chart.points)),
        tuple((scale.x(x), name) for x, name in _x_ticks(chart, scale)),
        tuple((scale.y(v), f"{100 * v if chart.percent else v:g}") for v in _ticks(scale.y_low, scale.y_high, 5)),
        None if chart.level is None else scale.y(chart.level),
        None if chart.limit is None else scale.y(chart.limit),
    )


def _is_valley(points: Sequence[Point], i: int) -> bool:
    beside = [points[at].y for at in (i - 1, i + 1) if 0 <= at < len(points)]
    return len(beside) == 2 and all(y > points[i].y for y in beside)


def _x_ticks(chart: Chart, scale: _Scale) -> list[tuple[float, str]]:
    if chart.x_names:
        return [(float(x), name) for x, name in enumerate(chart.x_names)]
    return [(value, f"{value:,g}") for value in _ticks(scale.x_low, scale.x_high, 6, whole=chart.whole_x)]


def _heights(chart: Chart) -> list[float]:
    found = [value for line in chart.lines for value in line.y]
    found += [value for line in chart.lines for ends in line.band for value in ends]
    found += [value for one in chart.points for value in (one.y, one.low, one.high) if value is not None]
    return found + [value for value in (chart.level, chart.limit) if value is not None]


def _apart(heights: Sequence[float]) -> list[float]:
    """Overlapping labels move up; the lowest stays."""
    placed: dict[int, float] = {}
    last = math.inf
    for i in sorted(range(len(heights)), key=lambda i: -heights[i]):
        last = placed[i] = round(max(min(heights[i], last - 11), PLOT[1] - 4), 2)
    return [placed[i] for i in range(len(heights))]


def _range(values: Sequence[float], room: float = 0.0) -> tuple[float, float]:
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return low - room * span, high + room * span if high > low else low + span


def _ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    """1, 2 or 5 times a power of ten apart, about so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]
