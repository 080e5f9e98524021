from __future__ import annotations

import subprocess
import sys

import pytest

from lm_eval_fr.tasklib import metrics
from tests.waiting import LIMIT


def normalise(text: str) -> str:
    return metrics.open_key(text).lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("l'été", ["été"]),
        ("L’École d’ingénieurs", ["école", "ingénieurs"]),
        ("qu'il", ["qu", "il"]),
        ("jusqu'à l'aube", ["jusqu", "à", "aube"]),
        ("lorsqu'on n'a plus d'eau", ["lorsqu", "on", "n", "a", "plus", "eau"]),
        ("Aujourd'hui", ["aujourd'hui"]),
        ("jusqu'aujourd’hui", ["jusqu", "aujourd'hui"]),
        ("quelqu'un de la presqu'île", ["quelqu'un", "presqu'île"]),
        ("O'Connor, prud'homme", ["o'connor", "prud'homme"]),
        ("Le chat et la souris des champs", ["chat", "et", "souris", "champs"]),
        ("aux enfants du pays", ["enfants", "pays"]),
        ("« Le Petit Prince »", ["petit", "prince"]),
        ("“Bonjour” — dit-il…", ["bonjour", "dit", "il"]),
        ("Saint-Étienne", ["saint", "étienne"]),
        ("l'U.R.S.S.", ["urss"]),
        ("M. J.-C. Dupont", ["m", "j", "c", "dupont"]),
        ("vitamine D, 25 l", ["vitamine", "d", "25", "l"]),
        ("ＰＡＲＩＳ", ["paris"]),
        ("ÉCOLE", ["école"]),
        ("grosse Straße", ["grosse", "strasse"]),
        ("mot\u00adcoupé", ["motcoupé"]),
        ("", []),
        (" … !? ", []),
    ],
)
def test_tokens_of_french_text(text: str, expected: list[str]) -> None:
    assert metrics.tokens(text) == expected


@pytest.mark.parametrize("number", ["100 000", "100000", "100\u00a0000", "100\u202f000", "100\u2009000"])
def test_one_number_is_one_token_however_it_is_grouped(number: str) -> None:
    assert metrics.tokens(f"environ {number} € par an") == ["environ", "100000", "par", "an"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14,2 %", ["14.2"]),
        ("14.2", ["14.2"]),
        ("1 234 567,89", ["1234567.89"]),
        ("en 1998 250 personnes", ["en", "1998", "250", "personnes"]),  # a year does not swallow what follows
        ("12, 345", ["12", "345"]),
        ("16 et 17", ["16", "et", "17"]),
        ("12/05/2003", ["12", "05", "2003"]),
        ("CO2 et A380", ["co2", "et", "a380"]),
        ("850 cm3 et 1 600 cm3", ["850", "cm3", "et", "1600", "cm3"]),
    ],
)
def test_numbers(text: str, expected: list[str]) -> None:
    assert metrics.tokens(text) == expected


@pytest.mark.parametrize("answer", ["un", "Une", "Le", "l'un", "De la"])
def test_a_text_of_articles_only_keeps_them(answer: str) -> None:
    """PIAF has the gold "une": dropped, it would be empty, and saying nothing would be right."""
    assert metrics.tokens(answer)
    assert metrics.token_f1(answer, [answer]) == 1.0
    assert metrics.token_f1("", [answer]) == 0.0


def test_normalise_does_not_join_what_was_apart() -> None:
    assert normalise("pages 12, 345") == "pages 12, 345"
    assert normalise("12-345") == normalise(normalise("12-345")) != normalise("12345")


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("l'été", ["été"], 1.0),  # french_bench gives 0 here
        ("en été", ["l'été"], 2 / 3),
        ("été été", ["été"], 2 / 3),  # bags, not sets
        ("Paris", ["Lyon", "à Paris"], 2 / 3),
        ("Paris", ["Lyon", "Paris."], 1.0),
        ("", [""], 1.0),
        ("", ["Paris"], 0.0),
        ("Paris", [""], 0.0),
        ("Paris", [], 0.0),
        ("", [], 1.0),
        ("14.2 milliards", ["14,2 milliards"], 1.0),
        ("100000 personnes", ["100\u00a0000"], 2 / 3),
    ],
)
def test_token_f1(prediction: str, golds: list[str], expected: float) -> None:
    assert metrics.token_f1(prediction, golds) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ("Eveil", "Éveil"),
        ("Eveil", "éveil"),
        ("ECOLE", "école"),
        ("ECOLES D'INGENIEURS", "écoles d’ingénieurs"),
        ("GARCON", "garçon"),
        ("A Paris", "à Paris"),
        ("l'Ile", "l'Île"),
        ("Élève", "ELEVE"),
        ("ＥＣＯＬＥ", "École"),
    ],
)
def test_a_capital_may_be_printed_without_its_accent(printed: str, meant: str) -> None:
    for one, other in ((printed, meant), (meant, printed)):
        assert metrics.exact_match(one, [other]) == metrics.token_f1(one, [other]) == 1.0
        assert metrics.gold_recall(one, [other]) == metrics.set_f1([one], [other]) == 1.0
        assert metrics.match_label(one, ["autre", other]) == other


