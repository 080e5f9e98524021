"""Several judges on the same pairs: how far they agree, and what the majority says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, TypeVar

from lm_eval_fr.judge.asking.worklist import Place
from lm_eval_fr.judge.verdicts.outcome import HEADLINE, UNDECIDED, Outcome, PairVerdict
from lm_eval_fr.stats import binomial_share
from lm_eval_fr.stats.judging import Agreement, PairUsage, PanelReport

Label = Literal["win", "tie", "loss"]
LABELS: tuple[Label, ...] = ("win", "tie", "loss")
T = TypeVar("T")


def panel(
    verdicts: Mapping[str, Sequence[PairVerdict]], level: float = 0.95
) -> tuple[PanelReport, tuple[PairVerdict, ...]]:
    """How far two or more judges agree, and the majority's verdicts, one per pair.

    verdicts: by the judge's name. Pairs missing from a judge count as unjudged by it.
    """
    judges = tuple(verdicts)
    found = {name: {(verdict.task, verdict.doc_hash): verdict for verdict in verdicts[name]} for name in judges}
    places = list(dict.fromkeys(place for name in judges for place in found[name]))
    labels = {name: {place: seen_label(verdict.outcome) for place, verdict in found[name].items()} for name in judges}
    merged = tuple(_majority(place, {name: found[name].get(place) for name in judges}) for place in places)
    votes = [{labels[name].get(place) for name in judges} for place in places]
    complete = [vote for vote in votes if None not in vote]
    report = PanelReport(
        judges=judges,
        agreement=tuple(agreement(a, labels[a], b, labels[b], level) for a, b in combinations(judges, 2)),
        unanimous=binomial_share(sum(len(vote) == 1 for vote in complete), len(complete), level),
    )
    return report, merged


def agreement(
    first: str,
    of_first: Mapping[T, Label | None],
    second: str,
    of_second: Mapping[T, Label | None],
    level: float = 0.95,
) -> Agreement:
    """Raw agreement with its interval, and Cohen's kappa, over the pairs that both saw and decided."""
    pairs = [(of_first.get(place), of_second.get(place)) for place in {**of_first, **of_second}]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    n, agreed = len(both), sum(a == b for a, b in both)
    table = Counter(f"{a}/{b}" for a, b in both)
    marginals = [Counter(pair[side] for pair in both) for side in (0, 1)]
    by_chance = sum(marginals[0][label] * marginals[1][label] for label in LABELS)
    kappa = (n * agreed - by_chance) / (n * n - by_chance) if n * n > by_chance else None
    reason = None
    if kappa is None:
        reason = "both give the same verdict throughout" if n else "no pair was decided by both"
    missing = sum((a is None) != (b is None) for a, b in pairs)
    counted = {f"{a}/{b}": table[f"{a}/{b}"] for a in LABELS for b in LABELS}
    return Agreement(first, second, n, binomial_share(agreed, n, level), kappa, counted, missing, reason)


def _majority(place: Place, votes: Mapping[str, PairVerdict | None]) -> PairVerdict:
    """The majority of the judges that decided; without one, a split, which counts as a tie."""
    cast = {name: vote for name, vote in votes.items() if vote is not None}
    some = next(iter(cast.values()))
    decided = Counter(label for vote in cast.values() if (label := label_of(vote.outcome)) is not None)
    outcome: Outcome = "split"
    if all(vote.outcome == "identical" for vote in cast.values()):
        outcome = "identical"
    elif not decided:
        outcome = next(word for word in UNDECIDED if any(vote.outcome == word for vote in cast.values()))
    elif 2 * sum(vote.outcome == "flip" for vote in cast.values()) > decided.total():
        outcome = "flip"  # counts as a tie, but a panel decided by the order must not pass for one that sees
    elif (winner := majority(decided)) is not None:
        outcome = winner
    return PairVerdict(
        task=place[0],
        doc_id=some.doc_id,
        doc_hash=place[1],
        outcome=outcome,
        reasons={name: vote.outcome for name, vote in cast.items()},
        usage=sum((vote.usage for vote in cast.values()), PairUsage()),
        candidate_chars=some.candidate_chars,
        reference_chars=some.reference_chars,
        cluster=some.cluster,
    )


def majority(votes: Counter[Label]) -> Label | None:
    """The label with more than half of the votes."""
    label, n = votes.most_common(1)[0]
    return label if 2 * n > votes.total() else None


def label_of(outcome: Outcome) -> Label | None:
    score = HEADLINE[outcome]
    return None if score is None else {1: "win", 0: "tie", -1: "loss"}[score]  # type: ignore[return-value]


def seen_label(outcome: Outcome) -> Label | None:
    """None for identical answers too: no judge saw them, so there is no agreement to count."""
    return None if outcome == "identical" else label_of(outcome)
