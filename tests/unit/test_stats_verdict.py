"""Verdicts from intervals, whether a loss could have shown, and the verdict over all."""

from __future__ import annotations

import numpy as np
import pytest

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats import (
    Assay,
    Assessment,
    Interval,
    assay_of,
    assess,
    decide,
    mean_over_tasks,
    overall,
    paired_difference,
    without_verdict,
)

RNG = np.random.default_rng(50)


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, "by hand", 100)


def assessment(low: float, high: float, margin: float = 0.02, p_inferior: float | None = None) -> Assessment:
    bounds = interval(low, high)
    verdict = decide(bounds, margin)
    return Assessment(verdict, margin, bounds, p_inferior=p_inferior)


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
    assert interval(low, high).degradation_detected is worse


def test_without_an_interval_there_is_no_verdict() -> None:
    assert decide(Interval(0.0, None, None, 0.95, "none", 1, reason="one document"), 0.02) == "no_verdict"


def test_all_must_be_non_inferior() -> None:
    good = assessment(-0.008, 0.01)
    assert overall({"piaf_fr": good, "the judge": assessment(-0.06, 0.1, 0.10)}).verdict == "non_inferior"
    mixed = overall({"piaf_fr": good, "sib200_fr": assessment(-0.03, 0.01)})
    assert (mixed.verdict, mixed.undecided) == ("inconclusive", ("sib200_fr",))


def test_no_verdict_on_one_is_no_verdict_over_all_unless_another_is_inferior() -> None:
    good, bad = assessment(-0.008, 0.01, p_inferior=0.9), assessment(-0.08, -0.03, p_inferior=0.001)
    broken = without_verdict(good, "the scores do not reproduce the aggregate")
    assert (broken.verdict, broken.reason) == ("no_verdict", "the scores do not reproduce the aggregate")
    unsure = assessment(-0.03, 0.01)
    assert overall({"a": good, "b": broken, "c": unsure}).verdict == "no_verdict"
    assert overall({"a": bad, "b": broken}).verdict == "inferior"


def test_one_inferior_task_is_enough_if_it_survives_holm() -> None:
    good, bad = assessment(-0.008, 0.01, p_inferior=0.9), assessment(-0.08, -0.03, p_inferior=0.001)
    found = overall({"piaf_fr": good, "sib200_fr": bad})
    assert (found.verdict, found.inferior) == ("inferior", ("sib200_fr",))
    assert overall({"sib200_fr": bad}).verdict == "inferior"


def test_one_inferior_task_by_chance_among_many_is_not() -> None:
    lucky = assessment(-0.08, -0.0201, p_inferior=0.02)
    tasks = {f"task{i}": assessment(-0.03, 0.03, p_inferior=0.5) for i in range(4)}
    assert overall({**tasks, "unlucky": lucky}).verdict == "inconclusive"
    assert overall({"unlucky": lucky}).verdict == "inferior"


def test_a_claim_without_a_p_value_is_corrected_like_the_others() -> None:
    """Its interval alone says at most that p is 0.025: it stands alone, or where all the others do."""
    unknown, sure = assessment(-0.08, -0.03), assessment(-0.08, -0.03, p_inferior=0.001)
    open_ = assessment(-0.03, 0.03, p_inferior=0.5)
    assert overall({"a": unknown}).inferior == ("a",)
    assert (overall({"a": unknown, "b": open_}).verdict, overall({"a": unknown, "b": unknown}).verdict) == (
        "inconclusive",
        "inconclusive",
    )
    assert overall({"a": unknown, "b": sure}).inferior == ("a", "b")
    assert overall({"a": unknown, "b": sure, "c": open_}).inferior == ("b",)
    nearly = assessment(-0.08, -0.0201, p_inferior=0.01)
    assert overall({"a": nearly, "b": open_}).inferior == ("a",)
    assert overall({"a": nearly, "b": assessment(-0.03, 0.03), "c": open_}).inferior == (), "0.01 of three claims"


# --- assay sensitivity ---


def right(rate: float, n: int = 1000) -> np.ndarray:
    return (np.arange(n) < rate * n).astype(float)


def test_a_reference_that_knows_nothing_can_lose_nothing() -> None:
    """A reference of 3 points and a margin of 5; an arm of empty answers against 22.5 with a margin of 40."""
    for reference, margin in ((right(0.03), 0.05), (right(0.225), 0.40)):
        candidate = np.zeros(1000)
        found = paired_difference(candidate, reference)
        seen = assay_of(reference, margin, 0.0)
        assert seen.holds is False
        assert assess(found, margin).verdict == "non_inferior"
        held = assess(found, margin, assay=seen)
        assert held.verdict == "no_verdict"
        assert held.reason == seen.reason
        assert "more than half of that: a loss could not have shown" in (held.reason or "")


