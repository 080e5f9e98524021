"""Faults planted into good answers: each is there, none where it does not apply, half of the twins are longer."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from lm_eval_fr.judge.asking.graded_controls import graded_controls
from lm_eval_fr.judge.asking.planted_faults import FOREIGN, GRADES, IN_TURN, KINDS, Kind, Length, plant, sentences
from lm_eval_fr.judge.asking.worklist import GRADED_TASK, Item, Worklist, worklist
from tests.fakes.judging import pair, write_runs

SOURCE = (
    "Résume. La Grande Halle de Montreuil fut bâtie en 1867 par l'architecte Jules Mérindol pour 1 200 marchands. "
    "Elle ferma en 1974, quand le marché partit pour Rungis, et le maire Paul Astier la fit classer. Depuis 1985 elle "
    "accueille un théâtre de 350 places."
)
ANSWER = (
    "La halle fut construite en 1867 par Jules Mérindol pour 1 200 marchands.\n"
    "Elle ferma ses portes quand le marché partit pour Rungis, et le maire Paul Astier la sauva.\n"
    "Depuis 1985 on y trouve un théâtre de 350 places."
)
STRANGER = "Les abeilles dansent pour indiquer la direction des fleurs à leurs compagnes."


def twins(kind: Kind, length: Length, answer: str = ANSWER) -> set[str]:
    made = {plant(kind, length, answer, SOURCE, STRANGER, Random(seed)) for seed in range(20)}
    return {twin for twin in made if twin is not None}


def digits(text: str) -> set[str]:
    return {re.sub(r"\D", "", figure) for figure in re.findall(r"\d[\d ]*", text)}


@pytest.mark.parametrize(("length", "kind"), [(length, kind) for length, kinds in IN_TURN.items() for kind in kinds])
def test_a_twin_is_as_long_as_was_asked_and_another_text(length: Length, kind: Kind) -> None:
    made = twins(kind, length)
    assert made
    for twin in made:
        assert twin != ANSWER and (len(twin) > len(ANSWER)) == (length == "longer") and twin == twin.strip()


def test_a_figure_is_one_that_the_source_does_not_have() -> None:
    for length in ("longer", "shorter"):
        for twin in twins("figure", length):
            assert len(digits(twin) - digits(SOURCE)) == 1 and digits(ANSWER) - digits(twin)
    unknown = "La halle compte 77 étals et 12 portes."
    assert not twins("figure", "longer", unknown), "what the source does not say may be right or wrong"
    assert not twins("figure", "shorter", "1. Un théâtre y joue.\n2. Le marché est parti."), (
        "a list's numbers are no facts"
    )


def test_a_name_becomes_another_name_of_the_source() -> None:
    for twin in twins("name", "longer") | twins("name", "shorter"):
        assert any(
            twin.count(name) > ANSWER.count(name) for name in ("Jules Mérindol", "Paul Astier", "Rungis", "Montreuil")
        )
    assert not twins("name", "longer", "Elle ferma ses portes. Le marché partit.")


def test_a_sentence_is_dropped_added_repeated_or_in_another_language() -> None:
    whole = [ANSWER[start:end] for start, end in sentences(ANSWER)]
    assert len(whole) == 3
    for twin in twins("dropped", "shorter"):
        assert sum(sentence in twin for sentence in whole) == 2 and "\n\n" not in twin
    for twin in twins("added", "longer"):
        assert STRANGER in twin and all(sentence in twin for sentence in whole)
    for twin in twins("repeated", "longer"):
        assert sorted(twin.count(sentence) for sentence in whole) == [1, 1, 3]
    for length in ("longer", "shorter"):
        for twin in twins("foreign", length):
            assert sum(sentence in twin for sentence in FOREIGN) == 1
            assert sum(sentence in twin for sentence in whole) == (3 if length == "longer" else 2)


def test_an_edit_that_does_not_apply_is_not_made() -> None:
    for kind in KINDS:
        for length in ("longer", "shorter"):
            assert plant(kind, length, "Oui.", SOURCE, STRANGER, Random(1)) is None
            assert plant(kind, length, "", SOURCE, STRANGER, Random(1)) is None
    english = "The hall was built by Jules Mérindol for the traders who came to this part of the town."
    assert not twins("foreign", "longer", english), "an English sentence in an English answer is no change of language"
    assert plant("added", "longer", ANSWER, SOURCE, ANSWER, Random(1)) is None, "its own sentences are no strangers"
    assert plant("dropped", "longer", ANSWER, SOURCE, STRANGER, Random(1)) is None


def articles(shared_data: Path, n: int) -> list[tuple[str, str, str]]:
    """Title, text and an answer made of the text's own sentences."""
    content = json.loads((shared_data / "piaf" / "piaf-v1.0.json").read_text(encoding="utf-8"))["data"]
    found = []
    for article in content:
        text = " ".join(paragraph["context"] for paragraph in article["paragraphs"][:4])
        picked = [text[start:end] for start, end in sentences(text)][2:9:2]
        found.append((article["title"], text, "\n".join(f"- {sentence}" for sentence in picked)))
    return found[:n]


def work_on(folder: Path, found: list[tuple[str, str, str]], candidate: str = "Oui.") -> Worklist:
    titles, texts, answers = zip(*found, strict=True)
    return worklist(pair(*write_runs(folder, [candidate] * len(found), answers, titles=titles, texts=texts)))


def longer(items: tuple[Item, ...]) -> int:
    return sum(len(item.reference) > len(item.candidate) for item in items)


def test_forty_controls_are_balanced_of_all_kinds_and_one_an_article(shared_data: Path, tmp_path: Path) -> None:
    found = articles(shared_data, 90)
    made = graded_controls(work_on(tmp_path, found), 40, 1234)
    assert len(made.items) == 40 and made.shortage is None and longer(made.items) == 20
    assert len({item.cluster for item in made.items}) == 40 and {item.task for item in made.items} == {GRADED_TASK}
    kinds = Counter(item.doc_hash.split("/")[0] for item in made.items)
    assert set(kinds) == set(KINDS) == set(GRADES) and min(kinds.values()) >= 3
    sources = {(text, answer) for _, text, answer in found}
    assert all((item.task_text, item.candidate) in sources for item in made.items)
    again = graded_controls(work_on(tmp_path / "again", found, "Non."), 40, 1234)
    assert [(i.doc_hash, i.reference) for i in again.items] == [(i.doc_hash, i.reference) for i in made.items]
    assert graded_controls(work_on(tmp_path / "seed", found), 40, 5).items != made.items


def test_questions_of_one_article_make_a_second_control_only_when_articles_run_out(
    shared_data: Path, tmp_path: Path
) -> None:
    found = articles(shared_data, 12)
    work = work_on(tmp_path, [entry for entry in found for _ in range(3)])
    assert len({item.cluster for item in graded_controls(work, 10, 1234).items}) == 10
    more = Counter(item.cluster for item in graded_controls(work, 24, 1234).items)
    assert more.total() == 24 and set(more.values()) == {2}


def test_few_documents_make_as_many_controls_as_they_can_and_say_so(shared_data: Path, tmp_path: Path) -> None:
    made = graded_controls(work_on(tmp_path, articles(shared_data, 7)), 40, 1234)
    assert 6 <= len(made.items) <= 7 and abs(2 * longer(made.items) - len(made.items)) <= 1
    assert made.shortage is not None and f"{len(made.items)} of 40" in made.shortage
    empty = graded_controls(work_on(tmp_path / "none", [("t", "Un texte.", "Oui.")] * 3), 40, 1234)
    assert empty.items == () and empty.shortage is not None
