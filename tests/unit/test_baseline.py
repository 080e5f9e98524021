"""The model-free baseline: reads prompts of every shape, answers from the text, spoils the same way every time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.models.damage import spoil
from lm_eval_fr.models.french_prompt import read_prompt
from lm_eval_fr.models.heuristics import answer, list_names, split_sentences

QUESTION = (
    "Lis le texte, puis réponds à la question.\n\nTexte :\nLa tour fut achevée en 1889 par Gustave Eiffel. Elle mesure "
    "330 mètres.\n\nQuestion : Quand la tour fut-elle achevée ?\n\nRéponse :"
)
CLASSES = (
    "Indique le thème principal du texte. Choisis un seul des thèmes suivants :\n- sports : sport\n- travel : voyages "
    "et tourisme\n- health : santé et médecine\n\nTexte : Le médecin a soigné la maladie du joueur.\n\nThème :"
)
NAMES = "Relève les entités. Réponds par un tableau JSON.\n\nTexte : Marie Curie naquit à Varsovie.\n\nRéponse :"
ARTICLE = "\n".join(
    f"Le village {n} compte {100 + n} habitants depuis {1900 + n}. Il vit de la pêche." for n in range(20)
)
SUMMARY = f"Résume le texte en exactement trois points, un par ligne.\n\nTexte :\n{ARTICLE}\n\nRéponse :"
VARSOVIE = {"nom": "Varsovie", "type": "lieu"}
OBJECT = (
    "Réponds par un objet JSON conforme au schéma.\n\nSchéma :\n{}\n\n"
    "Phrase : Marie Curie fonda l'Institut du radium à Varsovie.\n\nObjet JSON :"
)
PROBLEM = "Résous le problème étape par étape.\n\nProblème : Zoé achète 3 sacs de 1 200 billes. Combien en a-t-elle ?"
KINDS = {
    "question": QUESTION,
    "classification": CLASSES,
    "extraction": NAMES,
    "analysis": SUMMARY,
    "object": OBJECT,
    "calculation": PROBLEM,
}


@pytest.mark.parametrize(("prompt", "kind"), [(prompt, kind) for kind, prompt in KINDS.items()])
def test_each_kind_is_recognised_raw_and_in_a_template(prompt: str, kind: str) -> None:
    for text in (
        prompt,
        f"[SYSTEM_PROMPT]Sois bref.[/SYSTEM_PROMPT][INST]{prompt}[/INST]",
        f"<|user|>\n{prompt}<|end|>",
    ):
        assert read_prompt(text).kind == kind
        assert answer(read_prompt(text)) == answer(read_prompt(prompt))


def test_answers_come_from_the_text() -> None:
    assert answer(read_prompt(QUESTION)) == "1889"
    assert answer(read_prompt(CLASSES)) == "health"
    assert json.loads(answer(read_prompt(NAMES))) == ["Marie Curie", "Varsovie"]
    assert json.loads(answer(read_prompt(OBJECT))) == {
        "entites": [{"nom": "Marie Curie", "type": "personne"}, {"nom": "Institut", "type": "organisation"}, VARSOVIE],
        "comptes": {"personne": 1, "lieu": 1, "organisation": 1},
    }
    assert answer(read_prompt(PROBLEM)).endswith("Réponse : 3600")
    points = answer(read_prompt(SUMMARY)).splitlines()
    assert len(points) == 3
    assert all(point[3:] in split_sentences(ARTICLE) for point in points)


def test_each_analysis_is_another_text() -> None:
    asked = ("trois points", "entités clés", "résumé fidèle", "affirmations vérifiables", "Explique le sujet")
    texts = {answer(read_prompt(f"{kind} : fais-le.\n\nTexte :\n{ARTICLE}\n\nRéponse :")) for kind in asked}
    assert len(texts) == 5


def test_labels_without_definitions() -> None:
    listed = (
        "Quelle est la catégorie ?\nCatégories : sinistre, résiliation, devis\n\nMessage : Je demande une résiliation."
    )
    assert answer(read_prompt(listed)) == "résiliation"


def test_names_keep_their_particles() -> None:
    text = "Le général Charles de Gaulle vint à La Rochelle avec l'Armée du Rhin."
    assert list_names(text) == ["Charles de Gaulle", "La Rochelle", "Armée du Rhin"]


@given(st.text(max_size=400))
def test_no_prompt_is_too_odd(prompt: str) -> None:
    task = read_prompt(prompt)
    text = answer(task)
    assert isinstance(text, str)
    assert isinstance(spoil(text, task, prompt, damage=1.0, seed=1), str)


@pytest.mark.parametrize("prompt", KINDS.values(), ids=KINDS)
def test_damage_is_the_same_for_the_same_prompt(prompt: str) -> None:
    task = read_prompt(prompt)
    good = answer(task)
    spoilt = [spoil(good, task, prompt, damage=1.0, seed=seed) for seed in range(12)]
    assert spoilt == [spoil(good, task, prompt, damage=1.0, seed=seed) for seed in range(12)]
    assert sum(text != good for text in spoilt) >= 9
    assert spoil(good, task, prompt, damage=0.0, seed=1) == good


def test_damage_is_the_share_of_prompts() -> None:
    task = read_prompt(CLASSES)
    spoilt = sum(spoil("health", task, f"{CLASSES}{n}", damage=0.3, seed=7) != "health" for n in range(2000))
    assert 520 <= spoilt <= 680
