"""Planning that keeps its promise: documents and margins against simulated verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats import (
    Spread,
    decide,
    documents_for_margin,
    exact_match_spread,
    judge_pilot_spread,
    judge_spread,
    margin_for_documents,
    net_win_rate,
    paired_difference,
    pilot_spread,
    repeated,
    score_spread,
    variance_components,
    verdict_power,
)
from lm_eval_fr.stats.planning import attained
from lm_eval_fr.stats.typical import counted_power
from tests.properties import worlds as w

RNG = np.random.default_rng(50)


@pytest.mark.parametrize(
    "spread",
    [
        score_spread(0.15),
        score_spread(0.25, cluster_size=5, icc=0.2),
        exact_match_spread(0.05),
        exact_match_spread(0.05, cluster_size=4, icc=0.3),
        judge_spread(0.4),
    ],
)
def test_both_ways_of_planning_are_inverse(spread: Spread) -> None:
    plan = documents_for_margin(0.05, spread)
    assert plan.documents is not None
    assert plan.documents_guarded is not None
    assert plan.documents_guarded >= plan.documents
    back = margin_for_documents(plan.documents, spread)
    assert back.margin == pytest.approx(0.05, rel=0.03)
    guarded = margin_for_documents(plan.documents_guarded, spread)
    assert guarded.margin_guarded == pytest.approx(0.05, rel=0.03)
    assert verdict_power(plan.documents_guarded, 0.05, spread) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("spread", "margin", "world", "sizes"),
    [
        (score_spread(0.15), 0.03, w.alike(0.0, 0.15), None),
        (score_spread(0.15, cluster_size=5, icc=0.3), 0.03, w.alike(0.3, 0.15), "5"),
        (
            score_spread(0.183, cluster_size=5.5, weighted_size=7, icc=0.03),
            0.03,
            w.flips(0.05, 0.05, graded=True),
            "1 to 10",
        ),
        (exact_match_spread(0.1, cluster_size=5.5, weighted_size=7, icc=0.05), 0.05, w.flips(0.05, 0.1), "1 to 10"),
        (judge_spread(0.4, cluster_size=5, icc=0.15), 0.10, w.judged(0.6, 0.15), "5"),
    ],
)
def test_guarded_power_is_what_the_verdict_has(
    spread: Spread, margin: float, world: w.ClusterDraw, sizes: str | None
) -> None:
    """By simulation of whole stacks of verdicts, with and without articles, even and uneven."""
    n = documents_for_margin(margin, spread).documents_guarded
    assert n is not None
    g, studies = np.random.default_rng(11), 400
    if sizes is None:
        shown = w.dirichlet_p(world(g, np.ones((studies, n), dtype=int), 0.0)[..., 0], -margin) <= w.ALPHA
    else:
        stack = w.ClusterWorld("", "", world).study(g, studies, round(n / spread.cluster_size), sizes, 0.0)
        shown = w.cluster_p_above(stack, -margin) <= w.ALPHA
    assert 0.71 < shown.mean() < 0.93  # planned for losses that gather; where gains do too, fewer would do


@pytest.mark.parametrize(("flips", "margin"), [(0.03, 0.02), (0.05, 0.02), (0.05, 0.10)])
def test_exact_match_power_is_what_the_verdict_has(flips: float, margin: float) -> None:
    """The textbook's normal number falls short where few flips are expected; the verdict's own holds in simulation."""
    plan = documents_for_margin(margin, exact_match_spread(flips))
    assert plan.documents is not None
    assert plan.documents_guarded is not None
    assert plan.documents_guarded > plan.documents
    half, found = flips / 2, {}
    for n in (plan.documents_guarded, plan.documents):
        outcomes = np.random.default_rng(12).multinomial(n, [half, half, 1 - flips], 400)
        verdicts = [decide(net_win_rate(np.repeat([-1, 1, 0], row)).net_win.interval, margin) for row in outcomes]
        found[n] = verdicts.count("non_inferior") / 400
        assert found[n] == pytest.approx(counted_power(n, half, half, -margin, 0.025), abs=0.06)
    assert found[plan.documents_guarded] > 0.74
    assert found[plan.documents] < 0.8


def test_claims_are_planned_for_together() -> None:
    """80 % power for each of 2, 4, 5 claims is not 80 % for all: 1.31, 1.62, 1.72 times the documents."""
    one = documents_for_margin(0.02, score_spread(0.25)).documents
    assert one is not None
    for claims, times in ((2, 1.31), (4, 1.62), (5, 1.72)):
        together = documents_for_margin(0.02, score_spread(0.25), claims=claims)
        assert together.documents is not None
        assert together.documents / one == pytest.approx(times, abs=0.01)
        assert (together.documents_guarded or 0) > together.documents
        back = margin_for_documents(together.documents, score_spread(0.25), claims=claims)
        assert back.margin == pytest.approx(0.02, rel=0.01)
    with pytest.raises(UsageError, match="0 claims cannot be planned"):
        documents_for_margin(0.02, score_spread(0.25), claims=0)


@pytest.mark.parametrize("documents", [10, 50, 70])
def test_fewer_documents_than_the_article_of_a_random_one(documents: int) -> None:
    """A pilot with one very long article, and a plan that is shorter than that."""
    spread = score_spread(0.2, cluster_size=3, weighted_size=120, icc=0.05)
    plan = margin_for_documents(documents, spread)
    assert plan.margin_guarded is None or plan.margin_guarded > 0.1
    assert 0 <= verdict_power(documents, 0.5, spread) < 0.9


def test_worst_case_costs_documents() -> None:
    spread = score_spread(0.15, cluster_size=5, icc=0.1)
    default, worst = (
        documents_for_margin(0.03, spread, guarantee=g).documents_guarded for g in ("default", "worst-case")
    )
    assert default is not None
    assert worst is not None
    assert worst > 1.1 * default


# --- several answers a document ---


def test_answers_of_unstable_documents_are_worth_documents() -> None:
    """10 % unstable documents (right half of the time, in either arm), margin 2: 1,043, 616 and 392 at k = 1, 2, 4."""
    spread = exact_match_spread(0.05)
    needed = {k: documents_for_margin(0.02, repeated(spread, k, 1.0)).documents_guarded for k in (1, 2, 4)}
    assert needed == {1: 1043, 2: 616, 4: 392}
    g, shown = np.random.default_rng(6), 0
    for _ in range(150):
        arms = []
        for _ in range(2):
            arms.append(np.where(np.arange(392) % 10 == 0, (g.random((4, 392)) < 0.5).astype(float), 1.0).mean(axis=0))
        shown += decide(paired_difference(*arms).interval, 0.02) == "non_inferior"
    assert shown / 150 == pytest.approx(0.8, abs=0.1)


def test_what_is_the_document_s_own_is_not_averaged_out() -> None:
    spread = score_spread(0.2)
    assert repeated(spread, 1, 0.5) is spread
    assert repeated(spread, 100, 0.0).sd == pytest.approx(0.2)
    assert repeated(spread, 4, 0.5).sd == pytest.approx(0.2 * (0.5 + 0.125) ** 0.5)
    with pytest.raises(UsageError, match="are impossible"):
        repeated(spread, 0, 0.5)


def test_variance_components() -> None:
    """Documents that differ by SD 0.1, answers that add SD 0.2 in one arm and 0.1 in the other."""
    g = np.random.default_rng(9)
    own = g.normal(0, 0.1, 4000)
    candidate, reference = own + g.normal(0, 0.2, (3, 4000)), g.normal(0, 0.1, (2, 4000))
    found = variance_components(candidate, reference)
    assert (found.candidate_answers, found.reference_answers, found.n) == (3, 2, 4000)
    assert found.between == pytest.approx(0.01, rel=0.1)
    assert found.within_candidate == pytest.approx(0.04, rel=0.05)
    assert found.within_reference == pytest.approx(0.01, rel=0.05)
    assert found.unstable == pytest.approx(5 / 6, abs=0.02)
    assert found.unstable_documents == 1.0
    means = candidate.mean(axis=0) - reference.mean(axis=0)
    assert means.var(ddof=1) == pytest.approx(found.between + 0.04 / 3 + 0.01 / 2, rel=0.05)


def test_variance_components_that_cannot_be_told() -> None:
    once = variance_components(RNG.random(30), RNG.random((3, 30)))
    assert (once.between, once.unstable) == (None, None)
    assert once.reason == "an arm answered each document only once: how much its answers vary is unknown"
    still = variance_components(np.ones((2, 30)), np.ones((2, 30)))
    assert (still.between, still.unstable, still.unstable_documents) == (0, None, 0)
    with pytest.raises(UsageError, match="30 candidate documents cannot be paired with 29"):
        variance_components(RNG.random((2, 30)), RNG.random((2, 29)))
    with pytest.raises(UsageError, match="reference has no row of scores for each answer"):
        variance_components(RNG.random((2, 30)), RNG.random((2, 3, 4)))


def test_without_a_flip_tango_still_needs_documents() -> None:
    plan = documents_for_margin(0.02, exact_match_spread(0.0))
    assert plan.documents_guarded == plan.documents
    same = np.ones(plan.documents or 0)
    assert decide(paired_difference(same, same).interval, 0.02) == "non_inferior"
    assert decide(paired_difference(same[2:], same[2:]).interval, 0.02) == "inconclusive"


def test_a_loss_as_large_as_the_margin_is_never_shown_to_be_smaller() -> None:
    plan = documents_for_margin(0.02, score_spread(0.2), difference=-0.02)
    assert plan.documents is None
    assert plan.reason == "a true loss of the margin or more can never be shown to be smaller"
    nearly = documents_for_margin(0.02, score_spread(0.2), difference=-0.0199999)
    assert nearly.documents is None
    assert nearly.reason == "more than 100,000,000 documents"


def test_few_documents_establish_no_margin() -> None:
    plan = margin_for_documents(2, score_spread(0.9))
    assert plan.margin is None
    assert plan.reason is not None


def test_pilots_are_planned_from() -> None:
    reference = RNG.random(200)
    candidate = np.clip(reference + RNG.normal(0, 0.2, 200), 0, 1)
    spread = pilot_spread(candidate, reference, clusters=np.arange(200) // 4)
    assert (spread.kind, spread.cluster_size) == ("score", 4)
    assert spread.sd == pytest.approx((candidate - reference).std(ddof=1))
    assert 0 <= spread.icc < 0.3
    flips = pilot_spread([1, 1, 0, 1], [1, 0, 0, 1])
    assert (flips.kind, flips.sd, flips.label) == ("exact_match", 0.5, "25 % flips in 4 documents")
    ties = judge_pilot_spread([1] * 50 + [0] * 60 + [-1] * 40)
    assert (ties.kind, ties.label) == ("judge", "40 % ties in 150 pairs")
    assert ties.sd == pytest.approx(0.6**0.5)
    uneven = pilot_spread(candidate, reference, clusters=np.repeat([0, 1, 2], [10, 90, 100]))
    assert (uneven.cluster_size, uneven.weighted) == (pytest.approx(200 / 3), pytest.approx((100 + 8100 + 10000) / 200))


def test_power_grows_with_documents() -> None:
    for spread in (score_spread(0.2), exact_match_spread(0.05), judge_spread(0.4), score_spread(0.2, cluster_size=5)):
        counts = range(10, 3000, 37)
        assert (np.diff([attained(n, spread, 0.0, -0.03, 0.025) for n in counts]) > -1e-9).all()
        assert (np.diff([verdict_power(n, 0.03, spread) for n in counts[::4]]) > -0.01).all()


def test_score_power_is_the_noncentral_t() -> None:
    expected = scipy_stats.nct.sf(scipy_stats.t.isf(0.025, 99), 99, 0.05 * 10 / 0.2)
    assert attained(100, score_spread(0.2), 0.0, -0.05, 0.025) == pytest.approx(expected)
