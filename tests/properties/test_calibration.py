"""Do the verdicts keep their promise, and would we notice if they did not?

At a true loss equal to the margin "non-inferior" may be said in 2.5 % of studies, intervals must cover in 95 %, and
looking all the time must not change that. Where a distribution is countable the rate is summed exactly; elsewhere it is
simulated, and the allowance is 3.3 standard errors of the simulation (one false alarm in 2,000 checks). The naive
methods at the end fail the same checks. benchmarks/stats_calibration.py prints the long version, with power.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from scipy import stats

from lm_eval_fr.stats import EProcess, Planned, betting_interval, paired_difference, recovery_interval
from lm_eval_fr.stats.arrays import Units
from lm_eval_fr.stats.differences import choose
from tests.properties import worlds as w

DRAWN = 800_000  # differences per cell
CELLS = [(30, 0.10), (100, 0.05), (150, 0.02), (300, 0.02), (1000, 0.02)]


def allowance(studies: int, rate: float = w.ALPHA) -> float:
    return 3.3 * (rate * (1 - rate) / studies) ** 0.5


def generator(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def drawn(world: w.World, n: int, margin: float) -> np.ndarray:
    return world.draw(generator(world.name, n), DRAWN // n, n, -margin)


@pytest.mark.parametrize(("n", "margin"), CELLS)
@pytest.mark.parametrize("world", w.WORLDS, ids=lambda world: world.name)
def test_bounded_scores(world: w.World, n: int, margin: float) -> None:
    d = drawn(world, n, margin)
    too_high, too_low = w.p_above(d, -margin) <= w.ALPHA, w.p_below(d, -margin) <= w.ALPHA
    assert too_high.mean() <= w.ALPHA + allowance(len(d)), "called non-inferior at a loss of the margin"
    assert 1 - (too_high | too_low).mean() >= 0.95 - allowance(len(d), 0.05), "does not cover"


@pytest.mark.parametrize(("clusters", "margin"), [(20, 0.10), (60, 0.05), (150, 0.02), (300, 0.02)])
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@pytest.mark.parametrize("world", w.CLUSTER_WORLDS, ids=lambda world: world.name)
def test_clusters(world: w.ClusterWorld, uneven: bool, clusters: int, margin: float) -> None:
    g = generator(world.name, uneven, clusters)
    sizes = w.sizes_of(g, DRAWN // clusters // (30 if uneven else 5), clusters, uneven)
    sums, squares = world.draw(g, sizes, -margin)
    too_high = w.cluster_p_above(sums, squares, sizes, -margin) <= w.ALPHA
    too_low = w.cluster_p_above(-sums, squares, sizes, margin) <= w.ALPHA
    assert too_high.mean() <= w.ALPHA + allowance(len(sizes))
    assert 1 - (too_high | too_low).mean() >= 0.95 - allowance(len(sizes), 0.05)


@pytest.mark.parametrize("n", [30, 50, 100, 200, 500, 1000])
@pytest.mark.parametrize(("margin", "flips"), [(0.02, 0.02), (0.02, 0.03), (0.02, 0.1), (0.1, 0.1), (0.1, 0.2)])
def test_exact_match(n: int, margin: float, flips: float) -> None:
    """Summed over all counts of lost and gained: exact. Score intervals wobble about their level, by a tenth of it."""
    rate = exact_rate("binary", n, margin, flips)
    assert rate <= w.ALPHA * 1.1


@pytest.mark.parametrize("n", [30, 100, 150, 500])
@pytest.mark.parametrize(("margin", "decided"), [(0.10, 0.10), (0.10, 0.15), (0.10, 0.6), (0.18, 0.4)])
def test_judge(n: int, margin: float, decided: float) -> None:
    assert exact_rate("outcome", n, margin, decided) <= w.ALPHA * 1.1


def exact_rate(kind: str, n: int, margin: float, flips: float, alpha: float = w.ALPHA) -> float:
    """P(non-inferior) with `flips` of the documents discordant and a true loss of the margin."""

    def decide(lost: int, gained: int) -> bool:
        if (gained - lost) / n <= -margin:
            return False
        d = np.repeat([-1.0, 1.0, 0.0], [lost, gained, n - lost - gained])
        bound, _ = choose(Units(d, np.ones(n), False), d, kind, None, alpha)  # type: ignore[arg-type]
        assert bound is not None
        return bound.p_above(-margin) <= alpha

    return w.exact_rate(n, (flips + margin) / 2, (flips - margin) / 2, decide)


@pytest.mark.parametrize("n", [30, 184, 260, 1000])
def test_identical_scores(n: int) -> None:
    """All differences 0: a loss is ruled out only if it would have shown itself in 97.5 % of such studies."""
    for scores, clusters in ((np.full(n, 0.5), None), (np.ones(n), None), (np.ones(n), np.arange(n) // 2)):
        found = paired_difference(scores, scores, clusters=clusters).interval
        assert found.low is not None
        assert found.high == pytest.approx(-found.low)
        assert found.low < 0
        assert (1 + found.low) ** n <= w.ALPHA * 1.1


@pytest.mark.parametrize("world", w.WORLDS[::2], ids=lambda world: world.name)
@pytest.mark.parametrize(("n", "margin"), [(150, 0.10), (600, 0.02)])
def test_stopping_early(world: w.World, n: int, margin: float) -> None:
    """Looked at after every document: the e-process, and with it the band, errs in 2.5 % on each side at most."""
    d = drawn(world, n, margin)
    ever_high, ever_low = w.betting_p(d, -margin) <= w.ALPHA, w.betting_p(-d, margin) <= w.ALPHA
    assert ever_high.mean() <= w.ALPHA + allowance(len(d))
    assert ever_low.mean() <= w.ALPHA + allowance(len(d))


def test_stopping_early_by_cluster() -> None:
    g = generator("stop")
    sizes = w.sizes_of(g, 3000, 80, uneven=False)
    sums, _ = w.CLUSTER_WORLDS[0].draw(g, sizes, -0.05)
    assert (w.betting_p(sums, -0.05, sizes=sizes) <= w.ALPHA).mean() <= w.ALPHA + allowance(3000)


def test_stopping_early_where_long_articles_lose() -> None:
    """Articles of one document lose nothing, those of nine 12 points: 10.8 over all documents, but 6 over articles."""
    g, studies = generator("long articles"), 3000
    sizes = np.where(g.random((studies, 120)) < 0.5, 1, 9)
    loss = np.where(sizes == 9, -0.12, 0.0)
    sums = np.clip(g.normal(loss * sizes, 0.1 * sizes**0.5), -sizes, sizes)
    assert (w.betting_p(sums, -0.108, sizes=sizes) <= w.ALPHA).mean() <= w.ALPHA + allowance(studies)
    by_article = w.betting_p(sums / sizes, -0.108) <= w.ALPHA
    assert by_article.mean() > 0.5, "the mean of the articles' means is another quantity"


def test_stopping_early_gains_something() -> None:
    """An e-process that never stops would pass the check above."""
    d = np.clip(generator("gain").normal(0, 0.774, (300, 600)), -1, 1)
    bets = np.sqrt(2 * np.log(40) / (600 * w.variance_so_far(d)))
    over = w.log_capital(d, bets, -0.18) >= np.log(40)
    assert over.any(axis=1).mean() > 0.9
    assert np.median(over.argmax(axis=1)) < 400


def test_recovery_covers() -> None:
    """Rare large losses, in 200 studies of 60 documents: the plain bootstrap covers far less than it says."""
    g, covered, plain, true = generator("recovery"), 0, 0, 0.58 / 0.6
    for study in range(200):
        reference = np.clip(g.normal(0.6, 0.1, 60), 0, 1)
        candidate = np.where(g.random(60) < 1 - true, 0.0, reference)
        found = recovery_interval(candidate, reference, draws=1000, seed=study)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
        rows = g.integers(0, 60, (1000, 60))
        ratios = candidate[rows].sum(axis=1) / reference[rows].sum(axis=1)
        plain += np.quantile(ratios, 0.025) <= true <= np.quantile(ratios, 0.975)
    assert covered / 200 >= 0.95 - allowance(200, 0.05)
    assert plain / 200 < 0.95 - allowance(200, 0.05)


# --- the simulation decides as the package does ---


@pytest.mark.parametrize("world", w.WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("n", [60, 300])
def test_stacked_studies_are_single_studies(world: w.World, n: int) -> None:
    d = world.draw(generator("same", world.name), 4, n, -0.02)
    above, below = w.p_above(d, -0.02), w.p_below(d, -0.02)
    for row, p, q in zip(d, above, below, strict=True):
        candidate, reference = np.maximum(row, 0), np.maximum(-row, 0)  # scores with these differences
        found = paired_difference(candidate, reference, kind="bounded", margin=0.02)
        assert (found.p_non_inferior, found.p_inferior) == (pytest.approx(p), pytest.approx(q))


@pytest.mark.parametrize("uneven", [False, True])
def test_stacked_clusters_are_single_studies(uneven: bool) -> None:
    g = generator("same clusters", uneven)
    sizes = w.sizes_of(g, 6, 40, uneven)
    largest = int(sizes.max())
    exists = np.arange(largest) < sizes[..., None]
    d = np.clip(w.alike(0.4, 0.2)(g, (6, 40, largest), -0.02), -1, 1) * exists
    p = w.cluster_p_above(d.sum(axis=2), (d**2).sum(axis=2), sizes, -0.02)
    for row, there, expected in zip(d, exists, p, strict=True):
        values, labels = row[there], np.broadcast_to(np.arange(40)[:, None], there.shape)[there]
        found = paired_difference(
            np.maximum(values, 0), np.maximum(-values, 0), clusters=labels, kind="bounded", margin=0.02
        )
        assert found.p_non_inferior == pytest.approx(expected)


def test_the_e_process_is_the_simulated_one() -> None:
    d = w.WORLDS[0].draw(generator("e"), 3, 200, 0.1)
    for row, p in zip(d, w.betting_p(d, -0.02), strict=True):
        process = EProcess(0.02, Planned(200))
        best = max(process.update(float(x)).log_capital_non_inferior for x in row)
        assert np.exp(-max(best, 0)) == pytest.approx(p)
        low = betting_interval(row).low
        assert low is not None
        assert (low > -0.02) is bool(p < w.ALPHA)


# --- and what people use instead fails ---


def test_naive_t_fails_on_rare_large_losses() -> None:
    d = drawn(w.WORLDS[3], 50, 0.02)
    assert (w.student_p(d, -0.02) <= w.ALPHA).mean() > 0.28
    d = drawn(w.WORLDS[3], 150, 0.02)
    assert (w.student_p(d, -0.02) <= w.ALPHA).mean() > 0.10


def test_one_pseudo_document_and_a_t_quantile_is_not_enough() -> None:
    """Why the Dirichlet bound stands beside the augmented t."""
    d = w.rare_losses(0.001, 0.0, 1.0)(generator("one"), 20_000, 150, -0.02)
    assert (w.augmented_p(d, -0.02) <= w.ALPHA).mean() > w.ALPHA + allowance(len(d))
    assert (w.p_above(d, -0.02) <= w.ALPHA).mean() <= w.ALPHA


def test_wald_fails_on_few_flips() -> None:
    z = stats.norm.isf(w.ALPHA)

    def wald(lost: int, gained: int, n: int = 50) -> bool:
        mean, decided = (gained - lost) / n, lost + gained
        return mean + 0.02 > z * max((decided / n - mean**2) / n, 0) ** 0.5

    assert w.exact_rate(50, 0.025, 0.005, wald) > 0.2


@pytest.mark.parametrize("clusters", [60, 150])
def test_ignoring_clusters_fails(clusters: int) -> None:
    g = generator("ignore", clusters)
    sizes = w.sizes_of(g, 3000, clusters, uneven=False)
    sums, squares = w.CLUSTER_WORLDS[0].draw(g, sizes, -0.02)
    assert (w.ignoring_clusters_p(sums, squares, sizes, -0.02) <= w.ALPHA).mean() > 0.08


def test_peeking_fails() -> None:
    d = drawn(w.WORLDS[0], 600, 0.02)
    looks = [w.student_p(d[:, :n], -0.02) <= w.ALPHA for n in range(50, 601, 50)]
    assert np.any(looks, axis=0).mean() > 0.08
