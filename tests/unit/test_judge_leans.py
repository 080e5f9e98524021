"""A judge's taste for length or for a place: what it is worth, and that the report says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm_eval_fr.compare.builder import compare
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.stats.sensitivity import (
    Control,
    ControlsAsked,
    less_length,
    less_order,
    order_decided,
    sensitivity,
)
from tests.fakes.judged import SEES, judge_folder, verdicts_on
from tests.fakes.runs import make_run, plain_task


def controls(longer: list[int], shorter: list[int]) -> tuple[Control, ...]:
    """Graded ones, by the outcome of those whose good answer is longer and of those whose good answer is shorter."""
    return tuple(
        Control("figure", "word", outcome, (outcome == 1, outcome == 1), False, good_longer)
        for good_longer, outcomes in ((True, longer), (False, shorter))
        for outcome in outcomes
    )


FOLLOWS_LENGTH = controls([1] * 20, [1] * 14 + [-1] * 6)


def test_a_taste_for_length_is_taken_out_by_the_share_of_longer_answers() -> None:
    seen = sensitivity(FOLLOWS_LENGTH, planned=40)
    assert seen.longer_effect == pytest.approx(0.3) and seen.longer_ci is not None and seen.longer_ci[0] > 0
    assert less_length(0.25, seen, longer=90, shorter=10, pairs=100) == pytest.approx(0.25 - 0.3 * 0.8)
    assert less_length(0.25, seen, longer=50, shorter=50, pairs=100) == pytest.approx(0.25)
    assert less_length(-0.9, seen, longer=100, shorter=0, pairs=100) == -1.0
    assert less_length(0.25, seen, 0, 0, 0) is None


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [([1] * 20, [1] * 20), ([1] * 17 + [0] * 3, [1] * 15 + [0] * 5), ([1] * 20, []), ([1], [-1])],
    ids=["sees all", "by chance", "one kind only", "too few"],
)
def test_what_forty_controls_do_not_show_is_not_taken_out(longer: list[int], shorter: list[int]) -> None:
    assert less_length(0.25, sensitivity(controls(longer, shorter), planned=40), 90, 10, 100) is None


def test_the_interval_of_the_length_effect_is_welch_s() -> None:
    from scipy import stats

    seen = sensitivity(controls([1] * 19 + [-1], [1] * 14 + [-1] * 6), planned=40, level=0.9)
    theirs = stats.ttest_ind([1] * 19 + [-1], [1] * 14 + [-1] * 6, equal_var=False).confidence_interval(0.9)
    assert seen.longer_ci == pytest.approx((theirs.low / 2, theirs.high / 2))


def test_controls_without_an_article_hide_no_article() -> None:
    """Twenty controls on one article, twenty on texts that name none: these are articles of their own."""
    one_article = [replace(one, cluster="Lyon") for one in controls([1] * 14 + [-1] * 6, [])]
    nameless = controls([1] * 15 + [-1] * 5, [])
    named = [replace(one, cluster=f"text {i}") for i, one in enumerate(nameless)]
    mixed = sensitivity([*one_article, *nameless], planned=40)
    apart = sensitivity(controls([1] * 29 + [-1] * 11, []), planned=40)
    assert mixed.ci_low == sensitivity([*one_article, *named], planned=40).ci_low
    assert mixed.ci_low is not None and apart.ci_low is not None and mixed.ci_low < apart.ci_low


@pytest.mark.parametrize("sight", [0.5, 0.8])
def test_the_net_win_of_a_judge_that_answers_by_chance_where_it_sees_nothing_is_corrected(sight: float) -> None:
    g, n, truth = np.random.default_rng(1), 200_000, 0.3
    readers = np.where(g.random(n) < (1 + truth) / 2, 1, -1)
    orders = [np.where(g.random(n) < sight, readers, g.choice((-1, 1), n)) for _ in range(2)]
    same = orders[0] == orders[1]
    net = float(np.where(same, orders[0], 0).mean())
    assert net == pytest.approx(sight * truth, abs=0.01)
    assert less_order(net, order_decided(~same, same)) == pytest.approx(truth, abs=0.015)


def test_a_judge_that_agrees_with_itself_no_more_than_by_chance_is_not_corrected() -> None:
    assert less_order(0.1, order_decided([True] * 5 + [False] * 5, [False] * 5 + [True] * 5)) is None
    assert less_order(0.1, order_decided([], [])) is None


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        make_run(folder / arm, plain_task("analysis_fr", 100, answers=[f"{arm} {i}" for i in range(100)]), model=arm)
        for arm in "cr"
    ]
    return pair_runs(find_run(runs[0]), find_run(runs[1]))


@pytest.mark.parametrize(
    ("asked", "outcomes", "chars", "kinds", "said"),
    [
        (
            FOLLOWS_LENGTH,
            ("win",) * 40 + ("tie",) * 60,
            900,
            {"judge_length"},
            "its net win is +10.0 points, not +40.0",
        ),
        (FOLLOWS_LENGTH, ("win",) * 40 + ("tie",) * 60, 103, set(), ""),
        (SEES.pairs, ("win",) * 40 + ("tie",) * 60, 900, set(), ""),
        (
            SEES.pairs,
            ("win",) * 30 + ("loss",) * 10 + ("flip",) * 20 + ("tie",) * 40,
            103,
            {"judge_order"},
            "about +34.6",
        ),
    ],
    ids=["longer", "as long", "sees", "place"],
)
def test_the_report_warns_of_what_a_lean_is_worth(
    tmp_path: Path,
    pairing: Pairing,
    asked: tuple[Control, ...],
    outcomes: tuple[str, ...],
    chars: int,
    kinds: set[str],
    said: str,
) -> None:
    verdicts = [
        replace(verdict, candidate_chars=chars)
        for verdict in verdicts_on(pairing.tasks[0], outcomes)  # type: ignore[arg-type]
    ]
    folder = judge_folder(tmp_path / "j", verdicts, controls_asked=ControlsAsked(40, (*SEES.pairs[:14], *asked)))
    found = {one.kind: one.text for one in compare(pairing, CompareOptions(judge_dir=folder)).warnings}
    assert {kind for kind in found if kind in ("judge_length", "judge_order")} == kinds
    assert said in "".join(found[kind] for kind in kinds)
