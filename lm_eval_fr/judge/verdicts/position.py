"""Whether position, length or chance decided, rather than the answers.

Only pairs judged in both orders can tell. A sound judge picks the first answer half of the time, because exchanging the
answers exchanges its verdict; every flip is a pair that the position decided, or that the judge could not tell apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import combinations, zip_longest
from statistics import fmean

import numpy as np

from lm_eval_fr.judge.verdicts.outcome import PairVerdict
from lm_eval_fr.stats import Proportion, binomial_share, paired_difference
from lm_eval_fr.stats.judging import Length, LengthBin, Position, PositionReport, Repeats

LENGTH_RATIOS = (0.0, 2 / 3, 0.9, 1.1, 1.5)  # candidate / reference; the last bin is open
BOTH = ("win", "loss", "tie", "flip", "split")


def position_report(verdicts: Iterable[PairVerdict], level: float = 0.95) -> PositionReport:
    judged = list(verdicts)
    both = [v for v in judged if v.outcome in BOTH and v.candidate_first is not None and v.reference_first is not None]
    position = _position(both, level) if both else None
    return PositionReport(position, _length(judged, level), _repeats(judged, both, level), _warnings(position), level)


def _position(both: Sequence[PairVerdict], level: float) -> Position:
    flips = [v for v in both if v.outcome == "flip"]
    to_first = sum(v.candidate_first == "A" for v in flips)
    n, split = len(both), sum(v.outcome == "split" for v in both)
    return Position(
        both_orders=n,
        first_answer=_first_answer(both, level),
        flip=binomial_share(len(flips), n, level),
        split=binomial_share(split, n, level),
        consistent=binomial_share(n - split - len(flips), n, level),
        flips_to_first=binomial_share(to_first, len(flips), level),
    )


def _first_answer(both: Sequence[PairVerdict], level: float) -> Proportion:
    """The two calls of a pair are not two observations: the interval is over pairs, whose shares are 0, 1/2 or 1."""
    decided = [v for v in both if v.outcome in ("win", "loss", "flip")]
    picks = [(v.candidate_first == "A") + (v.reference_first == "A") for v in decided]
    to_first, to_second = picks.count(2), picks.count(0)
    p_value = binomial_share(to_first, to_first + to_second, level).p_value
    shares = np.asarray(picks, dtype=float) / 2
    return _mean_share(shares, sum(picks), 2 * len(picks), level, p_value)


def _length(judged: Sequence[PairVerdict], level: float) -> Length | None:
    measured = [
        (v, v.candidate_chars, v.reference_chars)
        for v in judged
        if v.score is not None and v.candidate_chars is not None and v.reference_chars is not None
    ]
    if not measured:
        return None
    candidate = np.array([c for _, c, _ in measured], dtype=float)
    reference = np.array([r for _, _, r in measured], dtype=float)
    unequal = [(v.score, c > r) for v, c, r in measured if c != r and v.score in (1, -1)]
    longer = sum((score == 1) == candidate_longer for score, candidate_longer in unequal)
    # An empty reference makes any candidate infinitely longer; two empty answers have equal length.
    ratios = [c / r if r else (1.0 if c == r else float("inf")) for _, c, r in measured]
    place = [bisect_right(LENGTH_RATIOS, ratio) - 1 for ratio in ratios]
    bins = []
    for number, (low, high) in enumerate(zip_longest(LENGTH_RATIOS, LENGTH_RATIOS[1:])):
        scores = [v.score for (v, _, _), found in zip(measured, place, strict=True) if found == number]
        wins, losses = scores.count(1), scores.count(-1)
        share = binomial_share(wins, wins + losses, level)
        bins.append(LengthBin(low, high, len(scores), wins, len(scores) - wins - losses, losses, share))
    return Length(
        candidate_mean=fmean(candidate),
        reference_mean=fmean(reference),
        difference=paired_difference(candidate, reference, level=level, kind="unbounded").interval,
        longer_wins=binomial_share(longer, len(unequal), level),
        bins=tuple(bins),
    )


def _repeats(judged: Sequence[PairVerdict], both: Sequence[PairVerdict], level: float) -> Repeats | None:
    asked = [[j for j in judgements if j in ("A", "B", "tie")] for v in judged for judgements in v.repeats.values()]
    asked = [judgements for judgements in asked if len(judgements) > 1]
    if not asked:
        return None
    changes = [[first != second for first, second in combinations(judgements, 2)] for judgements in asked]
    total, compared = sum(sum(c) for c in changes), sum(len(c) for c in changes)
    if all(len(c) == 1 for c in changes):
        changed = binomial_share(total, compared, level)
    else:
        # A question asked again is still one question: the interval is over the questions' own rates.
        changed = _mean_share(np.array([fmean(c) for c in changes]), total, compared, level, None)
    order_changed = binomial_share(sum(v.outcome in ("flip", "split") for v in both), len(both), level)
    known = changed.share is not None and order_changed.share is not None
    bias = max(0.0, (order_changed.share or 0.0) - (changed.share or 0.0)) if known else None
    return Repeats(len(asked), sum(len(judgements) for judgements in asked), changed, order_changed, bias)


def _mean_share(shares: np.ndarray, count: int, of: int, level: float, p_value: float | None) -> Proportion:
    """The mean of shares between 0 and 1, with the interval of a bounded mean: 2 share - 1 fills [-1, 1]."""
    if not len(shares):
        return binomial_share(0, 0, level)
    interval = paired_difference(shares, 1 - shares, level=level, kind="bounded").interval
    low = None if interval.low is None else (1 + interval.low) / 2
    high = None if interval.high is None else (1 + interval.high) / 2
    share = float(shares.mean())
    return Proportion(count, of, share, low, high, p_value, level, interval.method, interval.reason)


def _warnings(position: Position | None) -> tuple[str, ...]:
    if position is None:
        return ()
    lean, flip = position.flips_to_first, position.flip
    found = []
    if lean.p_value is not None and lean.p_value < 0.05 and lean.share is not None:
        place = "first" if lean.share > 0.5 else "second"
        found.append(
            f"the judge prefers the {place} position: of {lean.of} flips {max(lean.count, lean.of - lean.count)} went "
            f"there (p = {lean.p_value:.2g}); they count as ties and hide differences, which is dangerous "
            "where the claim is that there are none"
        )
    if flip.low is not None and flip.low > 0.5:
        found.append(
            f"the order decided more than half of the pairs ({flip.count} of {flip.of}): this judge cannot tell "
            "these answers apart; choose a stronger one"
        )
    return tuple(found)
