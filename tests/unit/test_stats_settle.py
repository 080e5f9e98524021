"""What the data could have shown, and what would settle the verdict: by simulation of the verdicts themselves."""

from __future__ import annotations

import numpy as np
import pytest

from lm_eval_fr.stats import (
    Difference,
    assess,
    decide,
    documents_needed,
    margin_for_documents,
    net_win_rate,
    paired_difference,
    score_spread,
)
from lm_eval_fr.stats.settle import mde
from lm_eval_fr.stats.typical import of_units
from tests.properties import worlds as w

RNG = np.random.default_rng(50)


def articles(g: np.random.Generator, count: int, draw: w.ClusterDraw, mean: float = 0.0) -> Difference:
    """Articles of 1 to 10 documents as a comparison of two arms."""
    sizes = g.integers(1, 11, (1, count))
    exists = np.arange(sizes.max()) < sizes[0][:, None]
    d = np.clip(draw(g, sizes, mean)[0], -0.5, 0.5)[exists]
    labels = np.broadcast_to(np.arange(count)[:, None], exists.shape)[exists]
    return paired_difference(0.5 + d, np.full(d.size, 0.5), clusters=labels)


@pytest.mark.parametrize("count", [24, 80])
def test_power_at_the_printed_mde(count: int) -> None:
    """Uneven articles, alike within: a loss of the MDE is shown to be a loss in four studies of five."""
    g = np.random.default_rng(count)
    draw = w.alike(0.2, 0.12)
    printed = [mde(articles(g, count, draw))[0] for _ in range(5)]
    typical = float(np.median([effect for effect in printed if effect is not None]))
    shown = [articles(g, count, draw, -typical).interval.high for _ in range(150)]
    assert np.mean([high is not None and high < 0 for high in shown]) == pytest.approx(0.8, abs=0.11)


def test_power_at_the_printed_mde_of_counts() -> None:
    g = np.random.default_rng(4)
    lost, gained = 6, 6
    candidate, reference = np.ones(300), np.ones(300)
    candidate[:lost], reference[lost : lost + gained] = 0, 0
    effect, reason = mde(paired_difference(candidate, reference))
    assert (effect is None, reason) == (False, None)
    rates = [(0.04 + (effect or 0)) / 2, (0.04 - (effect or 0)) / 2]
    rates = [max(rates[0], effect or 0), max(rates[1], 0.0)]
    shown = 0
    for one, two in g.multinomial(300, [*rates, 1 - sum(rates)], 300)[:, :2]:
        outcome = np.repeat([-1, 1, 0], [one, two, 300 - one - two])
        high = net_win_rate(outcome).net_win.interval.high
        shown += high is not None and high < 0
    assert shown / 300 == pytest.approx(0.8, abs=0.09)


def test_mde_without_ends_is_what_planning_says() -> None:
    candidate = RNG.normal(0, 0.15, 444)
    difference = paired_difference(candidate - candidate.mean(), np.zeros(444), kind="unbounded")
    found, reason = mde(difference)
    assert reason is None
    planned = margin_for_documents(444, score_spread(difference.sd or 0)).margin
    assert found == pytest.approx(planned, rel=0.01)


def test_mde_is_never_more_than_the_reference_has() -> None:
    """A reference that is right in 2 of 30 cannot lose as much as 30 documents could show."""
    reference = (np.arange(30) < 2).astype(float)
    found = mde(paired_difference(reference, reference))
    assert found == (None, "no loss that the metric can reach would have been shown")


def test_documents_needed_settle_it() -> None:
    """Simulated anew with so many documents, four in five studies are settled."""
    generator = np.random.default_rng(7)
    reference = np.full(200, 0.5)
    candidate = reference + generator.normal(0, 0.15, 200).clip(-0.5, 0.5)
    candidate += 0.5 - candidate.mean()
    difference = paired_difference(candidate.clip(0, 1), reference)
    needed = documents_needed(difference, 0.02)
    assert needed.documents is not None
    assert needed.documents > 200
    settled = 0
    for _ in range(100):
        fresh = 0.5 + generator.choice(candidate - 0.5, needed.documents)
        again = paired_difference(fresh.clip(0, 1), np.full(needed.documents, 0.5))
        settled += decide(again.interval, 0.02) == "non_inferior"
    assert 0.66 < settled / 100 < 0.95


def test_documents_needed_over_uneven_articles_settle_it() -> None:
    g, draw = np.random.default_rng(8), w.flips(0.05, 0.1, graded=True)
    found = [articles(g, 60, draw) for _ in range(9)]
    centred = min(found, key=lambda one: abs(one.interval.estimate or 0.0))
    needed = documents_needed(centred, 0.03)
    assert needed.documents is not None
    assert needed.documents > centred.n
    count = round(needed.documents / (centred.n / 60))
    settled = [decide(articles(g, count, draw).interval, 0.03) == "non_inferior" for _ in range(80)]
    assert np.mean(settled) == pytest.approx(0.8, abs=0.16)


