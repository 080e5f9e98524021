"""Which loss is accepted where: the user's margins, checked against what is compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lm_eval_fr.errors import UsageError, nearest
from lm_eval_fr.pairing import PairedGroup, PairedTask

GOLD, JUDGE, TAX, MEAN = "gold", "judge", "language_tax", "overall_mean"


@dataclass(frozen=True)
class Margins:
    """`given` maps a task, "judge", or "gold" (all tasks not named; "" means the same) to the largest loss accepted."""

    given: Mapping[str, float] = field(default_factory=dict)

    def of(self, task: str, *, unit_scale: bool) -> float | None:
        """A gold task's margin; None where nothing was said of this task, or only in points and it has none."""
        if task in self.given:
            return self.given[task]
        return self.given.get(GOLD, self.given.get("")) if unit_scale else None

    @property
    def judge(self) -> float | None:
        return self.given.get(JUDGE)

    @property
    def mean(self) -> float:
        """Of the mean over tasks: its own, or that of all tasks. Raises UsageError where there is neither."""
        found = self.given.get(MEAN, self.given.get(GOLD, self.given.get("")))
        if found is None:
            raise UsageError("overall_mean needs a margin", remedy="margins: {gold: 2%} or {overall_mean: 2%}")
        return found

    def check(self, tasks: Sequence[PairedTask | PairedGroup], *, parallel: bool = False, mean: bool = False) -> None:
        """UsageError for a margin that is not a loss, or that names nothing here.

        parallel: whether a language tax is measured. mean: whether a claim is made about the mean over tasks.
        """
        gold = [task.task for task in tasks if not task.judged]
        judged = [task.task for task in tasks if task.judged]
        for name, margin in self.given.items():
            shown = f"{name}={margin}" if name else str(margin)
            if not (math.isfinite(margin) and margin > 0):
                remedy = "a margin is the largest loss accepted, above 0: 0.02 is two points"
                raise UsageError(f"{margin} is not a margin", where=f"--margin {shown}", remedy=remedy)
            if name in judged:
                raise UsageError(
                    f"{name} is judged: its margin is the judge's",
                    where=f"--margin {shown}",
                    remedy=f"--margin {JUDGE}={margin}",
                )
            if name not in (*gold, GOLD, JUDGE, *([TAX] if parallel else []), *([MEAN] if mean else []), ""):
                advice = nearest(name, [*gold, JUDGE, GOLD]) or f"tasks here: {', '.join([*gold, JUDGE])}"
                raise UsageError(f"no task {name} in this comparison", where=f"--margin {shown}", remedy=advice)
