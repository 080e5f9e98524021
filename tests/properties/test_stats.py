"""What must hold for any scores: symmetry, order, coherence between numbers, and no crash."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lm_eval_fr.stats import (
    Difference,
    EProcess,
    Guarantee,
    Planned,
    assess,
    betting_difference,
    confidence_sequence,
    decide,
    holm,
    net_win_rate,
    overall,
    paired_difference,
)
from lm_eval_fr.stats.proportions import Tango, mcnemar_exact

score = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))
pairs = st.lists(st.tuples(score, score), min_size=2, max_size=80)
moved = st.tuples(st.floats(0, 0.4), st.floats(0.5, 1), st.booleans()).map(lambda t: t[1::-1] if t[2] else t[:2])
many = st.tuples(st.lists(moved, min_size=15, max_size=30), pairs).map(lambda both: both[0] + both[1])
right = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=80)
outcomes = st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=120)
usual = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def split(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    columns = np.array(rows, dtype=float)
    return columns[:, 0], columns[:, 1]


def sound(found: Difference) -> None:
    interval = found.interval
    if interval.low is None or interval.high is None:
        assert interval.reason
        return
    assert interval.estimate is not None
    slack = 1e-9
    assert -1 <= interval.low <= interval.estimate + slack <= interval.high + 2 * slack
    assert interval.high <= 1
    for p in (found.p_value, found.p_non_inferior, found.p_inferior):
        assert p is None or 0 <= p <= 1
    for value in (interval.low, interval.high, found.sd, found.icc, found.design_effect):
        assert value is None or math.isfinite(value)


@usual
@given(st.one_of(pairs, right), st.integers(1, 40), st.sampled_from([0.8, 0.95, 0.99]))
def test_any_scores_give_a_sound_result(rows: list[tuple[float, float]], groups: int, level: float) -> None:
    candidate, reference = split(rows)
    labels = np.arange(len(rows)) % groups
    for clusters in (None, labels):
        found = paired_difference(candidate, reference, clusters=clusters, level=level, margin=0.1)
        sound(found)
        assessment = assess(found, 0.1)
        assert overall({"task": assessment}).verdict in (assessment.verdict, "inconclusive")
        needed = assessment.documents_needed
        assert needed is None or needed.documents is None or needed.documents > len(rows)


@usual
@given(st.one_of(pairs, right), st.integers(1, 40))
def test_exchanging_the_arms_mirrors_everything(rows: list[tuple[float, float]], groups: int) -> None:
    candidate, reference = split(rows)
    for clusters in (None, np.arange(len(rows)) % groups):
        one = paired_difference(candidate, reference, clusters=clusters)
        other = paired_difference(reference, candidate, clusters=clusters)
        assert one.interval.method == other.interval.method
        assert one.p_value == (None if other.p_value is None else pytest.approx(other.p_value, abs=1e-9))
        if one.interval.low is not None and other.interval.high is not None:
            assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-7)
        assert (one.flips is None) or (other.flips is not None and one.flips.lost == other.flips.gained)


@usual
@given(st.one_of(pairs, right), st.integers(1, 40), st.randoms(use_true_random=False))
def test_order_does_not_matter(rows: list[tuple[float, float]], groups: int, random: object) -> None:
    labelled = [(*row, i % groups) for i, row in enumerate(rows)]
    shuffled = labelled.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (
        paired_difference(*split([row[:2] for row in some]), clusters=[row[2] for row in some]).interval
        for some in (labelled, shuffled)
    )
    if one.low is not None and one.high is not None:
        assert (one.low, one.high) == (pytest.approx(other.low, abs=1e-7), pytest.approx(other.high, abs=1e-7))


@usual
@given(many)
def test_more_confidence_is_wider(rows: list[tuple[float, float]]) -> None:
    candidate, reference = split(rows)
    found = [paired_difference(candidate, reference, level=level).interval for level in (0.8, 0.9, 0.95, 0.99)]
    lows = [interval.low or 0.0 for interval in found]
    highs = [interval.high or 0.0 for interval in found]
    assert lows == sorted(lows, reverse=True) or np.diff(lows).max() < 1e-9
    assert highs == sorted(highs) or np.diff(highs).min() > -1e-9


kinds = st.one_of(pairs, right, many)


@usual
@given(kinds, st.integers(0, 200), st.floats(0.1, 1))
def test_a_lost_document_never_helps(rows: list[tuple[float, float]], place: int, part: float) -> None:
    """Nor one that loses a part of its score: the limit falls, or stays."""
    candidate, reference = split(rows)
    worse = candidate.copy()
    worse[place % len(worse)] *= 0 if set(np.unique(candidate)) <= {0, 1} else 1 - part
    before, after = paired_difference(candidate, reference).interval, paired_difference(worse, reference).interval
    assert before.low is not None
    assert after.low is not None
    assert after.low <= before.low + 1e-9


@settings(usual, max_examples=150)
@given(kinds, st.integers(2, 30), st.integers(0, 200), st.floats(0.1, 1), st.sampled_from(["default", "worst-case"]))
def test_one_more_loss_never_turns_inconclusive_into_non_inferior(
    rows: list[tuple[float, float]], groups: int, place: int, part: float, guarantee: Guarantee
) -> None:
    """In articles, whatever the margin: that which was just not shown is not shown with one more loss."""
    candidate, reference = split(rows)
    clusters = np.arange(len(rows)) % groups
    before = paired_difference(candidate, reference, clusters=clusters, guarantee=guarantee, kind="bounded").interval
    assume(before.low is not None and -1 < before.low < 0)
    worse = candidate.copy()
    worse[place % len(worse)] *= 1 - part
    after = paired_difference(worse, reference, clusters=clusters, guarantee=guarantee, kind="bounded").interval
    assert decide(after, -(before.low or 0.0) - 1e-9) != "non_inferior"


@usual
@given(outcomes, st.integers(0, 200))
def test_a_lost_verdict_never_helps(values: list[int], place: int) -> None:
    worse = values.copy()
    worse[place % len(worse)] = -1
    before, after = net_win_rate(values).net_win.interval, net_win_rate(worse).net_win.interval
    assert (after.low or 0.0) <= (before.low or 0.0) + 1e-9


@usual
@given(outcomes, st.integers(1, 60))
def test_judge_exchange(values: list[int], groups: int) -> None:
    clusters = np.arange(len(values)) % groups
    one = net_win_rate(values, clusters=clusters, margin=0.1)
    other = net_win_rate([-value for value in values], clusters=clusters, margin=0.1)
    sound(one.net_win)
    assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
    assert one.win_share.p_value == (
        None if other.win_share.p_value is None else pytest.approx(other.win_share.p_value)
    )
    if one.net_win.interval.low is not None:
        assert one.net_win.interval.low == pytest.approx(-(other.net_win.interval.high or 0.0), abs=1e-7)


@usual
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))
def test_tango_and_mcnemar_see_the_same_side(lost: int, gained: int, rest: int) -> None:
    n = lost + gained + rest
    assume(n > 0)
    low, high = Tango(lost, gained, n).interval(0.95)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    if mcnemar_exact(lost, gained) < 0.01:  # exact McNemar is the more cautious of the two
        assert not low <= 0 <= high


@usual
@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60), st.sampled_from([0.05, 0.2, 0.5]))
def test_band_contains_what_the_interval_contains(values: list[float], margin: float) -> None:
    band, exact = confidence_sequence(values), betting_difference(values).interval
    assert exact.low is not None
    assert exact.high is not None
    assert (np.diff(band.low) >= 0).all()
    assert band.low[-1] <= max(exact.low, band.mean[-1]) + 1e-9
    process = EProcess(margin, Planned(len(values)))
    verdicts = [process.update(value) for value in values]
    if "non_inferior" in verdicts:
        assert exact.low > -margin or exact.low == pytest.approx(band.mean[-1])


@usual
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_never_lowers_a_p_value(p_values: list[float | None]) -> None:
    adjusted = holm(p_values)
    assert [p is None for p in adjusted] == [p is None for p in p_values]
    known = sorted((p, q) for p, q in zip(p_values, adjusted, strict=True) if p is not None and q is not None)
    assert all(p <= q <= 1 for p, q in known)
    assert [q for _, q in known] == sorted(q for _, q in known)
