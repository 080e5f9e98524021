"""Which method is taken for which scores, and what every method must do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats import ASSUMPTIONS, Difference, Guarantee, net_win_rate, paired_difference
from lm_eval_fr.stats.arrays import Units
from lm_eval_fr.stats.guard import Guard, guard_of

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
        (FLIPPED, RIGHT, None, "binary", "t(299) or Tango score, the wider"),
        (FLIPPED.astype(bool), RIGHT.astype(bool), None, "binary", "t(299) or Tango score, the wider"),
        (CANDIDATE, REFERENCE, None, "bounded", "Dirichlet bound"),
        (np.where(np.arange(300) < 4, 0.5, REFERENCE), REFERENCE, None, "bounded", "Dirichlet bound"),
        (FLIPPED, RIGHT, np.arange(300) // 5, "binary", "Dirichlet bound on cluster sums"),
        (CANDIDATE, REFERENCE, np.arange(300) % 20, "bounded", "Dirichlet bound on cluster sums"),
        (CANDIDATE, REFERENCE, np.arange(300) % 5, "bounded", "Dirichlet bound on cluster sums"),
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
    assert (found.icc, found.design_effect) == (None, None)
    assert (found.guarantee, found.guard_documents, found.other_guarantee) == ("default", 1, None)
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


def lost(*sums: float, size: int = 5, guarantee: Guarantee = "default") -> float:
    """The guard of the lower limit for articles of one size with these sums of differences."""
    return guard_of(Units(np.array(sums), np.full(len(sums), float(size)), clustered=True), guarantee).lost


def test_guard_without_articles_is_one_document() -> None:
    units = Units(np.zeros(50), np.ones(50), clustered=False)
    assert guard_of(units) == guard_of(units, "worst-case") == Guard(1, 1)


def test_guard_of_articles() -> None:
    assert lost(*[0.0] * 20) == pytest.approx(1 + 0.3 * 4)  # nothing seen
    assert lost(*[-1.0] * 3, *[0.0] * 17) == pytest.approx(2.2 - 0.2 * 3)  # three seen, each alone
    assert lost(*[-1.0] * 30, *[0.0] * 30) == pytest.approx(1 + 0.05 * 4)  # many seen, each alone
    assert lost(-4.0, *[-1.0] * 30, *[0.0] * 30) == 4  # an article that lost four
    assert lost(-4.0, -2.5, *[-1.0] * 30, *[0.0] * 150) == 2.5  # which one in 151 may pass
    assert lost(*[0.0] * 20, guarantee="worst-case") == 5
    assert lost(*[-1.0] * 30, *[0.0] * 30, guarantee="worst-case") == 5


def test_guard_of_the_upper_limit_is_of_gains() -> None:
    sums = np.array([-4.0, 1.0, *[0.0] * 30])
    units, mirror = (Units(side, np.full(32, 5.0), clustered=True) for side in (sums, -sums))
    assert guard_of(units) == Guard(4, guard_of(mirror).lost)
    assert guard_of(units).gained < 4


def test_guard_of_uneven_articles_is_of_a_random_document_s() -> None:
    units = Units(np.zeros(3), np.array([10.0, 1.0, 1.0]), clustered=True)
    assert guard_of(units, "worst-case").lost == pytest.approx(102 / 12)
    assert guard_of(units).lost == pytest.approx(1 + 0.3 * (1002 / 102 - 1))


def test_both_guarantees_are_given() -> None:
    labels = np.arange(300) // 5
    default = paired_difference(CANDIDATE, REFERENCE, clusters=labels)
    worst = paired_difference(CANDIDATE, REFERENCE, clusters=labels, guarantee="worst-case")
    assert (default.other_guarantee, worst.other_guarantee) == (worst.interval, default.interval)
    assert limits(worst)[0] < limits(default)[0]
    assert (default.guard_documents or 0) < 5
    assert worst.guard_documents == 5
    assert set(ASSUMPTIONS) == {"default", "worst-case"}


def test_unbounded_scores_say_what_is_missing() -> None:
    found = paired_difference(50 * CANDIDATE, 50 * REFERENCE)
    assert found.interval.reason == "the metric has no known limits: no guard against rare large losses"
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
