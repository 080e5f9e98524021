"""Odd input gets an honest answer: None with the reason, or a usage error with the remedy. Never a crash."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lm_eval_fr import stats
from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats import Interval
from lm_eval_fr.stats.differences import intraclass_correlation
from lm_eval_fr.stats.proportions import mcnemar_exact

SCORES = np.random.default_rng(0).random(40)
WORSE = SCORES * 0.9


def undefined(interval: Interval, reason: str) -> None:
    assert interval.low is None
    assert interval.high is None
    assert interval.reason is not None
    assert reason in interval.reason


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers(bad: float) -> None:
    broken = SCORES.copy()
    broken[[3, 7]] = bad
    said = "2 of 40 documents have a score that is NaN or infinite (first: position 3)"
    for found in (
        stats.paired_difference(broken, SCORES).interval,
        stats.paired_difference(SCORES, broken, clusters=np.arange(40) // 4, margin=0.1).interval,
        stats.recovery_interval(broken, SCORES),
        stats.recovered_share(SCORES, broken, WORSE),
        stats.mean_interval(broken),
        stats.betting_difference(broken).interval,
        stats.noise_floor(broken, SCORES),
        stats.net_win_rate(broken).net_win.interval,
    ):
        undefined(found, said)
        assert found.estimate is None
    assert stats.confidence_sequence(broken).reason == said
    assert stats.confidence_sequence(broken).low.size == 0
    assert stats.betting_difference(broken, margin=0.1).p_non_inferior is None


@pytest.mark.parametrize(("n", "reason"), [(0, "no documents"), (1, "one document: the spread is unknown")])
def test_too_few_documents(n: int, reason: str) -> None:
    few, worse = SCORES[:n], WORSE[:n]
    found = stats.paired_difference(few, worse, margin=0.02)
    undefined(found.interval, reason)
    assert (found.p_value, found.p_non_inferior, found.sd) == (None, None, None)
    assert found.interval.estimate == (None if n == 0 else pytest.approx(few[0] - worse[0]))
    undefined(stats.recovery_interval(few, worse), reason)
    undefined(stats.recovered_share(few, worse, few), reason)
    undefined(stats.mean_interval(few), reason)
    undefined(stats.noise_floor(few, worse), reason)
    assessment = stats.assess(found, 0.02)
    assert (assessment.verdict, assessment.reason) == ("no_verdict", found.interval.reason)
    assert (assessment.degradation_detected, assessment.mde, assessment.documents_needed) == (None, None, None)
    assert reason in (assessment.mde_reason or "")
    needed = stats.documents_needed(found, 0.02)
    assert (needed.documents, reason in (needed.reason or "")) == (None, True)
    assert stats.overall({"piaf_fr": assessment}).verdict == "no_verdict"


def test_one_cluster() -> None:
    found = stats.paired_difference(SCORES, WORSE, clusters=["same"] * 40)
    undefined(found.interval, "one cluster: the spread between clusters is unknown")
    assert found.interval.estimate == pytest.approx((SCORES - WORSE).mean())
    assert intraclass_correlation(SCORES, np.zeros(40)) is None
    undefined(stats.recovery_interval(SCORES, WORSE, clusters=np.zeros(40)), "one cluster")


def test_two_clusters_decide_nothing() -> None:
    found = stats.paired_difference(SCORES, WORSE, clusters=np.arange(40) % 2)
    assert found.interval.low is not None
    assert found.interval.low < -0.5
    assert stats.assess(found, 0.3).verdict == "inconclusive"


def test_no_variance() -> None:
    constant = np.full(40, 0.25)
    same = stats.paired_difference(constant + 0.5, constant)
    assert same.interval.low is not None
    assert same.interval.low < 0.5  # bounded: one unseen loss is always possible
    assert same.sd == 0
    unbounded = stats.paired_difference(constant + 5, constant, margin=0.1)
    undefined(unbounded.interval, "no variance")
    assert unbounded.p_value is None
    assert stats.assess(unbounded, 0.1).verdict == "no_verdict"
    assessment = stats.assess(stats.paired_difference(constant, constant), 0.02)
    assert assessment.mde is None
    assert assessment.mde_reason == "no variance: what could have been detected is unknown"
    assert assessment.documents_needed is not None
    assert assessment.documents_needed.documents is not None
    assert 148 < assessment.documents_needed.documents < 300
    everything = stats.paired_difference(np.ones(40), np.zeros(40)).interval
    assert everything.high == 1
    assert (stats.paired_difference(np.zeros(40), np.ones(40)).interval.low) == -1


@pytest.mark.parametrize("margin", [0, -0.02, np.nan, np.inf])
def test_margins_that_nothing_can_show(margin: float) -> None:
    difference = stats.paired_difference(SCORES, WORSE)
    for ask in (
        lambda: stats.decide(difference.interval, margin),
        lambda: stats.assess(difference, margin),
        lambda: stats.paired_difference(SCORES, WORSE, margin=margin),
        lambda: stats.documents_for_margin(margin, stats.score_spread(0.2)),
        lambda: stats.EProcess(margin, stats.Planned(10)),
        lambda: stats.betting_difference(SCORES - WORSE, margin=margin),
    ):
        with pytest.raises(UsageError, match="cannot be shown by any number of documents"):
            ask()


def test_margins_beyond_the_range() -> None:
    difference = stats.paired_difference(SCORES, WORSE)
    for ask in (
        lambda: stats.assess(difference, 2.0),
        lambda: stats.assess(difference, 1.0),
        lambda: stats.net_win_rate([1, 0, -1], margin=10),
        lambda: stats.EProcess(1.0, stats.Planned(10)),
        lambda: stats.documents_for_margin(2.0, stats.score_spread(0.2)),
    ):
        with pytest.raises(UsageError, match=r"accepts every loss.*margins are shares, not points"):
            ask()
    points = stats.paired_difference(100 * SCORES, 100 * WORSE)
    assert stats.assess(points, 20.0).verdict == "non_inferior"  # no known ends: any margin may be meant


CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: stats.paired_difference(SCORES, WORSE[:-1]), "40 candidate scores cannot be paired with 39"),
    (lambda: stats.paired_difference(["a"], ["b"]), "candidate is not numeric"),
    (lambda: stats.paired_difference([[1.0]], [[1.0]]), "2 dimensions"),
    (lambda: stats.paired_difference(SCORES, WORSE, clusters=[1, 2]), "2 cluster labels for 40 documents"),
    (lambda: stats.paired_difference(SCORES, WORSE, level=95), "level of 95 is not between 0 and 1"),
    (lambda: stats.net_win_rate([1, 0.5]), r"outcome is \+1, 0 or -1"),
    (lambda: stats.binomial_share(5, 3), "is impossible"),
    (lambda: mcnemar_exact(-1, 3), "is impossible"),
    (lambda: stats.holm([0.1, 1.5]), "1.5 is not a p-value"),
    (lambda: stats.overall({}), "nothing to decide"),
    (lambda: stats.Planned(0), "cannot be tested"),
    (lambda: stats.EProcess(0.1, stats.Planned(5)).update(1.5), "outside of"),
    (lambda: stats.EProcess(0.1, stats.Planned(5), alpha=1), "an alpha of 1 is not between 0 and 1"),
    (lambda: stats.exact_match_spread(5), "not a share"),
    (lambda: stats.judge_spread(-0.1), "not a share"),
    (lambda: stats.score_spread(-1), "is impossible"),
    (lambda: stats.score_spread(0.2, icc=2), "the ICC is between 0 and 1"),
    (lambda: stats.pilot_spread([1.0], [1.0]), "the pilot shows nothing: one document"),
    (lambda: stats.judge_pilot_spread([]), "the pilot shows nothing: no documents"),
    (lambda: stats.documents_for_margin(0.1, stats.score_spread(0.2), power=1), "use 0.8, for example"),
    (lambda: stats.margin_for_documents(1, stats.score_spread(0.2)), "1 documents establish nothing"),
]


@pytest.mark.parametrize(("call", "said"), CALLS, ids=[said for _, said in CALLS])
def test_misuse_names_the_remedy(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call()


def test_mixed_levels_have_no_overall_verdict() -> None:
    at = [stats.assess(stats.paired_difference(SCORES, WORSE, level=level), 0.2) for level in (0.9, 0.95)]
    with pytest.raises(UsageError, match="different levels"):
        stats.overall(dict(zip("ab", at, strict=True)))


def test_a_share_of_nothing() -> None:
    undefined(stats.recovery_interval(WORSE, np.zeros(40)), "not clearly above 0")
    undefined(stats.recovery_interval(SCORES, np.where(np.arange(40) == 3, 1.0, 0.0)), "not clearly above 0")
    undefined(stats.recovery_interval(-SCORES, -WORSE), "not clearly above 0")
    noise = np.random.default_rng(1).normal(0, 0.01, 40)
    undefined(stats.recovered_share(SCORES, SCORES + noise, SCORES), "a share of it is undefined")


def test_proportions_of_nothing() -> None:
    share = stats.binomial_share(0, 0)
    assert (share.share, share.low, share.p_value) == (None, None, None)


@pytest.mark.parametrize(
    ("successes", "costs", "reason"),
    [
        ([2.0, 0.0, 1.0], [1.0, 1.0, 1.0], "a success is a number from 0 to 1"),
        ([1.0, 0.0, 1.0], [1.0, -1.0, 1.0], "costs are positive"),
        ([1.0, 0.0, 1.0], [0.0, 0.0, 0.0], "costs are positive"),
    ],
)
def test_successes_and_costs_that_are_none(successes: list[float], costs: list[float], reason: str) -> None:
    undefined(stats.success_rate_per_cost(successes, costs), reason)
    undefined(stats.value_ratio((successes, costs), ([1.0, 0.0, 1.0], [1.0, 1.0, 1.0])), reason)
    with pytest.raises(UsageError, match="successes and costs of different lengths"):
        stats.success_rate_per_cost(successes, costs[:2])


def test_noise_of_reruns_that_say_little() -> None:
    loss = Interval(-0.05, -0.06, -0.04, 0.95, "t", 100)
    assert stats.exceeds_noise(loss, []) == stats.NoiseComparison(None, None)
    one_document = Interval(0.01, None, None, 0.95, "none", 1, reason="one document: the spread is unknown")
    assert stats.exceeds_noise(loss, [one_document]) == stats.NoiseComparison(0.01, None)
    unknown = Interval(None, None, None, 0.95, "none", 0, reason="no documents")
    assert stats.exceeds_noise(loss, [unknown]) == stats.NoiseComparison(None, None)
