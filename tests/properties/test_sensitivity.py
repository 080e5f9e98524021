"""A judge that cannot see certifies nothing, one that sees enough keeps its level, and pays the price that is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lm_eval_fr.stats import Interval, net_win_rate
from lm_eval_fr.stats.judge_claim import decide_by_judge
from lm_eval_fr.stats.sensitivity import Control, corrected_margin, order_decided, sensitivity
from tests.properties.judges_world import (
    Judge,
    ask_controls,
    chance,
    constant,
    decided_by_order,
    headline,
    length,
    position,
    share,
    tie,
)

AT_THE_MARGIN = {"n": 600, "net": -0.10, "ties": 0.3, "margin": 0.10}
BLIND = (constant, chance, position, length, tie)


@pytest.mark.parametrize("gross_sight", [None, 1.0], ids=["blind to all", "sees gross faults"])
@pytest.mark.parametrize("habit", BLIND, ids=lambda habit: habit.__name__)
def test_a_blind_judge_certifies_nothing(habit, gross_sight) -> None:  # type: ignore[no-untyped-def]
    judge = Judge(habit, 0.0, gross_sight)
    for candidate_longer in (0.5, 0.95):
        wrong = share("non_inferior", 60, judge, 1, **AT_THE_MARGIN, candidate_longer=candidate_longer)
        assert wrong <= 0.03


@pytest.mark.parametrize(
    "judge", [Judge(constant, 0.8, 1.0, "order"), Judge(tie, 0.8, 1.0, "pair"), Judge(chance, 1.0)]
)
def test_a_judge_that_sees_keeps_the_level_at_a_loss_of_the_margin(judge: Judge) -> None:
    studies = 300
    wrong = share("non_inferior", studies, judge, 2, **AT_THE_MARGIN) * studies
    assert wrong <= stats.binom.ppf(0.999, studies, 0.025)


@pytest.mark.parametrize(("n", "ties"), [(909, 0.2), (681, 0.4)])
def test_a_judge_that_sees_four_in_five_certifies_at_the_price_named(n: int, ties: float) -> None:
    studies, judge = 150, Judge(constant, 0.8, 1.0, "order")
    certified = share("non_inferior", studies, judge, 3, n=n, net=0.0, ties=ties, margin=0.10)
    assert abs(certified - 0.8) < 4 * (0.8 * 0.2 / studies) ** 0.5


def test_forty_controls_pass_a_judge_that_sees_four_in_five_and_twenty_often_do_not() -> None:
    g, judge = np.random.default_rng(4), Judge(tie, 0.8, 1.0, "order")  # its net win is 0.64: both orders must see
    passed = {n: sum(ask_controls(judge, g, n).sees_graded for _ in range(200)) / 200 for n in (20, 40)}
    assert passed[40] > 0.93 and passed[20] < 0.9


def test_a_judge_of_length_wins_half_of_the_balanced_controls_and_loses_the_other_half() -> None:
    seen = ask_controls(Judge(length, 0.0, 1.0), np.random.default_rng(5), 40)
    assert (seen.won, seen.lost, seen.longer_effect) == (20, 20, 1.0) and not seen.sees_graded


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_the_simulation_decides_by_the_package_s_own_limits(won: int, lost: int, rest: int) -> None:
    n = won + lost + rest
    own = net_win_rate([1] * won + [-1] * lost + [0] * rest).net_win.interval
    fast = headline(won, lost, n)
    assert (fast.low, fast.high) == pytest.approx((own.low, own.high))
    order = order_decided([True] * rest + [False] * (won + lost), [False] * rest + [True] * (won + lost))
    quick = decided_by_order(rest, won + lost, n)
    assert (quick.of_decided_high, quick.of_all_high) == pytest.approx((order.of_decided_high, order.of_all_high))


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.3, 0.3), st.floats(0.01, 0.3), st.floats(0.02, 0.5), st.integers(15, 40))
def test_the_corrected_margin_is_the_condition_solved_for_the_lower_limit(
    net: float, width: float, margin: float, won: int
) -> None:
    controls = [Control("figure", "word", int(i < won), (True, i < won), False, bool(i % 2)) for i in range(40)]
    seen = sensitivity(controls, planned=40)
    interval = Interval(net, net - width, net + width, 0.95, "", 600)
    corrected = corrected_margin(interval, margin, seen)
    assert corrected is not None
    assert corrected.holds == (corrected.margin is not None and net - width > -corrected.margin)
    if corrected.margin is not None:
        assert corrected.margin <= margin + 1e-12  # a judge never makes a margin wider
    order = decided_by_order(10, 300, 600)
    claim, own = (
        decide_by_judge(interval, margin, seen, order),
        decide_by_judge(interval, margin, replace(seen, net_win=1.0, ci_low=1.0), order),
    )
    assert claim.verdict == own.verdict or claim.verdict in ("inconclusive", "no_verdict")
