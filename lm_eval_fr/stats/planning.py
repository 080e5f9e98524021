"""Planning: how many documents a margin needs, and what margin N documents can establish.

All of it for a one-sided test at (1 - level) / 2, the one that the verdict uses; detecting a difference of the
same size, two-sided at 1 - level, takes as many documents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from ..errors import UsageError
from .arrays import check_level, check_margin, cluster_codes, paired, unusable, vector
from .bounds import GUARD_ICC, dirichlet_tail
from .differences import checked_kind, intraclass_correlation
from .estimates import Array, Plan, Spread
from .proportions import tango_score

MOST = 100_000_000  # documents; beyond, the answer is "out of reach"
FEW_DISCORDANT = 100  # below: the normal approximation of the textbook's number is not to be trusted
NORMAL = stats.norm.ppf((np.arange(64) + 0.5) / 64)
NORMAL /= NORMAL.std()


def score_spread(sd: float, *, cluster_size: float = 1.0, icc: float = 0.0) -> Spread:
    """F1-like scores: the standard deviation of the paired differences (0.15 to 0.25 is usual)."""
    return checked_spread(Spread("score", sd, f"SD {sd:g}", cluster_size, icc))


def exact_match_spread(flip_rate: float, *, cluster_size: float = 1.0, icc: float = 0.0) -> Spread:
    """Right or wrong: the share of documents on which just one arm is right."""
    if not 0 <= flip_rate <= 1:
        raise UsageError(f"a flip rate of {flip_rate} is not a share", remedy="0.05 is five documents in a hundred")
    return checked_spread(
        Spread("exact_match", math.sqrt(flip_rate), f"{100 * flip_rate:g} % flips", cluster_size, icc)
    )


def judge_spread(tie_rate: float, *, cluster_size: float = 1.0, icc: float = 0.0) -> Spread:
    """The judge's +1 / 0 / -1: the share of pairs that are not decided (flips and splits are ties)."""
    if not 0 <= tie_rate <= 1:
        raise UsageError(f"a tie rate of {tie_rate} is not a share", remedy="0.4 is four ties in ten pairs")
    return checked_spread(Spread("judge", math.sqrt(1 - tie_rate), f"{100 * tie_rate:g} % ties", cluster_size, icc))


def pilot_spread(
    candidate: npt.ArrayLike, reference: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None
) -> Spread:
    """What a pilot run of both arms says: SD or flip rate, mean cluster size, ICC (0 where it came out negative)."""
    first, second = paired(candidate, reference)
    reason = unusable(first, second)
    if reason or first.size < 2:
        raise UsageError(f"the pilot says nothing: {reason or 'one document'}", remedy="pair at least 30 documents")
    return spread_of(first - second, checked_kind(first, second, None) == "binary", clusters)


def judge_pilot_spread(outcomes: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None) -> Spread:
    """What a judge's pilot says: +1 / 0 / -1 per pair."""
    scores = vector(outcomes, "outcomes")
    reason = unusable(scores)
    if reason or scores.size < 2:
        raise UsageError(f"the pilot says nothing: {reason or 'one pair'}", remedy="judge at least 30 pairs")
    spread = spread_of(scores, True, clusters)
    return replace(spread, kind="judge", label=f"{100 * (1 - spread.sd**2):.3g} % ties in {scores.size} pairs")


def spread_of(differences: Array, counted: bool, clusters: npt.ArrayLike | None) -> Spread:
    n = int(differences.size)
    codes = cluster_codes(clusters, n)
    size = 1.0 if codes is None else n / (int(codes.max()) + 1)
    icc = 0.0 if codes is None else max(0.0, intraclass_correlation(differences, codes) or 0.0)
    if counted:
        rate = float((differences != 0).mean())
        return Spread("exact_match", math.sqrt(rate), f"{100 * rate:.3g} % flips in {n} documents", size, icc)
    sd = float(differences.std(ddof=1))
    return Spread("score", sd, f"SD {sd:.3g} in {n} documents", size, icc)


def checked_spread(spread: Spread) -> Spread:
    if not (math.isfinite(spread.sd) and spread.sd >= 0):
        raise UsageError(f"a standard deviation of {spread.sd} cannot be")
    if spread.cluster_size < 1 or not 0 <= spread.icc <= 1:
        raise UsageError(
            f"{spread.cluster_size:g} documents a cluster with an ICC of {spread.icc:g} cannot be",
            remedy="a cluster holds at least one document; the ICC lies between 0 and 1",
        )
    return spread


