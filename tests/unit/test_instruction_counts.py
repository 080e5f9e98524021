"""Counts by kind of instruction: a description that comes from the samples' lists of truth values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.compare import CompareOptions, compare
from lm_eval_fr.compare.comparison import Comparison
from lm_eval_fr.compare.pair_cards import card_of
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.report.task_model import InstructionKind
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task

COMMA, TITLE, WORDS = "fr:punctuation:no_comma", "fr:detectable_format:title", "fr:length_constraints:number_words"
KINDS = [[COMMA], [COMMA, TITLE], [TITLE, WORDS, COMMA]]


def task(kept: Sequence[list[bool]], kinds: Sequence[Any] = KINDS, name: str = "ifeval_fr") -> FakeTask:
    """kept: each document's list, as the task's process_results returns it."""
    samples = [
        FakeSample(
            {"key": i, "instruction_id_list": kinds[i]},
            f"Demande {i}",
            "réponse",
            {"prompt_strict": float(all(values)), "inst_strict": values},
            target="",
        )
        for i, values in enumerate(kept)
    ]
    every = [value for values in kept for value in values]
    function = "<function instruction_level at 0x7f>"
    printed = {"inst_strict": sum(every) / max(1, len(every))}
    return FakeTask(name, samples, aggregation={"inst_strict": function}, printed=printed)


def report_of(tmp_path: Path, candidate: FakeTask, reference: FakeTask) -> Comparison:
    runs = [make_run(tmp_path / name, one) for name, one in (("candidate", candidate), ("reference", reference))]
    return compare(pair_runs(*map(find_run, runs)), CompareOptions())


def test_each_kind_is_counted_over_all_documents(tmp_path: Path) -> None:
    candidate = task([[True], [False, False], [True, True, False]])
    reference = task([[True], [True, True], [False, False, True]])
    report = report_of(tmp_path, candidate, reference)
    assert report.tasks[0].instructions == (
        InstructionKind(COMMA, n=3, candidate=1, reference=3, lost=2),
        InstructionKind(TITLE, n=2, candidate=1, reference=1, lost=1),
        InstructionKind(WORDS, n=1, candidate=1, reference=0, lost=0),
    )
    assert [kind.gained for kind in report.tasks[0].instructions] == [0, 1, 1]
    first = report.to_dict()["tasks"][0]["instructions"][0]
    assert first == {"kind": COMMA, "n": 3, "candidate": 1, "reference": 3, "lost": 2, "gained": 0}
    said = " ".join(report.to_text().split())
    assert "ifeval_fr: 6 instructions of 3 kinds, 3 lost and 2 gained. Descriptive, not claims." in said
    assert f"{COMMA} 3 1 3 2 0" in said and COMMA in report.to_markdown() and COMMA in report._repr_html_()


def test_a_lost_document_of_few_instructions_is_lost_all_the_same(tmp_path: Path) -> None:
    kept = [[True], [True] * 5, [True] * 6]
    kinds = [[COMMA] * len(values) for values in kept]
    arms = [task(values, kinds) for values in ([[False], *kept[1:]], kept)]
    runs = [find_run(make_run(tmp_path / arm, one)) for arm, one in zip("cr", arms, strict=True)]
    report = compare(pair_runs(*runs, metrics={"ifeval_fr": "inst_strict"}))
    assert report.tasks[0].paired.flips is not None
    assert [one.lost for one in report.losses] == [report.tasks[0].paired.flips.lost] == [1]
    assert [one.difference for one in report.samples] == [-1.0]
    assert card_of(report.ranked[0], 0).scores["inst_strict"] == (0.0, 1.0)


def test_lists_that_do_not_fit_a_document_are_not_guessed_at(tmp_path: Path) -> None:
    kinds = [[COMMA], "no list", [TITLE, WORDS]]
    report = report_of(tmp_path, task([[True], [True], [True]], kinds), task([[True], [True], [True]], kinds))
    assert report.tasks[0].instructions == (InstructionKind(COMMA, n=1, candidate=1, reference=1, lost=0),)


@pytest.mark.parametrize("scores", [{"f1": [0.5, 1.0]}, 2])
def test_other_tasks_have_none(tmp_path: Path, scores: Any) -> None:
    report = report_of(tmp_path, plain_task("piaf_fr", scores), plain_task("piaf_fr", scores))
    assert all(task.instructions == () for task in report.tasks)
    assert "instructions of" not in report.to_text()
