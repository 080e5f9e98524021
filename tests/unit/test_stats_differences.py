"""Which method is taken for which scores, and what every method must do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats import Difference, net_win_rate, paired_difference
from lm_eval_fr.stats.arrays import units_of
from lm_eval_fr.stats.bounds import augmented, guard_size

RNG = np.random.default_rng(20)
REFERENCE = RNG.random(300)
CANDIDATE = np.clip(REFERENCE + RNG.normal(-0.01, 0.15, 300), 0, 1)
RIGHT = (RNG.random(300) < 0.7).astype(float)
FLIPPED = np.where(RNG.random(300) < 0.1, 1 - RIGHT, RIGHT)


def limits(found: Difference) -> tuple[float, float, float]:
    interval = found.interval
    assert interval.estimate is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.estimate, interval.high


@pytest.mark.parametrize(
    ("candidate", "reference", "clusters", "kind", "method"),
    [
        (FLIPPED, RIGHT, None, "binary", "Tango score"),
        (FLIPPED.astype(bool), RIGHT.astype(bool), None, "binary", "Tango score"),
        (CANDIDATE, REFERENCE, None, "bounded", "worst-case-augmented t or Dirichlet bound, the wider"),
        (
            np.where(np.arange(300) < 14, 0.5, REFERENCE),
            REFERENCE,
            None,
            "bounded",
            "betting bound",
        ),
        (FLIPPED, RIGHT, np.arange(300) // 5, "binary", "worst-case-augmented CR1 t or Dirichlet bound, the wider"),
        (
            CANDIDATE,
            REFERENCE,
            np.arange(300) % 20,
            "bounded",
            "worst-case-augmented CR1 t or Dirichlet bound, the wider",
        ),
        (CANDIDATE, REFERENCE, np.arange(300) % 19, "bounded", "betting bound on cluster means"),
        (100 * CANDIDATE, 100 * REFERENCE, None, "unbounded", "t(299)"),
        (100 * CANDIDATE, 100 * REFERENCE, np.arange(300) % 19, "unbounded", "CR1 t(18)"),
    ],
)
def test_method_of_the_scores(
    candidate: np.ndarray, reference: np.ndarray, clusters: np.ndarray | None, kind: str, method: str
) -> None:
    found = paired_difference(candidate, reference, clusters=clusters)
    assert (found.kind, found.interval.method) == (kind, method)
    low, estimate, high = limits(found)
    assert low < estimate < high
    assert estimate == pytest.approx(np.mean(candidate.astype(float) - reference))


def test_what_surrounds_the_interval() -> None:
    found = paired_difference(CANDIDATE, REFERENCE, margin=0.02)
    difference = CANDIDATE - REFERENCE
    assert found.candidate_mean == pytest.approx(CANDIDATE.mean())
    assert found.reference_mean == pytest.approx(REFERENCE.mean())
    assert found.sd == pytest.approx(difference.std(ddof=1))
    assert found.standard_error == pytest.approx(difference.std(ddof=1) / 300**0.5)
    assert (found.icc, found.design_effect, found.effective_n) == (None, None, 300)
    assert found.unseen == pytest.approx(1 - 0.025 ** (1 / 300))
    assert found.flips is not None
    assert (found.flips.lost, found.flips.gained) == (int((difference < -0.5).sum()), int((difference > 0.5).sum()))


def test_flips_go_both_ways() -> None:
    found = paired_difference([1, 1, 0, 0, 1], [1, 0, 1, 1, 1])
    assert found.flips is not None
    assert (found.flips.lost, found.flips.gained, found.flips.rule) == (2, 1, "right in one arm only")
    assert found.p_method == "exact McNemar"
    assert found.p_value == 1.0


@pytest.mark.parametrize("clusters", [None, np.arange(300) // 5])
@pytest.mark.parametrize(("candidate", "reference"), [(CANDIDATE, REFERENCE), (FLIPPED, RIGHT)])
def test_one_sided_p_values_and_interval_agree(
    candidate: np.ndarray, reference: np.ndarray, clusters: np.ndarray | None
) -> None:
    """The margin is ruled out exactly if its p-value is below 2.5 %: printed numbers never disagree."""
    low = limits(paired_difference(candidate, reference, clusters=clusters))[0]
    for shift, ruled_out in ((1e-6, True), (-1e-6, False)):
        found = paired_difference(candidate, reference, clusters=clusters, margin=-low + shift)
        assert found.p_non_inferior is not None
        assert (found.p_non_inferior < 0.025) is ruled_out
        assert found.p_inferior is not None
        assert found.p_inferior > 0.9


def test_every_document_its_own_cluster_is_no_cluster() -> None:
    assert paired_difference(CANDIDATE, REFERENCE, clusters=np.arange(300)) == paired_difference(CANDIDATE, REFERENCE)


def test_clusters_of_like_documents_widen() -> None:
    together = np.repeat(CANDIDATE - REFERENCE, 4)
    alone = paired_difference(together, np.zeros(1200), kind="unbounded")
    clustered = paired_difference(together, np.zeros(1200), kind="unbounded", clusters=np.repeat(np.arange(300), 4))
    assert clustered.icc == pytest.approx(1)
    assert clustered.design_effect == pytest.approx(4, rel=0.01)
    assert clustered.standard_error == pytest.approx(2 * (alone.standard_error or 0), rel=0.01)


def test_identical_arms() -> None:
    """No difference at all is strong evidence with many documents, and weak with few; never an interval of width 0."""
    few, many = (limits(paired_difference(x, x)) for x in (REFERENCE[:50], np.tile(REFERENCE, 4)))
    assert few[0] < -0.05
    assert -0.01 < many[0] < 0 < many[2] < 0.01
    assert paired_difference(REFERENCE, REFERENCE).p_value == 1.0
    exact = limits(paired_difference(RIGHT, RIGHT))
    assert exact[2] == pytest.approx(-exact[0])
    assert -0.02 < exact[0] < 0


def test_identical_arms_on_the_clusters_of_piaf_are_non_inferior(shared_data: Path) -> None:
    """191 articles of 5 to 150 questions: the guard must leave room for a margin of two points."""
    articles = json.loads((shared_data / "piaf" / "piaf-v1.0.json").read_text())["data"]
    titles = [a["title"] for a in articles for paragraph in a["paragraphs"] for _ in paragraph["qas"]]
    found = paired_difference(np.ones(len(titles)), np.ones(len(titles)), clusters=titles)
    assert found.clusters == 191
    assert -0.02 < limits(found)[0] < -0.01


def test_guard_grows_with_likeness() -> None:
    units = units_of(np.zeros(100), np.arange(100) // 5)
    assert guard_size(units_of(np.zeros(100), None), None) == 1
    assert guard_size(units, None) == guard_size(units, -0.1) == guard_size(units, 0.5) == 3
    assert guard_size(units, 0.75) == 4
    assert guard_size(units, 1.0) == 5
    uneven = units_of(np.zeros(12), np.array([0] * 10 + [1, 2]))
    assert guard_size(uneven, 1.0) == pytest.approx(102 / 12)


def test_augmented_t_is_the_t_interval_after_appending_a_worst_case() -> None:
    difference = CANDIDATE - REFERENCE
    low, high = augmented(units_of(difference, None), 1.0).interval(0.95)
    assert low == pytest.approx(stats.ttest_1samp(np.append(difference, -1), 0).confidence_interval(0.95).low)
    assert high == pytest.approx(stats.ttest_1samp(np.append(difference, 1), 0).confidence_interval(0.95).high)


def test_unbounded_scores_say_what_is_missing() -> None:
    found = paired_difference(50 * CANDIDATE, 50 * REFERENCE)
    assert found.interval.reason == "the metric has no known ends: no guard against rare large losses"
    assert found.flips is None


def test_kind_can_be_named_but_not_made_up() -> None:
    assert paired_difference(FLIPPED, RIGHT, kind="bounded").kind == "bounded"
    with pytest.raises(UsageError, match=r"are not bounded"):
        paired_difference(2 * CANDIDATE, REFERENCE, kind="bounded")
    with pytest.raises(UsageError, match=r"are not binary"):
        paired_difference(CANDIDATE, REFERENCE, kind="binary")
    with pytest.raises(UsageError, match="unknown kind"):
        paired_difference(CANDIDATE, REFERENCE, kind="f1")  # type: ignore[arg-type]


def test_judge_outcomes() -> None:
    found = net_win_rate([1] * 30 + [0] * 50 + [-1] * 20, clusters=np.arange(100) // 2, margin=0.1)
    assert found.net_win.kind == "outcome"
    assert found.net_win.clusters == 50
    assert found.win_share.count == 30
    assert found.net_win.flips is not None
    assert (found.net_win.flips.lost, found.net_win.flips.gained) == (20, 30)


def test_judge_with_nothing_but_ties() -> None:
    found = net_win_rate([0] * 60, margin=0.1)
    assert found.win_share.share is None
    assert found.win_share.reason == "nothing to take a share of"
    low, estimate, high = limits(found.net_win)
    assert estimate == 0
    assert -0.07 < low < 0 < high < 0.07
    assert found.net_win.p_value == 1.0


def test_judge_with_one_sided_losses_is_not_fooled() -> None:
    """Twelve losses, no win: t alone would rule out a loss of 10 points; the score interval does not."""
    found = net_win_rate([0] * 188 + [-1] * 12, margin=0.1)
    low, _, high = limits(found.net_win)
    assert low < -0.10
    assert high < 0
