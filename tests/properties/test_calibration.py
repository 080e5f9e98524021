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

from lm_eval_fr.stats import (
    EProcess,
    Planned,
    betting_difference,
    paired_difference,
    recovery_interval,
)
from lm_eval_fr.stats.arrays import Units
from lm_eval_fr.stats.differences import choose
from lm_eval_fr.stats.proportions import Tango
from lm_eval_fr.stats.shares import share_of
from tests.properties import worlds as w

pytestmark = pytest.mark.slow
DRAWN = 400_000  # differences per cell
CELLS = [(30, 0.10), (100, 0.05), (150, 0.02), (300, 0.02), (1000, 0.02)]
MOST = 0.030  # the level of every family but the harsh ones, at a nominal 0.025


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
    too_high, too_low = w.dirichlet_p(d, -margin) <= w.ALPHA, w.dirichlet_p(-d, margin) <= w.ALPHA
    assert too_high.mean() <= w.ALPHA + allowance(len(d)), "called non-inferior at a loss of the margin"
    assert too_low.mean() <= w.ALPHA + allowance(len(d)), "called inferior at a loss of the margin"


@pytest.mark.parametrize(("clusters", "margin"), [(10, 0.10), (20, 0.10), (60, 0.05), (150, 0.02)])
@pytest.mark.parametrize(
    "world",
    [world for world in w.CLUSTER_WORLDS if world.family not in w.HARSH],
    ids=lambda world: f"{world.family}, {world.name}",
)
def test_clusters(world: w.ClusterWorld, clusters: int, margin: float) -> None:
    """The sizes take turns over the cells; the benchmark has all of them."""
    sizes = world.sizes[clusters // 10 % len(world.sizes)]
    stack = world.study(generator(world.name, clusters), 1500, clusters, sizes, -margin)
    mirror = w.Stack(-stack.sums, stack.squares, stack.sizes)
    assert (w.cluster_p_above(stack, -margin) <= w.ALPHA).mean() <= MOST + allowance(1500, MOST)
    assert (w.cluster_p_above(mirror, margin) <= w.ALPHA).mean() <= MOST + allowance(1500, MOST)


def test_what_the_default_guarantee_does_not_promise() -> None:
    """Whole articles lost, and none in the sample: it errs, and `worst-case` does not."""
    world = w.ClusterWorld("", "", w.hit_articles(1.0, 0.0))
    stack = world.study(generator("whole articles"), 3000, 100, "1 to 10", -0.03)
    assert (w.cluster_p_above(stack, -0.03) <= w.ALPHA).mean() > 0.04
    assert (w.cluster_p_above(stack, -0.03, "worst-case") <= w.ALPHA).mean() <= w.ALPHA + allowance(3000)


@pytest.mark.parametrize("n", [30, 50, 100, 200, 500, 1000])
@pytest.mark.parametrize(("margin", "flips"), [(0.02, 0.02), (0.02, 0.03), (0.02, 0.1), (0.1, 0.1), (0.1, 0.2)])
def test_exact_match(n: int, margin: float, flips: float) -> None:
    """Summed over all counts of lost and gained: exact. Score intervals wobble about their level, by a tenth of it."""
    assert exact_rate("binary", n, margin, flips) <= w.ALPHA * 1.1
    assert exact_rate("binary", n, margin, flips, inferior=True) <= MOST


def test_inferior_of_exact_match_at_few_flips() -> None:
    """Tango alone says `inferior` in 5 % here, at a true loss of just the margin."""
    alone = w.exact_rate(400, 0.0125, 0.0025, lambda lost, gained: Tango(lost, gained, 400).p_below(-0.01) <= w.ALPHA)
    assert alone == pytest.approx(0.051, abs=0.001)
    assert exact_rate("binary", 400, 0.01, 0.015, inferior=True) < 0.01


@pytest.mark.parametrize("n", [30, 100, 150, 500])
@pytest.mark.parametrize(("margin", "decided"), [(0.10, 0.10), (0.10, 0.15), (0.10, 0.6), (0.18, 0.4)])
def test_judge(n: int, margin: float, decided: float) -> None:
    assert exact_rate("outcome", n, margin, decided) <= w.ALPHA * 1.1


def exact_rate(kind: str, n: int, margin: float, changed: float, *, inferior: bool = False) -> float:
    """P(claim) with `changed` of the documents discordant and a true loss of the margin."""

    def decide(lost: int, gained: int) -> bool:
        if ((gained - lost) / n <= -margin) is not inferior:
            return False
        d = np.repeat([-1.0, 1.0, 0.0], [lost, gained, n - lost - gained])
        bound, _ = choose(Units(d, np.ones(n), False), kind, "default")  # type: ignore[arg-type]
        assert bound is not None
        return (bound.p_below(-margin) if inferior else bound.p_above(-margin)) <= w.ALPHA

    return w.exact_rate(n, (changed + margin) / 2, (changed - margin) / 2, decide)


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
    stack = w.CLUSTER_WORLDS[1].study(g, 3000, 80, "1 to 10", -0.05)
    assert (w.betting_p(stack.sums, -0.05, sizes=stack.sizes) <= w.ALPHA).mean() <= w.ALPHA + allowance(3000)


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
    for row, p, q in zip(d, w.dirichlet_p(d, -0.02), w.dirichlet_p(-d, 0.02), strict=True):
        candidate, reference = np.maximum(row, 0), np.maximum(-row, 0)  # scores with these differences
        found = paired_difference(candidate, reference, kind="bounded", margin=0.02)
        assert (found.p_non_inferior, found.p_inferior) == (pytest.approx(p, rel=0.04), pytest.approx(q, rel=0.04))


@pytest.mark.parametrize("sizes", w.SIZES)
def test_stacked_clusters_are_single_studies(sizes: str) -> None:
    g = generator("same clusters", sizes)
    documents = w.SIZES[sizes](g, (6, 40))
    exists = np.arange(documents.max()) < documents[..., None]
    d = w.alike(0.4, 0.1)(g, documents, -0.02) * exists
    stack = w.Stack(d.sum(axis=2), (d**2).sum(axis=2), documents.astype(float))
    for row, there, p in zip(d, exists, w.cluster_p_above(stack, -0.1), strict=True):
        values, labels = row[there], np.broadcast_to(np.arange(40)[:, None], there.shape)[there]
        found = paired_difference(
            np.maximum(values, 0), np.maximum(-values, 0), clusters=labels, kind="bounded", margin=0.1
        )
        if p <= w.ALPHA:
            assert found.p_non_inferior == pytest.approx(p, rel=0.04)
        assert found.p_non_inferior is not None
        assert (found.p_non_inferior <= w.ALPHA) is bool(p <= w.ALPHA)


def test_the_e_process_is_the_simulated_one() -> None:
    d = w.WORLDS[0].draw(generator("e"), 3, 200, 0.1)
    for row, p in zip(d, w.betting_p(d, -0.02), strict=True):
        process = EProcess(0.02, Planned(200))
        best = max(process.log_capital[0] for x in row if process.update(float(x)))
        assert np.exp(-max(best, 0)) == pytest.approx(p)
        low = betting_difference(row).interval.low
        assert low is not None
        assert (low > -0.02) is bool(p < w.ALPHA)


# --- and what people use instead fails ---


def test_naive_t_fails_on_rare_large_losses() -> None:
    d = drawn(w.WORLDS[3], 50, 0.02)
    assert (w.student_p(d, -0.02) <= w.ALPHA).mean() > 0.28
    d = drawn(w.WORLDS[3], 150, 0.02)
    assert (w.student_p(d, -0.02) <= w.ALPHA).mean() > 0.10


def test_wald_fails_on_few_flips() -> None:
    z = stats.norm.isf(w.ALPHA)

    def wald(lost: int, gained: int, n: int = 50) -> bool:
        mean, decided = (gained - lost) / n, lost + gained
        return mean + 0.02 > z * max((decided / n - mean**2) / n, 0) ** 0.5

    assert w.exact_rate(50, 0.025, 0.005, wald) > 0.2


def test_one_lost_document_is_not_enough_where_articles_lose() -> None:
    """Why the guard is part of an article: with one document the bound errs twice as often as it says."""
    world = next(world for world in w.CLUSTER_WORLDS if world.family.startswith("a quarter"))
    stack = world.study(generator("one"), 2000, 40, "1 to 30", -0.05)
    p = w.guarded_p(stack.sums, stack.sizes, -0.05, np.ones(2000))
    assert (p <= w.ALPHA).mean() > 0.045
    assert (w.cluster_p_above(stack, -0.05) <= w.ALPHA).mean() <= MOST + allowance(2000, MOST)


@pytest.mark.parametrize("clusters", [60, 150])
def test_ignoring_clusters_fails(clusters: int) -> None:
    world = w.ClusterWorld("", "", w.alike(0.4, 0.2))
    stack = world.study(generator("ignore", clusters), 3000, clusters, "5", -0.02)
    assert (w.ignoring_clusters_p(stack, -0.02) <= w.ALPHA).mean() > 0.08


def judged_articles(studies: int, icc: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Outcomes and labels of 30 articles of five prompts each, no true difference."""
    g = generator("judged articles", icc)
    d = w.judged(0.6, icc)(g, np.full((studies, 30), 5), 0.0)
    return [(row.reshape(-1), np.repeat(np.arange(30), 5)) for row in d]


def test_clustered_verdicts_have_clustered_p_values() -> None:
    """The exact binomial test takes five prompts on one article for five: p < 0.05 in one study in six."""
    studies = judged_articles(150, 0.3)
    decided = [(outcomes[outcomes != 0] > 0, labels[outcomes != 0]) for outcomes, labels in studies]
    exact = [share_of(wins).p_value for wins, _ in decided]
    clustered = [share_of(wins, clusters=labels).p_value for wins, labels in decided]
    assert np.mean([p is not None and p < 0.05 for p in exact]) > 0.10
    assert np.mean([p is not None and p < 0.05 for p in clustered]) <= 0.05 + allowance(150, 0.05)


def test_shares_cover() -> None:
    """A share of 0.97 in 100 documents, and one over articles: a t interval covers the first in 85 %."""
    g, covered = generator("shares"), 0
    for _ in range(300):
        found = share_of(g.random(100) < 0.97)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.97 <= found.high
    assert covered / 300 >= 0.95 - allowance(300, 0.05)
    covered = 0
    for _ in range(150):
        right = g.random(200) < np.repeat(g.beta(0.9 * 4, 0.1 * 4, 40), 5)
        found = share_of(right, clusters=np.repeat(np.arange(40), 5))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.9 <= found.high
    assert covered / 150 >= 0.95 - allowance(150, 0.05)


def test_peeking_fails() -> None:
    d = drawn(w.WORLDS[0], 600, 0.02)
    looks = [w.student_p(d[:, :n], -0.02) <= w.ALPHA for n in range(50, 601, 50)]
    assert np.any(looks, axis=0).mean() > 0.08
