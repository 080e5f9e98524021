"""A document that is listed several times is one document, however its copies differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.errors import MismatchError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import PairedTask, pair_runs
from tests.fakes.runs import FakeSample, FakeTask, make_run


def choice(number: int, copy: int = 0, texts: tuple[str, str] = ("oui", "non")) -> FakeSample:
    likelihoods = tuple((text, -1.0 - i) for i, text in enumerate(texts))
    doc = {"q": number, "copy": copy}
    return FakeSample(doc, f"Q{number}", scores={"acc": 1.0}, target=number % 2, choices=likelihoods)


def paired(root: Path, mine: list[FakeSample], theirs: list[FakeSample], *allow: str) -> PairedTask:
    runs = [
        find_run(make_run(root / arm, FakeTask("t", of_arm), model=arm)) for arm, of_arm in (("c", mine), ("r", theirs))
    ]
    return pair_runs(*runs, allow=allow).tasks[0]


def test_copies_of_a_multiple_choice_under_other_ids_are_one(tmp_path: Path) -> None:
    samples = [choice(number, copy) for copy in range(3) for number in range(4)]
    task = paired(tmp_path, samples, samples)
    assert task.copies == 8 and task.clusters is not None and task.clusters.tolist() == [0, 1, 2, 3] * 3


def test_one_question_with_other_choices_is_another_document(tmp_path: Path) -> None:
    samples = [choice(0, 0), choice(0, 1, ("peut-être", "jamais")), choice(1)]
    task = paired(tmp_path, samples, samples)
    assert task.copies == 0 and task.clusters is None


def test_a_copy_with_other_examples_before_it_is_still_one(tmp_path: Path) -> None:
    samples = [
        FakeSample({"q": i % 3}, f"Q{i % 3}", "r", {"f1": 1.0}, "c", shots=((f"exemple {i}", "oui"),)) for i in range(6)
    ]
    task = paired(tmp_path, samples, samples)
    assert task.copies == 3 and task.clusters is not None and task.clusters.tolist() == [0, 1, 2] * 2


def test_a_document_listed_twice_in_one_arm_only_is_said_to_be(tmp_path: Path) -> None:
    once, twice = [choice(0), choice(1)], [choice(0), choice(1), choice(0)]
    with pytest.raises(MismatchError, match="is listed more often than in the reference") as found:
        paired(tmp_path, twice, once)
    assert found.value.kind == "documents"
    assert paired(tmp_path / "allowed", twice, once, "documents").n == 2
