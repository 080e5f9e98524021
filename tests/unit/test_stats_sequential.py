"""The e-process, its inversion, and the band."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats import EProcess, Planned, betting_difference, confidence_sequence
from lm_eval_fr.stats.betting import log_capital, variance_so_far

RNG = np.random.default_rng(40)
DIFFERENCES = np.clip(RNG.normal(0.02, 0.3, 400), -1, 1)


def run(differences: np.ndarray, margin: float, n_max: int) -> list[tuple[float, float]]:
    process = EProcess(margin, Planned(n_max))
    return [process.log_capital for d in differences if process.update(float(d))]


def by_hand(differences: np.ndarray, margin: float, n_max: int, alpha: float) -> float:
    """W = prod(1 + l_i (d_i + D)), l_i = min(sqrt(2 ln(1/alpha) / (N v_i)), 0.75 / (1 - D)), one loop."""
    capital, total, squares = 1.0, 0.0, 1.0
    for i, d in enumerate(differences, start=1):
        variance = squares / i
        bet = min(math.sqrt(2 * math.log(1 / alpha) / (n_max * variance)), 0.75 / (1 - margin))
        capital *= 1 + bet * (d + margin)
        total += d
        squares += (d - total / (i + 1)) ** 2
    return capital


def test_capital_is_the_formula_s() -> None:
    process = EProcess(0.1, Planned(400), alpha=0.025)
    for d in DIFFERENCES[:120]:
        process.update(float(d))
    against_inferior, against_non_inferior = process.log_capital
    assert math.exp(against_inferior) == pytest.approx(by_hand(DIFFERENCES[:120], 0.1, 400, 0.025))
    assert math.exp(against_non_inferior) == pytest.approx(by_hand(-DIFFERENCES[:120], -0.1, 400, 0.025))


def test_one_implementation_and_its_vectorised_twin_agree() -> None:
    bets = np.sqrt(2 * math.log(40) / (400 * variance_so_far(DIFFERENCES)))
    states = np.array(run(DIFFERENCES, 0.1, 400))
    assert states[:, 0] == pytest.approx(log_capital(DIFFERENCES, bets, -0.1))
    assert states[:, 1] == pytest.approx(log_capital(-DIFFERENCES, bets, 0.1))


def test_bets_know_only_the_past() -> None:
    """Changing what comes later changes nothing that was decided before."""
    other = DIFFERENCES.copy()
    other[200:] = -1
    assert run(DIFFERENCES, 0.1, 400)[:200] == run(other, 0.1, 400)[:200]
    mine, theirs = confidence_sequence(DIFFERENCES), confidence_sequence(other)
    grid = 0.011  # the grid lies about the final mean, so both are rounded outwards differently
    assert mine.low[:200] == pytest.approx(theirs.low[:200], abs=grid)
    assert mine.high[:200] == pytest.approx(theirs.high[:200], abs=grid)


def test_a_verdict_stays() -> None:
    process = EProcess(0.1, Planned(400))
    verdicts = [process.update(1.0) for _ in range(30)] + [process.update(-1.0) for _ in range(100)]
    first = verdicts.index("non_inferior")
    assert 0 < first < 30
    assert set(verdicts[first:]) == {"non_inferior"}
    process = EProcess(0.1, Planned(100))
    assert [process.update(-0.9) for _ in range(60)][-1] == "inferior"


def test_stopping_and_interval_say_the_same() -> None:
    """At every moment: the e-process has decided exactly if the interval reported then excludes the margin."""
    for margin in (0.05, 0.1, 0.2):
        process = EProcess(margin, Planned(400))
        for n, d in enumerate(DIFFERENCES, start=1):
            verdict = process.update(float(d))
            if n % 57 == 0 or verdict != "inconclusive":
                found = betting_difference(DIFFERENCES[:n], margin=margin, planned=Planned(400))
                assert found.interval.low is not None
                assert (found.interval.low > -margin) is (verdict == "non_inferior")
                assert found.p_non_inferior is not None and found.p_inferior is not None
                assert (found.p_non_inferior <= 0.025) is (verdict == "non_inferior")
                assert (found.p_inferior <= 0.025) is (verdict == "inferior")
            if verdict != "inconclusive":
                break


def test_band_narrows_and_ends_at_the_interval() -> None:
    band = confidence_sequence(DIFFERENCES)
    assert (np.diff(band.low) >= 0).all()
    assert (np.diff(band.high) <= 0).all()
    assert (band.low[0], band.high[0]) == (-1, 1)
    exact = betting_difference(DIFFERENCES).interval
    assert exact.low is not None
    assert exact.high is not None
    assert band.low[-1] <= exact.low
    assert band.low[-1] == pytest.approx(exact.low, abs=0.03 * (exact.high - exact.low))
    assert band.high[-1] == pytest.approx(exact.high, abs=0.03 * (exact.high - exact.low))
    assert band.documents.tolist() == list(range(1, 401))
    assert band.mean == pytest.approx(np.cumsum(DIFFERENCES) / np.arange(1, 401))


def test_band_by_cluster() -> None:
    labels = np.arange(400) % 80  # round after round over the articles
    band = confidence_sequence(DIFFERENCES, clusters=labels)
    assert (band.unit, band.low.size) == ("cluster", 80)
    assert band.documents.tolist() == list(range(5, 401, 5))
    assert band.mean[-1] == pytest.approx(DIFFERENCES.mean())
    assert band.mean[0] == pytest.approx(DIFFERENCES[::80].mean())
    assert band.method == "betting confidence sequence on cluster sums"
    assert betting_difference(DIFFERENCES, clusters=labels).interval.method == "betting bound on cluster sums"


def uneven_clusters(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences and labels of 60 clusters of 1 or 9 documents."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(60), np.where(generator.random(60) < 0.5, 1, 9))
    return np.clip(generator.normal(0.03, 0.3, labels.size), -1, 1), labels


def test_uneven_clusters_weigh_by_their_documents() -> None:
    """The band ends at the estimate that the report gives; stopping, interval and band are one test."""
    differences, labels = uneven_clusters(3)
    sizes = np.bincount(labels)
    planned = Planned.of(sizes)
    assert (planned.units, planned.mean, planned.largest) == (60, sizes.mean(), 9)
    band = confidence_sequence(differences, clusters=labels)
    assert band.mean[-1] == pytest.approx(differences.mean())
    assert band.mean[-1] != pytest.approx((np.bincount(labels, differences) / sizes).mean())
    exact = betting_difference(differences, clusters=labels).interval
    assert exact.estimate == pytest.approx(differences.mean())
    assert band.low[-1] <= (exact.low or 0.0)
    assert band.low[-1] == pytest.approx(exact.low, abs=0.02)
    process = EProcess(0.2, planned)
    for seen, (total, size) in enumerate(zip(np.bincount(labels, differences), sizes, strict=True), start=1):
        verdict = process.update(float(total), int(size))
        part = labels < seen
        p = betting_difference(differences[part], clusters=labels[part], margin=0.2, planned=planned).p_non_inferior
        assert p is not None
        assert (p <= 0.025) is (verdict == "non_inferior")
        if verdict != "inconclusive":
            break
    assert verdict == "non_inferior"
    assert seen < 60


def test_clusters_larger_than_planned_are_refused() -> None:
    differences, labels = uneven_clusters(3)
    with pytest.raises(UsageError, match="5 was planned as the largest"):
        betting_difference(differences, clusters=labels, planned=Planned(60, 4.0, 5.0))
    with pytest.raises(UsageError, match="a unit of 3 documents where at most 2 were planned"):
        EProcess(0.1, Planned(10, 1.5, 2.0)).update(0.5, 3)


def test_lead_that_changes() -> None:
    """A pilot that goes 13 to 8 one way, and a study that ends the other."""
    generator = np.random.default_rng(1)
    pilot, rest = np.array([-1] * 13 + [1] * 8), np.array([1] * 42 + [-1] * 27)
    order = np.concatenate([generator.permutation(pilot), generator.permutation(rest)])
    band = confidence_sequence(order)
    assert band.sign_changes >= 1
    assert band.low[-1] < 0 < band.high[-1]
    assert confidence_sequence(np.zeros(5)).sign_changes == 0


def test_no_band_without_ends() -> None:
    found = confidence_sequence([1.0, 2.0])
    assert found.reason == "differences beyond [-1, 1]: without known limits there is no band"
    assert (
        betting_difference([1.0, 2.0]).interval.reason
        == "differences beyond [-1, 1]: without known limits there is no band"
    )
