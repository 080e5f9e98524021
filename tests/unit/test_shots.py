"""The variants for base models: two solved examples in the prompt, drawn with a seed from other articles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import InputError
from tests.fakes.hub import write_rows
from tests.unit.test_tasks import DEMO, load

SHOTS = ("piaf_fr_shots", "massive_scenario_fr_shots", "sib200_fr_shots", "wikiner_fr_shots")


@pytest.fixture(scope="module")
def tasks() -> dict[str, Any]:
    return {name: load(name, data_dir=str(DEMO)) for name in SHOTS}


def test_a_prompt_holds_two_solved_examples_and_leaves_the_third_open(tasks: dict[str, Any]) -> None:
    for name, task in tasks.items():
        base = load(name.removesuffix("_shots"), data_dir=str(DEMO))
        assert [doc.get("id") for doc in base.eval_docs] == [doc.get("id") for doc in task.eval_docs]
        for doc in task.eval_docs:
            prompt, last = task.doc_to_text(doc), task.doc_to_text(doc).rsplit("\n", 1)[-1]
            assert last.endswith(" :")
            solved = [line for line in prompt.split("\n") if line.startswith(last)]
            assert solved == [*(f"{last} {shot['answer']}" for shot in doc["shots"]), last], name
            assert "\n" not in task.doc_to_target(doc), "an answer ends at a line break"


def test_examples_are_of_other_articles(tasks: dict[str, Any]) -> None:
    articles = {doc["context"]: doc["title"] for doc in tasks["piaf_fr_shots"].eval_docs}
    for doc in tasks["piaf_fr_shots"].eval_docs:
        titles = [articles[shot["context"]] for shot in doc["shots"]]
        assert len({doc["title"], *titles}) == 3
    for doc in tasks["sib200_fr_shots"].eval_docs:
        assert len({doc["text"], *(shot["text"] for shot in doc["shots"])}) == 3


def test_examples_do_not_give_the_label_away(tasks: dict[str, Any]) -> None:
    docs = tasks["sib200_fr_shots"].eval_docs
    same = sum(doc["category"] in {shot["answer"] for shot in doc["shots"]} for doc in docs)
    assert 0.1 < same / len(docs) < 0.5  # 2 in 7 by chance


def test_examples_have_a_seed_and_vary(tasks: dict[str, Any]) -> None:
    docs = tasks["massive_scenario_fr_shots"].eval_docs
    again = load("massive_scenario_fr_shots", data_dir=str(DEMO)).eval_docs
    other = load("massive_scenario_fr_shots", data_dir=str(DEMO), order_seed=7).eval_docs
    shots = {doc["id"]: doc["shots"] for doc in docs}
    assert {doc["id"]: doc["shots"] for doc in again} == shots
    assert {doc["id"]: doc["shots"] for doc in other} != shots
    assert len({shot["text"] for two in shots.values() for shot in two}) > 40


def test_two_articles_are_too_few(tmp_path: Path) -> None:
    row = {"title": "T", "context": "C", "question": "Q ?", "answers": {"text": ["C"], "answer_start": [0]}}
    write_rows(tmp_path / "piaf_fr.jsonl", [{"id": str(i), **row, "title": f"T{i % 2}"} for i in range(9)])
    with pytest.raises(InputError, match="2 examples from other articles need 3 articles"):
        load("piaf_fr_shots", data_dir=str(tmp_path))
