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
    mean_interval,
    paired_difference,
    score_spread,
)
from lm_eval_fr.stats.arrays import CELLS, cluster_codes, gathered, units_of
from lm_eval_fr.stats.bounds import student
from lm_eval_fr.stats.differences import intraclass_correlation
from lm_eval_fr.stats.dirichlet import dirichlet, tail
from lm_eval_fr.stats.distributions import (
    binomial_mass,
    clopper_pearson,
    even_binomial_p,
    noncentral_t_tail,
    normal_point,
    normal_tail,
    root,
    t_point,
    t_tail,
)
from lm_eval_fr.stats.proportions import Tango, mcnemar_exact


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
    assert holm([0.01, None, 0.04]) == (pytest.approx(0.03), None, pytest.approx(0.08)), "a claim without p counts"
    assert holm([]) == ()


@pytest.mark.parametrize(("sd", "margin", "power"), [(0.15, 0.03, 0.8), (0.4, 0.1, 0.9), (0.25, 0.02, 0.5)])
def test_planning_is_statsmodels(sd: float, margin: float, power: float) -> None:
    needed = TTestPower().solve_power(margin / sd, power=power, alpha=0.025, alternative="larger")
    assert documents_for_margin(margin, score_spread(sd), power=power).documents == math.ceil(needed)


def test_tango_s_own_example() -> None:
    """Contact lenses, Tango 1998, section 4: 43 pairs alike, 1 discordant; 90 % interval -0.096 to 0.037."""
    assert Tango(lost=1, gained=0, n=44).interval(0.90) == (
        pytest.approx(-0.096, abs=5e-4),
        pytest.approx(0.037, abs=5e-4),
    )


@pytest.mark.parametrize(("lost", "gained", "n"), [(5, 2, 60), (0, 7, 40), (30, 20, 200), (1, 1, 500)])
def test_tango_is_the_score_test_of_the_restricted_likelihood(lost: int, gained: int, n: int) -> None:
    """At the limits the score under numerically maximised likelihood is the normal quantile."""
    for c, sign in zip(Tango(lost, gained, n).interval(0.95), (1, -1), strict=True):

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
    low, _ = dirichlet(units_of(differences, None)).interval(0.95)
    expected = -float(stats.beta.ppf(0.975, n - ones + 1, ones)) if ones else -1.0
    assert low == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("share", [0.2, 4.0])
@pytest.mark.parametrize("n", [1, 2, 10, 100, 3000])
def test_dirichlet_tail_is_exact_for_equal_units(n: int, share: float) -> None:
    """P(z x Gamma(n) <= 1 x exponential) = (1 + z)^-n; 4 / n is about where a limit lies."""
    z = share if share < 1 else share / n
    found = tail(np.array([z, -1.0]), np.array([float(n), 1.0]))
    assert found == pytest.approx((1 + z) ** -n, rel=1e-8, abs=1e-15)


@pytest.mark.parametrize("seed", range(4))
def test_dirichlet_tail_is_the_monte_carlo_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    z = generator.normal(0.1, 1, 12) + np.append(np.zeros(11), -1.0)
    weights = generator.standard_exponential((400_000, 12))
    simulated = float((weights @ z <= 0).mean())
    assert tail(z, np.ones(12)) == pytest.approx(simulated, rel=0.02, abs=0.002)


@pytest.mark.parametrize("n", [3, 10, 60])
def test_dirichlet_tail_is_the_sum_of_exponentials(n: int) -> None:
    """For unlike values: sum over the negative ones of prod z_i / (z_i - z_j)."""
    z = np.linspace(-1.0, 1.5, n) + 0.01
    negative = np.flatnonzero(z < 0)
    if n > 10:  # the closed form cancels itself out; a single negative value leaves one product
        z[negative[1:]] *= -1
        negative = negative[:1]
    exact = sum(float(np.prod(z[i] / (z[i] - np.delete(z, i)))) for i in negative)
    assert tail(z, np.ones(n)) == pytest.approx(exact, rel=1e-8)