@pytest.mark.parametrize(
    ("given", "right"),
    [("ecole", "école"), ("Eleve", "Élève"), ("pêche", "PÉCHÉ"), ("ECOLES", "école"), ("ôte", "OTÉ")],
)
def test_any_other_accent_that_is_missing_or_wrong_is_a_fault(given: str, right: str) -> None:
    for one, other in ((given, right), (right, given)):
        assert metrics.exact_match(one, [other]) == metrics.token_f1(one, [other]) == 0.0
        assert metrics.set_f1([one], [other]) == 0.0


def test_a_bare_capital_stands_for_the_word_that_is_still_free() -> None:
    assert metrics.token_f1("Pre pré", ["pré Pre"]) == 1.0
    assert metrics.token_f1("MARCHE marché", ["marche marché"]) == 1.0
    assert metrics.token_f1("MARCHÉ MARCHE", ["marché marché"]) == 1.0
    assert metrics.set_f1(["Eveil", "Éveil"], ["éveil"]) == 1.0


def test_f1_raw_is_the_coarse_scale() -> None:
    assert metrics.f1_raw("l'été", ["été"]) == 0.0
    assert metrics.f1_raw("le Chat.", ["le chat"]) == 1.0
    assert metrics.f1_raw("100 000", ["100000"]) == 0.0
    assert metrics.f1_raw("le chat", ["chat", "chien"]) == pytest.approx(2 / 3)
    assert metrics.f1_raw("", [""]) == 1.0


def test_exact_match() -> None:
    assert metrics.exact_match("Le chat !", ["chien", "chat"]) == 1.0
    assert metrics.exact_match("chat noir", ["noir chat"]) == 0.0
    assert metrics.exact_match("", [""]) == 1.0


def test_gold_recall() -> None:
    assert metrics.gold_recall("La réponse est : 100 000 personnes", ["100000"]) == 1.0
    assert metrics.gold_recall("noir", ["chat noir"]) == 0.5
    assert metrics.gold_recall("chat", ["chat chat"]) == 0.5
    assert metrics.gold_recall("", [""]) == 1.0
    assert metrics.gold_recall("bavardage", [""]) == 0.0


def test_match_label() -> None:
    labels = ["science/technology", "travel"]
    assert metrics.match_label("**Science/Technology**.", labels) == "science/technology"
    assert metrics.match_label("La catégorie est travel", labels) is None
    assert metrics.match_label("", labels) is None


def test_set_f1() -> None:
    assert metrics.set_f1(["L’INRIA", "cnrs", "CNRS"], ["INRIA", "CNRS"]) == 1.0
    assert metrics.set_f1(["Paris"], ["Paris", "Lyon", "Nice"]) == pytest.approx(0.5)
    assert metrics.set_f1([], []) == 1.0
    assert metrics.set_f1(["  "], []) == 1.0
    assert metrics.set_f1(["?"], []) == 0.0  # something was named where nothing is
    assert metrics.set_f1([], ["Paris"]) == 0.0


@pytest.mark.parametrize(
    ("text", "expected", "strict"),
    [
        ('["Paris", "Jean"]', ["Paris", "Jean"], True),
        (' \n["Paris"]\n', ["Paris"], True),
        ("[]", [], True),
        ('```json\n["Paris"]\n```', ["Paris"], False),
        ('Voici les noms : ["Paris", "Lyon"]. Bonne journée !', ["Paris", "Lyon"], False),
        ("['Paris', \"L'Oréal\"]", ["Paris", "L'Oréal"], False),
        ('{"entités": ["Paris"]}', ["Paris"], False),
        ('D\'après [1], ["Paris"]', ["Paris"], False),
        ("[1998, 2003]", ["1998", "2003"], False),
        ('[ ] rien, ["Paris"]', ["Paris"], False),
        ('["Paris", 75]', ["Paris", "75"], False),
        ('["Paris", "Ly', None, False),  # cut
        ('[{"nom": "Paris"}]', None, False),
        ('["Paris", null]', None, False),
        ("[true]", None, False),
        ("Paris, Lyon", None, False),
        ("", None, False),
        ("['C:\\dir']", ["C:\\dir"], False),
    ],
)
def test_parse_json_array(text: str, expected: list[str] | None, strict: bool) -> None:
    assert metrics.parse_json_array(text) == expected
    assert metrics.is_json_array(text) is strict


def test_a_runaway_generation_is_parsed_in_bounded_work() -> None:
    assert metrics.parse_json_array("[" * 200_000) is None
    assert metrics.parse_json_array("[1" + "," * 200_000) is None
    assert metrics.is_json_array("[" * 200_000) is False


def test_only_the_standard_library_is_imported() -> None:
    heavy = ("lm_eval.", "numpy", "yaml")
    code = f"import sys, lm_eval_fr.tasklib.metrics; print([m for m in sys.modules if m.startswith({heavy!r})])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT)
    assert out.stdout.strip() == "[]"
