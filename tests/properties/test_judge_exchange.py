"""Exchanging the two arms exchanges win and loss and leaves everything else as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.judge.verdicts.outcome import OUTCOMES, PairVerdict, combine, count, possible_scores
from tests.fakes.judged import exchanged

judgements = st.sampled_from(["A", "B", "tie", "invalid", None])
sequences = st.lists(st.tuples(judgements, judgements), max_size=60)
SWAP = {"win": "loss", "loss": "win"}


@given(judgements, judgements, st.booleans())
def test_of_one_pair(first, second, lazy) -> None:
    # What was asked with the candidate first is, after the exchange, what was asked with the reference first.
    assert combine(second, first, lazy=lazy) == SWAP.get(
        combine(first, second, lazy=lazy), combine(first, second, lazy=lazy)
    )
    low, high = possible_scores(first, second)
    assert possible_scores(second, first) == (-high, -low)


@given(sequences, st.booleans())
def test_of_any_sequence_of_replies(replies, lazy) -> None:
    verdicts = [PairVerdict("t", i, str(i), combine(a, b, lazy=lazy), a, b) for i, (a, b) in enumerate(replies)]
    there, back = count(verdicts), count(exchanged(v) for v in verdicts)
    for name in OUTCOMES:
        assert back.outcomes[SWAP.get(name, name)] == there.outcomes[name]
    assert (back.ties, back.judged, back.decided, back.n) == (there.ties, there.judged, there.decided, there.n)
    assert (back.worst_score, back.best_score) == (-there.best_score, -there.worst_score)
    assert [exchanged(exchanged(v)) for v in verdicts] == verdicts


@given(sequences, st.booleans())
def test_the_headline_lies_within_its_bounds(replies, lazy) -> None:
    verdicts = [PairVerdict("t", i, str(i), combine(a, b, lazy=lazy), a, b) for i, (a, b) in enumerate(replies)]
    counts = count(verdicts)
    assert counts.worst_score <= counts.wins - counts.losses <= counts.best_score
    assert sum(counts.outcomes.values()) == counts.n == len(replies)


@given(judgements)
def test_lazy_changes_no_headline(second) -> None:
    full = combine("tie", second)
    if full not in ("invalid", "unjudged"):
        assert full in ("tie", "split")
    assert combine("tie", None, lazy=True) == "tie"
