"""Recovery, recovered share, noise floor: ratios and what may be said of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lm_eval_fr.stats import (
    Interval,
    NoiseComparison,
    exceeds_noise,
    noise_floor,
    paired_difference,
    recovered_share,
    recovery_interval,
)
from lm_eval_fr.stats.ratios import EXACT_UNITS, bootstrap_sums, cells

RNG = np.random.default_rng(30)
REFERENCE = RNG.random(400)
CANDIDATE = np.clip(REFERENCE - 0.03 + RNG.normal(0, 0.15, 400), 0, 1)


def test_recovery_is_the_ratio_of_the_means() -> None:
    found = recovery_interval(CANDIDATE, REFERENCE)
    assert found.estimate == pytest.approx(CANDIDATE.mean() / REFERENCE.mean())
    assert found.low is not None
    assert found.high is not None
    assert found.low < (found.estimate or 0) < found.high
    assert (found.seed, found.method) == (0, "Bayesian cluster bootstrap, 10000 draws")


def test_recovery_is_near_the_delta_method() -> None:
    top, bottom = 10 + RNG.normal(0, 1, 2000), 11 + RNG.normal(0, 1, 2000)  # no known ends: no guard
    found = recovery_interval(top, bottom)
    ratio = top.mean() / bottom.mean()
    error = (top - ratio * bottom).std(ddof=1) / 2000**0.5 / bottom.mean()
    assert (found.low, found.high) == pytest.approx((ratio - 1.96 * error, ratio + 1.96 * error), abs=0.06 * error)


def test_recovery_repeats_with_its_seed() -> None:
    assert recovery_interval(CANDIDATE, REFERENCE, seed=3) == recovery_interval(CANDIDATE, REFERENCE, seed=3)
    assert recovery_interval(CANDIDATE, REFERENCE, seed=3) != recovery_interval(CANDIDATE, REFERENCE, seed=4)


def test_recovery_of_identical_arms_is_no_certainty() -> None:
    found = recovery_interval(REFERENCE, REFERENCE)
    assert found.estimate == 1
    assert found.low is not None
    assert 0.95 < found.low < 1


def test_recovery_and_difference_agree() -> None:
    """One excludes 100 % about where the other excludes 0: both weigh the same worst case."""
    for loss in (0.0, 0.02, 0.03, 0.06):
        worse = np.clip(REFERENCE - loss + RNG.normal(0, 0.1, 400), 0, 1)
        difference, recovery = paired_difference(worse, REFERENCE).interval, recovery_interval(worse, REFERENCE)
        assert difference.high is not None
        assert recovery.high is not None
        if abs(difference.high) > 0.002:
            assert (recovery.high < 1) is (difference.high < 0)


def test_clusters_widen_recovery() -> None:
    repeated = np.repeat(CANDIDATE, 5), np.repeat(REFERENCE, 5)
    labels = np.repeat(np.arange(400), 5)
    alone, together = recovery_interval(*repeated), recovery_interval(*repeated, clusters=labels)
    single = recovery_interval(CANDIDATE, REFERENCE)
    width = [(found.high or 0) - (found.low or 0) for found in (alone, together, single)]
    assert width[1] > 2 * width[0]
    assert width[1] == pytest.approx(width[2], rel=0.2)  # a guard of part of an article beside one of a document


def test_gathered_bootstrap_is_the_exact_one() -> None:
    """Over the limit units are gathered into cells; quantiles of the ratio must not notice."""
    n = 3 * EXACT_UNITS
    bottoms = RNG.gamma(2, 1, n)
    tops = bottoms * 0.9 + RNG.normal(0, 1, n) - 30 * (RNG.random(n) < 0.001)  # rare large losses: skewed
    draws = 1500
    gathered_top, gathered_bottom, _ = bootstrap_sums(tops, bottoms, draws, seed=1)
    generator = np.random.default_rng(2)
    exact = np.empty(draws)
    for start in range(0, draws, 100):
        weights = generator.standard_exponential((100, n))
        exact[start : start + 100] = (weights @ tops) / (weights @ bottoms)
    assert scipy_stats.ks_2samp(gathered_top / gathered_bottom, exact).pvalue > 0.01


def test_cells_keep_totals() -> None:
    data = RNG.normal(1, 1, (EXACT_UNITS + 7, 2))
    means, counts, spread = cells(data)
    assert counts.sum() == len(data)
    assert counts @ means == pytest.approx(data.sum(axis=0))
    between = means - data.mean(axis=0)
    total = (data - data.mean(axis=0)).T @ (data - data.mean(axis=0))
    assert spread + (between * counts[:, None]).T @ between == pytest.approx(total)


def test_recovered_share() -> None:
    """The reference at 0.50, raw at 0.40, distilled at 0.48: four fifths are back."""
    noise = RNG.normal(0, 0.02, (3, 500))
    noise -= noise.mean(axis=1, keepdims=True)
    reference, raw, distilled = 0.50 + noise[0], 0.40 + noise[1], 0.48 + noise[2]
    found = recovered_share(distilled, raw, reference)
    assert found.estimate == pytest.approx(0.8)
    assert found.method == "Fieller"
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.8 < found.high
    draws = RNG.multinomial(500, np.full(500, 1 / 500), 4000)
    ratios = (draws @ (distilled - raw)) / (draws @ (reference - raw))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])), abs=0.004)


def test_recovered_share_holds_its_level() -> None:
    """Over seeded studies with a weak denominator the interval covers the true share as often as it says."""
    covered = studies = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        shared = generator.normal(0, 0.1, (40, 1))
        reference, raw, distilled = (
            mean + factor * shared + generator.normal(0, 0.2, (40, 5))
            for mean, factor in ((0.60, 1.0), (0.50, 1.5), (0.57, 1.2))
        )
        found = recovered_share(
            distilled.reshape(-1), raw.reshape(-1), reference.reshape(-1), clusters=np.repeat(np.arange(40), 5)
        )
        if found.low is not None and found.high is not None:
            studies += 1
            covered += found.low < 0.7 < found.high
    assert studies > 380
    assert 0.92 < covered / studies < 0.98


def test_noise_floor() -> None:
    run = np.array([1.0, 0.0, 1.0, 1.0] * 50)
    rerun = run.copy()
    rerun[:10] = 1 - rerun[:10]
    floor = noise_floor(run, rerun)
    assert floor.estimate == pytest.approx((rerun - run).mean())
    assert floor.method == "t(199) or Tango score, the wider"


def test_more_reruns_know_the_floor_better() -> None:
    generator = np.random.default_rng(3)
    rate = generator.random(400)
    run, *reruns = (generator.random((6, 400)) < rate).astype(float)
    one, five = noise_floor(run, reruns[0]), noise_floor(run, reruns)
    assert five.estimate == pytest.approx(np.mean(reruns) - run.mean())
    assert width(five) < 0.9 * width(one)


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_difference_against_the_noise() -> None:
    """A loss is noise only where the reruns' own interval shows a movement as large."""
    n = 2000
    base = RNG.random(n) * 0.5 + 0.25
    floor = noise_floor(base, base + RNG.normal(0.003, 0.01, n))
    far = paired_difference(base - 0.05 + RNG.normal(0, 0.02, n), base).interval
    near = paired_difference(base - 0.004 + RNG.normal(0, 0.05, n), base).interval
    assert exceeds_noise(far, [floor]).exceeds is True
    assert exceeds_noise(near, [floor]).exceeds is None
    assert exceeds_noise(far, [floor]).floor == pytest.approx(0.003, abs=0.001)
    large = noise_floor(base, base + 0.1)
    assert exceeds_noise(near, [floor, large]).exceeds is False
    unsure = noise_floor(base[:40], base[:40] + RNG.normal(0.01, 0.2, 40))
    found = exceeds_noise(near, [unsure])
    assert (found.exceeds, found.floor == abs(unsure.estimate or 0)) == (None, True)
    assert exceeds_noise(far, []) == NoiseComparison(None, None)