def test_assay_by_hand() -> None:
    """Half of (lower limit - chance): 500 of 1,000 are right, one label in four."""
    seen = assay_of(right(0.5), 0.1, 0.25)
    low = 0.46855  # Clopper-Pearson
    assert seen == Assay(0.25, pytest.approx(low - 0.25, abs=1e-4), True)
    assert assay_of(right(0.5), 0.109, 0.25).holds is True
    assert assay_of(right(0.5), 0.110, 0.25).holds is False


def test_assay_changes_nothing_but_non_inferior() -> None:
    reference, seen = right(0.5), assay_of(right(0.5), 0.4, 0.0)
    assert seen.holds is False
    for candidate, verdict in ((right(0.02), "inferior"), (right(0.12), "inconclusive"), (right(0.5), "no_verdict")):
        assert assess(paired_difference(candidate, reference), 0.4, assay=seen).verdict == verdict


def test_assay_that_does_not_apply_says_so() -> None:
    seen = assay_of(right(0.5), 0.2, None)
    assert (seen.holds, seen.chance) == (None, None)
    assert "not checked" in (seen.reason or "")
    assert assess(paired_difference(right(0.5), right(0.5)), 0.2, assay=seen).verdict == "non_inferior"
    wide = assay_of(right(0.5), 0.4, None)
    assert wide.holds is False and "50 to lose at most, and a margin of 40" in (wide.reason or "")
    assert assay_of([1.0], 0.1, 0.0).reason == "one document: the spread is unknown"


def test_a_chance_that_is_none() -> None:
    with pytest.raises(UsageError, match="not a share below 1"):
        assay_of(right(0.5), 0.1, 1.5)


# --- one claim about the mean over tasks ---


def three_tasks(generator: np.random.Generator, loss: float = 0.0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    reference = np.full(500, 0.5)
    return {
        name: ((reference + generator.normal(-loss, 0.2, 500)).clip(0, 1), reference)
        for name in ("one", "two", "three")
    }


def test_the_mean_over_tasks_needs_fewer_documents() -> None:
    """Three tasks of 500, SD 0.2, margin 2: the mean is shown where all three seldom are."""
    generator, mean, all_three = np.random.default_rng(1), 0, 0
    for _ in range(40):
        differences = {name: paired_difference(*scores) for name, scores in three_tasks(generator).items()}
        found = mean_over_tasks(differences, 0.02)
        assert found.difference.interval.low is not None
        mean += found.difference.interval.low > -0.02
        all_three += all(decide(one.interval, 0.02) == "non_inferior" for one in differences.values())
    assert mean / 40 > 0.9
    assert all_three / 40 < 0.45


def test_the_mean_over_tasks_keeps_its_level() -> None:
    generator, wrong = np.random.default_rng(2), 0
    for _ in range(80):
        differences = {name: paired_difference(*scores) for name, scores in three_tasks(generator, 0.02).items()}
        low = mean_over_tasks(differences).difference.interval.low
        wrong += low is not None and low > -0.02
    assert wrong / 80 < 0.025 + 3.3 * (0.025 * 0.975 / 80) ** 0.5


def test_the_mean_over_tasks_allows_for_a_rare_loss_in_the_smallest_task() -> None:
    """Its documents count fivefold, and none is lost in one sample of eight."""
    generator, margin, claimed = np.random.default_rng(3), 0.025, 0
    large = paired_difference(np.ones(360), np.ones(360))
    for _ in range(60):
        small = paired_difference(1.0 - (generator.random(40) < 2 * margin), np.ones(40))
        low = mean_over_tasks({"small": small, "large": large}).difference.interval.low
        claimed += low is not None and low > -margin
    assert claimed <= 3


def test_each_task_counts_the_same_in_the_mean() -> None:
    small = paired_difference(right(0.5, 40), right(0.6, 40))
    large = paired_difference(right(0.62), right(0.62), clusters=np.arange(1000) // 10)
    points = paired_difference(100 * RNG.random(50), 100 * RNG.random(50))
    found = mean_over_tasks({"small": small, "large": large, "points": points}, 0.1)
    assert found.tasks == ("small", "large")
    assert found.left_out == {"points": "its metric is not on a scale from 0 to 1"}
    difference = found.difference
    assert difference.interval.estimate == pytest.approx((-0.1 + 0.0) / 2)
    assert (difference.candidate_mean, difference.reference_mean) == (pytest.approx(0.56), pytest.approx(0.61))
    assert difference.guard_documents is not None
    assert difference.guard_documents >= 1040 / (2 * 40)  # one lost document of the small task weighs so many
    assert assess(difference, 0.1).verdict == "inconclusive"
    with pytest.raises(UsageError, match="needs two on a scale from 0 to 1, and there are 1"):
        mean_over_tasks({"small": small, "points": points})
