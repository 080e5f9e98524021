"""Several judges, and people: kappa against its definition, the majority, labels read with care."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.outcome import Outcome, PairVerdict, count
from lm_eval_fr.judge.verdicts.panel import Label, agreement, human_agreement, panel, read_labels


def judged(outcomes: list[Outcome], task: str = "t") -> list[PairVerdict]:
    usage = {"calls": 2}
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
    assert (
        found.kappa is None
        and found.raw.share == 1.0
        and found.reason == ("both give one and the same verdict throughout")
    )
    none = agreement("a", {1: None}, "b", {2: "win"})
    assert (
        none.n == 0 and none.kappa is None and none.raw.share is None and none.reason == "no pair was decided by both"
    )
    assert none.missing == 1


def test_the_majority_needs_more_than_half_of_those_that_decided() -> None:
    verdicts = panel(
        {
            "one": judged(["win", "win", "win", "loss", "invalid", "unjudged", "identical", "flip"]),
            "two": judged(["win", "loss", "tie", "loss", "win", "unjudged", "identical", "tie"]),
            "three": judged(["loss", "tie", "loss", "win", "invalid", "invalid", "identical", "win"]),
        }
    )
    assert [v.outcome for v in verdicts.verdicts] == [
        "win",
        "split",
        "split",
        "loss",
        "win",
        "invalid",
        "identical",
        "tie",
    ]
    assert verdicts.verdicts[0].reasons == {"one": "win", "two": "win", "three": "loss"}
    assert verdicts.verdicts[0].usage == {"calls": 6}
    assert [(a.first, a.second) for a in verdicts.agreement] == [("one", "two"), ("one", "three"), ("two", "three")]
    assert (verdicts.unanimous.count, verdicts.unanimous.of) == (1, 6)
    assert count(verdicts.verdicts).wins == 2


def test_two_judges_that_disagree_make_a_split_and_a_missing_one_leaves_the_other() -> None:
    found = panel({"one": judged(["win", "loss"]), "two": judged(["loss"])})
    assert [v.outcome for v in found.verdicts] == ["split", "loss"]
    assert found.agreement[0].n == 1 and found.agreement[0].missing == 1


def test_human_labels_by_hash_or_id_by_several_people(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    lines = [
        {"task": "t", "doc_hash": "h0", "label": "win", "who": "Anne"},
        {"task": "t", "doc_id": 0, "label": "win"},
        {"task": "t", "doc_id": 0, "label": "loss"},
        {"task": "t", "doc_id": 1, "label": "tie"},
        {"task": "t", "doc_hash": "h2", "label": "win"},
        {"task": "t", "doc_hash": "h2", "label": "loss"},
        {"task": "other", "doc_id": 0, "label": "win"},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    found = human_agreement(judged(["win", "flip", "win", "loss"]), read_labels(path), "gpt")
    assert (found.first, found.second, found.n, found.raw.count, found.missing) == ("gpt", "people", 3, 2, 1)
    assert found.table["win/tie"] == 1  # one for, one against: people call it a tie
    assert found.raw.low is not None and found.raw.high is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"task": "t", "doc_id": 1, "label": "better"}', "not a label"),
        ('{"task": "t", "label": "win"}', "names no document"),
        ("win", "not JSON"),
    ],
)
def test_labels_that_cannot_be_read_are_named_by_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"task": "t", "doc_id": 1, "label": "win"}\n' + line + "\n")
    with pytest.raises(InputError, match=said) as caught:
        read_labels(path)
    assert f"{path}:2" in str(caught.value)


def test_no_labels_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no label"):
        read_labels(tmp_path / "empty.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl")