def test_dirichlet_tail_passes_smoothly_through_one_half() -> None:
    z = np.random.default_rng(0).normal(0, 1, 30)
    z -= z.mean()
    around = [tail(z + shift, np.ones(30)) for shift in np.linspace(-0.01, 0.01, 101)]
    steps = np.diff(around)
    assert (steps < 0).all()
    assert steps.min() > 1.5 * steps.max()  # no jump where the contour changes sides


def test_copies_are_repeats() -> None:
    z, copies = np.array([0.3, -0.2, 0.05]), np.array([7.0, 9.0, 4.0])
    assert tail(z, copies) == pytest.approx(tail(np.repeat(z, copies.astype(int)), np.ones(20)))


def test_many_unlike_documents_are_gathered_without_a_trace() -> None:
    differences = np.clip(np.random.default_rng(4).normal(-0.01, 0.2, 4000), -1, 1)
    units = units_of(differences, None)
    few, copies = gathered(units)
    assert few.count == CELLS
    assert copies @ few.sums == pytest.approx(differences.sum())
    z = np.append(differences + 0.02, -0.98)
    together = np.append(few.sums + 0.02 * few.sizes, -0.98)
    assert tail(together, np.append(copies, 1.0)) == pytest.approx(tail(z, np.ones(4001)), rel=1e-4)


@pytest.mark.parametrize("df", [1, 7.5, 99, 1e6])
def test_distributions_are_scipy_s(df: float) -> None:
    for p in (0.001, 0.025, 0.3, 0.9):
        assert normal_point(p) == pytest.approx(stats.norm.isf(p))
        assert t_point(p, df) == pytest.approx(stats.t.isf(p, df))
        x = t_point(p, df)
        assert t_tail(x, df) == pytest.approx(p)
        assert normal_tail(x) == pytest.approx(stats.norm.sf(x))
        assert noncentral_t_tail(2.0, df, 3 * p) == pytest.approx(stats.nct.sf(2.0, df, 3 * p))
    for n, rate in ((1, 0.5), (60, 0.02), (1000, 0.3)):
        k = np.arange(-1, n + 2)
        assert binomial_mass(k, n, rate) == pytest.approx(stats.binom.pmf(k, n, rate))
        for count in (0, n // 3, n):
            test = stats.binomtest(count, n)
            assert even_binomial_p(count, n) == pytest.approx(test.pvalue)
            assert clopper_pearson(count, n, 0.9) == pytest.approx(tuple(test.proportion_ci(0.9)))


def test_root_is_found_on_flat_sides_too() -> None:
    for f, low, high in (
        (math.sin, 2.0, 4.0),
        (lambda x: x**9 - 1e-6, 0.0, 1.0),
        (lambda x: math.atan(50 * (x - 0.9)), 0.0, 1.0),
    ):
        assert root(f, low, high) == pytest.approx(optimize.brentq(f, low, high), abs=1e-8)
    with pytest.raises(ValueError, match="no change of sign"):
        root(math.cosh, 0.0, 1.0)


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


def test_labels_of_any_kind_are_codes_by_first_appearance() -> None:
    assert cluster_codes(np.array(["b", "a", "b", "c"]), 4).tolist() == [0, 1, 0, 2]
    assert cluster_codes([7, 7, 1], 3).tolist() == [0, 0, 1]
    assert cluster_codes(["x", None, "x"], 3).tolist() == [0, 1, 0]
    assert cluster_codes([3, 1, 2], 3) is None  # every document its own


def test_student_of_units_is_the_ratio_estimator() -> None:
    differences, labels = clustered(3)
    units = units_of(differences, cluster_codes(labels, 300))
    assert units.mean == pytest.approx(differences.mean())
    assert student(units).df == units.count - 1