def documents_for_margin(
    margin: float, spread: Spread, *, difference: float = 0.0, level: float = 0.95, power: float = 0.8
) -> Plan:
    """Documents with which a true `difference` is shown to be no loss of `margin`, with probability `power`."""
    check_margin(margin, largest=1.0)
    alpha = check_power(level, power)
    plan = Plan(
        None, margin, None, None, None, checked_spread(spread), difference, level, power, planning_method(spread)
    )
    if difference <= -margin:
        return replace(plan, reason="a true loss of the margin or more is never shown to be smaller")
    documents = smallest(lambda n: attained(n, spread, difference, -margin, alpha) >= power)
    guarded = guarded_documents(documents, spread, difference, -margin, alpha, power)
    reason = None if documents and guarded else f"more than {MOST:,} documents"
    return replace(
        plan, documents=documents, documents_guarded=guarded, clusters=clusters_in(guarded, spread), reason=reason
    )


def guarded_documents(
    documents: int | None, spread: Spread, difference: float, threshold: float, alpha: float, power: float
) -> int | None:
    """No fewer than `documents`, the textbook's number."""
    if documents is None:
        return None
    return smallest(lambda n: shown_by_verdict(n, spread, difference, threshold, alpha, power), documents)


def margin_for_documents(
    documents: int, spread: Spread, *, difference: float = 0.0, level: float = 0.95, power: float = 0.8
) -> Plan:
    """The smallest margin that so many documents establish with probability `power`."""
    alpha = check_power(level, power)
    if documents < 2:
        raise UsageError(f"{documents} documents establish nothing", remedy="give two or more")
    margin = smallest_margin(lambda m: attained(documents, spread, difference, -m, alpha) - power, -difference)
    guarded = None
    if margin is not None:
        guarded = smallest_margin(
            lambda m: 1.0 if shown_by_verdict(documents, spread, difference, -m, alpha, power) else -1.0, margin
        )
    reason = None if guarded is not None else "so few documents establish no margin below the whole range"
    return Plan(
        documents,
        margin,
        documents,
        guarded,
        clusters_in(documents, spread),
        checked_spread(spread),
        difference,
        level,
        power,
        planning_method(spread),
        reason,
    )


def planning_method(spread: Spread) -> str:
    return {"score": "noncentral t", "exact_match": "normal", "judge": "t quantile, normal outcome"}[spread.kind]


def clusters_in(documents: int | None, spread: Spread) -> int | None:
    return None if documents is None or spread.cluster_size <= 1 else math.ceil(documents / spread.cluster_size)


def check_power(level: float, power: float) -> float:
    alpha = (1 - check_level(level)) / 2
    if not alpha < power < 1:
        raise UsageError(f"a power of {power} is not between {alpha:g} and 1", remedy="0.8 is customary")
    return alpha


def attained(n: float, spread: Spread, difference: float, threshold: float, alpha: float) -> float:
    """Power to show "mean > threshold" with n documents, by the textbook method of the kind."""
    effective, room = n / spread.design_effect, difference - threshold
    if effective < 2:
        return 0.0
    if spread.kind == "exact_match":
        sd = math.sqrt(max(spread.sd**2 - difference**2, 0.0))
        fewest = float(stats.norm.isf(alpha)) ** 2 * (1 + threshold) / -threshold if threshold < 0 else 0.0
        if effective < fewest:  # Tango's limit without a single flip
            return 0.0
        critical = float(stats.norm.isf(alpha))
    else:
        sd, critical = spread.sd, float(stats.t.isf(alpha, effective - 1))
    if sd == 0:
        return 1.0 if room > 0 else 0.0
    shift = room * math.sqrt(effective) / sd
    if spread.kind == "score":
        return float(stats.nct.sf(critical, effective - 1, shift)) if shift < 30 else 1.0
    return float(stats.norm.sf(critical - shift))


def tango_power(n: int, spread: Spread, difference: float, threshold: float, alpha: float) -> float:
    """Exact power of Tango's score test, summed over all counts of lost and gained documents."""
    lose, gain = (spread.sd**2 - difference) / 2, (spread.sd**2 + difference) / 2
    if min(lose, gain) < 0:
        return 0.0
    most = [int(stats.binom.isf(1e-7, n, rate)) + 1 for rate in (lose, gain)]
    lost, gained = np.arange(most[0] + 1)[:, None], np.arange(most[1] + 1)[None, :]
    chance = stats.binom.pmf(lost, n, lose) * stats.binom.pmf(gained, np.maximum(n - lost, 0), gain / (1 - lose))
    return float(chance[tango_score(lost, gained, n, threshold) >= stats.norm.isf(alpha)].sum())


