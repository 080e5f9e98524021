"""Verdicts, their sentence, the documents still needed, and planning that keeps its promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lm_eval_fr.stats import (
    Assessment,
    Interval,
    assess,
    decide,
    degradation_detected,
    documents_for_margin,
    documents_needed,
    exact_match_spread,
    intraclass_correlation,
    judge_pilot_spread,
    judge_spread,
    margin_for_documents,
    margin_table,
    mde,
    net_win_rate,
    overall,
    paired_difference,
    pilot_spread,
    planning_table,
    score_spread,
    tango_interval,
)
from lm_eval_fr.stats.arrays import units_of
from lm_eval_fr.stats.differences import guarded
from lm_eval_fr.stats.planning import attained, guarded_p, tango_power
from lm_eval_fr.stats.proportions import tango_score

RNG = np.random.default_rng(50)


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, "by hand", 100)


def assessment(low: float, high: float, margin: float = 0.02, p_inferior: float | None = None) -> Assessment:
    bounds = interval(low, high)
    verdict = decide(bounds, margin)
    return Assessment(verdict, margin, bounds, degradation_detected(bounds), None, None, None, None, p_inferior)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "worse"),
    [
        (-0.01, 0.01, "non_inferior", False),
        (-0.019, -0.001, "non_inferior", True),  # a loss, proven and proven to be small
        (-0.02, 0.01, "inconclusive", False),
        (-0.05, -0.021, "inferior", True),
        (-0.05, -0.02, "inconclusive", True),
        (-0.05, 0.05, "inconclusive", False),
        (0.03, 0.05, "non_inferior", False),
    ],
)
def test_rule(low: float, high: float, verdict: str, worse: bool) -> None:
    assert decide(interval(low, high), 0.02) == verdict
    assert degradation_detected(interval(low, high)) is worse


def test_all_must_be_non_inferior() -> None:
    good = assessment(-0.008, 0.01)
    found = overall({"piaf_fr": good, "the judge": assessment(-0.06, 0.1, 0.10)})
    assert found.verdict == "non_inferior"
    assert found.sentence == (
        "Non-inferior, at 95 % confidence: piaf_fr loses less than 0.02 (at most 0.0080); "
        "the judge loses less than 0.1 (at most 0.0600). Not claimed: that the arms are equal, "
        "or that it holds for other tasks, prompts or settings than those compared."
    )
    mixed = overall({"piaf_fr": good, "sib200_fr": assessment(-0.03, 0.01)})
    assert (mixed.verdict, mixed.undecided) == ("inconclusive", ("sib200_fr",))
    assert mixed.sentence.startswith(
        "Inconclusive, at 95 % confidence: on sib200_fr a loss of up to 0.0300 cannot be ruled out, "
        "and the margin is 0.02."
    )
    assert "neither evidence of a loss nor of its absence" in mixed.sentence


def test_one_inferior_task_is_enough_if_it_survives_holm() -> None:
    good, bad = assessment(-0.008, 0.01, p_inferior=0.9), assessment(-0.08, -0.03, p_inferior=0.001)
    found = overall({"piaf_fr": good, "sib200_fr": bad})
    assert (found.verdict, found.inferior) == ("inferior", ("sib200_fr",))
    assert "sib200_fr loses more than 0.02 (at least 0.0300)" in found.sentence
    assert overall({"sib200_fr": bad}).verdict == "inferior"


def test_one_inferior_task_by_chance_among_many_is_not() -> None:
    lucky = assessment(-0.08, -0.0201, p_inferior=0.02)
    tasks = {f"task{i}": assessment(-0.03, 0.03, p_inferior=0.5) for i in range(4)}
    found = overall({**tasks, "unlucky": lucky})
    assert found.verdict == "inconclusive"
    assert "unlucky on its own loses more than 0.02, but not after Holm's correction" in found.sentence
    assert overall({"unlucky": lucky}).verdict == "inferior"


def test_mde_is_about_what_planning_says() -> None:
    candidate = RNG.normal(0, 0.15, 444)
    difference = paired_difference(candidate - candidate.mean(), np.zeros(444), kind="unbounded")
    found, reason = mde(difference)
    assert reason is None
    planned = margin_for_documents(444, score_spread(difference.sd or 0)).margin
    assert found == pytest.approx(planned, rel=0.01)


def test_documents_needed_settle_it() -> None:
    """Simulated anew with so many documents, four in five studies are settled."""
    generator = np.random.default_rng(7)
    reference = np.full(200, 0.5)
    candidate = reference + generator.normal(0, 0.15, 200).clip(-0.5, 0.5)
    candidate += 0.5 - candidate.mean()
    difference = paired_difference(candidate.clip(0, 1), reference)
    needed = documents_needed(difference, 0.02)
    assert needed.towards == "non_inferior"
    assert needed.documents is not None
    assert needed.documents > 200
    settled = 0
    for _ in range(100):
        fresh = 0.5 + generator.choice(candidate - 0.5, needed.documents)
        again = paired_difference(fresh.clip(0, 1), np.full(needed.documents, 0.5))
        settled += decide(again.interval, 0.02) == "non_inferior"
    assert 0.66 < settled / 100 < 0.95


@pytest.mark.parametrize(
    ("n", "lost", "gained", "towards"),
    [(72, 0, 0, "non_inferior"), (300, 3, 3, "non_inferior"), (72, 12, 2, "inferior")],
)
def test_documents_needed_of_few_flips_settle_it(n: int, lost: int, gained: int, towards: str) -> None:
    candidate, reference = np.ones(n), np.ones(n)
    candidate[:lost], reference[lost : lost + gained] = 0, 0
    needed = documents_needed(paired_difference(candidate, reference), 0.02)
    assert needed.towards == towards
    assert needed.documents is not None
    rates = [lost / n, gained / n, 1 - (lost + gained) / n]
    fresh = np.random.default_rng(5).multinomial(needed.documents, rates, size=200)
    verdicts = [decide(tango_interval(int(one), int(two), needed.documents), 0.02) for one, two, _ in fresh]
    assert verdicts.count(needed.towards) / len(verdicts) > 0.7


def test_documents_needed_towards_inferior_and_nowhere() -> None:
    losing = net_win_rate([-1] * 30 + [0] * 60 + [1] * 10).net_win
    needed = documents_needed(losing, 0.10)
    assert needed.towards == "inferior"
    assert needed.documents is not None
    assert needed.documents > 100
    on_it = net_win_rate([-1] * 20 + [0] * 70 + [1] * 10).net_win
    nowhere = documents_needed(on_it, 0.10)
    assert nowhere.documents is None
    assert nowhere.reason == "the difference is the margin: no number settles it"
    settled = assess(net_win_rate([0] * 100).net_win, 0.2)
    assert settled.documents_needed is None


def test_few_clusters_need_twenty_of_them() -> None:
    """Far inside the margin, yet with 12 articles nothing is decided: 20 of 10 questions would."""
    values = np.full(120, 0.5) + RNG.normal(0, 0.01, 120)
    found = paired_difference(values, np.full(120, 0.5), clusters=np.arange(120) % 12)
    needed = documents_needed(found, 0.5)
    assert needed.documents == 200
    assert (documents_needed(found, 0.05).documents or 0) > 300


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
def test_both_ways_of_planning_are_inverse(spread: object) -> None:
    plan = documents_for_margin(0.05, spread)  # type: ignore[arg-type]
    assert plan.documents is not None
    assert plan.documents_guarded is not None
    assert plan.documents_guarded >= plan.documents
    back = margin_for_documents(plan.documents, spread)  # type: ignore[arg-type]
    assert back.margin == pytest.approx(0.05, rel=0.03)
    guarded = margin_for_documents(plan.documents_guarded, spread)  # type: ignore[arg-type]
    assert guarded.margin_guarded == pytest.approx(0.05, rel=0.03)


def test_guarded_power_is_what_the_verdict_has() -> None:
    """By simulation of whole verdicts, with and without clusters."""
    generator = np.random.default_rng(11)
    for sd, size, icc in ((0.15, 1, 0.0), (0.03, 1, 0.0), (0.15, 5, 0.3)):
        spread = score_spread(sd, cluster_size=size, icc=icc)
        n = documents_for_margin(0.03, spread).documents_guarded
        assert n is not None
        n += -n % size
        count, shown = n // size, 0
        labels = None if size == 1 else np.repeat(np.arange(count), size)
        for _ in range(400):
            alike = generator.normal(0, sd * icc**0.5, (count, 1))
            values = (alike + generator.normal(0, sd * (1 - icc) ** 0.5, (count, size))).reshape(-1)
            found = None if labels is None else intraclass_correlation(values, labels)
            shown += guarded(units_of(values, labels), found).p_above(-0.03) < 0.025
        assert shown / 400 == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(("flips", "margin"), [(0.03, 0.02), (0.05, 0.02), (0.05, 0.10)])
def test_exact_match_power_is_what_the_verdict_has(flips: float, margin: float) -> None:
    """The textbook's normal number falls short where few flips are expected; the guarded one holds in simulation."""
    plan = documents_for_margin(margin, exact_match_spread(flips))
    assert plan.documents is not None
    assert plan.documents_guarded is not None
    assert plan.documents_guarded > plan.documents
    for n, least in ((plan.documents_guarded, 0.77), (plan.documents, 0.3)):
        half = flips / 2
        lost, gained = np.random.default_rng(12).multinomial(n, [half, half, 1 - flips], 3000)[:, :2].T
        share = np.mean(tango_score(lost, gained, n, -margin) > scipy_stats.norm.isf(0.025))
        assert share == pytest.approx(tango_power(n, exact_match_spread(flips), 0.0, -margin, 0.025), abs=0.03)
        assert share > least
    assert share < 0.79


