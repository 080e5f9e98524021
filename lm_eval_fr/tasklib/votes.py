"""The responses to one document as votes, extracted and normalised before counting.

A span votes with its French tokens, a label with its label, a list with each of its items. A response from
which nothing can be extracted casts no vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lm_eval_fr.tasklib.metrics import (
    exact_match,
    gold_recall,
    item_keys,
    label_scores,
    list_scores,
    match_label,
    open_key,
    parse_json_array,
    read_as,
    span_scores,
    token_f1,
)

Kind = Literal["span", "label", "items"]
KINDS: tuple[str, ...] = get_args(Kind)
PRIMARY: Mapping[str, str] = {"span": "f1", "label": "exact_match", "items": "set_f1"}
NO_VOTE = -1
_SPAN_SCORES = {"f1": token_f1, "exact_match": exact_match, "gold_recall": gold_recall}


@dataclass(frozen=True, slots=True)
class Ballot:
    """Votes for one answer. votes[i]: the class of response i, or NO_VOTE. scores[c]: what class c scores."""

    votes: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def agreement(self) -> float:
        """Share of the responses behind the most frequent answer."""
        counts = Counter(vote for vote in self.votes if vote != NO_VOTE)
        return max(counts.values(), default=0) / len(self.votes)


@dataclass(frozen=True, slots=True)
class ItemBallot:
    """Votes for each item of a list. Bit i of `named[x]` is set when response i names item x; of `lists`, when it
    holds a list at all. gold[x]: whether item x is one of the `golds` right ones.
    """

    n: int
    lists: int
    named: tuple[int, ...]
    gold: tuple[bool, ...]
    golds: int

    @property
    def agreement(self) -> float:
        """Share of the responses behind the most frequent list."""
        given = [i for i in range(self.n) if self.lists >> i & 1]
        same = Counter(tuple(mask >> i & 1 for mask in self.named) for i in given)
        return max(same.values(), default=0) / self.n


def span_ballot(responses: Sequence[str], golds: Sequence[str], metric: str = "f1") -> Ballot:
    score = _SPAN_SCORES[metric]
    return _ballot(responses, lambda text: open_key(text) if text.strip() else None, lambda text: score(text, golds))


def label_ballot(responses: Sequence[str], gold: str, labels: Iterable[str]) -> Ballot:
    known = list(labels)
    return _ballot(
        responses, lambda text: match_label(text, known), lambda text: label_scores(text, gold, known)["exact_match"]
    )


def item_ballot(responses: Sequence[str], gold: Iterable[str]) -> ItemBallot:
    wanted = set(read_as(item_keys(gold), ()))
    read: dict[str, list[str] | None] = {}
    named: dict[str, int] = {}
    lists = 0
    for i, response in enumerate(_texts(responses)):
        if response not in read:
            items = parse_json_array(response)
            read[response] = None if items is None else read_as(item_keys(items), [*wanted, *named])
        keys = read[response]
        if keys is None:
            continue
        lists |= 1 << i
        for key in keys:
            named[key] = named.get(key, 0) | 1 << i
    return ItemBallot(len(responses), lists, tuple(named.values()), tuple(key in wanted for key in named), len(wanted))


def span_vote_scores(results: Sequence[Any], golds: Sequence[str]) -> dict[str, float]:
    """A question's scores: the mean over the responses, then what their majority scores, and how far they agree."""
    responses = responses_of(results)
    single = [span_scores(response, golds) for response in responses]
    ballot = span_ballot(responses, golds)
    return _vote_scores(("f1", "exact_match"), single, majority_score(ballot), ballot.agreement)


def label_vote_scores(results: Sequence[Any], gold: str, labels: Iterable[str]) -> dict[str, float]:
    responses, known = responses_of(results), list(labels)
    single = [label_scores(response, gold, known) for response in responses]
    ballot = label_ballot(responses, gold, known)
    return _vote_scores(("exact_match", "valid_label"), single, majority_score(ballot), ballot.agreement)


def item_vote_scores(results: Sequence[Any], gold: Sequence[str]) -> dict[str, float]:
    responses = responses_of(results)
    single = [list_scores(response, gold) for response in responses]
    ballot = item_ballot(responses, gold)
    return _vote_scores(("set_f1", "valid_json"), single, kept_score(ballot, (1 << ballot.n) - 1), ballot.agreement)


def _vote_scores(
    names: tuple[str, str], single: Sequence[Mapping[str, float]], majority: float, agreement: float
) -> dict[str, float]:
    """names: the metrics of a single response, primary first."""
    means = {name: _mean([scores[name] for scores in single]) for name in names}
    return {**means, f"maj_{names[0]}": majority, "agreement": agreement}


def responses_of(results: Sequence[Any]) -> list[str]:
    """What lm-eval passes to process_results: one list with every response, or one text if a filter kept one."""
    first = results[0] if results else ""
    return _texts(first if isinstance(first, (list, tuple)) else [first])


def majority_score(ballot: Ballot) -> float:
    """The score of the answer with most votes; tied answers share the probability. Without any vote it is 0."""
    counts = Counter(vote for vote in ballot.votes if vote != NO_VOTE)
    most = max(counts.values(), default=0)
    return _mean([ballot.scores[answer] for answer, votes in counts.items() if votes == most])


def kept_score(ballot: ItemBallot, subset: int) -> float:
    """Set F1 of the items that more than half of the responses in `subset` (bits) name; 0 if none holds a list."""
    if not ballot.lists & subset:
        return 0.0
    kept = [2 * (mask & subset).bit_count() > subset.bit_count() for mask in ballot.named]
    right = sum(gold for keep, gold in zip(kept, ballot.gold, strict=True) if keep)
    size = sum(kept) + ballot.golds
    return 2 * right / size if size else 1.0


def _ballot(responses: Sequence[str], key_of: Callable[[str], str | None], score: Callable[[str], float]) -> Ballot:
    """Every response of a class scores the same, so the first one is scored for all."""
    keys: dict[str, str | None] = {}
    classes: dict[str, int] = {}
    scores: list[float] = []
    votes = []
    for text in _texts(responses):
        if text not in keys:
            key = key_of(text)
            keys[text] = None if key is None else read_as([key], classes)[0]
        key = keys[text]
        if key is None:
            votes.append(NO_VOTE)
            continue
        if key not in classes:
            classes[key] = len(classes)
            scores.append(score(text))
        votes.append(classes[key])
    return Ballot(tuple(votes), tuple(scores))


def _texts(responses: Iterable[Any]) -> list[str]:
    """A failed generation is logged as None or as an empty text."""
    return ["" if response is None else str(response) for response in responses]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
