"""All tokens of all texts -> means with intervals by document, percentiles, the passages to look at, and where the arms
differ: by position in the text, by how sure the reference is, and at which token first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lm_eval_fr.analyses.fidelity.divergence import Positions, diverge
from lm_eval_fr.analyses.fidelity.fidelity_model import (
    Band,
    Distance,
    DocumentDistance,
    FirstDivergence,
    Likely,
    TokenMean,
    Worst,
)
from lm_eval_fr.analyses.fidelity.scored import Floats, Keys, Mask, Scored
from lm_eval_fr.stats import Interval, mean_interval, paired_difference, share_interval

DECILES = 10
ENTROPY_BANDS = 5
REACHED = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
WINDOW = 16  # tokens in a passage to look at
BEFORE = 12
TAKEN = -1e9  # windows do not overlap
SHOWN = 3  # of the most likely tokens


@dataclass(frozen=True, slots=True)
class Compared:
    """One text, both arms, at the tokens where every arm gave a number: their `places` among all `tokens`."""

    document: str
    cluster: str
    tokens: tuple[str, ...]
    places: Keys
    candidate: Scored
    reference: Scored
    positions: Positions

    @property
    def first_divergence(self) -> int | None:
        """The number of the first token, from 1, at which the arms' first choices differ."""
        apart = np.flatnonzero(~self.positions.agree)
        return int(self.places[apart[0]]) + 1 if apart.size else None


def compare_text(document: str, cluster: str, candidate: Scored, reference: Scored, scored: Mask) -> Compared:
    """Both arms at the same `scored` tokens, matched by number if both give one, otherwise by text."""
    places = np.flatnonzero(scored)
    one, other = candidate.at(places), reference.at(places)
    if one.kind != other.kind:
        one, other = one.by_text(), other.by_text()
    return Compared(document, cluster, reference.tokens, places, one, other, diverge(one, other))


def numbered(*replies: Scored) -> Mask:
    """The tokens at which every reply has a log-probability."""
    found: Mask = ~np.any([reply.not_a_number | reply.no_probability for reply in replies], axis=0)
    return found


def summarise(texts: Sequence[Compared], *, level: float) -> Distance:
    """At least one token in total."""
    divergence, reverse, covered, candidate, reference, agree = (
        joined(texts, name) for name in ("divergence", "reverse", "covered", "candidate", "reference", "agree")
    )
    clusters = clusters_of(texts)
    gap = reference - candidate
    return Distance(
        tokens=int(divergence.size),
        documents=len(texts),
        clusters=len({one.cluster for one in texts}),
        divergence=mean_of(divergence, clusters, level),
        reverse=mean_of(reverse, clusters, level),
        percentiles={name: float(np.percentile(divergence, at)) for name, at in PERCENTILES.items()},
        agreement=_agreement(agree, clusters, level),
        agreement_at_least=at_least(agree, clusters, level),
        log_ratio=_estimate(mean_interval(gap, clusters=clusters, level=level)),
        perplexity=_perplexity(candidate),
        reference_perplexity=_perplexity(reference),
        covered=float(covered.mean()),
        covered_low=float(np.percentile(covered, 1)),
    )


def excess(texts: Sequence[Compared], floor: Sequence[Compared], *, level: float) -> TokenMean:
    """How much farther the candidate is from the reference than the reference is from itself, token by token."""
    first, second = (joined(both, "divergence") for both in (texts, floor))
    difference = paired_difference(first, second, clusters=clusters_of(texts), level=level, kind="unbounded")
    return _estimate(difference.interval)


def by_position(texts: Sequence[Compared], *, level: float) -> tuple[Band, ...]:
    """By tenths of the compared text; a token that was left out keeps its position."""
    place = np.concatenate([one.places / len(one.tokens) for one in texts])
    codes = np.minimum((place * DECILES + 1e-9).astype(np.int64), DECILES - 1)
    return _bands(texts, codes, [(i / DECILES, (i + 1) / DECILES) for i in range(DECILES)], level)


def by_entropy(texts: Sequence[Compared], *, level: float) -> tuple[Band, ...]:
    """By fifths of the tokens, ordered by the reference's entropy (nats); equal ones stay together."""
    entropy = joined(texts, "entropy")
    edges = np.quantile(entropy, np.arange(1, ENTROPY_BANDS) / ENTROPY_BANDS)
    codes = np.searchsorted(edges, entropy, side="left")
    ends = [
        (float(entropy[codes == code].min()), float(entropy[codes == code].max())) if (codes == code).any() else (0, 0)
        for code in range(ENTROPY_BANDS)
    ]
    return _bands(texts, codes, ends, level)


def _bands(
    texts: Sequence[Compared], codes: Keys, ends: Sequence[tuple[float, float]], level: float
) -> tuple[Band, ...]:
    """Those with at least one token."""
    clusters = clusters_of(texts)
    divergence, reverse, agree = (joined(texts, name) for name in ("divergence", "reverse", "agree"))
    return tuple(
        Band(
            low=low,
            high=high,
            tokens=int(inside.sum()),
            divergence=mean_of(divergence[inside], clusters[inside], level),
            reverse=mean_of(reverse[inside], clusters[inside], level),
            agreement=float(agree[inside].mean()),
            agreement_at_least=at_least(agree[inside], clusters[inside], level),
        )
        for code, (low, high) in enumerate(ends)
        if (inside := codes == code).any()
    )