def test_without_a_flip_tango_still_needs_documents() -> None:
    plan = documents_for_margin(0.02, exact_match_spread(0.0))
    assert plan.documents is not None
    same = np.ones(plan.documents)
    assert decide(paired_difference(same, same).interval, 0.02) == "non_inferior"
    assert decide(paired_difference(same[2:], same[2:]).interval, 0.02) == "inconclusive"


def test_a_loss_as_large_as_the_margin_is_never_shown_to_be_smaller() -> None:
    plan = documents_for_margin(0.02, score_spread(0.2), difference=-0.02)
    assert plan.documents is None
    assert plan.reason == "a true loss of the margin or more is never shown to be smaller"
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


def test_tables() -> None:
    table = planning_table(margins=(0.02,), spreads=(score_spread(0.15), exact_match_spread(0.05)))
    assert [[plan.documents for plan in row] for row in table] == [[444], [982]]
    margins = margin_table(documents=(150, 300), spreads=(judge_spread(0.4),))
    assert [round(plan.margin or 0, 3) for plan in margins[0]] == [0.178, 0.126]
    assert len(planning_table()) == len(margin_table()) == 8


def test_power_grows_with_documents() -> None:
    for spread in (score_spread(0.2), exact_match_spread(0.05), judge_spread(0.4), score_spread(0.2, cluster_size=5)):
        counts = range(10, 3000, 37)
        assert (np.diff([attained(n, spread, 0.0, -0.03, 0.025) for n in counts]) > -1e-9).all()
        assert (np.diff([guarded_p(n, spread, 0.0, -0.03, 0.8) for n in counts]) < 1e-9).all()


def test_score_power_is_the_noncentral_t() -> None:
    expected = scipy_stats.nct.sf(scipy_stats.t.isf(0.025, 99), 99, 0.05 * 10 / 0.2)
    assert attained(100, score_spread(0.2), 0.0, -0.05, 0.025) == pytest.approx(expected)
