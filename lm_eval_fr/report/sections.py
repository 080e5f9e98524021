"""The sections of a report: defined once, shown by every format.

A section is a heading and its parts. A writer knows the kinds of parts, not their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lm_eval_fr.stats import Verdict

Tab = Literal["summary", "judge", "method"]
LineKind = Literal["candidate", "reference", "assumed", "plain"]


@dataclass(frozen=True, slots=True)
class Word:
    """A verdict's word, shown with its mark and in its colour."""

    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Code:
    """Text as typed or to be typed: a command, a setting, a name."""

    text: str


Cell = str | Word | Code


@dataclass(frozen=True, slots=True)
class Table:
    """left: the columns of words. names: those that shrink if the page is too narrow."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: tuple[int, ...] = (0,)
    caption: str = ""
    names: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences. alarm: shown before everything else."""

    items: tuple[str, ...]
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one line each."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """A few numbers that a reader should remember: name, value, basis."""

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """Pairs to look at, by task and hash: a page shows them side by side. all: the filter for all `count` of them."""

    keys: tuple[tuple[str, str], ...]
    all: str
    count: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A whole text, line by line: a plan, a rubric."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """Points in the data's units; band: (low, high) of each, drawn as an area."""

    label: str
    kind: LineKind
    x: tuple[float, ...]
    y: tuple[float, ...]
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One measured point with its interval."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """level: a value of y drawn across; limit: one drawn across as a margin. percent: y is a share. y_range: what lies
    beyond it is cut off. x_names: what 0, 1, ... on the x axis are.
    """

    title: str
    sentence: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    points: tuple[Point, ...] = ()
    level: float | None = None
    limit: float | None = None
    percent: bool = False
    whole_x: bool = False
    y_range: tuple[float, float] | None = None
    x_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """The position of an interval, with worse on the left: in units of the claim's own margin (-1: the margin),
    or as measured if no claim has one.
    """

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the forest, in words. span: None if there is nothing to draw. floor: the noise floor on the
    span's scale. counts: (words, filter of the samples) that link to documents.
    """

    name: str
    metric: str
    n: str
    values: str
    difference: str
    interval: str
    margin: str
    verdict: Verdict | None
    note: str = ""
    span: Span | None = None
    floor: float | None = None
    counts: tuple[tuple[str, str], ...] = ()
    strata: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Forest:
    """Every claim on one scale: against its margin, or in points where no margin was given."""

    claims: tuple[Claim, ...]
    header: tuple[str, ...]
    in_margins: bool = True

    @property
    def rows(self) -> Iterator[tuple[Claim, bool, list[str], Word | None]]:
        """For text: each claim and each of its parts, whether it is a part, its cells under `header`, its verdict."""
        for claim in self.claims:
            for one in (claim, *claim.strata):
                part = one is not claim
                verdict = None if part and one.verdict is None else Word(one.verdict)
                yield one, part, [one.n, one.values, one.difference, one.interval, one.margin], verdict


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    label: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Counts side by side; the ends say what its two directions mean."""

    label: str
    ends: tuple[str, str]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Details: folded on a page. everywhere: a text has them too."""

    title: str
    parts: tuple[Part, ...]
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Parts that a page shows side by side where there is room."""

    parts: tuple[Part, ...]


Part = str | Table | Items | Facts | Figures | Examples | Quote | Chart | Forest | Bar | SideBySide | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """key: its anchor. tab: where a page shows it. verdict: the word before the title."""

    key: str
    title: str
    parts: tuple[Part, ...]
    tab: Tab = "summary"
    verdict: Word | None = None


def section(key: str, title: str, parts: Iterable[Part | None], tab: Tab = "summary") -> Section | None:
    """None if there is nothing to say: empty parts are left out."""
    kept = tuple(part for part in parts if part and part not in (Items(()), Items((), alarm=True), Facts(())))
    return Section(key, title, kept, tab) if kept else None


def unfolded(parts: Iterable[Part]) -> Iterator[Part]:
    """For plain text: everything in one column, without what only a page can show."""
    for part in parts:
        if isinstance(part, SideBySide) or (isinstance(part, Fold) and part.everywhere):
            yield from part.parts
        elif not isinstance(part, Fold):
            yield part
