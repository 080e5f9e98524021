"""Where things stand in the report's drawings: numbers in, coordinates of an SVG view box out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Bounds, JudgeResult, Report, Series, TaskResult

FOREST_WIDTH, FOREST_MIDDLE, FOREST_REACH = 320.0, 160.0, 148.0
LONGEST_REACH = 20.0  # margins; what lies beyond is an arrow
BAR_WIDTH = 400.0
PLOT = (46.0, 12.0, 408.0, 168.0)
"""left, top, right, bottom of the cumulative plot inside a view box of 420 x 204."""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One claim, in units of its own margin: -1 is the margin on every row. Coordinates are x in the view box."""

    name: str
    metric: str
    n: str
    values: str
    difference: str
    interval: str
    margin: str
    recovery: str
    recovery_interval: str
    verdict: str | None
    x: float | None
    low: float | None
    high: float | None
    cut_low: bool
    cut_high: bool
    floor: tuple[float, float] | None
    note: str


@dataclass(frozen=True, slots=True)
class Forest:
    rows: tuple[ForestRow, ...]
    margin_x: float
    zero_x: float
    ticks: tuple[tuple[float, str], ...]


def forest(report: Report) -> Forest:
    """All tasks and the judge on one scale. A metric where less is better is mirrored, so that worse is always left."""
    floors = {floor.task: floor.floor for floor in report.noise.floors} if report.noise else {}
    ends = [abs(end) / t.margin for t in report.tasks if t.margin for end in (t.ci_low, t.ci_high) if end is not None]
    if report.judge and report.judge.margin and report.judge.net_win_ci:
        ends += [abs(end) / report.judge.margin for end in report.judge.net_win_ci]
    reach = min(LONGEST_REACH, max(1.5, *ends, 1.5) * 1.08)
    rows = [_task_row(t, reach, floors.get(t.task)) for t in report.tasks]
    if report.judge:
        rows.append(_judge_row(report.judge, reach))
    ticks = [(-1.0, "−margin"), *([] if reach > 6 else [(0.0, "0"), (1.0, "+margin")])]
    place = tuple((_forest_x(value, reach), label) for value, label in ticks)
    return Forest(tuple(rows), _forest_x(-1.0, reach), FOREST_MIDDLE, place)


def _forest_x(value: float, reach: float) -> float:
    return round(FOREST_MIDDLE + max(-1.0, min(1.0, value / reach)) * FOREST_REACH, 2)


def _point_x(value: float, reach: float) -> float | None:
    """None where the estimate itself is off the scale: an arrow says so, and no point stands in a wrong place."""
    return _forest_x(value, reach) if abs(value) <= reach else None


def _task_row(t: TaskResult, reach: float, floor: float | None) -> ForestRow:
    sign = 1.0 if t.higher_is_better else -1.0
    x = low = high = None
    band = None
    ends = [sign * end / t.margin for end in (t.ci_low, t.ci_high) if end is not None] if t.margin else []
    if t.margin and len(ends) == 2:
        low, high = _forest_x(min(ends), reach), _forest_x(max(ends), reach)
        x = _point_x(sign * t.difference / t.margin, reach)
    if t.margin and floor is not None:
        band = (_forest_x(-floor / t.margin, reach), _forest_x(floor / t.margin, reach))
    notes = [t.reasons[key] for key in ("verdict", "ci_low") if key in t.reasons]
    if not t.higher_is_better:
        notes.insert(0, "lower is better" + (": the drawing is mirrored" if low is not None else ""))
    return ForestRow(
        name=t.task,
        metric=t.metric,
        n=w.count(t.n) + _clusters(t.clusters, t.n),
        values=f"{w.plain(t.candidate_mean, t.scale)} / {w.plain(t.reference_mean, t.scale)}",
        difference=w.signed(t.difference, t.scale),
        interval=w.interval(t.ci_low, t.ci_high, t.scale),
        margin=w.plain(t.margin, t.scale),
        recovery=w.percent(t.recovery),
        recovery_interval=w.bounds(t.recovery_ci) if t.recovery_ci else "",
        verdict=t.verdict,
        x=x,
        low=low,
        high=high,
        cut_low=bool(ends) and min(ends) < -reach,
        cut_high=bool(ends) and max(ends) > reach,
        floor=band,
        note="; ".join(dict.fromkeys(notes)),
    )


def _clusters(clusters: int | None, n: int) -> str:
    return f" in {w.plural(clusters, 'cluster')}" if clusters and clusters < n else ""


def _judge_row(judge: JudgeResult, reach: float) -> ForestRow:
    x = low = high = None
    ends: Sequence[float] = ()
    if judge.margin and judge.net_win is not None and judge.net_win_ci:
        ends = tuple(end / judge.margin for end in judge.net_win_ci)
        low, high = (_forest_x(end, reach) for end in ends)
        x = _point_x(judge.net_win / judge.margin, reach)
    return ForestRow(
        name="judge",
        metric="net win rate",
        n=f"{w.count(judge.n)} pairs" + _clusters(judge.clusters, judge.n),
        values=f"{w.plural(judge.wins, 'win')} / {w.plural(judge.losses, 'loss', 'losses')}",
        difference=w.signed(judge.net_win),
        interval=w.bounds(judge.net_win_ci, sign=True),
        margin=w.plain(judge.margin),
        recovery=w.UNKNOWN,
        recovery_interval="",
        verdict=judge.verdict,
        x=x,
        low=low,
        high=high,
        cut_low=bool(ends) and ends[0] < -reach,
        cut_high=bool(ends) and ends[1] > reach,
        floor=None,
        note="; ".join(dict.fromkeys(judge.reasons.values())),
    )


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    label: str
    meaning: str
    count: int
    share: str
    x: float
    width: float


