"""`--stop anytime`: checks the margin after every cluster, in the plan's order, with a test that allows this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lm_eval_fr.judge.live.hopeless import Halt
from lm_eval_fr.judge.verdicts.judge_summary import Stopped
from lm_eval_fr.judge.verdicts.outcome import HEADLINE, possible_scores
from lm_eval_fr.stats import EProcess, Planned

if TYPE_CHECKING:
    from lm_eval_fr.judge.verdicts.judged_pairs import JudgedPair


@dataclass(slots=True)
class _Unit:
    """One cluster: pairs still to come, and the sums of its pairs' worst and best scores."""

    left: int
    size: int
    worst: int = 0
    best: int = 0


@dataclass
class Anytime:
    """Stops when the e-process has decided. A pair without a verdict counts as its worst for "non-inferior" and as its
    best for "inferior": failures can delay a decision but never cause one."""

    unit_sizes: tuple[int, ...]
    margin: float
    alpha: float
    lazy: bool
    ahead: int  # units that may be in work beyond the one being checked
    stopped: Stopped | None = None
    looked: int = 0  # units
    _units: dict[int, _Unit] = field(default_factory=dict)
    _pairs: int = 0

    def __post_init__(self) -> None:
        self._planned = Planned.of(self.unit_sizes)
        self._worst = EProcess(self.margin, self._planned, alpha=self.alpha)
        self._best = EProcess(self.margin, self._planned, alpha=self.alpha)

    def may_start(self, unit: int) -> bool:
        """False while `unit` is too far ahead of what is decided."""
        return unit <= self.looked + self.ahead

    def add(self, pair: JudgedPair) -> Halt | None:
        unit = self._units.setdefault(pair.unit, _Unit(self.unit_sizes[pair.unit], self.unit_sizes[pair.unit]))
        score = HEADLINE[pair.outcome(self.lazy)]
        low, high = possible_scores(pair.candidate_first, pair.reference_first) if score is None else (score, score)
        unit.left -= 1
        unit.worst += low
        unit.best += high
        while self.stopped is None and (ready := self._units.get(self.looked)) is not None and ready.left == 0:
            self._look(self._units.pop(self.looked))
        if self.stopped is None:
            return None
        done = self.stopped
        return Halt(
            "decided", f"{done.decision} within {done.margin:g} after {done.units} of {done.units_planned} units"
        )

    def _look(self, unit: _Unit) -> None:
        self.looked += 1
        self._pairs += unit.size
        if self._worst.update(unit.worst, unit.size) == "non_inferior":
            self._stop("non_inferior")
        if self._best.update(unit.best, unit.size) == "inferior":
            self._stop("inferior")

    def _stop(self, decision: Literal["non_inferior", "inferior"]) -> None:
        self.stopped = Stopped(
            decision=decision,
            margin=self.margin,
            alpha=self.alpha,
            units=self.looked,
            units_planned=len(self.unit_sizes),
            pairs=self._pairs,
            pairs_planned=sum(self.unit_sizes),
            largest_unit=int(self._planned.largest),
        )
