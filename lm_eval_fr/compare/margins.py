"""The loss accepted on each task: the user's margins, checked against the compared tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lm_eval_fr.errors import UsageError, nearest
from lm_eval_fr.pairing import Paired

GOLD, JUDGE, TAX, MEAN = "gold", "judge", "language_tax", "overall_mean"


@dataclass(frozen=True)
class Margins:
    """`given` maps a task, "judge", or "gold" (all tasks not named) to the largest loss accepted."""

    given: Mapping[str, float] = field(default_factory=dict)

    def of(self, task: str, *, unit_scale: bool) -> float | None:
        """A gold task's margin; None if none was given for it, or only one in points, which its scale lacks."""
        if task in self.given:
            if unit_scale:
                _check_scale(task, self.given[task])
            return self.given[task]
        return self.given.get(GOLD) if unit_scale else None

    @property
    def judge(self) -> float | None:
        return self.given.get(JUDGE)

    @property
    def mean(self) -> float:
        """The margin of the mean over tasks: its own, or that of all tasks. Raises UsageError if there is neither."""
        found = self.given.get(MEAN, self.given.get(GOLD))
        if found is None:
            raise UsageError("overall_mean needs a margin", remedy="margins: {gold: 2%} or {overall_mean: 2%}")
        return found

    def check(self, tasks: Sequence[Paired], *, parallel: bool = False, mean: bool = False) -> None:
        """UsageError for a margin that is not a loss, or that names no task here.

        parallel: whether a language tax is measured. mean: whether a claim is made about the mean over tasks.
        """
        gold = [task.task for task in tasks if not task.judged]
        judged = [task.task for task in tasks if task.judged]
        for name, margin in self.given.items():
            shown = _shown(name, margin)
            if not (math.isfinite(margin) and margin > 0):
                remedy = "a margin is the largest loss accepted, above 0: 0.02 is two points"
                raise UsageError(f"{margin} is not a margin", where=shown, remedy=remedy)
            if name in (GOLD, JUDGE, MEAN):
                _check_scale(name, margin)
            if name in judged:
                raise UsageError(
                    f"{name} is judged: its margin is the judge's",
                    where=shown,
                    remedy=f"--margin {JUDGE}={margin}",
                )
            if name not in (*gold, GOLD, JUDGE, *([TAX] if parallel else []), *([MEAN] if mean else [])):
                advice = nearest(name, [*gold, JUDGE, GOLD]) or f"tasks here: {', '.join([*gold, JUDGE])}"
                raise UsageError(f"no task {name} in this comparison", where=shown, remedy=advice)


def _shown(name: str, margin: float) -> str:
    """As typed: a value without a name is for all gold tasks."""
    return f"--margin {name}={margin:g}" if name != GOLD else f"--margin {margin:g}"


def _check_scale(name: str, margin: float) -> None:
    """UsageError for a margin given in points instead of as a share."""
    if margin >= 1:
        what = f"a margin of {margin:g} is the whole scale: every loss would pass"
        remedy = f"{margin:g} points are {margin / 100:g} or {margin:g}%"
        raise UsageError(what, where=_shown(name, margin), remedy=remedy)
