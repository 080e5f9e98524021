"""Two arms on the same tokens -> how far apart they are at each of them. Pure functions of arrays.

Servers return only the most likely tokens, so the divergence is computed over a coarser alphabet: the tokens that both
lists name, and one more for all the rest. Merging outcomes never increases a Kullback-Leibler divergence (Cover and
Thomas, Elements of Information Theory, theorem 2.8.1), so the reported value is a lower bound of the full divergence;
it is exact where the lists hold all the mass. `covered` says how much of the reference's mass the named tokens hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lm_eval_fr.analyses.fidelity.scored import MISSING, Floats, Keys, Mask, Scored

# Less mass than this may be the rounding of 32-bit log-probabilities.
ROUNDING = 1e-5
BLOCK = 20_000_000  # comparisons of two tokens held at once
TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Positions:
    """Arrays of one length, a value per token.

    divergence: KL(reference || candidate) in nats, reverse: KL(candidate || reference), entropy: the reference's; all
    three are lower bounds. agree: whether the most likely token is the same
    (where several are equally likely: whether one of them is). covered: the reference's mass on tokens named by both.
    candidate, reference: log-probability of the token at that position.
    """

    divergence: Floats
    reverse: Floats
    entropy: Floats
    agree: Mask
    covered: Floats
    candidate: Floats
    reference: Floats


def diverge(candidate: Scored, reference: Scored) -> Positions:
    """Both must have the same tokens, a number at every token, and the same `kind`."""
    rows = max(1, BLOCK // max(1, candidate.keys.shape[1] * reference.keys.shape[1]))
    parts = [
        _diverge(
            candidate.keys[start : start + rows],
            candidate.logprobs[start : start + rows],
            reference.keys[start : start + rows],
            reference.logprobs[start : start + rows],
        )
        for start in range(0, reference.n, rows)
    ]
    if not parts:
        empty = np.empty(0)
        return Positions(empty, empty, empty, np.empty(0, dtype=bool), empty, empty, empty)
    divergence, reverse, agree, covered = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Positions(divergence, reverse, _entropy(reference), agree, covered, candidate.own, reference.own)


def _diverge(
    candidate_keys: Keys, candidate_logprobs: Floats, reference_keys: Keys, reference_logprobs: Floats
) -> tuple[Floats, Floats, Mask, Floats]:
    same = (reference_keys[:, :, None] == candidate_keys[:, None, :]) & (reference_keys != MISSING)[:, :, None]
    named = same.any(axis=2)
    there = np.take_along_axis(candidate_logprobs, same.argmax(axis=2), axis=1)
    p, q = (np.where(named, np.exp(logprobs), 0.0) for logprobs in (reference_logprobs, there))
    covered = p.sum(axis=1)
    rest_p, rest_q = np.maximum(1 - covered, 0.0), np.maximum(1 - q.sum(axis=1), 0.0)
    # Where the other arm's list seems to hold all mass, its rest is set to the most that rounding could have hidden.
    divergence = _terms(p, q).sum(axis=1) + _terms(rest_p, np.maximum(rest_q, ROUNDING))
    reverse = _terms(q, p).sum(axis=1) + _terms(rest_q, np.maximum(rest_p, ROUNDING))
    top_there, top_here = _top(candidate_logprobs), _top(reference_logprobs)
    agree = (same & top_here[:, :, None] & top_there[:, None, :]).any(axis=(1, 2))
    return np.maximum(divergence, 0.0), np.maximum(reverse, 0.0), agree, np.minimum(covered, 1.0)


def _entropy(scored: Scored) -> Floats:
    """In nats; the tokens that are not listed count as one, so it is a lower bound."""
    p = np.where(scored.keys != MISSING, np.exp(scored.logprobs), 0.0)
    rest = np.maximum(1 - p.sum(axis=1), 0.0)
    found: Floats = np.maximum(-_terms(p, np.ones_like(p)).sum(axis=1) - _terms(rest, np.ones_like(rest)), 0.0)
    return found


def _terms(p: Floats, q: Floats) -> Floats:
    some = p > 0
    floor = np.finfo(np.float64).tiny
    return np.where(some, p * np.log(np.where(some, p, 1.0) / np.maximum(np.where(some, q, 1.0), floor)), 0.0)


def _top(logprobs: Floats) -> Mask:
    best: Mask = logprobs >= logprobs.max(axis=1, keepdims=True) - TIE
    return best


def first_difference(candidate: Scored, reference: Scored) -> int | None:
    """The first position at which the arms read different tokens; None if the tokens are the same."""
    for place, (one, other) in enumerate(zip(candidate.tokens, reference.tokens, strict=False)):
        if one != other:
            return place
    if candidate.kind == reference.kind == "id" and candidate.n == reference.n:
        places = np.flatnonzero(candidate.ids != reference.ids)
        return int(places[0]) if places.size else None
    return None if candidate.n == reference.n else min(candidate.n, reference.n)
