"""Studies with a judge of known sight: what readers would say, what the judge says, and what is then claimed.

Readers find a winner in all pairs but `ties`; their net win for the candidate is `net`. The judge sees a difference
with probability `sight`, and where it sees none it answers by its habit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy import stats

from lm_eval_fr.stats import Interval
from lm_eval_fr.stats.arrays import units_of
from lm_eval_fr.stats.bounds import student
from lm_eval_fr.stats.judge_claim import decide_by_judge
from lm_eval_fr.stats.proportions import Tango
from lm_eval_fr.stats.sensitivity import AssaySensitivity, Control, OrderDecided, sensitivity

Habit = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""(generator, whether the answer shown first is the longer: 1, 0 or -1) -> 0 for the first, 1 for the second, 2 tie."""
GROSS, GRADED = 14, 40


def constant(g: np.random.Generator, first_longer: np.ndarray) -> np.ndarray:
    return np.zeros(first_longer.size, dtype=int)


def chance(g: np.random.Generator, first_longer: np.ndarray) -> np.ndarray:
    return g.integers(0, 2, first_longer.size)


def position(g: np.random.Generator, first_longer: np.ndarray) -> np.ndarray:
    """The first in nine of ten."""
    return (g.random(first_longer.size) < 0.1).astype(int)


def length(g: np.random.Generator, first_longer: np.ndarray) -> np.ndarray:
    return np.where(first_longer > 0, 0, np.where(first_longer < 0, 1, 2))


def tie(g: np.random.Generator, first_longer: np.ndarray) -> np.ndarray:
    return np.full(first_longer.size, 2)


@dataclass(frozen=True)
class Judge:
    habit: Habit
    sight: float = 0.0  # on graded controls and pairs
    gross_sight: float | None = None  # None: the same
    drawn: Literal["pair", "order"] = "pair"

    def ask(self, g: np.random.Generator, truth: np.ndarray, longer: np.ndarray, sight: float) -> np.ndarray:
        """Two rows, candidate first and reference first: 0 names the answer shown first, 1 the second, 2 is a tie."""
        seen = [g.random(truth.size) < sight for _ in range(2)]
        if self.drawn == "pair":
            seen[1] = seen[0]
        replies = []
        for side, sees in zip((1, -1), seen, strict=True):
            right = np.where(truth == 0, 2, np.where(truth == side, 0, 1))
            replies.append(np.where(sees, right, self.habit(g, side * longer)))
        return np.array(replies)


def outcomes(replies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """+1, -1 or 0 for the candidate, and whether the order decided."""
    first, second = replies
    won, lost = (first == 0) & (second == 1), (first == 1) & (second == 0)
    return won.astype(int) - lost.astype(int), (first == second) & (first < 2)


def ask_controls(judge: Judge, g: np.random.Generator, graded: int) -> AssaySensitivity:
    """Gross ones, whose damaged twin is the shorter one, and graded ones, half of whose twins are longer."""
    found = []
    kinds = (("gross", GROSS, np.ones(GROSS)), ("word", graded, np.where(np.arange(graded) % 2, 1, -1)))
    for grade, n, good_longer in kinds:
        gross_sight = judge.sight if judge.gross_sight is None else judge.gross_sight
        sight = gross_sight if grade == "gross" else judge.sight
        replies = judge.ask(g, np.ones(n, dtype=int), good_longer, sight)
        score, by_order = outcomes(replies)
        right = list(zip((replies[0] == 0).tolist(), (replies[1] == 1).tolist(), strict=True))
        found += [
            Control(grade, grade, int(score[i]), right[i], bool(by_order[i]), bool(good_longer[i] > 0))
            for i in range(n)
        ]
    return _sensitivity(tuple(sorted(found, key=str)))


def study(
    judge: Judge,
    g: np.random.Generator,
    *,
    n: int,
    net: float,
    ties: float,
    margin: float,
    candidate_longer: float = 0.5,
) -> str:
    """The verdict of one study."""
    seen = ask_controls(judge, g, GRADED)
    if not (seen.sees_gross and seen.sees_graded):
        return "no_verdict"
    drawn = g.random(n)
    won, lost = (1 - ties + net) / 2, (1 - ties - net) / 2
    truth = np.where(drawn < won, 1, np.where(drawn < won + lost, -1, 0))
    longer = np.where(g.random(n) < candidate_longer, 1, -1)
    score, by_order = outcomes(judge.ask(g, truth, longer, judge.sight))
    interval = headline(int((score == 1).sum()), int((score == -1).sum()), n)
    return decide_by_judge(
        interval, margin, seen, decided_by_order(int(by_order.sum()), int((score != 0).sum()), n)
    ).verdict


def share(verdict: str, studies: int, judge: Judge, seed: int, **world: float) -> float:
    g = np.random.default_rng(seed)
    return sum(study(judge, g, **world) == verdict for _ in range(studies)) / studies  # type: ignore[arg-type]


@cache
def headline(won: int, lost: int, n: int) -> Interval:
    """What `net_win_rate` gives (tested), in a tenth of its time."""
    scores = np.repeat([1.0, -1.0, 0.0], [won, lost, n - won - lost])
    one, other = student(units_of(scores, None)).interval(0.95), Tango(lost, won, n).interval(0.95)
    low, high = min(one[0], other[0]), max(one[1], other[1])
    return Interval((won - lost) / n, max(low, -1.0), min(high, 1.0), 0.95, "wider", n)


@cache
def decided_by_order(flips: int, decided: int, n: int) -> OrderDecided:
    """What `order_decided` gives (tested), in a tenth of its time."""
    highs = [1.0 if flips == of else float(stats.beta.ppf(0.975, flips + 1, of - flips)) for of in (flips + decided, n)]
    return OrderDecided(flips, flips + decided, n, highs[0] if flips + decided else None, highs[1], 0.95, "")


@cache
def _sensitivity(controls: tuple[Control, ...]) -> AssaySensitivity:
    return sensitivity(controls, planned=GRADED)
