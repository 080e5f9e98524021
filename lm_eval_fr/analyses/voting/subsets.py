"""maj@k: what the majority of k of a document's n responses scores, over all subsets of size k.

Responses are exchangeable, so the mean over the subsets is the unbiased estimate of voting with k fresh responses.
For votes on one answer the mean needs no enumeration: only the number of votes for each answer matters, and counting
subsets by these is a product of polynomials. For lists the subsets are enumerated if they are few, else sampled.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np

EXACT_RESPONSES = 32  # beyond this, the ways in which votes can fall are too many to count for every document
DRAWS = 200  # subsets of one size, if not all are taken


@cache
def win_probabilities(counts: tuple[int, ...], silent: int) -> np.ndarray:
    """P[k - 1, c]: the probability that answer c wins among k of the responses, k = 1 to all of them.

    counts: votes of each answer. silent: responses without a vote. Tied answers share the probability; if all k
    are silent no answer wins, so a row may sum to less than 1.
    """
    n = sum(counts) + silent
    found = np.zeros((n, len(counts)))
    subsets = np.array([math.comb(n, k) for k in range(1, n + 1)], dtype=float)
    by_count: dict[int, np.ndarray] = {}
    for place, count in enumerate(counts):
        if count not in by_count:
            others = counts[:place] + counts[place + 1 :]
            by_count[count] = _ways_to_win(count, others, silent) / subsets
        found[:, place] = by_count[count]
    return found


def _ways_to_win(count: int, others: tuple[int, ...], silent: int) -> np.ndarray:
    """Subsets of size 1 to n in which an answer with `count` votes wins, ties as a share."""
    n = count + sum(others) + silent
    total = np.zeros(n + 1)
    for votes in range(1, count + 1):
        # ways[t, x]: subsets of the other responses of size x in which t answers tie and none has more votes.
        ways = np.zeros((len(others) + 1, n - votes + 1))
        ways[0, : silent + 1] = [math.comb(silent, i) for i in range(silent + 1)][: n - votes + 1]
        for other in others:
            fewer = np.array([math.comb(other, i) for i in range(min(votes, other + 1))], dtype=float)
            grown = np.stack([np.convolve(row, fewer)[: n - votes + 1] for row in ways])
            if other >= votes:
                grown[1:, votes:] += math.comb(other, votes) * ways[:-1, : n - 2 * votes + 1]
            ways = grown
        shared = (ways / np.arange(1, len(others) + 2)[:, None]).sum(axis=0)
        total[votes:] += math.comb(count, votes) * shared
    return total[1:]


def subset_masks(n: int, size: int, seed: int) -> tuple[np.ndarray, bool]:
    """Subsets of n responses as bits, and whether these are all of them; otherwise DRAWS random ones by the seed."""
    if math.comb(n, size) <= DRAWS:
        chosen = [sum(1 << i for i in subset) for subset in itertools.combinations(range(n), size)]
        return np.array(chosen, dtype=np.uint64), True
    generator = np.random.default_rng([seed, n, size])
    orders = generator.permuted(np.tile(np.arange(n), (DRAWS, 1)), axis=1)[:, :size]
    return np.bitwise_or.reduce(np.uint64(1) << orders.astype(np.uint64), axis=1), False
