"""Our intervals and tests against other people's code, closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from lm_eval_fr.stats import (
    binomial_share,
    documents_for_margin,
    holm,
    intraclass_correlation,
    mcnemar_exact,
    mean_interval,
    paired_difference,
    score_spread,
    tango_interval,
)
from lm_eval_fr.stats.arrays import cluster_codes, units_of
from lm_eval_fr.stats.bounds import dirichlet, dirichlet_tail, student


def clustered(seed: int, clusters: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, clusters, 300)
    return generator.normal(0, 0.1, clusters)[labels] + generator.normal(0, 0.2, 300), labels


@pytest.mark.parametrize("seed", range(5))
def test_cr1_is_statsmodels(seed: int) -> None:
    differences, labels = clustered(seed)
    theirs = OLS(differences, np.ones_like(differences)).fit(
        cov_type="cluster", cov_kwds={"groups": labels}, use_t=True
    )
    ours = mean_interval(differences, clusters=labels)
    low, high = theirs.conf_int(0.05)[0]
    assert (ours.low, ours.high) == (pytest.approx(low), pytest.approx(high))
    full = paired_difference(differences, np.zeros(300), clusters=labels, kind="unbounded")
    assert full.standard_error == pytest.approx(theirs.bse[0])
    assert full.p_value == pytest.approx(theirs.pvalues[0])
    assert full.interval.clusters == len(set(labels))


def test_student_is_scipy() -> None:
    values = np.random.default_rng(1).normal(2, 3, 50)
    theirs = stats.ttest_1samp(values, 0)
    ours = mean_interval(values)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (3, 0), (7, 12), (40, 50)])
def test_mcnemar_is_statsmodels(lost: int, gained: int) -> None:
    expected = mcnemar([[100, lost], [gained, 30]], exact=True).pvalue if lost + gained else 1.0
    assert mcnemar_exact(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "of"), [(0, 10), (10, 10), (50, 90), (110, 150)])
def test_clopper_pearson_is_statsmodels(count: int, of: int) -> None:
    found = binomial_share(count, of)
    assert (found.low, found.high) == pytest.approx(proportion_confint(count, of, method="beta"))


def test_holm_is_statsmodels() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.8]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([0.01, None, 0.04]) == (pytest.approx(0.02), None, pytest.approx(0.04))
    assert holm([]) == ()


@pytest.mark.parametrize(("sd", "margin", "power"), [(0.15, 0.03, 0.8), (0.4, 0.1, 0.9), (0.25, 0.02, 0.5)])
def test_planning_is_statsmodels(sd: float, margin: float, power: float) -> None:
    needed = TTestPower().solve_power(margin / sd, power=power, alpha=0.025, alternative="larger")
    assert documents_for_margin(margin, score_spread(sd), power=power).documents == math.ceil(needed)


def test_tango_s_own_example() -> None:
    """Contact lenses, Tango 1998, section 4: 43 pairs alike, 1 discordant; 90 % interval -0.096 to 0.037."""
    found = tango_interval(lost=1, gained=0, n=44, level=0.90)
    assert (found.low, found.high) == (pytest.approx(-0.096, abs=5e-4), pytest.approx(0.037, abs=5e-4))


@pytest.mark.parametrize(("lost", "gained", "n"), [(5, 2, 60), (0, 7, 40), (30, 20, 200), (1, 1, 500)])
def test_tango_is_the_score_test_of_the_restricted_likelihood(lost: int, gained: int, n: int) -> None:
    """At the limits the score under numerically maximised likelihood is the normal quantile."""
    found = tango_interval(lost, gained, n)
    for c, sign in ((found.low, 1), (found.high, -1)):
        assert c is not None

        def against(loss: float, c: float = c) -> float:
            gain, rest = loss + c, 1 - 2 * loss - c
            terms = zip((lost, gained, n - lost - gained), (loss, gain, rest), strict=True)
            return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

        best = optimize.minimize_scalar(
            against, bounds=(max(0.0, -c), (1 - c) / 2), method="bounded", options={"xatol": 1e-12}
        ).x
        variance = 2 * best + c - c * c
        score = ((gained - lost) / n - c) / math.sqrt(variance / n)
        assert score == pytest.approx(sign * stats.norm.ppf(0.975), abs=1e-3)


@pytest.mark.parametrize(("ones", "n"), [(5, 5), (3, 5), (9, 10), (50, 50), (48, 50), (199, 200), (0, 20)])
def test_dirichlet_is_clopper_pearson_for_two_values(ones: int, n: int) -> None:
    """With c losses of 1 among n, the lower limit is one minus Clopper-Pearson's upper one."""
    differences = np.concatenate([np.zeros(ones), -np.ones(n - ones)])
    low, _ = dirichlet(units_of(differences, None), 1.0).interval(0.95)
    expected = -float(stats.beta.ppf(0.975, n - ones + 1, ones)) if ones else -1.0
    assert low <= expected + 1e-3  # the saddlepoint errs on the cautious side
    assert low == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_dirichlet_tail_is_the_monte_carlo_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    z = generator.normal(0.1, 1, 12) + np.append(np.zeros(11), -1.0)
    weights = generator.standard_exponential((400_000, 12))
    simulated = float((weights @ z <= 0).mean())
    assert float(dirichlet_tail(z)) == pytest.approx(simulated, rel=0.02, abs=0.002)


