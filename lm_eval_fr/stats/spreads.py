"""What planning must know about a task: the spread of its paired differences, assumed or from a pilot."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, cluster_codes, paired, units_of, unusable, vector
from lm_eval_fr.stats.differences import checked_kind, intraclass_correlation
from lm_eval_fr.stats.estimates import Spread
from lm_eval_fr.stats.guard import moments


def score_spread(
    sd: float, *, cluster_size: float = 1.0, weighted_size: float | None = None, icc: float = 0.0
) -> Spread:
    """F1-like scores: the standard deviation of the paired differences (0.15 to 0.25 is usual)."""
    if sd > 1:
        raise UsageError(
            f"a standard deviation of {sd:g} is more than scores between 0 and 1 can have",
            remedy=f"it is a share, not points: {sd:g} points are {sd / 100:g}",
        )
    return checked_spread(Spread("score", sd, f"SD {sd:g}", cluster_size, icc, weighted_size))


def exact_match_spread(
    flip_rate: float, *, cluster_size: float = 1.0, weighted_size: float | None = None, icc: float = 0.0
) -> Spread:
    """Right or wrong: the share of documents on which just one arm is right."""
    if not 0 <= flip_rate <= 1:
        raise UsageError(f"a flip rate of {flip_rate} is not a share", remedy="0.05 is five documents in a hundred")
    label = f"{100 * flip_rate:g} % flips"
    return checked_spread(Spread("exact_match", math.sqrt(flip_rate), label, cluster_size, icc, weighted_size))


def judge_spread(
    tie_rate: float, *, cluster_size: float = 1.0, weighted_size: float | None = None, icc: float = 0.0
) -> Spread:
    """The judge's +1 / 0 / -1: the share of pairs that are not decided (order-decided ones are ties)."""
    if not 0 <= tie_rate <= 1:
        raise UsageError(f"a tie rate of {tie_rate} is not a share", remedy="0.4 is four ties in ten pairs")
    label = f"{100 * tie_rate:g} % ties"
    return checked_spread(Spread("judge", math.sqrt(1 - tie_rate), label, cluster_size, icc, weighted_size))


def pilot_spread(
    candidate: npt.ArrayLike, reference: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None
) -> Spread:
    """What a pilot run of both arms shows: SD or flip rate, cluster sizes, ICC (0 where it came out negative)."""
    first, second = paired(candidate, reference)
    reason = unusable(first, second)
    if reason or first.size < 2:
        raise UsageError(f"the pilot shows nothing: {reason or 'one document'}", remedy="pair at least 30 documents")
    return spread_of(first - second, checked_kind(first, second, None) == "binary", clusters)


def judge_pilot_spread(outcomes: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None) -> Spread:
    """What a judge's pilot shows: +1 / 0 / -1 per pair."""
    scores = vector(outcomes, "outcomes")
    reason = unusable(scores)
    if reason or scores.size < 2:
        raise UsageError(f"the pilot shows nothing: {reason or 'one pair'}", remedy="judge at least 30 pairs")
    spread = spread_of(scores, True, clusters)
    return replace(spread, kind="judge", label=f"{100 * (1 - spread.sd**2):.3g} % ties in {scores.size} pairs")


def spread_of(differences: Array, counted: bool, clusters: npt.ArrayLike | None) -> Spread:
    n = int(differences.size)
    codes = cluster_codes(clusters, n)
    mean, weighted, icc = 1.0, None, 0.0
    if codes is not None:
        sizes = units_of(differences, codes).sizes
        mean, weighted = float(sizes.mean()), moments(sizes)[0]
        icc = max(0.0, intraclass_correlation(differences, codes) or 0.0)
    if counted:
        rate = float((differences != 0).mean())
        return Spread("exact_match", math.sqrt(rate), f"{100 * rate:.3g} % flips in {n} documents", mean, icc, weighted)
    sd = float(differences.std(ddof=1))
    return Spread("score", sd, f"SD {sd:.3g} in {n} documents", mean, icc, weighted)


def checked_spread(spread: Spread) -> Spread:
    if not (math.isfinite(spread.sd) and spread.sd >= 0):
        raise UsageError(f"a standard deviation of {spread.sd} is impossible", remedy="0.25 is 25 points")
    if spread.cluster_size < 1 or spread.weighted < spread.cluster_size or not 0 <= spread.icc <= 1:
        raise UsageError(
            f"{spread.cluster_size:g} documents per cluster with an ICC of {spread.icc:g} are impossible",
            remedy="a cluster has at least one document; the ICC is between 0 and 1",
        )
    return spread