def test_five_documents_do_not_settle_what_takes_sixteen() -> None:
    """Four clear losses: so many that are all lost must come that even Tango's limit is below the margin."""
    candidate, reference = np.zeros(4), np.ones(4)
    needed = documents_needed(paired_difference(candidate, reference), 0.7)
    assert needed.documents is not None
    more = needed.documents
    assert decide(paired_difference(np.zeros(more), np.ones(more)).interval, 0.7) == "inferior"
    assert decide(paired_difference(np.zeros(more - 1), np.ones(more - 1)).interval, 0.7) == "inconclusive"


@pytest.mark.parametrize(
    ("n", "lost", "gained", "towards"),
    [(72, 0, 0, "non_inferior"), (300, 3, 3, "non_inferior"), (72, 12, 2, "inferior")],
)
def test_documents_needed_of_few_flips_settle_it(n: int, lost: int, gained: int, towards: str) -> None:
    candidate, reference = np.ones(n), np.ones(n)
    candidate[:lost], reference[lost : lost + gained] = 0, 0
    needed = documents_needed(paired_difference(candidate, reference), 0.02)
    assert needed.documents is not None
    rates = [lost / n, gained / n, 1 - (lost + gained) / n]
    fresh = np.random.default_rng(5).multinomial(needed.documents, rates, size=200)
    verdicts = []
    for one, two, rest in fresh:
        verdicts.append(decide(net_win_rate(np.repeat([-1, 1, 0], [one, two, rest])).net_win.interval, 0.02))
    assert verdicts.count(towards) / len(verdicts) > 0.7


def test_documents_needed_towards_inferior_and_nowhere() -> None:
    losing = net_win_rate([-1] * 30 + [0] * 60 + [1] * 10).net_win
    needed = documents_needed(losing, 0.10)
    assert needed.documents is not None
    assert needed.documents > 100
    on_it = net_win_rate([-1] * 20 + [0] * 70 + [1] * 10).net_win
    nowhere = documents_needed(on_it, 0.10)
    assert nowhere.documents is None
    assert nowhere.reason == "the difference equals the margin: no number of documents settles it"
    settled = assess(net_win_rate([0] * 100).net_win, 0.2)
    assert settled.documents_needed is None


@pytest.mark.parametrize("clusters", [None, 3])
def test_an_arm_that_loses_everything_is_settled_too(clusters: int | None) -> None:
    """Nothing spreads where all is lost: the outcome of any number of documents is certain."""
    labels = None if clusters is None else np.arange(150) // clusters
    difference = paired_difference(np.zeros(150), np.ones(150), clusters=labels)
    needed = documents_needed(difference, 0.99)
    assert needed.reason is None
    more = needed.documents or 0
    found = [
        paired_difference(np.zeros(n), np.ones(n), clusters=None if clusters is None else np.arange(n) // clusters)
        for n in (more, more - 4)
    ]
    assert [decide(one.interval, 0.99) for one in found] == ["inferior", "inconclusive"]


def test_more_documents_than_there_are_is_said() -> None:
    difference = paired_difference(*(RNG.random((2, 60)) * 0.2 + 0.4))
    needed = documents_needed(difference, 0.03, available=120)
    assert needed.documents is not None
    assert needed.documents > 120
    assert needed.reason == (
        "the data set has 120 documents: only a wider margin or several answers each would settle it"
    )
    assert documents_needed(difference, 0.03, available=10**6).reason is None
    assert assess(difference, 0.03, available=120).documents_needed == needed


def test_few_articles_are_asked_for_more() -> None:
    values = np.full(60, 0.5) + RNG.normal(0, 0.01, 60)
    found = paired_difference(values, np.full(60, 0.5), clusters=np.arange(60) % 6)
    needed = documents_needed(found, 0.1)
    assert needed.documents is not None
    assert needed.documents > 100


def test_what_is_needed_of_weighted_documents_is_reckoned_with_the_verdict_s_own_guard() -> None:
    weights, ones = np.repeat([10.0, 1.0], [40, 400]), np.ones(440)
    scores = np.where(np.arange(440) == 439, 0.5, 1.0)  # half of a light document is lost
    found = paired_difference(scores, ones, weights=weights, margin=0.05)
    assert found.units is not None and found.interval.estimate is not None
    assert found.guard_documents == pytest.approx(5.5)
    seen_again = of_units(found.units).p_above(found.interval.estimate, -0.05, found.n)
    assert seen_again == pytest.approx(found.p_non_inferior)
