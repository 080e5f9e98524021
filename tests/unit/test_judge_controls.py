"""Canaries, the noise floor, place, length and repeats: what a report says of the judge itself."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.judge.asking.controls import KINDS, load_canaries
from lm_eval_fr.judge.asking.offline import judge_offline
from lm_eval_fr.judge.asking.protocol import Order
from lm_eval_fr.judge.verdicts.control_results import canary_report, judge_noise
from lm_eval_fr.judge.verdicts.outcome import Judgement, Outcome, PairVerdict, combine
from lm_eval_fr.judge.verdicts.position import position_report
from tests.fakes.judged import exchanged


def pair(
    n: int,
    first: Judgement,
    second: Judgement,
    *,
    chars: tuple[int, int] | None = None,
    cluster: str | None = None,
    repeats: dict[Order, tuple[Judgement, ...]] | None = None,
) -> PairVerdict:
    return PairVerdict(
        task="t",
        doc_id=n,
        doc_hash=f"h{n}",
        outcome=combine(first, second),
        candidate_first=first,
        reference_first=second,
        candidate_chars=chars[0] if chars else None,
        reference_chars=chars[1] if chars else None,
        cluster=cluster,
        repeats=repeats or {},
    )


def pairs(wins: int = 0, losses: int = 0, ties: int = 0, first: int = 0, last: int = 0) -> list[PairVerdict]:
    kinds: list[tuple[Judgement, Judgement]] = [("A", "B"), ("B", "A"), ("tie", "tie"), ("A", "A"), ("B", "B")]
    judged = [both for both, n in zip(kinds, (wins, losses, ties, first, last), strict=True) for _ in range(n)]
    return [pair(n, *both) for n, both in enumerate(judged)]


# canaries


def test_the_shipped_canaries_cover_every_kind_in_french() -> None:
    canaries = load_canaries()
    assert len(canaries) == 14 and {canary.kind for canary in canaries} == set(KINDS)
    assert min(Counter(canary.kind for canary in canaries).values()) >= 2
    for canary in canaries:
        assert len(canary.text.split()) > 120 and len(canary.good.split()) > 50
        assert any(accent in canary.text for accent in "éèàêç")
        assert canary.good != canary.bad
    assert len({canary.task_text[:900] for canary in canaries}) == 3, "those on one text begin alike"


def test_the_offline_judge_wins_every_canary_in_both_places() -> None:
    outcomes: dict[str, Outcome] = {}
    for c in load_canaries():
        first = judge_offline(c.task_text, c.good, c.bad)[0]
        second = judge_offline(c.task_text, c.bad, c.good)[0]
        outcomes[c.id] = combine(first, second)
    report = canary_report(outcomes)
    assert report.passed and report.won == report.n == len(outcomes) and report.warnings == ()


def test_a_lost_a_missing_and_an_obeyed_canary_are_told_apart() -> None:
    outcomes: dict[str, Outcome] = {"vide-1": "win", "coupe-1": "flip", "phrase-fr-1": "loss", "phrase-en-1": "win"}
    report = canary_report(outcomes | {"vide-2": "invalid"})
    assert (report.n, report.judged, report.won) == (14, 4, 2) and not report.passed
    assert report.lost == {"coupe-1": "flip", "phrase-fr-1": "loss"}
    assert report.by_kind == {"empty": (1, 1), "cut": (0, 1), "hostile": (1, 2)}
    assert report.hostile_gain == 1.0 and "in 1 of 2 controls" in report.warnings[0]
    assert canary_report({"vide-1": "win"}).hostile_gain is None


# the noise floor


def test_a_judge_that_sees_no_difference_in_one_arm_has_no_winner() -> None:
    noise = judge_noise(pairs(wins=6, losses=5, ties=80, first=9))
    assert noise.winner is None and noise.warnings == ()
    assert noise.n == 100 and noise.decided.share == pytest.approx(0.11)
    assert noise.first_run.share == pytest.approx(6 / 11)
    assert noise.net_win.low is not None and noise.net_win.low < 0 < (noise.net_win.high or 0)


def test_a_judge_that_prefers_one_run_of_an_arm_is_reported() -> None:
    noise = judge_noise(pairs(wins=4, losses=30, ties=10))
    assert noise.winner == "rerun" and "rerun of one arm against itself (4 to 30" in noise.warnings[0]


def test_nothing_judged_is_nothing_said() -> None:
    noise = judge_noise([pair(0, "invalid", "A"), pair(1, None, None)])
    assert noise.n == 0 and noise.winner is None and noise.decided.share is None and noise.net_win.estimate is None


# place


def test_shares_of_place_are_over_pairs_judged_in_both_orders() -> None:
    verdicts = [*pairs(wins=30, losses=20, ties=10, first=25, last=5), pair(91, "tie", "A"), pair(92, "tie", None)]
    report = position_report(verdicts)
    place = report.position
    assert place is not None and place.both_orders == 91
    assert (place.flip.count, place.flip.of) == (30, 91)
    assert (place.split.count, place.consistent.count) == (1, 60)
    assert (place.first_answer.count, place.first_answer.of) == (2 * 25 + 50, 2 * 80)
    assert place.first_answer.share == pytest.approx(0.625)
    assert place.first_answer.low is not None and place.first_answer.low > 0.5
    assert (place.flips_to_first.count, place.flips_to_first.of) == (25, 30)
    assert "prefers the first position: of 30 flips 25" in report.warnings[0]


def test_a_judge_without_a_lean_is_not_accused() -> None:
    report = position_report(pairs(wins=40, losses=40, first=6, last=5))
    assert report.warnings == () and report.position is not None
    share = report.position.first_answer
    assert share.low is not None and share.high is not None and share.low < 0.5 < share.high
    assert share.high - share.low < 0.2


def test_where_no_order_decided_the_interval_of_a_lean_is_even() -> None:
    position = position_report(pairs(wins=0, losses=56, first=0, last=0)).position
    assert position is not None
    share = position.first_answer
    assert share.low is not None and share.high is not None
    assert share.low + share.high == pytest.approx(1)
    assert 0.4 < share.low < 0.5


def test_a_judge_that_knows_only_places_is_called_unfit() -> None:
    report = position_report(pairs(wins=5, losses=5, first=20, last=25))
    assert any("cannot tell these answers apart" in warning for warning in report.warnings)


def test_without_verdicts_there_is_nothing_to_report() -> None:
    report = position_report([])
    assert (report.position, report.length, report.repeats, report.warnings) == (None, None, None, ())


@given(st.lists(st.tuples(*[st.sampled_from(["A", "B", "tie", "invalid", None])] * 2), max_size=40))
def test_exchanging_the_arms_exchanges_nothing_about_places(judged: list[tuple[Judgement, Judgement]]) -> None:
    verdicts = [pair(n, first, second) for n, (first, second) in enumerate(judged)]
    one, two = position_report(verdicts), position_report([exchanged(verdict) for verdict in verdicts])
    assert one == two


# length


def test_longer_answers_that_win_are_seen() -> None:
    verdicts = [pair(n, "A", "B", chars=(1200, 1000)) for n in range(30)]
    verdicts += [pair(100 + n, "B", "A", chars=(500, 1000)) for n in range(30)]
    verdicts += [
        pair(200, "A", "B", chars=(0, 0)),
        pair(201, "A", "B", chars=(10, 0)),
        pair(202, "A", "A", chars=(1, 2)),
    ]
    length = position_report(verdicts).length
    assert length is not None
    assert (length.longer_wins.count, length.longer_wins.of) == (61, 61)
    assert sum(share.n for share in length.bins) == 63
    assert (length.bins[0].low, length.bins[0].high, length.bins[-1].high) == (0.0, 2 / 3, None)
    assert length.bins[0].losses == 30 and length.bins[3].wins == 30 and length.bins[-1].wins == 1
    assert length.bins[2].wins == 1  # two empty answers are of one length
    assert length.difference.estimate == pytest.approx(length.candidate_mean - length.reference_mean)


# repeats


def test_noise_is_told_from_bias() -> None:
    steady: dict[Order, tuple[Judgement, ...]] = {"candidate_first": ("A", "A")}
    fickle: dict[Order, tuple[Judgement, ...]] = {"candidate_first": ("A", "B"), "reference_first": ("invalid", "A")}
    verdicts = [pair(n, "A", "A", repeats=steady if n < 18 else fickle) for n in range(20)]
    repeats = position_report(verdicts).repeats
    assert repeats is not None and repeats.questions == 20 and repeats.askings == 40
    assert (repeats.changed.count, repeats.changed.of) == (2, 20)
    assert repeats.order_changed.share == 1.0 and repeats.bias == pytest.approx(0.9)
    assert repeats.changed.method == "exact binomial, Clopper-Pearson"


def test_more_askings_of_a_question_are_no_more_questions() -> None:
    often: dict[Order, tuple[Judgement, ...]] = {"candidate_first": ("A", "B", "A", "A")}
    never: dict[Order, tuple[Judgement, ...]] = {"candidate_first": ("A", "A", "A", "A")}
    repeats = position_report([pair(n, "A", "B", repeats=often if n % 4 == 0 else never) for n in range(40)]).repeats
    assert repeats is not None and (repeats.changed.count, repeats.changed.of) == (30, 240)
    assert repeats.changed.share == pytest.approx(0.125) and repeats.changed.low is not None
    assert repeats.changed.low < 0.125 < (repeats.changed.high or 0)
