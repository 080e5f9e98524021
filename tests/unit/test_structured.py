"""structured_fr: a nested object, its validity under the schema and its fields apart."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.tasklib.json_objects import find_object, is_valid
from tests.unit.test_tasks import DEMO, load

DOC = {"text": "…", "entities": ["Éva Roy", "Evry", "CNRS"], "kinds": ["PER", "LOC", "ORG"]}
COUNTS = {"personne": 1, "lieu": 1, "organisation": 1}
RIGHT = [("Éva Roy", "personne"), ("Evry", "lieu"), ("CNRS", "organisation")]


@pytest.fixture(scope="module")
def task() -> Any:
    return load("structured_fr", data_dir=str(DEMO))


def answer(entries: list[tuple[str, str]], counts: Any = COUNTS) -> str:
    return json.dumps({"entites": [{"nom": name, "type": kind} for name, kind in entries], "comptes": counts})


@pytest.mark.parametrize(
    ("text", "field_f1", "valid"),
    [
        (answer(RIGHT), 1, 1),
        (answer(RIGHT[::-1]), 1, 1),
        (answer([("Eva Roy", "personne"), ("Évry", "lieu"), ("cnrs", "organisation")]), 1, 1),
        (f"```json\n{answer(RIGHT)}\n```", 1, 0),
        (f"Voici : {answer(RIGHT)} Bonne journée !", 1, 0),
        (answer(RIGHT, {**COUNTS, "total": 3}), 18 / 19, 0),
        (answer(RIGHT, {**COUNTS, "lieu": 2}), 16 / 18, 1),
        (answer(RIGHT, {**COUNTS, "lieu": 1.0}), 1, 1),
        (answer(RIGHT, {}), 12 / 15, 0),
        (answer([RIGHT[0], ("Evry", "organisation"), RIGHT[2]]), 16 / 18, 1),
        (answer([RIGHT[0], ("Evry", "ville"), RIGHT[2]]), 16 / 18, 0),
        (answer(RIGHT[:2], {**COUNTS, "organisation": 0}), 12 / 15, 1),
        (answer([*RIGHT, ("Lyon", "lieu")]), 18 / 20, 1),
        (answer([]), 6 / 12, 1),
        ('{"entites": ["Éva Roy"], "comptes": {}}', 0, 0),
        ('{"entites": "Éva Roy", "comptes": [1]}', 0, 0),
        ("{}", 0, 0),
        (answer(RIGHT)[:-30], 0, 0),
        ("Éva Roy, Evry et le CNRS", 0, 0),
        ("[]", 0, 0),
        ("{" * 100_000, 0, 0),
        ('{"a":' * 100_000, 0, 0),
        ("", 0, 0),
    ],
)
def test_fields_and_form_are_scored_apart(task: Any, text: str, field_f1: float, valid: float) -> None:
    assert task.process_results(DOC, [text]) == {"field_f1": pytest.approx(field_f1), "valid_schema": float(valid)}


def test_where_nothing_is_named_an_empty_object_is_right(task: Any) -> None:
    doc, nothing = {"text": "…", "entities": [], "kinds": []}, dict.fromkeys(COUNTS, 0)
    assert task.process_results(doc, [answer([], nothing)]) == {"field_f1": 1.0, "valid_schema": 1.0}
    assert task.process_results(doc, ["{}"]) == {"field_f1": 0.0, "valid_schema": 0.0}
    assert task.process_results(doc, [answer([("Lyon", "lieu")], nothing)]) == {"field_f1": 0.0, "valid_schema": 1.0}
    assert task.process_results(doc, ["Il n'y en a pas."]) == {"field_f1": 0.0, "valid_schema": 0.0}


def test_sentences_hold_several_names_or_none(task: Any) -> None:
    sizes = Counter(doc["size"] for doc in task.eval_docs)
    assert set(sizes) == {"none", "2-3"}
    assert 0.05 < sizes["none"] / sizes.total() < 0.2
    for doc in task.eval_docs:
        assert len(doc["entities"]) != 1
        assert is_valid(task.doc_to_target(doc), json.loads(task.doc_to_text(doc).split("\n")[3]))


def test_the_variant_sends_the_schema_that_the_prompt_states(task: Any) -> None:
    variant = load("structured_fr_schema", data_dir=str(DEMO))
    sent = variant.config.generation_kwargs["response_format"]["json_schema"]
    assert sent["strict"] is True
    prompt = variant.doc_to_text(variant.eval_docs[0])
    assert json.loads(prompt.split("\n")[3]) == sent["schema"]
    assert prompt == task.doc_to_text(task.eval_docs[0])
    assert variant.config.metadata["strata"] == task.config.metadata["strata"] == ["size"]


def test_the_first_object_that_holds_something_is_read() -> None:
    assert find_object('Un objet vide {}, puis {"a": 1} et {"b": 2}') == {"a": 1}
    assert find_object("seulement {}") == {}
    assert find_object("{cassé} {'python': 1}") is None


@given(st.text(alphabet='{}[]":,abc01 \n', max_size=80))
def test_no_answer_is_too_odd(text: str) -> None:
    found = find_object(text)
    assert found is None or isinstance(found, dict)
    assert is_valid(text, {"type": "object"}) in (True, False)
