"""ifeval_fr: every rule of M-IFEval French on texts of ours, and the publisher's verdicts on real answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.instruction_rules import RULES, count_sentences
from lm_eval_fr.tasklib.instructions import Kept, check, readings
from tests.fakes.hub import write_rows
from tests.unit.test_tasks import DEMO, load

RELATION = {"relation": "au moins"}
# kind, arguments, a text that keeps the instruction, a text that does not
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["pont", "rive"]}, "Les Ponts, les dérives.", "Un pont."),
    ("keywords:frequency", {"keyword": "mer", "frequency": 2, **RELATION}, "Mer, amerrir", "La mer"),
    ("keywords:forbidden_words", {"forbidden_words": ["art"]}, "Un départ", "L'Art nouveau"),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "moins de"}, "Été", "EPEE"),
    ("language:response_language", {"language": "it"}, "La chiusa permette alle navi di salire.", "Il pleut ici."),
    ("language:response_language", {"language": "it"}, "12 345", "Le bateau monte avec l'eau de l'écluse."),
    ("length_constraints:number_sentences", {"num_sentences": 3, **RELATION}, "Un ! Deux ? Trois", "Un\nDeux\nTrois"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\nUn *** Deux ***", "Un\n\n***\n***\n\nDeux"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "moins de"}, "l'été", "l'été-là"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Ensuite"},
        "D'abord.\n\n\"ensuite, voilà",
        "D'abord.\n\n**Ensuite** voilà",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[nom], [a] et [b]", "[nom\n] et [a]"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bien à toi, p. p. s : ici", "P.S. : ici"),
    ("detectable_content:postscript", {"postscript_marker": "PS"}, "un corps", "P.S. : ici"),
    ("detectable_content:informal_address", {}, "Je t'attends, vous aussi", "La tutelle t’attend"),
    ("detectable_content:no_digits", {}, "Le chapitre XIV", "Le chapitre 4"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "- un\n  *deux\n**gras**\n• non", "* un\n** deux"),
    ("detectable_format:constrained_response", {}, "Je dirais : Non.", "oui."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*un* et **deux**", "*un* et ** **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "PARTIE", "num_sections": 2},
        "PARTIE 1 et PARTIE2",
        "PARTIE 1, Partie 2, PARTIE II",
    ),
    ("detectable_format:json_format", {}, '```json\n{"titre": "Vent"}\n```', '{"titre": "Vent"} Voilà.'),
    ("detectable_format:title", {}, "##Le vent##\nIl souffle.", "## Le vent\nIl souffle."),
    ("combination:two_responses", {}, "Du pain.****** Du bon pain.", "Pain.\n******\nPain."),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Pourquoi ?"}, " POURQUOI ? Parce que.", "« Pourquoi ? » Parce"),
    ("startend:end_checker", {"end_phrase": "À vous."}, 'Voilà. "à vous."', "À vous. Voilà."),
    ("startend:quotation", {}, " « Semez tôt. »\n", "“Semez tôt.”"),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 3, "capital_relation": "au moins"},
        "À BIENTÔT, PEUT-ÊTRE",
        "À BIENTÔT, Peut-être",
    ),
    ("change_case:french_capital", {}, "SOYEZ LES BIENVENUS DANS NOTRE VILLAGE.", "Soyez LES BIENVENUS."),
    ("change_case:french_capital", {}, "LES ENFANTS MANGENT DU PAIN.", "THE CHILDREN ARE EATING BREAD."),
    ("change_case:french_lowercase", {}, "je rêvais que la rivière chantait.", "Je rêvais que la rivière chantait."),
    ("punctuation:no_comma", {}, "Pluie ; vent، neige", "Pluie, vent"),
    ("special_character:ethel_or_cedilla", {"forbidden_char": "ç"}, "Un garde", "GARÇON"),
    ("special_character:no_accents", {}, "Un bœuf et l'eau", "L'ÉTANG"),
    ("special_character:accents", {"word_to_accentuate": {"ete": "été"}}, "L'Été arrive", "L'ete, cet été"),
]


@pytest.mark.parametrize(
    ("kind", "arguments", "kept", "broken"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_a_rule_tells_what_keeps_it_from_what_does_not(
    kind: str, arguments: dict[str, Any], kept: str, broken: str
) -> None:
    assert check(f"fr:{kind}", arguments, kept).strict
    assert not check(f"fr:{kind}", arguments, broken).strict


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(RULES)
    assert len(RULES) == 30


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Il dort. Elle lit… peut-être. Non !", 3),
        ("M. Dupont et Mme. Roy, etc. sont là", 1),
        ("Un pas... puis deux. Voilà", 2),
        ("Trois... Deux", 2),
        ('{"a": "Un.", "b": "Deux."}', 2),
        ('Il dit : "Viens."', 1),
        ("**Gras.** La suite", 2),
        ("J. Verne naît à Nantes. À 3 ans, il lit", 2),
        ("", 0),
    ],
)
def test_sentences_end_as_punkt_ends_them(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences


def test_the_loose_reading_forgives_a_first_line_a_last_line_and_asterisks() -> None:
    kind, arguments = "fr:punctuation:no_comma", {}
    assert readings("a\nb*\nc") == ["a\nb*\nc", "b*\nc", "a\nb*", "b*", "a\nb\nc", "b\nc", "a\nb", "b"]
    for forgiven in ("Bien sûr, voici :\nRien", "Rien\nEt voilà, fini", "Oui, voici :\nRien\nEt voilà, fini"):
        assert check(kind, arguments, forgiven) == Kept(strict=False, loose=True)
    assert not check(kind, arguments, "Rien, rien\n, rien").loose
    assert not check("fr:change_case:french_lowercase", {}, "Un seul mot en Majuscule.").loose
    assert check("fr:startend:end_checker", {"end_phrase": "Fin."}, "**Fin.**").loose


@pytest.mark.parametrize("blank", ["", " \n\n", "\n"])
def test_saying_nothing_keeps_no_instruction(blank: str) -> None:
    for kind, arguments, _, _ in CASES:
        kept = check(f"fr:{kind}", arguments, blank)
        assert not kept.strict
        assert not kept.loose


@pytest.mark.parametrize("runaway", ["[" * 200_000, "\n" * 200_000 + "x", "*" * 200_000, "a" * 200_000, "# " * 100_000])
def test_a_runaway_answer_is_scored_at_once(runaway: str) -> None:
    for kind, arguments, _, _ in CASES:
        kept = check(f"fr:{kind}", arguments, runaway)  # a rule of quadratic cost runs into the test's time limit
        assert kept.loose >= kept.strict


def test_nulls_that_a_loader_filled_in_are_not_arguments() -> None:
    filled = {"num_words": 2, "relation": "moins de", "keyword": None, "word_to_accentuate": {"ete": None}}
    assert check("fr:length_constraints:number_words", {**filled, "word_to_accentuate": None}, "Un").strict
    assert check("fr:special_character:accents", {"word_to_accentuate": {"ete": "été", "a": None}}, "a").strict


def test_a_prompt_is_kept_when_all_its_instructions_are() -> None:
    task = load("ifeval_fr", data_dir=str(DEMO))
    doc = next(doc for doc in task.eval_docs if len(doc["instruction_id_list"]) == 3)
    scores = task.process_results(doc, ["##Soupe##\nDes poireaux.\nEt voilà, servez."])
    assert scores == {
        "prompt_strict": 0.0,
        "inst_strict": [True, False, True],
        "prompt_loose": 1.0,
        "inst_loose": [True, True, True],
    }
    assert list(scores) == list(task.aggregation())
    assert task.process_results(doc, [None])["inst_loose"] == [False, False, False]
    pooled = task.aggregation()["inst_strict"]
    assert pooled([[True, False, True], [True], [False]]) == pytest.approx(3 / 5)


def test_prompts_of_a_family_are_spread_and_the_family_is_the_stratum() -> None:
    task = load("ifeval_fr", data_dir=str(DEMO))
    assert task.config.metadata["strata"] == ["family"]
    families = [doc["family"] for doc in task.eval_docs]
    assert len(families) == 32
    assert len(set(families)) == 10
    assert len(set(families[:10])) >= 7


GOOD = {"key": 1, "prompt": "Dites oui.", "instruction_id_list": ["fr:punctuation:no_comma"], "kwargs": [{}]}
WORDS = {"instruction_id_list": ["fr:length_constraints:number_words"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instruction_id_list": ["fr:mots:rimes"]}, 'unknown kind of instruction "fr:mots:rimes"'),
        ({"instruction_id_list": ["es:punctuation:no_comma"]}, 'unknown kind of instruction "es:punctuation:no_comma"'),
        ({"instruction_id_list": []}, '"instruction_id_list" must be a list'),
        ({"kwargs": []}, '"kwargs" must be a list with one object an instruction'),
        ({"kwargs": [None]}, '"kwargs" must be a list of objects'),
        (WORDS, 'number_words needs "num_words" of type int'),
        ({**WORDS, "kwargs": [{"num_words": 5, "relation": "plus de"}]}, 'needs "relation" "au moins" or "moins de"'),
        ({"kwargs": [{"num_words": 5}]}, 'no_comma has no argument "num_words"'),
        ({"key": "a"}, 'key "a" is not a number'),
        ({"prompt": ""}, 'field "prompt" must be non-empty text'),
    ],
)
def test_what_cannot_be_checked_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write_rows(tmp_path / "ifeval_fr.jsonl", [GOOD, {**GOOD, "key": 2, **change}])
    with pytest.raises(InputError) as caught:
        load("ifeval_fr", data_dir=str(tmp_path))
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}:2: ifeval_fr: ")


def test_the_json_builder_reads_the_same_documents(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (DEMO / "ifeval_fr.jsonl").read_text(encoding="utf-8").splitlines()]
    path = write_rows(tmp_path / "fr_input_data.jsonl", rows)
    hub = {"path": "json", "name": None, "split": "train", "revision": None, "files": str(path)}
    remote, local = load("ifeval_fr", dataset=hub), load("ifeval_fr", data_dir=str(tmp_path))
    assert [dict(doc) for doc in remote.eval_docs] == [dict(doc) for doc in local.eval_docs]


def test_the_publishers_verdicts_on_real_answers(shared_data: Path) -> None:
    folder = shared_data / "m_ifeval_fr"
    task = load("ifeval_fr", data=str(folder / "m_ifeval_fr.jsonl"))
    docs = {doc["key"]: doc for doc in task.eval_docs}
    assert len(docs) == 235
    agree: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for path in sorted(set(folder.glob("*.jsonl")) - {folder / "m_ifeval_fr.jsonl"}):
        for line in path.read_text(encoding="utf-8").splitlines():
            answer = json.loads(line)
            doc = docs[answer["key"]]
            scores = task.process_results(doc, [answer["response"]])
            for name in ("strict", "loose"):
                for kind, ours, theirs in zip(
                    doc["instruction_id_list"], scores[f"inst_{name}"], answer[name], strict=True
                ):
                    agree[kind] += ours == theirs
                    total[kind] += 1
                assert scores[f"prompt_{name}"] == float(all(scores[f"inst_{name}"]))
    assert total.total() == 5 * 345 * 2
    assert agree.total() / total.total() >= 0.999
    assert {kind: agree[kind] / total[kind] for kind in total if agree[kind] / total[kind] < 0.99} == {}
