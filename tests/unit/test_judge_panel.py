"""Several judges, and people: kappa against its definition, the majority, labels read with care."""

from __future__ import annotations

import random

import pytest

from lm_eval_fr.judge.verdicts.outcome import Outcome, PairVerdict, count
from lm_eval_fr.judge.verdicts.panel import Label, agreement, panel
from lm_eval_fr.stats.judging import PairUsage


def judged(outcomes: list[Outcome], task: str = "t") -> list[PairVerdict]:
    usage = PairUsage(calls=2)
    return [PairVerdict(task=task, doc_id=n, doc_hash=f"h{n}", outcome=o, usage=usage) for n, o in enumerate(outcomes)]


def test_kappa_of_a_published_table() -> None:
    """Cohen 1960's form on a two-by-two table of 20, 5, 10, 15: observed 0.7, by chance 0.5, kappa 0.4."""
    table: list[tuple[Label, Label]] = [("win", "win")] * 20 + [("win", "loss")] * 5
    table += [("loss", "win")] * 10 + [("loss", "loss")] * 15
    first = {n: a for n, (a, _) in enumerate(table)}
    second = {n: b for n, (_, b) in enumerate(table)}
    found = agreement("a", first, "b", second)
    assert found.n == 50 and found.raw.share == pytest.approx(0.7) and found.kappa == pytest.approx(0.4)
    assert found.table["win/loss"] == 5 and sum(found.table.values()) == 50


def test_kappa_agrees_with_a_simulation_of_chance() -> None:
    draw = random.Random(3)
    labels: tuple[Label, ...] = ("win", "tie", "loss")
    first = {n: draw.choices(labels, (5, 3, 2))[0] for n in range(20_000)}
    second = {n: draw.choices(labels, (1, 1, 1))[0] for n in range(20_000)}
    assert agreement("a", first, "b", second).kappa == pytest.approx(0.0, abs=0.02)
    assert agreement("a", first, "b", first).kappa == pytest.approx(1.0)


def test_kappa_is_undefined_with_a_reason_where_chance_gives_all() -> None:
    same: dict[int, Label | None] = dict.fromkeys(range(9), "tie")
    found = agreement("a", same, "b", same)
    assert found.kappa is None and found.raw.share == 1.0 and found.reason == ("both give the same verdict throughout")
    none = agreement("a", {1: None}, "b", {2: "win"})
    assert (
        none.n == 0 and none.kappa is None and none.raw.share is None and none.reason == "no pair was decided by both"
    )
    assert none.missing == 1


def test_the_majority_needs_more_than_half_of_those_that_decided() -> None:
    report, verdicts = panel(
        {
            "one": judged(["win", "win", "win", "loss", "invalid", "unjudged", "identical", "flip"]),
            "two": judged(["win", "loss", "tie", "loss", "win", "unjudged", "identical", "tie"]),
            "three": judged(["loss", "tie", "loss", "win", "invalid", "invalid", "identical", "win"]),
        }
    )
    assert [v.outcome for v in verdicts] == [
        "win",
        "split",
        "split",
        "loss",
        "win",
        "invalid",
        "identical",
        "tie",
    ]
    assert verdicts[0].reasons == {"one": "win", "two": "win", "three": "loss"}
    assert verdicts[0].usage == PairUsage(calls=6)
    assert [(a.first, a.second) for a in report.agreement] == [
        ("one", "two"),
        ("one", "three"),
        ("two", "three"),
    ]
    unanimous = report.unanimous
    # Identical answers are shown to nobody: all agree on them, and none was asked.
    assert unanimous is not None and (unanimous.count, unanimous.of) == (0, 5)
    assert [(a.n, a.table["tie/tie"]) for a in report.agreement] == [(5, 1), (5, 0), (5, 0)]
    assert count(verdicts).wins == 2


def test_two_judges_that_disagree_make_a_split_and_a_missing_one_leaves_the_other() -> None:
    report, verdicts = panel({"one": judged(["win", "loss"]), "two": judged(["loss"])})
    assert [v.outcome for v in verdicts] == ["split", "loss"]
    assert report.agreement[0].n == 1 and report.agreement[0].missing == 1


def test_a_panel_that_the_order_decides_does_not_pass_for_one_that_ties() -> None:
    _, verdicts = panel({"one": judged(["flip", "flip", "tie"]), "two": judged(["flip", "win", "flip"])})
    assert [v.outcome for v in verdicts] == ["flip", "split", "tie"]
