"""What was lost: kinds of error, confusions, and which documents are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.compare import CompareOptions, compare
from lm_eval_fr.compare.losses import READ
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.report.model import Confusion, TaskLosses
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task

LONG_ANSWER = "".join(chr(ord("a") + (7 * i * i + i) % 26) + (" " if i % 6 == 5 else "") for i in range(140)) + "."


def losses(tmp_path: Path, candidate: FakeTask, reference: FakeTask) -> tuple[TaskLosses, ...]:
    one = find_run(make_run(tmp_path / "candidate", candidate))
    other = find_run(make_run(tmp_path / "reference", reference))
    return compare(pair_runs(one, other), CompareOptions()).losses


def answered(answers: list[str], right: list[int], **more: list[int]) -> FakeTask:
    scores = {"acc": right, **more}
    return plain_task("t_fr", {name: [float(x) for x in column] for name, column in scores.items()}, answers=answers)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("Oui, bien sûr. " * 200, "repeats itself"),
        (LONG_ANSWER, "much longer"),
        ("Paris", "another answer"),
    ],
)
def test_each_way_to_go_wrong_has_a_word(tmp_path: Path, answer: str, kind: str) -> None:
    (found,) = losses(
        tmp_path, answered([answer, "Lyon", "Metz"], [0, 1, 1]), answered(["Lyon", "Lyon", "Metz"], [1, 1, 1])
    )
    assert (found.lost, found.kinds) == (1, ((kind, 1),))


def test_a_short_answer_where_the_reference_wrote_much(tmp_path: Path) -> None:
    (found,) = losses(tmp_path, answered(["Lyon", "x"], [0, 1]), answered([LONG_ANSWER, "x"], [1, 1]))
    assert found.kinds == (("much shorter", 1),)


def test_a_check_of_form_that_the_candidate_alone_fails(tmp_path: Path) -> None:
    candidate = answered(["{1", "2"], [0, 1], valid_json=[0, 1])
    (found,) = losses(tmp_path, candidate, answered(["{}", "2"], [1, 1], valid_json=[1, 1]))
    assert found.kinds == (("fails valid_json", 1),)


def test_nothing_lost_is_nothing_said(tmp_path: Path) -> None:
    same = answered(["a", "b"], [1, 0])
    assert losses(tmp_path, answered(["a", "c"], [1, 1]), same) == ()


def test_names_that_are_taken_for_each_other(tmp_path: Path) -> None:
    def task(answers: list[str], right: list[float]) -> FakeTask:
        targets = ["alarm_set"] * 3 + ["music_play", "news"]
        rows = zip(answers, targets, right, strict=True)
        samples = [
            FakeSample(doc={"id": i}, prompt=f"Q{i}", answer=answer, target=target, scores={"acc": ok})
            for i, (answer, target, ok) in enumerate(rows)
        ]
        return FakeTask("t_fr", samples)

    candidate = task(["alarm_query", " alarm_query\n", "weather", "music_stop", "news"], [0, 0, 0, 0, 1])
    (found,) = losses(tmp_path, candidate, task(["alarm_set"] * 3 + ["music_play", "news"], [1] * 5))
    assert found.confusions == (Confusion(gold="alarm_set", answer="alarm_query", count=2),), "once is no pattern"
    assert [ref.doc_id for ref in found.examples] == [0, 1, 2]


def test_of_many_the_worst_are_read(tmp_path: Path) -> None:
    n = READ + 20
    answers = ["" if i >= 20 else "faux" for i in range(n)]
    scores = {"f1": [0.0 if i >= 20 else 0.3 for i in range(n)]}
    (found,) = losses(
        tmp_path, plain_task("t_fr", scores, answers=answers), plain_task("t_fr", {"f1": [1.0] * n}, answers=["x"] * n)
    )
    assert (found.lost, found.read, found.kinds) == (n, READ, (("empty", READ),))
