"""mgsm_cot_fr and mgsm_cot_en: numbers as two languages write them, and the same problems in both."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.numbers import last_number
from tests.fakes.hub import lay_out, write_rows
from tests.unit.test_tasks import DEMO, load


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Il reste 12 pommes.", 12),
        ("Réponse : 45 000", 45000),
        ("45\u00a0000 €", 45000),
        ("45\u202f000 €", 45000),
        ("45\u2009000", 45000),
        ("1 234 567,89", "1234567.89"),
        ("soit 2,5 litres", "2.5"),
        ("$45,000", 45000),
        ("1,234,567", 1234567),
        ("1.234.567,8", "1234567.8"),
        ("2.000,50 €", "2000.5"),
        ("2,000.50", "2000.5"),
        ("45'000 CHF", 45000),
        ("0,125", "0.125"),
        ("0.125", "0.125"),
        ("$.75", "0.75"),
        ("-7 degrés", -7),
        ("\u22127", -7),
        ("-$7", -7),
        ("- 7 pommes", 7),
        ("20-7", 7),
        ("entre 2010 et 2015–2020", 2020),
        ("15 %", 15),
        ("**15**.", 15),
        ("15,", 15),
        ("15 km/h", 15),
        ("30/6 = 5", 5),
        ("5 = 30/6", 5),
        ("Réponse : 12. Le 3e jour.", 12),
        ("12 kg de CO2", 12),
        ("en 1998 250 personnes", 250),
        ("1,2,3", 3),
        ("Étape 1 : 4 × 3 = 12\nRéponse : 12 œufs", 12),
        (r"\boxed{12} en 3 jours", 12),
        (r"\boxed{4}, puis \boxed{12\text{ œufs}} en {3} jours", 12),
        (r"\boxed{douze}, donc 12", 12),
        (r"\boxed{45{,}000}", 45000),
        (r"\boxed{45\,000\$}", 45000),
        (r"Il y en a 9, \boxed{12", 12),
    ],
)
def test_the_last_number_is_read_as_it_is_written(text: str, number: int | str) -> None:
    assert last_number(text, "fr") == last_number(text, "en") == Decimal(number)


@pytest.mark.parametrize("text", ["", "aucune idée", "trois quarts", "3/4", "le 2e", "12/05/2003", "H2O", r"\boxed{}"])
def test_what_is_no_number_is_not_read(text: str) -> None:
    assert last_number(text, "fr") is None
    assert last_number(text, "en") is None


def test_a_dot_before_three_digits_depends_on_the_language() -> None:
    assert last_number("1.500", "fr") == 1500
    assert last_number("1.500", "en") == Decimal("1.5")


@given(st.integers(-(10**12), 10**12), st.sampled_from([" ", "\u00a0", "\u202f", ",", "."]))
def test_grouped_integers_come_back(value: int, separator: str) -> None:
    text = f"{value:,}".replace(",", separator)
    assert last_number(f"Réponse : {text}", "fr") == value
    if separator != ".":
        assert last_number(f"Answer: {text}", "en") == value


@given(st.text(alphabet="0123456789.,' -/$%{}\\\\boxed\u00a0 eé", max_size=60))
def test_no_answer_is_too_odd(text: str) -> None:
    for language in ("fr", "en"):
        number = last_number(text, language)  # type: ignore[arg-type]
        assert number is None or number.is_finite()


@pytest.mark.parametrize(
    "runaway", ["\\boxed{" * 50_000, "9" * 200_000, "1/" * 100_000, "1," * 100_000, "1 000 " * 50_000]
)
def test_a_runaway_answer_is_read_at_once(runaway: str) -> None:
    found = last_number(runaway, "fr")
    assert found is None or found.is_finite()


def test_unanswered_is_not_only_wrong() -> None:
    task = load("mgsm_cot_fr", data_dir=str(DEMO))
    doc = {"answer": "1900"}
    assert task.process_results(doc, ["Réponse : 1 900"]) == {"exact_match": 1.0, "has_number": 1.0}
    assert task.process_results(doc, ["Réponse : 1 800"]) == {"exact_match": 0.0, "has_number": 1.0}
    for nothing in ("Je ne sais pas.", "", None):
        assert task.process_results(doc, [nothing]) == {"exact_match": 0.0, "has_number": 0.0}


def test_both_languages_ask_the_same_in_one_order(shared_data: Path) -> None:
    french, english = (load(f"mgsm_cot_{language}", data_dir=str(shared_data)) for language in ("fr", "en"))
    assert len(french.eval_docs) == 250
    assert [doc["id"] for doc in french.eval_docs] == [doc["id"] for doc in english.eval_docs]
    assert [doc["answer"] for doc in french.eval_docs] == [doc["answer"] for doc in english.eval_docs]
    assert {doc["id"] for doc in french.eval_docs} == {str(number) for number in range(1, 251)}
    assert {"2125", "114200", "276000", "5600"} < {doc["answer"] for doc in french.eval_docs}
    assert french.doc_to_text(french.eval_docs[0]).startswith("Résous le problème suivant")
    assert english.doc_to_text(english.eval_docs[0]).startswith("Solve the following problem")


def test_the_hubs_rows_and_the_publishers_table_are_the_same_documents(tmp_path: Path) -> None:
    lines = [line.split("\t") for line in (DEMO / "mgsm_cot_fr.tsv").read_text(encoding="utf-8").splitlines()]
    rows = [
        {"question": question, "answer": None, "answer_number": int(number.replace(",", ""))}
        for question, number in lines
    ]
    table = list(load("mgsm_cot_fr", data_dir=str(DEMO)).eval_docs)
    assert list(load("mgsm_cot_fr", dataset=lay_out(tmp_path, rows, "fr", "test")).eval_docs) == table
    named = [{"id": i, **row} for i, row in enumerate(rows, 1)]
    assert list(load("mgsm_cot_fr", data=str(write_rows(tmp_path / "a.jsonl", reversed(named)))).eval_docs) == table


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Combien ?", "1 columns instead of a problem and its number"),
        ("Combien ?\tdeux", '"answer_number" must be a number'),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "mgsm_cot_fr.tsv"
    path.write_text(f"Deux et deux ?\t4\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load("mgsm_cot_fr", data_dir=str(tmp_path))
    assert str(caught.value).startswith(f"{path}:2: mgsm_cot_fr: {said}")
