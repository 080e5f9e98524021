"""Numbers and names as people read them, the same in text, Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import WORDS, Report
from lm_eval_fr.report.task_model import Bounds, TaskResult

UNKNOWN = "-"
SMALLEST_P = 0.001
MORE = 5  # most additional decimals to tell an interval's end from the margin


def signed(value: float | None, scale: float = 100.0, *, decimals: int | None = None) -> str:
    """A difference in points, sign always shown; a difference that rounds to zero carries none."""
    if value is None:
        return UNKNOWN
    text = f"{value * scale:+.{_decimals(value, scale) if decimals is None else decimals}f}"
    return text[1:] if float(text) == 0 else text


def plain(value: float | None, scale: float = 100.0, *, decimals: int | None = None) -> str:
    if value is None:
        return UNKNOWN
    text = f"{value * scale:.{_decimals(value, scale) if decimals is None else decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def decimals_beside(value: float | None, limit: float | None, scale: float = 100.0) -> int | None:
    """Enough decimals that a value other than the limit does not look like it; None: the usual number."""
    if value is None or limit is None:
        return None
    usual = max(_decimals(value, scale), _decimals(limit, scale))
    looks = (n for n in range(usual, usual + MORE) if f"{value * scale:.{n}f}" != f"{limit * scale:.{n}f}")
    found = next(looks, usual)
    return None if found == usual else found


def _decimals(value: float, scale: float) -> int:
    """One decimal of a point; a metric in its own unit gets decimals by its size."""
    if scale == 100.0:
        return 1
    magnitude = abs(value)
    return 1 if magnitude >= 100 else 2 if magnitude >= 1 else 3


def interval(
    low: float | None, high: float | None, scale: float = 100.0, *, sign: bool = True, limit: float | None = None
) -> str:
    """limit: a value to compare the ends with; enough digits are shown to see on which side of it an end is."""
    if low is None or high is None:
        return UNKNOWN
    show = signed if sign else plain
    ends = (show(end, scale, decimals=decimals_beside(end, limit, scale)) for end in (low, high))
    return f"[{', '.join(ends)}]"


def bounds(pair: Bounds | None, scale: float = 100.0, *, sign: bool = False, limit: float | None = None) -> str:
    return UNKNOWN if pair is None else interval(pair[0], pair[1], scale, sign=sign, limit=limit)


def against(pair: Bounds | None, margin: float | None, scale: float = 100.0, *, higher_is_better: bool = True) -> str:
    """An interval of differences, with enough digits to tell its ends from the margin."""
    limit = None if margin is None else -margin if higher_is_better else margin
    return bounds(pair, scale, sign=True, limit=limit)


def significant(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    if size < 1:
        return f"{value:#.3g}"
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def percent(share: float | None, decimals: int = 1) -> str:
    return UNKNOWN if share is None else f"{share * 100:.{decimals}f} %"


def count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def p_value(p: float | None) -> str:
    if p is None:
        return UNKNOWN
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"{p:.3f}"


def p_equals(p: float | None) -> str:
    """`p = 0.343`, `p < 0.001`: for a sentence."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def plural(number: int, noun: str, several: str = "") -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {several or noun + 's'}"


def points(share: float) -> str:
    """0.01 -> '1 point'."""
    number = f"{100 * share:g}"
    return f"{number} point{'' if number == '1' else 's'}"


def word(verdict: str | None) -> str:
    return WORDS[verdict]


def level_text(level: float) -> str:
    return f"{level * 100:g} %"


def one_sided(level: float) -> str:
    """The chance, per claim, of calling a loss of the margin non-inferior: half of what the interval leaves."""
    return f"{(1 - level) / 2 * 100:g} %"


def unit(result: TaskResult) -> str:
    return f"points of {result.metric}" if result.scale == 100.0 else f"of {result.metric}"


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """One line that cannot control a terminal or change the direction of the text after it."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", " ".join(str(text).split()))


def headline(judge: JudgeResult) -> str:
    return counted(judge.preference.wins, judge.preference.ties, judge.preference.losses)


def counted(wins: int, ties: int, losses: int) -> str:
    return f"{plural(wins, 'win')}, {plural(ties, 'tie')}, {plural(losses, 'loss', 'losses')}"


def money(dollars: float | None) -> str:
    if dollars is None:
        return "unknown"
    return f"${dollars:,.4f}" if 0 < dollars < 0.1 else f"${dollars:,.2f}"


def value(item: object) -> str:
    """A setting as one short line."""
    if item is None:
        return UNKNOWN
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, Mapping):
        return ", ".join(f"{printable(k)}={value(v)}" for k, v in item.items()) or UNKNOWN
    if isinstance(item, list | tuple):
        return ", ".join(value(v) for v in item) or UNKNOWN
    return printable(item) or UNKNOWN


_UNKNOWNS = {
    "ci_low": "interval",
    "documents_needed": "number of documents needed",
    "mde": "MDE",
    "p_value": "p",
    "win_share_ci": "interval of the win share",
}


def unknowns(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is unknown, in words, and why; values with the same reason are named together."""
    of_reason: dict[str, list[str]] = {}
    for key, reason in reasons.items():
        of_reason.setdefault(reason, []).append(_UNKNOWNS.get(key, key.replace("_", " ")))
    return [(", ".join(names), reason) for reason, names in of_reason.items()]


def titled(report: Report) -> str:
    return f"{printable(report.candidate.name)} against {printable(report.reference.name)}"
