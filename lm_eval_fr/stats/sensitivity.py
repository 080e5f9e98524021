"""Assay sensitivity of a judge: may "no loss found" be read as "no loss"? Only if a loss would have been seen.

A judge that is symmetrically blind turns differences into ties. On its scale a loss of D shows as D s, s being
its net win on control pairs whose better answer is known, and "lower limit above -D" would test a margin of D / s. A
claim therefore needs four conditions:

1. at most 2 of the questions on gross controls are missed;
2. graded controls: the lower limit s_L of s is above 1/3;
3. the margin, corrected: N + D s > sqrt((N - L)^2 + D^2 (s - s_L)^2) for the net win N with its lower limit L;
4. the order decided few pairs: the upper limit of their share of the pairs with a preference is below 1/2, or of all
   pairs below 0.2.

Where 1, 2 or 4 fails there is no verdict; where only 3 fails, no "non-inferior". (3) adds two independent errors
in quadrature (Zou and Donner 2008, Statistics in Medicine 27:1693-1702): N + D s is what is left of the margin on
the judge's own scale. s and s_L are a net win rate like N and L, by the same interval: the wider of t and Tango
where every control is on an article of its own. tests/properties/test_sensitivity.py simulates level and power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm_eval_fr.stats.differences import paired_difference
from lm_eval_fr.stats.distributions import t_point
from lm_eval_fr.stats.estimates import Interval
from lm_eval_fr.stats.net_win import net_win_rate
from lm_eval_fr.stats.proportions import binomial_share

GROSS_MISSES = 2  # of 28: a judge that is right on 97 % of them passes in 95 %
LEAST_NET_WIN = 1 / 3  # of the graded controls, by its lower limit
MOST_OF_DECIDED, MOST_OF_ALL = 0.5, 0.2  # pairs that the order may decide, by the upper limit


@dataclass(frozen=True, slots=True)
class Control:
    """One judged control pair.

    outcome: +1 if both orders prefer the good answer, -1 if both prefer the damaged one, 0 otherwise; None without a
    verdict. right: whether the reply prefers the good answer, where it stands first and where it stands second; None
    without a reply. unjudged: whether a reply that the outcome needs was never obtained, which says nothing about the
    judge.
    """

    kind: str
    grade: str  # "gross", or how large the damage is
    outcome: int | None
    right: tuple[bool | None, bool | None]
    order_decided: bool
    good_longer: bool
    cluster: str | None = None
    unjudged: bool = False

    @property
    def gross(self) -> bool:
        return self.grade == "gross"


@dataclass(frozen=True, slots=True)
class ControlsAsked:
    """The controls, as judge.json keeps them. shortage: why there are fewer than requested."""

    wanted: int
    pairs: tuple[Control, ...]
    shortage: str | None = None

    def seen(self, level: float = 0.95) -> AssaySensitivity:
        return sensitivity(self.pairs, planned=self.wanted, level=level)


@dataclass(frozen=True, slots=True)
class ControlCounts:
    """The results of one kind of control. `other`: ties and single ties; `unanswered`: replies without a verdict;
    `unjudged`: no reply, which `n` leaves out."""

    kind: str
    grade: str
    n: int
    won: int
    lost: int
    order_decided: int
    other: int
    unanswered: int
    unjudged: int = 0


@dataclass(frozen=True, slots=True)
class AssaySensitivity:
    """What the controls show. `net_win` is s, from -1 to 1, and `ci_low` is s_L; both are None, and `reason` says why,
    without graded controls and while some are `unjudged`, which are no part of `n`.

    questions: on gross controls that were answered, `questions_left` those that were not; `missed` is None without any.
    longer_effect: what the longer answer gains by its length, in net win: half of the difference between the controls
    whose good answer is the longer one and those whose good answer is the shorter one, with Welch's interval.
    """

    planned: int  # graded controls that were requested
    n: int
    won: int
    lost: int
    order_decided: int
    net_win: float | None
    ci_low: float | None
    level: float
    method: str
    questions: int
    missed: int | None
    grades: tuple[ControlCounts, ...]
    longer_effect: float | None
    reason: str | None = None
    longer_ci: tuple[float, float] | None = None
    questions_left: int = 0
    unjudged: int = 0

    @property
    def sees_gross(self) -> bool | None:
        """Condition 1; None while questions that may decide it have no answer."""
        missed = self.missed or 0
        if missed <= GROSS_MISSES < missed + self.questions_left:
            return None
        return self.questions > 0 and missed <= GROSS_MISSES

    @property
    def sees_graded(self) -> bool | None:
        """Condition 2; None while graded controls are unjudged."""
        if self.unjudged:
            return None
        return self.ci_low is not None and self.ci_low > LEAST_NET_WIN


@dataclass(frozen=True, slots=True)
class OrderDecided:
    """Pairs that the order decided. Each upper limit is one-sided at (1 - level) / 2; None where nothing was judged."""

    count: int
    decided: int  # pairs with a preference: order-decided, won and lost
    pairs: int
    of_decided_high: float | None
    of_all_high: float | None
    level: float
    method: str

    @property
    def holds(self) -> bool:
        """Condition 4."""
        return (self.of_decided_high is not None and self.of_decided_high < MOST_OF_DECIDED) or (
            self.of_all_high is not None and self.of_all_high < MOST_OF_ALL
        )


@dataclass(frozen=True, slots=True)
class CorrectedMargin:
    """Condition 3, and `margin`, the largest loss that L may reach for it to hold: the user's margin on the judge's own
    scale, minus an allowance for the error of s. None if N + D s leaves nothing to show."""

    asked: float
    left: float  # N + D s
    needed: float  # sqrt((N - L)^2 + D^2 (s - s_L)^2)
    margin: float | None

    @property
    def holds(self) -> bool:
        return self.left > self.needed


def sensitivity(controls: Sequence[Control], *, planned: int, level: float = 0.95) -> AssaySensitivity:
    """A reply without a verdict counts as preferring neither answer; missing replies do not count.

    While graded controls are unjudged nothing is estimated: the failed ones may be the hard ones.
    """
    gross = [control.right for control in controls if control.gross]
    answers = [right for both in gross for right in both if right is not None]
    graded = [control for control in controls if not control.gross]
    judged = [control for control in graded if not control.unjudged]
    unjudged = len(graded) - len(judged)
    preference = net_win_rate([c.outcome or 0 for c in judged], clusters=_labels(judged), level=level)
    longer = _longer_effect([] if unjudged else judged, level)
    interval = preference.net_win.interval
    reason = None if graded else "no graded control was asked"
    if unjudged:
        reason = f"{unjudged} of {len(graded)} graded controls are not judged"
    return AssaySensitivity(
        planned=planned,
        n=len(judged),
        won=preference.wins,
        lost=preference.losses,
        order_decided=sum(control.order_decided for control in judged),
        net_win=None if reason else interval.estimate,
        ci_low=None if reason else interval.low,
        level=level,
        method=interval.method,
        questions=len(answers),
        missed=answers.count(False) if answers else None,
        grades=_grades(controls),
        longer_effect=longer.estimate,
        reason=reason,
        longer_ci=None if longer.low is None or longer.high is None else (longer.low, longer.high),
        questions_left=2 * len(gross) - len(answers),
        unjudged=unjudged,
    )


def order_decided(
    decided_by_order: npt.ArrayLike,
    preferred: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> OrderDecided:
    """decided_by_order, preferred: a yes or no for each judged pair; preferred ones were won or lost.

    Clopper-Pearson, and with clusters the interval of a bounded mean.
    """
    flips, wins = np.asarray(decided_by_order, dtype=bool), np.asarray(preferred, dtype=bool)
    labels = None if clusters is None else np.asarray(clusters)
    decided = flips | wins
    of_decided = _upper(flips[decided], None if labels is None else labels[decided], level)
    of_all = _upper(flips, labels, level)
    return OrderDecided(
        count=int(flips.sum()),
        decided=int(decided.sum()),
        pairs=int(flips.size),
        of_decided_high=of_decided[0],
        of_all_high=of_all[0],
        level=level,
        method=of_all[1],
    )


def corrected_margin(net_win: Interval, margin: float, seen: AssaySensitivity) -> CorrectedMargin | None:
    """None where the net win or the sensitivity is unknown."""
    if net_win.estimate is None or net_win.low is None or seen.net_win is None or seen.ci_low is None:
        return None
    left = net_win.estimate + margin * seen.net_win
    blur = margin * (seen.net_win - seen.ci_low)
    needed = math.hypot(net_win.estimate - net_win.low, blur)
    reachable = left > 0 and left > blur
    effective = math.sqrt(left * left - blur * blur) - net_win.estimate if reachable else None
    return CorrectedMargin(margin, left, needed, effective)


def less_length(net_win: float, seen: AssaySensitivity, longer: int, shorter: int, pairs: int) -> float | None:
    """The net win minus what the candidate gains by length, its answer being the longer one in `longer` of the pairs.

    None unless the controls show that the judge follows length: the interval of that effect excludes 0.
    """
    if seen.longer_effect is None or seen.longer_ci is None or not pairs:
        return None
    if seen.longer_ci[0] <= 0 <= seen.longer_ci[1]:
        return None
    return max(-1.0, min(1.0, net_win - seen.longer_effect * (longer - shorter) / pairs))


def less_order(net_win: float, order: OrderDecided) -> float | None:
    """The net win of a judge whose orders agreed always: N / sqrt(2 a - 1), for a share a of agreement above one half.

    A judge that sees a difference with probability s, and else answers by chance, agrees with itself in (1 + s^2) / 2
    of the pairs, and its net win is s times the readers'. None if it does not agree with itself more often than not.
    """
    seen = 1 - 2 * order.count / order.decided if order.decided else 0.0
    return max(-1.0, min(1.0, net_win / math.sqrt(seen))) if seen > 0 else None


def _labels(controls: Sequence[Control]) -> list[str] | None:
    """A control without an article is one of its own."""
    if all(control.cluster is None for control in controls):
        return None
    return [control.cluster or f"control {number}" for number, control in enumerate(controls)]


def _grades(controls: Sequence[Control]) -> tuple[ControlCounts, ...]:
    found = []
    for grade, kind in dict.fromkeys((control.grade, control.kind) for control in controls):
        alike = [control for control in controls if (control.grade, control.kind) == (grade, kind)]
        of_kind = [control for control in alike if not control.unjudged]
        won, lost = (sum(control.outcome == wanted for control in of_kind) for wanted in (1, -1))
        by_order = sum(control.order_decided for control in of_kind)
        unanswered = sum(control.outcome is None for control in of_kind)
        other = len(of_kind) - won - lost - by_order - unanswered
        unjudged = len(alike) - len(of_kind)
        found.append(ControlCounts(kind, grade, len(of_kind), won, lost, by_order, other, unanswered, unjudged))
    return tuple(found)


def _longer_effect(graded: Sequence[Control], level: float) -> Interval:
    sides = [
        np.array([control.outcome or 0 for control in graded if control.good_longer is longer], dtype=float)
        for longer in (True, False)
    ]
    n = [side.size for side in sides]
    if min(n) < 2:
        reason = "fewer than two controls whose good answer is longer, or whose good answer is shorter"
        return Interval(None, None, None, level, "Welch", sum(n), reason=reason)
    effect = float(sides[0].mean() - sides[1].mean()) / 2
    parts = [side.var(ddof=1) / side.size for side in sides]
    if not any(parts):
        return Interval(effect, effect, effect, level, "Welch", sum(n))
    df = sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, n, strict=True))
    reach = t_point((1 - level) / 2, df) * math.sqrt(sum(parts)) / 2
    return Interval(effect, effect - reach, effect + reach, level, "Welch", sum(n))


def _upper(
    yes: npt.NDArray[np.bool_], clusters: npt.NDArray[np.generic] | None, level: float
) -> tuple[float | None, str]:
    if clusters is None or not yes.size or len(set(clusters.tolist())) == yes.size:
        share = binomial_share(int(yes.sum()), int(yes.size), level)
        return share.high, share.method
    interval = paired_difference(yes, ~yes, clusters=clusters, level=level, kind="bounded").interval
    return None if interval.high is None else (1 + interval.high) / 2, interval.method