def judge_bar(judge: JudgeResult) -> tuple[Segment, ...]:
    """Wins, the four kinds of tie, losses: side by side over the judged pairs."""
    parts = [
        ("win", "win", "the candidate preferred in both orders", judge.wins),
        ("tie", "tie, agreed", "a tie in both orders", judge.outcomes.get("tie", 0)),
        ("flip", "tie, flip", "the order decided", judge.outcomes.get("flip", 0)),
        ("split", "tie, split", "a tie in one order only", judge.outcomes.get("split", 0)),
        ("identical", "tie, identical", "the same answer, not asked", judge.outcomes.get("identical", 0)),
        ("loss", "loss", "the reference preferred in both orders", judge.losses),
    ]
    segments, x = [], 0.0
    for name, label, meaning, number in parts:
        width = BAR_WIDTH * number / judge.n if judge.n else 0.0
        share = w.percent(number / judge.n if judge.n else None, 0)
        segments.append(Segment(name, label, meaning, number, share, round(x, 2), round(width, 2)))
        x += width
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class ShareAxis:
    """A share with its interval on an axis from 0 to 1."""

    x: float
    low: float
    high: float


def share_axis(share: float | None, ci: Bounds | None) -> ShareAxis | None:
    if share is None or ci is None:
        return None
    return ShareAxis(*(round(value * BAR_WIDTH, 2) for value in (share, *ci)))


@dataclass(frozen=True, slots=True)
class Curve:
    """One cumulative plot: SVG point lists, ticks as (coordinate, label), and the sentence that says what it shows."""

    name: str
    line: str
    band: str
    zero_y: float
    margin_y: float | None
    margin_label_y: float | None
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    unit: str
    sentence: str


def curve(series: Series, level: float) -> Curve:
    left, top, right, bottom = PLOT
    last = series.at[-1]
    # The first estimates jump about and their bands are as wide as the metric: they may leave the plot.
    settled = next(i for i, at in enumerate(series.at) if at >= min(last, max(10, last // 20)))
    values = [abs(value) for value in series.estimate[settled:]] + [abs(series.low[-1]), abs(series.high[-1])]
    reach = max([*values, (series.margin or 0.0) * 1.4, 1e-6]) * 1.08

    def x(at: float) -> float:
        return round(left + (right - left) * at / last, 2)

    def y(value: float) -> float:
        # Beyond the plot the template cuts; further than this is only more digits.
        return round((top + bottom) / 2 - max(-3.0, min(3.0, value / reach)) * (bottom - top) / 2, 2)

    def points(values: Sequence[float], at: Sequence[int]) -> str:
        return " ".join(f"{x(k)},{y(v)}" for k, v in zip(at, values, strict=True))

    step = nice_step(2 * reach, 6)
    levels = [i * step for i in range(-math.floor(reach / step), math.floor(reach / step) + 1)]
    every = nice_step(last, 4, whole=True)
    margin_y = None if series.margin is None else y(-series.margin)
    return Curve(
        name=series.name,
        line=points(series.estimate, series.at),
        band=points(series.high, series.at) + " " + points(series.low[::-1], series.at[::-1]),
        zero_y=y(0.0),
        margin_y=margin_y,
        margin_label_y=None if margin_y is None else margin_y + 12 if margin_y + 14 < bottom else margin_y - 4,
        x_ticks=tuple((x(k), f"{k:,}") for k in _steps(every, last)),
        y_ticks=tuple((y(value), w.signed(value)) for value in levels),
        unit="documents" if series.unit == "documents" else "documents, whole clusters at a time",
        sentence=_sentence(series, level),
    )


def _steps(every: float, last: int) -> list[int]:
    return [int(k * every) for k in range(1, math.floor(last / every) + 1)]


def nice_step(span: float, about: int, *, whole: bool = False) -> float:
    """1, 2 or 5 times a power of ten, so that about that many steps fill the span."""
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return max(1.0, step) if whole else step


def _sentence(series: Series, level: float) -> str:
    changes = {0: "never changed sign", 1: "changed sign once"}.get(
        series.sign_changes, f"changed sign {series.sign_changes:,} times"
    )
    low, high = series.low[-1], series.high[-1]
    where = "still holds 0" if low <= 0 <= high else "lies above 0" if low > 0 else "lies below 0"
    alike = " Cluster by cluster, each counting the same." if series.unit == "clusters" else ""
    return (
        f"After all {series.at[-1]:,} documents: {w.signed(series.estimate[-1])} points; on the way it {changes}. "
        f"The {w.level_text(level)} band {w.interval(low, high)} {where}.{alike}"
    )
