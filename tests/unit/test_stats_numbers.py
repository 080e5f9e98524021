"""The numbers that the method is published with: each is recomputed here from its counts."""

from __future__ import annotations

import numpy as np
import pytest

from lm_eval_fr.stats import (
    Spread,
    assess,
    binomial_share,
    documents_for_margin,
    exact_match_spread,
    margin_for_documents,
    net_win_rate,
    score_spread,
)

SEED_STUDY = np.array([1] * 50 + [0] * 60 + [-1] * 40)
JUDGE = Spread("judge", 0.774, "SD 0.774")


def test_the_seed_study_s_verdicts() -> None:
    found = net_win_rate(SEED_STUDY, margin=0.10)
    assert (found.wins, found.ties, found.losses, found.decided) == (50, 60, 40, 90)
    share = found.win_share
    assert share.share == pytest.approx(50 / 90)
    assert share.p_value == pytest.approx(0.3428, abs=5e-5)
    assert (share.low, share.high) == (pytest.approx(0.4470, abs=5e-5), pytest.approx(0.6604, abs=5e-5))
    assert (found.at_least_as_good.count, found.at_least_as_good.of) == (110, 150)
    assert f"{found.at_least_as_good.share:.0%}" == "73%"


def test_the_seed_study_s_net_win_rate() -> None:
    net = net_win_rate(SEED_STUDY).net_win
    interval = net.interval
    assert interval.low is not None
    assert interval.high is not None
    shown = [f"{100 * value:+.1f}" for value in (interval.estimate or 0.0, interval.low, interval.high)]
    assert shown == ["+6.7", "-5.8", "+19.2"]
    assert net.sd == pytest.approx(0.774, abs=5e-4)
    assert assess(net, 0.10).verdict == "non_inferior"


def test_the_pilot_says_nothing() -> None:
    assert binomial_share(13, 21).p_value == pytest.approx(0.383, abs=5e-4)


@pytest.mark.parametrize(
    ("sd", "effect", "documents"),
    [
        (0.15, 0.01, 1768),
        (0.15, 0.02, 444),
        (0.15, 0.05, 73),
        (0.25, 0.01, 4908),
        (0.25, 0.02, 1229),
        (0.25, 0.05, 199),
    ],
)
def test_documents_for_scores(sd: float, effect: float, documents: int) -> None:
    assert documents_for_margin(effect, score_spread(sd)).documents == documents


@pytest.mark.parametrize(("flips", "documents"), [(0.03, 589), (0.05, 982), (0.10, 1963)])
def test_documents_for_exact_match(flips: float, documents: int) -> None:
    assert documents_for_margin(0.02, exact_match_spread(flips)).documents == documents


def test_verdicts_for_the_judge() -> None:
    assert documents_for_margin(0.10, JUDGE).documents == 472
    assert margin_for_documents(150, JUDGE).margin == pytest.approx(0.18, abs=0.005)


@pytest.mark.parametrize(("size", "icc"), [(5, 0.1), (5, 0.4), (20, 0.05)])
def test_clusters_multiply_documents(size: int, icc: float) -> None:
    alone = documents_for_margin(0.01, score_spread(0.25)).documents
    together = documents_for_margin(0.01, score_spread(0.25, cluster_size=size, icc=icc)).documents
    assert alone is not None
    assert together == pytest.approx(alone * (1 + (size - 1) * icc), abs=2 * size)
