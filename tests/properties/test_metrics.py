"""What must hold for any text at all, not only for tidy French."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.tasklib import metrics

FRENCH = st.text(alphabet="aélund'’ 0123,.-«»L'QuJOEÉAÀe\u00a0\u202f%[]\"/", max_size=40)
TEXT = st.one_of(st.text(max_size=40), FRENCH)


def normalise(text: str) -> str:
    return metrics.open_key(text).lower()


@given(TEXT)
def test_normalisation_is_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert metrics.tokens(once) == metrics.tokens(text)


@given(TEXT)
def test_case_and_surrounding_punctuation_do_not_matter(text: str) -> None:
    assert metrics.tokens(f"  « {text} » ! ") == metrics.tokens(f" {text} ")


@given(TEXT, TEXT)
def test_f1_is_symmetric_and_bounded(a: str, b: str) -> None:
    for score in (metrics.token_f1, metrics.f1_raw):
        assert score(a, [b]) == score(b, [a])
        assert 0.0 <= score(a, [b]) <= 1.0
        assert score(a, [a]) == 1.0


@given(TEXT, st.lists(TEXT, min_size=1, max_size=4))
def test_the_best_gold_counts_and_another_gold_never_hurts(prediction: str, golds: list[str]) -> None:
    for score in (metrics.token_f1, metrics.f1_raw, metrics.exact_match, metrics.gold_recall):
        assert score(prediction, golds) == max(score(prediction, [gold]) for gold in golds)


@given(TEXT, TEXT)
def test_exact_match_is_the_strictest(a: str, b: str) -> None:
    exact, f1, recall = (score(a, [b]) for score in (metrics.exact_match, metrics.token_f1, metrics.gold_recall))
    assert exact in (0.0, 1.0)
    if normalise(a) == normalise(b):
        assert exact == 1.0
    if exact:
        assert f1 == recall == 1.0
    assert 0.0 <= recall <= 1.0
    assert (f1 == 0.0) == (recall == 0.0)


@given(st.lists(TEXT, max_size=5), st.lists(TEXT, max_size=5), st.randoms(use_true_random=False))
def test_set_f1_ignores_order_and_repetition(a: list[str], b: list[str], random) -> None:
    shuffled = [*a, *a]
    random.shuffle(shuffled)
    assert metrics.set_f1(shuffled, b) == metrics.set_f1(a, b) == metrics.set_f1(b, a)
    assert 0.0 <= metrics.set_f1(a, b) <= 1.0
    assert metrics.set_f1(a, a) == 1.0


@given(st.lists(TEXT, max_size=5))
def test_a_json_array_of_strings_comes_back_whole(items: list[str]) -> None:
    text = json.dumps(items, ensure_ascii=False)
    assert metrics.is_json_array(text)
    assert metrics.parse_json_array(text) == items
    assert metrics.parse_json_array(f"Voici :\n```json\n{text}\n```") == items


@given(TEXT)
def test_no_text_breaks_the_parser(text: str) -> None:
    items = metrics.parse_json_array(text)
    assert items is None or all(isinstance(item, str) for item in items)
    if metrics.is_json_array(text):
        assert items is not None


@given(st.integers(0, 10**12))
def test_grouped_digits_are_the_number(value: int) -> None:
    grouped = f"{value:,}"
    for space in " \u00a0\u202f":
        assert metrics.tokens(grouped.replace(",", space)) == [str(value)]