def first_divergence(texts: Sequence[Compared], *, answers: bool) -> FirstDivergence:
    """answers: the texts are a run's own. Quantiles by Kaplan and Meier (1958, JASA 53:457-481): a text in which the
    first choices never differ only says that they do not differ before its end.
    """
    firsts = [one.first_divergence for one in texts]
    seen = np.array([first if first is not None else len(one.tokens) for first, one in zip(firsts, texts, strict=True)])
    parted = np.array([first is not None for first in firsts])
    return FirstDivergence(
        basis="answers" if answers else "first_choices",
        documents=len(texts),
        diverged=int(parted.sum()),
        tokens=_reached(seen, parted),
    )


def _reached(seen: Keys, parted: np.ndarray) -> dict[str, int | None]:
    """The token by which a share of the texts has diverged; None if fewer did."""
    found: dict[str, int | None] = dict.fromkeys(REACHED)
    together = 1.0
    for token in np.unique(seen[parted]).tolist():
        together *= 1 - float((parted & (seen == token)).sum()) / float((seen >= token).sum())
        for name, share in REACHED.items():
            if found[name] is None and (1 - together >= share or math.isclose(1 - together, share)):
                found[name] = token
    return found


def documents_of(texts: Sequence[Compared]) -> tuple[DocumentDistance, ...]:
    """Farthest first."""
    rows = [
        DocumentDistance(
            document=one.document,
            cluster=one.cluster,
            tokens=int(one.positions.divergence.size),
            divergence=float(one.positions.divergence.mean()),
            agreement=float(one.positions.agree.mean()),
            log_ratio=float((one.positions.reference - one.positions.candidate).mean()),
            first_divergence=one.first_divergence,
        )
        for one in texts
    ]
    return tuple(sorted(rows, key=lambda row: -row.divergence))


def worst_passages(texts: Sequence[Compared], count: int) -> tuple[Worst, ...]:
    """Windows of 16 tokens that do not overlap, by mean divergence, at most two of a text."""
    found = []
    for one in texts:
        values = one.positions.divergence.copy()
        for _ in range(min(2, math.ceil(values.size / WINDOW))):
            size = min(WINDOW, values.size)
            sums = np.convolve(values, np.ones(size), mode="valid")
            start = int(sums.argmax())
            if sums[start] <= 0:
                break
            found.append((float(sums[start]) / size, one, start, start + size))
            values[start : start + size] = TAKEN
    found.sort(key=lambda item: -item[0])
    return tuple(_passage(one, start, end, mean) for mean, one, start, end in found[:count])


def _passage(one: Compared, start: int, end: int, mean: float) -> Worst:
    divergence = one.positions.divergence
    peak = start + int(divergence[start:end].argmax())
    first, last = int(one.places[start]), int(one.places[end - 1]) + 1
    return Worst(
        document=one.document,
        before="".join(one.tokens[max(0, first - BEFORE) : first]),
        text="".join(one.tokens[first:last]),
        divergence=mean,
        token=one.tokens[int(one.places[peak])],
        token_divergence=float(divergence[peak]),
        candidate=_likely(one.candidate, peak),
        reference=_likely(one.reference, peak),
    )


def _likely(scored: Scored, place: int) -> tuple[Likely, ...]:
    row = scored.logprobs[place]
    best = np.argsort(-row, kind="stable")[:SHOWN]
    return tuple(
        Likely(text=scored.names.get(int(scored.keys[place, i]), "?"), probability=float(np.exp(row[i])))
        for i in best
        if np.isfinite(row[i])
    )


def joined(texts: Sequence[Compared], name: str) -> Floats:
    """One array of `Positions`, all texts concatenated."""
    return np.concatenate([getattr(one.positions, name) for one in texts]).astype(np.float64)


def clusters_of(texts: Sequence[Compared]) -> Keys:
    """One number per token."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(one.cluster, len(numbers)) for one in texts]
    return np.repeat(codes, [one.positions.divergence.size for one in texts])


def mean_of(distances: Floats, clusters: Keys, level: float) -> TokenMean:
    """For values that are never below 0."""
    found = _estimate(mean_interval(distances, clusters=clusters, level=level), floor=0.0)
    return replace(found, value=float(distances.mean()))  # known even where its interval is not


def at_least(agree: Floats, clusters: Keys, level: float) -> float | None:
    """The one-sided lower bound of the share: the lower end of the two-sided interval at 2 level - 1."""
    return _agreement(agree, clusters, 2 * level - 1).low if level > 0.5 else None


def _agreement(agree: Floats, clusters: Keys, level: float) -> TokenMean:
    """A share, bounded by 1: its bounds also hold where nothing, or next to nothing, differs."""
    found = share_interval(agree, clusters=clusters, level=level)
    return TokenMean(
        value=float(agree.mean()), low=found.low, high=found.high, method=found.method, reason=found.reason
    )


def _estimate(interval: Interval, *, floor: float | None = None) -> TokenMean:
    low = interval.low if interval.low is None or floor is None else max(interval.low, floor)
    return TokenMean(
        value=interval.estimate, low=low, high=interval.high, method=interval.method, reason=interval.reason
    )


def _perplexity(logprobs: Floats) -> float:
    return float(math.exp(min(-float(logprobs.mean()), 700.0)))