def test_dirichlet_tail_passes_smoothly_through_one_half() -> None:
    z = np.random.default_rng(0).normal(0, 1, 30)
    z -= z.mean()
    around = [float(dirichlet_tail(z + shift)) for shift in np.linspace(-0.01, 0.01, 101)]
    steps = np.diff(around)
    assert (steps < 0).all()
    assert steps.min() > 1.5 * steps.max()  # no jump where the formula changes


def test_copies_are_repeats() -> None:
    z, copies = np.array([0.3, -0.2, 0.05]), np.array([7.0, 9.0, 4.0])
    assert dirichlet_tail(z, copies) == pytest.approx(dirichlet_tail(np.repeat(z, copies.astype(int))))


def test_icc_is_the_textbook_s_for_equal_sizes() -> None:
    generator = np.random.default_rng(8)
    values = generator.normal(0, 1, (60, 1)) + generator.normal(0, 1, (60, 5))
    between = 5 * values.mean(axis=1).var(ddof=1)
    within = values.var(axis=1, ddof=1).mean()
    expected = (between - within) / (between + 4 * within)
    found = intraclass_correlation(values.reshape(-1), np.repeat(np.arange(60), 5))
    assert found == pytest.approx(expected)


def test_design_effect_is_near_its_formula() -> None:
    generator = np.random.default_rng(9)
    values = generator.normal(0, 0.4**0.5, (500, 1)) + generator.normal(0, 0.6**0.5, (500, 5))
    labels = np.repeat(np.arange(500), 5)
    found = paired_difference(values.reshape(-1), np.zeros(2500), clusters=labels)
    assert found.icc is not None
    assert found.design_effect == pytest.approx(1 + 4 * found.icc, rel=0.01)
    assert found.effective_n == pytest.approx(2500 / found.design_effect)


def test_labels_of_any_kind_are_codes_by_first_appearance() -> None:
    assert cluster_codes(np.array(["b", "a", "b", "c"]), 4).tolist() == [0, 1, 0, 2]
    assert cluster_codes([7, 7, 1], 3).tolist() == [0, 0, 1]
    assert cluster_codes(["x", None, "x"], 3).tolist() == [0, 1, 0]
    assert cluster_codes([3, 1, 2], 3) is None  # every document its own


def test_student_of_units_is_the_ratio_estimator() -> None:
    differences, labels = clustered(3)
    units = units_of(differences, cluster_codes(labels, 300))
    assert units.mean == pytest.approx(differences.mean())
    assert student(units).freedom == units.count - 1
