"""A document's score is one only where lm-eval's own aggregation of the ingredients gives the printed number."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from lm_eval.api import metrics as theirs
from lm_eval.utils import handle_non_serializable

from lm_eval_fr.logs.aggregates import (
    AGGREGATIONS,
    CORPUS,
    DocumentScores,
    NoScores,
    Part,
    document_scores,
    scores_by_kind,
)

rng = random.Random(5)
N = 40


def logged(items: Sequence[Any]) -> list[Any]:
    """As they come back from a samples file."""
    found: list[Any] = json.loads(json.dumps(items, default=handle_non_serializable))
    return found


def scores(
    aggregation: str | None,
    items: Sequence[Any],
    *printed: float | None,
    metric: str = "m",
    direction: bool | None = True,
) -> DocumentScores | NoScores:
    size = len(items) // len(printed)
    parts = [Part(i * size, (i + 1) * size, value) for i, value in enumerate(printed)]
    return document_scores(metric, aggregation, direction, logged(items), parts, place=lambda row: f"file:{row + 1}")


def flat_mean(items: Sequence[Sequence[bool]]) -> float:
    """lm-eval's own for IFEval's instruction level."""
    flat = [item for sublist in items for item in sublist]
    return sum(flat) / len(flat)


def without_the_mark(items: Sequence[float]) -> float:
    """lm-eval's own for RULER."""
    found = [item for item in items if item != -1]
    return sum(found) / len(found) if found else -1


def quotient_of_sums(items: Sequence[tuple[float, float]]) -> float:
    """lm-eval's own for ESBBQ: right answers to ambiguous questions, and how many those are."""
    return sum(a for a, _ in items) / sum(b for _, b in items)


def weighted_mean(items: Sequence[tuple[float, float]]) -> float:
    return sum(a * b for a, b in items) / sum(b for _, b in items)


NUMBERS = [rng.random() for _ in range(N)]
PAIRS = [(-rng.random() * 900, rng.randint(1, 300)) for _ in range(N)]
TRUTHS = [[rng.random() < 0.6 for _ in range(rng.randint(1, 3))] for _ in range(N)]
KINDS: list[tuple[str | None, Callable[[Any], Any], Sequence[Any], str, bool | None]] = [
    ("mean", theirs.mean, NUMBERS, "m", True),
    ("mean", theirs.mean, [np.bool_(x > 0.5) for x in NUMBERS], "m", True),
    ("mean", theirs.mean, [np.float32(x) for x in NUMBERS], "m", True),
    ("nanmean", theirs.nanmean, [x if x > 0.3 else math.nan for x in NUMBERS], "m", True),
    ("median", theirs.median, NUMBERS, "m_mean", True),
    ("perplexity", theirs.perplexity, [-5 * x for x in NUMBERS], "log_likelihood", True),
    ("weighted_perplexity", theirs.weighted_perplexity, PAIRS, "log_likelihood_per_unit", True),
    ("bits_per_byte", theirs.bits_per_byte, PAIRS, "m", False),
    (None, theirs.mean, NUMBERS, "m", True),
    (None, without_the_mark, [x if x > 0.5 else -1.0 for x in NUMBERS], "m", True),
    (None, theirs.nanmean, [x if x > 0.5 else math.nan for x in NUMBERS], "m", True),
    (None, flat_mean, TRUTHS, "m", True),
    (None, quotient_of_sums, [(x * n, n) for x, (_, n) in zip(NUMBERS, PAIRS, strict=True)], "m", True),
    (None, quotient_of_sums, [(x * (i % 2), i % 2) for i, x in enumerate(NUMBERS)], "m", False),
    (None, weighted_mean, [(x, n) for x, (_, n) in zip(NUMBERS, PAIRS, strict=True)], "m", True),
]


@pytest.mark.parametrize(("aggregation", "aggregate", "items", "name", "direction"), KINDS)
def test_the_mean_of_the_scores_is_the_printed_aggregate(
    aggregation: str | None, aggregate: Callable[[Any], Any], items: Sequence[Any], name: str, direction: bool
) -> None:
    printed = float(aggregate(items))
    found = scores(aggregation, items, printed, direction=direction)
    assert isinstance(found, DocumentScores)
    assert (found.name, found.higher_is_better) == (name, direction)
    assert isinstance(scores(aggregation, items, printed * 1.01 + 0.001), NoScores)
    there = ~np.isnan(found.values)
    middle = np.average(found.values[there], weights=None if found.weights is None else found.weights[there])
    undone = {"perplexity": lambda x: math.exp(-x), "weighted_perplexity": lambda x: math.exp(-x)}
    if aggregation != "median":
        assert undone.get(str(aggregation), float)(middle) == pytest.approx(printed)


def test_the_direction_belongs_to_the_aggregate() -> None:
    """The worse arm has the higher perplexity and the lower log-likelihood."""
    better, worse = ([-4 * x - shift for x in NUMBERS] for shift in (0, 0.4))
    found = [scores("perplexity", items, theirs.perplexity(items), direction=False) for items in (better, worse)]
    assert all(isinstance(one, DocumentScores) and one.higher_is_better for one in found)
    assert found[0].values.mean() > found[1].values.mean()  # type: ignore[union-attr]


