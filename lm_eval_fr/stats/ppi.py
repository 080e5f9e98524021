"""The people's net win rate, from a few labels and many verdicts of a judge: prediction-powered inference.

The judge's mean over all pairs is corrected by its distance from people where both judged, with the weight that
makes the interval shortest (PPI++; Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453, after arXiv 2301.09633). The
estimate is the people's own however good the judge is; a judge that agrees with them makes it more precise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, check_level, cluster_codes, vector
from lm_eval_fr.stats.distributions import t_point
from lm_eval_fr.stats.estimates import Interval

METHOD = "PPI++, t"


@dataclass(frozen=True, slots=True)
class PeopleNetWin:
    """net_win: by PPI++. alone: from the labels only. weight: of the judge, 0 to 1. correlation: of the judge with
    people on the labelled pairs. worth: how many labels alone would give the same interval; None if unknown."""

    net_win: Interval
    alone: Interval
    labelled: int
    others: int
    weight: float | None
    correlation: float | None
    worth: int | None


def people_net_win(
    people: npt.ArrayLike,
    judge: npt.ArrayLike,
    judge_elsewhere: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> PeopleNetWin:
    """people, judge: +1, 0 or -1 on the labelled pairs, which are a random part of all. judge_elsewhere: on the others.

    clusters: a label per pair, the labelled ones first; the errors of pairs of one cluster are then added up (CR1).
    """
    labels, seen, rest = vector(people, "people"), vector(judge, "judge"), vector(judge_elsewhere, "judge_elsewhere")
    check_level(level)
    if labels.size != seen.size:
        raise UsageError(f"{labels.size} labels and {seen.size} verdicts on the same pairs")
    codes = cluster_codes(clusters, labels.size + rest.size)
    if labels.size < 2:
        nothing = Interval(None, None, None, level, METHOD, labels.size, reason="fewer than two labelled pairs")
        return PeopleNetWin(nothing, nothing, labels.size, rest.size, None, None, None)
    weight, correlation = _weight(labels, seen, rest)
    alone = _estimate(labels, seen, rest, 0.0, codes, level)
    both = _estimate(labels, seen, rest, weight, codes, level)
    return PeopleNetWin(both, alone, labels.size, rest.size, weight, correlation, _worth(both, alone, labels.size))


def _weight(labels: Array, seen: Array, rest: Array) -> tuple[float, float | None]:
    """cov(people, judge) / ((1 + n / N) var(judge)), between 0 and 1; 0 if the judge always says the same."""
    spread = float(np.var(np.concatenate([seen, rest]), ddof=1))
    if not rest.size or spread == 0 or seen.std() == 0:
        return 0.0, None
    covariance = float(np.cov(labels, seen)[0, 1])
    correlation = float(np.corrcoef(labels, seen)[0, 1]) if labels.std() else None
    return min(1.0, max(0.0, covariance / ((1 + labels.size / rest.size) * spread))), correlation


def _estimate(
    labels: Array, seen: Array, rest: Array, weight: float, codes: npt.NDArray[np.int64] | None, level: float
) -> Interval:
    corrected = labels - weight * seen
    estimate = float(corrected.mean() + (weight * rest.mean() if rest.size else 0.0))
    influence = (corrected - corrected.mean()) / labels.size
    if rest.size:
        influence = np.concatenate([influence, weight * (rest - rest.mean()) / rest.size])
    units, labelled_units = labels.size + rest.size, labels.size
    if codes is not None:
        labelled_units = len(np.unique(codes[: labels.size]))
        influence = np.bincount(codes[: influence.size], weights=influence)
        units = influence.size
    if labelled_units < 2:
        reason = "the labelled pairs are all in one cluster"
        return Interval(estimate, None, None, level, METHOD, labels.size, labelled_units, reason=reason)
    error = float(np.sqrt(units / (units - 1) * (influence @ influence)))
    reach = t_point((1 - level) / 2, labelled_units - 1) * error
    low, high = max(-1.0, estimate - reach), min(1.0, estimate + reach)
    clusters = None if codes is None else labelled_units
    return Interval(max(-1.0, min(1.0, estimate)), low, high, level, METHOD, labels.size, clusters)


def _worth(both: Interval, alone: Interval, labelled: int) -> int | None:
    if both.low is None or both.high is None or alone.low is None or alone.high is None or both.high <= both.low:
        return None
    return round(labelled * ((alone.high - alone.low) / (both.high - both.low)) ** 2)