def shown_by_verdict(n: int, spread: Spread, difference: float, threshold: float, alpha: float, power: float) -> bool:
    """Whether the verdict's own interval shows "mean > threshold" with `power`, beyond the textbook's promise."""
    if spread.kind == "score" or spread.cluster_size > 1:
        return guarded_p(n, spread, difference, threshold, power) <= alpha
    few = n * spread.sd**2 < FEW_DISCORDANT
    return not few or tango_power(n, spread, difference, threshold, alpha) >= power


def guarded_p(n: float, spread: Spread, difference: float, threshold: float, power: float) -> float:
    """The p-value of "mean <= threshold" that a study of n documents stays below with probability `power`.

    It is that of the verdict's own method, on normal differences whose mean is the unlucky one of that probability.
    """
    size = spread.cluster_size
    count, guard = n / size, (1 + (size - 1) * max(spread.icc, GUARD_ICC)) / size  # in clusters
    if count < 2:
        return 1.0
    sd = spread.sd * math.sqrt(spread.design_effect / size)  # of cluster means
    typical = difference - float(stats.norm.ppf(power)) * sd / math.sqrt(count)
    z = np.append(typical + sd * NORMAL - threshold, -guard * (1 + threshold))
    copies = np.append(np.full(NORMAL.size, count / NORMAL.size), 1.0)
    mean = (count * typical - guard) / (count + guard)
    squares = count * (sd**2 + (typical - mean) ** 2) + (guard * (1 + mean)) ** 2
    error = math.sqrt((count + 1) / count * squares) / (count + guard)
    return max(float(dirichlet_tail(z, copies)), float(stats.t.sf((mean - threshold) / error, count)))


def smallest(enough: Callable[[int], bool], start: int = 2) -> int | None:
    """The smallest number of documents, from `start`, that is enough; power grows with documents."""
    low, high = start - 1, start
    while not enough(high):
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_margin(excess: Callable[[float], float], start: float) -> float | None:
    """The smallest margin, from `start`, with an excess of power."""
    low, high = max(start, 0.0) + 1e-9, 1 - 1e-9
    if excess(high) < 0:
        return None
    if excess(low) >= 0:
        return low
    return float(optimize.bisect(excess, low, high, xtol=1e-6))


def win_share_power(decided: int, share: float, *, level: float = 0.95) -> float:
    """Power of the exact two-sided binomial test among decided verdicts, for a true win share."""
    check_level(level)
    if decided < 1 or not 0 <= share <= 1:
        raise UsageError(f"{decided} decided verdicts with a win share of {share} cannot be")
    wins = np.arange(decided + 1)
    mass = stats.binom.pmf(wins, decided, 0.5)
    order = np.minimum(wins, decided - wins)
    tail = np.array([mass[order <= k].sum() for k in range(decided // 2 + 1)])
    rejected = tail[order] <= 1 - level
    return float(stats.binom.pmf(wins, decided, share)[rejected].sum())


TABLE_SPREADS = (
    score_spread(0.15),
    score_spread(0.25),
    exact_match_spread(0.03),
    exact_match_spread(0.05),
    exact_match_spread(0.10),
    judge_spread(0.6),
    judge_spread(0.4),
    judge_spread(0.2),
)


def planning_table(
    margins: Sequence[float] = (0.01, 0.02, 0.05, 0.10),
    spreads: Sequence[Spread] = TABLE_SPREADS,
    *,
    level: float = 0.95,
    power: float = 0.8,
) -> tuple[tuple[Plan, ...], ...]:
    """Documents for each margin: a row per spread, a column per margin."""
    return tuple(
        tuple(documents_for_margin(margin, spread, level=level, power=power) for margin in margins)
        for spread in spreads
    )


def margin_table(
    documents: Sequence[int] = (50, 100, 150, 300, 500, 1000, 2000),
    spreads: Sequence[Spread] = TABLE_SPREADS,
    *,
    level: float = 0.95,
    power: float = 0.8,
) -> tuple[tuple[Plan, ...], ...]:
    """Margins that each number of documents establishes: a row per spread, a column per number."""
    return tuple(
        tuple(margin_for_documents(n, spread, level=level, power=power) for n in documents) for spread in spreads
    )