@pytest.mark.parametrize("aggregation", ["perplexity", "weighted_perplexity", "bits_per_byte", "brier_score"])
@pytest.mark.parametrize("declared", [True, False, None])
def test_what_an_aggregation_means_is_not_the_tasks_to_say(aggregation: str, declared: bool | None) -> None:
    items: dict[str, Sequence[Any]] = {
        "perplexity": [-x for x in NUMBERS],
        "brier_score": [(0, np.array([0.5, 0.5]))] * N,
    }
    of_kind = items.get(aggregation, PAIRS)
    found = scores(aggregation, of_kind, float(getattr(theirs, aggregation)(of_kind)), direction=declared)
    assert isinstance(found, DocumentScores)
    assert found.higher_is_better is (aggregation in ("perplexity", "weighted_perplexity"))


def test_a_mean_that_lost_digits_in_single_precision_is_the_printed_one() -> None:
    items = [np.float32(rng.random()) for _ in range(20_000)]
    printed = float(theirs.mean(items))
    assert not math.isclose(printed, math.fsum(map(float, items)) / len(items), rel_tol=1e-6)
    assert isinstance(scores("mean", items, printed), DocumentScores)
    assert isinstance(scores("mean", items, printed * (1 + 1e-5)), NoScores)


def test_where_no_document_has_a_number_no_file_is_said_to_be_changed() -> None:
    found = scores("nanmean", [math.nan] * 4, math.nan)
    assert isinstance(found, NoScores) and found.broken and found.reason == "no document has a value of m"


def test_brier_scores_from_what_lm_eval_logs() -> None:
    """numpy arrays are logged as their text."""
    items = [(rng.randint(0, 3), np.array(p) / sum(p)) for p in ([rng.random() for _ in range(4)] for _ in range(N))]
    found = scores("brier_score", items, float(theirs.brier_score(items)), direction=False)
    assert isinstance(found, DocumentScores) and found.higher_is_better is False
    assert found.values.mean() == pytest.approx(theirs.brier_score(items), rel=1e-6)


@pytest.mark.parametrize("aggregation", sorted(CORPUS))
def test_a_corpus_metric_has_no_scores(aggregation: str) -> None:
    found = document_scores("m", aggregation, True, None, [Part(0, 3, 38.0)], place=str)
    assert found == NoScores("m", "computed from all documents together; none has a score of its own")


def test_every_aggregation_of_lm_eval_is_known() -> None:
    from lm_eval.api.registry import AGGREGATION_REGISTRY

    assert set(AGGREGATION_REGISTRY) - {"bypass"} <= AGGREGATIONS


def test_every_file_of_a_sharded_run_is_held_against_its_own_aggregate() -> None:
    halves = NUMBERS[: N // 2], NUMBERS[N // 2 :]
    assert isinstance(scores("mean", NUMBERS, *map(theirs.mean, halves)), DocumentScores)
    found = scores("mean", NUMBERS, theirs.mean(halves[0]), 0.9)
    assert isinstance(found, NoScores) and found.broken and "lm-eval printed 0.9" in found.reason


@pytest.mark.parametrize(
    ("aggregation", "items", "said", "broken"),
    [
        ("mean", [1.0, "x"], r"m of this document is 'x', not a number \(file:2\)", True),
        ("mean", [1.0, math.nan], r"m of this document is nan, not a finite number \(file:2\)", True),
        ("weighted_perplexity", [[-1.0, 3], [-2.0, 0]], "not a log-likelihood with a number of units", True),
        ("weighted_perplexity", [1.0, 2.0], "not a log-likelihood", True),
        ("brier_score", [[5, [0.5, 0.5]]], "not a gold answer", True),
        ("brier_score", [[0, "[x]"]], "not a gold answer", True),
        (None, [0.5, 0.25], "function of the task's own, and not equal to the mean over documents", False),
        (None, [["a"], ["b"]], "a function of the task's own", False),
    ],
)
def test_what_is_no_score_says_why(aggregation: str | None, items: list[Any], said: str, broken: bool) -> None:
    found = scores(aggregation, items, 7.0)
    assert isinstance(found, NoScores) and found.broken is broken
    import re

    assert re.search(said, found.reason), found.reason


def test_without_a_printed_aggregate_nothing_is_proven() -> None:
    found = scores("mean", NUMBERS, None)
    assert isinstance(found, NoScores) and found.broken and "printed no m" in found.reason


def test_metrics_that_share_out_the_documents_are_one_score() -> None:
    lengths = {"4096": [1.0, 0.0, -1.0, -1.0], "16384": [-1.0, -1.0, 0.5, 1.0]}
    found = [scores(None, items, without_the_mark(items), metric=name) for name, items in lengths.items()]
    kinds = scores_by_kind(found)
    assert kinds is not None
    assert (kinds.about, kinds.names, kinds.codes.tolist()) == ("length", ("4096", "16384"), [0, 0, 1, 1])
    assert kinds.score.values.tolist() == [1.0, 0.0, 0.5, 1.0]
    twice = scores(None, [1.0, -1.0, -1.0, -1.0], 1.0, metric="8192")
    assert scores_by_kind([*found, twice]) is None


def test_perplexity_beyond_all_numbers_is_no_match_and_no_crash() -> None:
    assert isinstance(scores("perplexity", [-1e6, -1e6], 5.0), NoScores)
    assert isinstance(scores("mean", [1e308, 1e308], 1e308), NoScores)
