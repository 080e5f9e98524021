"""Planning: how many documents a margin needs, what margin N documents can establish, and with which power.

All for a one-sided test at (1 - level) / 2, as in the verdict; detecting a difference of the same size, two-sided at 1
- level, takes as many documents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import check_level, check_margin
from lm_eval_fr.stats.distributions import noncentral_t_tail, normal_point, normal_tail, t_point
from lm_eval_fr.stats.estimates import Guarantee, SamplePlan, Spread
from lm_eval_fr.stats.spreads import checked_spread
from lm_eval_fr.stats.typical import of_spread

MOST = 100_000_000  # documents; beyond, the answer is "out of reach"


def documents_for_margin(
    margin: float,
    spread: Spread,
    *,
    difference: float = 0.0,
    level: float = 0.95,
    power: float = 0.8,
    claims: int = 1,
    guarantee: Guarantee = "default",
) -> SamplePlan:
    """Documents with which a true `difference` is shown to be no loss of `margin`, with probability `power`.

    claims: how many claims like this one must all be shown, with that joint power.
    """
    check_margin(margin, largest=1.0)
    alpha, each = tested_at(level, power, claims)
    sample = of_spread(checked_spread(spread), guarantee)
    if difference <= -margin:
        return SamplePlan(
            None, margin, None, None, "a true loss of the margin or more can never be shown to be smaller"
        )
    documents = smallest(lambda n: attained(n, spread, difference, -margin, alpha) >= each)
    guarded = None
    if documents is not None:
        least = 2 * spread.cluster_size
        guarded = smallest(lambda n: n >= least and sample.shows(difference, -margin, n, alpha, each), documents)
    return SamplePlan(documents, margin, guarded, None, None if guarded else f"more than {MOST:,} documents")


def margin_for_documents(
    documents: int,
    spread: Spread,
    *,
    difference: float = 0.0,
    level: float = 0.95,
    power: float = 0.8,
    claims: int = 1,
    guarantee: Guarantee = "default",
) -> SamplePlan:
    """The smallest margin that this many documents establish with probability `power`, for each of this many claims."""
    alpha, each = tested_at(level, power, claims)
    if documents < 2:
        raise UsageError(f"{documents} documents establish nothing", remedy="give two or more")
    sample = of_spread(checked_spread(spread), guarantee)
    margin = smallest_margin(lambda m: attained(documents, spread, difference, -m, alpha) >= each, -difference)
    guarded = None
    if margin is not None and documents >= 2 * spread.cluster_size:
        guarded = smallest_margin(lambda m: sample.shows(difference, -m, documents, alpha, each), margin)
    reason = None if guarded is not None else "so few documents establish no margin below the whole range"
    return SamplePlan(documents, margin, documents, guarded, reason)


def verdict_power(
    documents: int, margin: float, spread: Spread, *, level: float = 0.95, guarantee: Guarantee = "default"
) -> float:
    """The probability that so many documents give "non-inferior", by the verdict's own interval, if nothing is lost."""
    check_margin(margin, largest=1.0)
    if documents < 2 * checked_spread(spread).cluster_size:
        return 0.0
    return of_spread(spread, guarantee).power(0.0, -margin, documents, (1 - check_level(level)) / 2)


def tested_at(level: float, power: float, claims: int) -> tuple[float, float]:
    """Alpha, and the power that each of this many independent claims needs so that all are shown with `power`."""
    alpha = (1 - check_level(level)) / 2
    if not alpha < power < 1:
        raise UsageError(f"a power of {power} is not between {alpha:g} and 1", remedy="use 0.8, for example")
    if claims < 1:
        raise UsageError(f"{claims} claims cannot be planned", remedy="give one or more")
    return alpha, float(power ** (1 / claims))


def repeated(spread: Spread, repeats: int, unstable: float) -> Spread:
    """The spread of mean scores over `repeats` answers of each arm to each document.

    unstable: the part of a single answer's variance that is within documents; further answers average it out.
    """
    if repeats < 1 or not 0 <= unstable <= 1:
        raise UsageError(
            f"{repeats} answers per document with {unstable:g} of the variance within documents are impossible",
            remedy="give one answer or more, and a share of the variance from 0 to 1",
        )
    if repeats == 1:
        return spread
    sd = spread.sd * math.sqrt(1 - unstable + unstable / repeats)
    return replace(spread, kind="score", sd=sd, label=f"{spread.label}, {repeats} answers per document")


def attained(n: float, spread: Spread, difference: float, threshold: float, alpha: float) -> float:
    """Power to show "mean > threshold" with n documents, by the textbook method of the kind."""
    effective, room = n / spread.design_effect, difference - threshold
    if effective < 2:
        return 0.0
    if spread.kind == "exact_match":
        sd = math.sqrt(max(spread.sd**2 - difference**2, 0.0))
        fewest = normal_point(alpha) ** 2 * (1 + threshold) / -threshold if threshold < 0 else 0.0
        if effective < fewest:  # Tango's limit without a single flip
            return 0.0
        critical = normal_point(alpha)
    else:
        sd, critical = spread.sd, t_point(alpha, effective - 1)
    if sd == 0:
        return 1.0 if room > 0 else 0.0
    shift = room * math.sqrt(effective) / sd
    if spread.kind == "score":
        return noncentral_t_tail(critical, effective - 1, shift) if shift < 30 else 1.0
    return normal_tail(critical - shift)


def smallest(enough: Callable[[int], bool], start: int = 2) -> int | None:
    """The smallest number of documents, from `start`, that is enough; power grows with documents."""
    low, high, step = start - 1, start, max(start // 8, 1)
    while not enough(high):
        low, high, step = high, high + step, step * 2
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_margin(enough: Callable[[float], bool], start: float) -> float | None:
    """The smallest margin, from `start`, that can be shown, to a hundredth of a point."""
    low, high = max(start, 0.0) + 1e-9, 1 - 1e-9
    if not enough(high):
        return None
    if enough(low):
        return low
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
