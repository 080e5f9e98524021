"""People's labels: agreement over pairs that both saw, the people's own net win, and what is odd in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.judge.verdicts.outcome import Outcome, PairVerdict
from lm_eval_fr.judge.verdicts.people import People, people, read_labels
from lm_eval_fr.stats import Interval
from lm_eval_fr.stats.ppi import people_net_win


def judged(outcomes: list[Outcome], clusters: int | None = None) -> list[PairVerdict]:
    return [
        PairVerdict("t", n, f"h{n}", outcome, cluster=None if clusters is None else f"c{n % clusters}")
        for n, outcome in enumerate(outcomes)
    ]


def labels(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return path


def asked(tmp_path: Path, outcomes: list[Outcome], *lines: dict[str, Any]) -> People:
    return people(judged(outcomes), read_labels(labels(tmp_path / "labels.jsonl", *lines)), "gpt")


def test_labels_by_hash_or_id_by_several_people(tmp_path: Path) -> None:
    found = asked(
        tmp_path,
        ["win", "flip", "win", "loss"],
        {"task": "t", "doc_hash": "h0", "label": "win", "who": "Anne", "note": "claire"},
        {"task": "t", "doc_id": 0, "label": "win"},
        {"task": "t", "doc_id": 0, "label": "loss"},
        {"task": "t", "doc_id": 1, "label": "tie"},
        {"task": "t", "doc_hash": "h2", "label": "win", "who": "Anne"},
        {"task": "t", "doc_hash": "h2", "label": "loss", "who": "Bruno"},
    )
    agreed = found
    assert (agreed.first, agreed.second, agreed.n, agreed.raw.count, agreed.missing) == ("gpt", "people", 3, 2, 0)
    assert agreed.table["win/tie"] == 1, "one for, one against: people call it a tie"
    assert (found.labels, found.pairs, found.unknown) == (6, 3, 0) and found.warnings == ()
    assert found.whose.startswith("the 2 people who labelled 3 pairs")


def test_agreement_is_over_pairs_that_both_decided(tmp_path: Path) -> None:
    lines = [{"task": "t", "doc_id": n, "label": "win"} for n in range(4)]
    found = asked(tmp_path, ["win", "invalid", "unjudged", "win"], *lines)
    assert (found.n, found.missing) == (2, 2)
    assert found.net_win.labelled == 2 and found.net_win.others == 0


def test_unknown_documents_and_labels_given_twice_are_said_in_a_line(tmp_path: Path) -> None:
    again = {"task": "t", "doc_id": 0, "label": "win", "who": "Anne"}
    lines = [again, again, {"task": "t", "doc_id": 1, "label": "loss", "who": "Anne"}]
    lines += [{"task": "other", "doc_hash": "h0", "label": "win"}, {"task": "t", "doc_id": 77, "label": "win"}]
    found = asked(tmp_path, ["win", "loss"], *lines)
    assert (found.pairs, found.unknown, found.raw.count) == (2, 2, 2)
    assert "2 of 4 labelled documents are not among the judged pairs, the first is h0 of other" in found.warnings[0]
    assert found.warnings[1].startswith("1 labels by the same person on the same pair are repeated")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"task": "t", "doc_id": 0, "label": "win"}\r\n')
    assert [label.label for label in read_labels(path)] == ["win"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"task": "t", "doc_id": 1, "label": "better"}', "not a label"),
        ('{"task": "t", "label": "win"}', "does not name a document"),
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


def draw(g: np.random.Generator, n: int, others: int, lean: float, agree: float) -> tuple[np.ndarray, np.ndarray]:
    """What people and the judge say of n + others pairs; the judge repeats people, else leans to the candidate."""
    said = g.choice([1, 0, -1], n + others, p=[0.3, 0.4, 0.3])
    other = g.choice([1, 0, -1], n + others, p=[0.3 + lean, 0.4, 0.3 - lean])
    return said, np.where(g.random(n + others) < agree, said, other)


def width(interval: Interval) -> float:
    assert interval.low is not None and interval.high is not None
    return interval.high - interval.low


def test_a_hundred_and_fifty_labels_and_a_thousand_verdicts_at_a_correlation_of_0_6_are_worth_218() -> None:
    g, worth = np.random.default_rng(3), []
    for _ in range(60):
        said, judge = draw(g, 150, 1000, 0.0, 0.6)
        worth.append(people_net_win(said[:150], judge[:150], judge[150:]).worth)
    assert abs(float(np.mean(worth)) - 218) < 12


def test_the_people_s_net_win_is_covered_though_the_judge_leans() -> None:
    g, covered, narrower = np.random.default_rng(4), 0, 0
    for _ in range(300):
        said, judge = draw(g, 100, 600, 0.25, 0.6)
        found = people_net_win(said[:100], judge[:100], judge[100:])
        interval, alone = found.net_win, found.alone
        covered += (interval.low or 0.0) <= 0.0 <= (interval.high or 0.0)
        narrower += width(interval) < width(alone)
    assert covered / 300 > 0.92 and narrower / 300 > 0.9
    naive = judge.mean()
    assert naive > 0.1, "the judge's own mean is wrong"


def test_clusters_widen_the_interval_where_pairs_of_an_article_agree() -> None:
    g = np.random.default_rng(5)
    articles = np.repeat(np.arange(60), 5)
    said = np.repeat(g.choice([1, 0, -1], 60), 5)
    judge = np.where(g.random(300) < 0.8, said, 0)
    single = people_net_win(said[:100], judge[:100], judge[100:]).net_win
    by_article = people_net_win(said[:100], judge[:100], judge[100:], clusters=articles).net_win
    assert by_article.clusters == 20
    assert width(by_article) > 1.5 * width(single)


def test_a_judge_that_says_one_thing_or_has_no_other_pairs_leaves_the_labels_alone() -> None:
    said = [1, 0, -1, 1, 1, 0]
    for judge, rest in (([0] * 6, [0] * 50), (said, [])):
        found = people_net_win(said, judge, rest)
        assert found.weight == 0.0 and (found.net_win.low, found.net_win.high) == (found.alone.low, found.alone.high)
        assert found.net_win.estimate == pytest.approx(np.mean(said)) and found.worth == 6
    assert people_net_win([1], [1], [0, 1]).net_win.reason == "fewer than two labelled pairs"
    with pytest.raises(UsageError, match="2 labels and 1 verdicts"):
        people_net_win([1, 0], [1], [])
