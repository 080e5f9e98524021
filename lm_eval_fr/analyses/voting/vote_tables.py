"""maj@k of all documents of a task: ballots in; out come arrays with one row per document and one column per k."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.analyses.voting.subsets import EXACT_RESPONSES, subset_masks, win_probabilities
from lm_eval_fr.tasklib.votes import NO_VOTE, Ballot, ItemBallot

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # score, right, exact

_CELLS = 1 << 24  # of one intermediate array: bounds the memory


@dataclass(frozen=True)
class VoteTable:
    """score[d, k - 1]: the expected score of document d by the majority of k votes; right: the probability that this
    score reaches the threshold. exact[k - 1]: whether all subsets of that size were taken. agreement: per document,
    the share of all its responses behind the winner.
    """

    score: np.ndarray
    right: np.ndarray
    exact: np.ndarray
    agreement: np.ndarray

    @property
    def responses(self) -> int:
        return int(self.score.shape[1])


def vote_table(ballots: Sequence[Ballot] | Sequence[ItemBallot], threshold: float, *, seed: int) -> VoteTable:
    """All documents have the same number of responses. threshold: the score from which an answer counts as right."""
    agreement = np.array([ballot.agreement for ballot in ballots])
    if isinstance(ballots[0], ItemBallot):
        score, right, exact = _items(ballots, threshold, seed)  # type: ignore[arg-type]
    elif len(ballots[0].votes) > EXACT_RESPONSES:
        score, right, exact = _drawn(ballots, threshold, seed)  # type: ignore[arg-type]
    else:
        score, right, exact = _counted(ballots, threshold)  # type: ignore[arg-type]
    # Rounding must not make a score above 1, or a difference between equal answers.
    return VoteTable(np.clip(score, 0, 1).round(12), np.clip(right, 0, 1).round(12), exact, agreement)


def _counted(ballots: Sequence[Ballot], threshold: float) -> Arrays:
    """Documents with the same pattern of votes share their probabilities; each has its own scores."""
    n = len(ballots[0].votes)
    alike: dict[tuple[tuple[int, ...], int], list[int]] = defaultdict(list)
    ordered: list[list[float]] = []
    for row, ballot in enumerate(ballots):
        counts = Counter(ballot.votes)
        silent = counts.pop(NO_VOTE, 0)
        ranked = sorted(counts.items(), key=lambda item: -item[1])
        ordered.append([ballot.scores[answer] for answer, _ in ranked])
        alike[tuple(count for _, count in ranked), silent].append(row)
    score, right = np.zeros((len(ballots), n)), np.zeros((len(ballots), n))
    for (fallen, silent), rows in alike.items():
        if not fallen:
            continue
        wins = win_probabilities(fallen, silent).T
        values = np.array([ordered[row] for row in rows])
        score[rows] = values @ wins
        right[rows] = (values >= threshold) @ wins
    return score, right, np.ones(n, dtype=bool)


def _drawn(ballots: Sequence[Ballot], threshold: float, seed: int) -> Arrays:
    """Subsets of every size, the same for every document."""
    n = len(ballots[0].votes)
    score, right = np.zeros((len(ballots), n)), np.zeros((len(ballots), n))
    exact = np.zeros(n, dtype=bool)
    members = []
    for k in range(1, n + 1):
        masks, exact[k - 1] = subset_masks(n, k, seed)
        members.append((masks[:, None] >> np.arange(n, dtype=np.uint64) & np.uint64(1)).astype(np.float32))
    for row, ballot in enumerate(ballots):
        votes = np.zeros((n, len(ballot.scores) or 1), dtype=np.float32)
        cast = [(i, vote) for i, vote in enumerate(ballot.votes) if vote != NO_VOTE]
        for i, vote in cast:
            votes[i, vote] = 1
        values = np.array(ballot.scores or (0.0,))
        for k, chosen in enumerate(members):
            counts = chosen @ votes
            most = counts.max(axis=1, keepdims=True)
            wins = ((counts == most) & (most > 0)).astype(float)
            share = wins / np.maximum(wins.sum(axis=1, keepdims=True), 1)
            score[row, k] = (share @ values).mean()
            right[row, k] = (share @ (values >= threshold)).mean()
    return score, right, exact


def _items(ballots: Sequence[ItemBallot], threshold: float, seed: int) -> Arrays:
    """An item is kept if more than half of the votes name it. Documents with the same votes are counted once."""
    n = ballots[0].n
    same: dict[tuple[object, ...], int] = {}
    kinds: list[ItemBallot] = []
    place = np.empty(len(ballots), dtype=np.int64)
    for row, ballot in enumerate(ballots):
        key = (ballot.lists, ballot.golds, *sorted(zip(ballot.named, ballot.gold, strict=True)))
        if key not in same:
            same[key] = len(kinds)
            kinds.append(ballot)
        place[row] = same[key]
    score, right, exact = np.empty((len(kinds), n)), np.empty((len(kinds), n)), np.empty(n, dtype=bool)
    typical = sum(len(kind.named) + 1 for kind in kinds) / len(kinds)
    for k in range(1, n + 1):
        masks, exact[k - 1] = subset_masks(n, k, seed)
        step = max(1, int(_CELLS / (len(masks) * typical)))
        for start in range(0, len(kinds), step):
            part = slice(start, start + step)
            scores = _kept_scores(kinds[part], masks, k)
            score[part, k - 1] = scores.mean(axis=0)
            right[part, k - 1] = (scores >= threshold).mean(axis=0)
    return score[place], right[place], exact


def _kept_scores(kinds: Sequence[ItemBallot], masks: np.ndarray, k: int) -> np.ndarray:
    """Set F1 of what each subset keeps, [subset, document]."""
    starts = np.cumsum([0] + [len(kind.named) + 1 for kind in kinds[:-1]])
    # Each document ends with an item that has no votes, so that no document is empty.
    named = np.array([mask for kind in kinds for mask in (*kind.named, 0)], dtype=np.uint64)
    gold = np.array([one for kind in kinds for one in (*kind.gold, False)])
    kept = np.bitwise_count(masks[:, None] & named) * np.uint8(2) > k
    size = np.add.reduceat(kept, starts, axis=1, dtype=np.int32)
    found = np.add.reduceat(kept & gold, starts, axis=1, dtype=np.int32)
    whole = size + np.array([kind.golds for kind in kinds], dtype=np.int32)
    scores = np.where(whole > 0, 2 * found / np.maximum(whole, 1), 1.0)
    lists = np.array([kind.lists for kind in kinds], dtype=np.uint64)
    return np.where((masks[:, None] & lists) > 0, scores, 0.0)
