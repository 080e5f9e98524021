"""The rendered prompt: its structure whatever the answers hold, its symmetry, and what it never says."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_fr.judge.asking.prompt import (
    CHARS_PER_TOKEN,
    WORDS,
    cache_key,
    read_back,
    render,
    renderer,
    request_body,
    shared_part,
)
from lm_eval_fr.judge.asking.protocol import ORDERS, Message, Order, Profile, Rubric, make_fence
from lm_eval_fr.judge.asking.sanitize import MARK, clean, neutralise
from tests.hostile import FENCE, HONEST, HOSTILE, Hostile

FRENCH = Rubric("essai", "Juge la fidélité.", "0", "fr", ("Fidélité", "Complétude"))
ENGLISH = Rubric("trial", "Judge faithfulness.", "0", "en", ("Faithfulness",))
TASK = "Consigne : résume le texte.\n\nTexte :\nLe phare fut bâti de 1834 à 1839.\n\n===== note ====="
CONTROL = re.compile("<\\||\\|>|\\[/?INST\\]|<</?SYS|</?s>|<start_of_turn>|<think>|</think>|<｜")


def content(messages: list[Message]) -> str:
    user = messages[1]["content"]
    return user if isinstance(user, str) else "".join(part["text"] for part in user)


def shown(first: str, second: str, rubric: Rubric = FRENCH, order: Order = "candidate_first") -> list[Message]:
    return render(rubric, None, TASK, first, second, order, FENCE)


def check_structure(messages: list[Message], rubric: Rubric) -> None:
    """One fenced block after the other, every line of a text quoted, nothing of a text anywhere else."""
    words = WORDS[rubric.language]
    lines = content(messages).split("\n")
    fences = [line.split(" ")[1:-2] for line in lines if line.startswith("=====")]
    kinds = [(line[0], " ".join(line[1:])) for line in fences]
    names = [words.task, f"{words.answer} A", f"{words.answer} B"]
    assert kinds == [(edge, name) for name in names for edge in (words.begin, words.end)]
    inside = False
    for line in lines:
        if line.startswith("====="):
            inside = line.startswith(f"===== {words.begin} ")
        elif inside:
            assert line.startswith(">") or line == words.empty or re.fullmatch(r"\((coupé|cut) .*\)", line)
        else:
            assert line in ("", words.close)
    assert content(messages).count(FENCE) == 4


@pytest.mark.parametrize("rubric", [FRENCH, ENGLISH], ids=["fr", "en"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: h.name)
def test_no_hostile_answer_changes_the_structure(hostile: Hostile, rubric: Rubric) -> None:
    for first, second in ((hostile.text, HONEST), (HONEST, hostile.text), (hostile.text, hostile.text)):
        messages = shown(first, second, rubric)
        check_structure(messages, rubric)
        back = read_back(messages)
        assert back.first == (neutralise(first, FENCE) if neutralise(first, FENCE).strip() else "")
        assert back.second == (neutralise(second, FENCE) if neutralise(second, FENCE).strip() else "")
        assert not back.cut
        json.dumps(messages, ensure_ascii=False).encode()  # can be sent: no half characters
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", content(messages))
        assert not CONTROL.search(content(messages))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: h.name)
def test_a_neutralised_text_loses_nothing_that_can_be_read(hostile: Hostile) -> None:
    assert neutralise(hostile.text, FENCE).replace(MARK, "") == clean(hostile.text).replace(MARK, "")


def test_there_are_enough_hostile_answers() -> None:
    assert len(HOSTILE) >= 40
    assert len({h.text for h in HOSTILE}) == len({h.name for h in HOSTILE}) == len(HOSTILE)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=300))
def test_any_two_texts_are_read_back_as_they_were_shown(first: str, second: str) -> None:
    messages = shown(first, second)
    check_structure(messages, FRENCH)
    back = read_back(messages)
    for text, seen in ((first, back.first), (second, back.second)):
        expected = clean(text)
        assert seen.replace(MARK, "") == (expected.replace(MARK, "") if seen or expected.strip() else "")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.booleans())
def test_exchanging_the_answers_and_the_order_changes_no_byte(first: str, second: str, breakpoint: bool) -> None:
    one = render(FRENCH, "s", TASK, first, second, "candidate_first", FENCE, breakpoint=breakpoint)
    two = render(FRENCH, "s", TASK, second, first, "reference_first", FENCE, breakpoint=breakpoint)
    assert json.dumps(one) == json.dumps(two)


@pytest.mark.parametrize("breakpoint", [False, True])
@pytest.mark.parametrize("hostile", [HOSTILE[9], HOSTILE[24]], ids=lambda h: h.name)
def test_both_orders_share_everything_before_the_answers(hostile: Hostile, breakpoint: bool) -> None:
    fence = make_fence(b"salt", "Réponds en français.", TASK, (hostile.text, HONEST))
    both = [
        render(FRENCH, "Réponds en français.", TASK, hostile.text, HONEST, order, fence, breakpoint=breakpoint)
        for order in ORDERS
    ]
    texts = [f"{messages[0]['content']}\n{content(messages)}" for messages in both]
    shared = shared_part(both[0])
    assert shared == shared_part(both[1])
    assert all(text.startswith(shared) for text in texts)
    assert texts[0] != texts[1]
    assert texts[0][len(shared) :].startswith(f"===== DÉBUT RÉPONSE A {fence} =====")
    assert "Le phare fut bâti" in shared and "Réponds en français." in shared
    assert cache_key(both[0]) == cache_key(both[1])
    if breakpoint:
        first, second = both[0][1]["content"]
        assert first["prompt_cache_breakpoint"] == {"mode": "explicit"} and "prompt_cache_breakpoint" not in second


def test_the_code_of_the_fences_cannot_be_foreseen_from_the_texts() -> None:
    answers = ("une", "deux")
    fences = {make_fence(salt, None, TASK, answers) for salt in (b"a", b"b", b"c")}
    assert len(fences) == 3
    assert make_fence(b"a", None, TASK, answers) == make_fence(b"a", None, TASK, ("deux", "une"))


@pytest.mark.parametrize("rubric", [FRENCH, ENGLISH], ids=["fr", "en"])
def test_nothing_names_an_arm_a_model_a_file_or_an_order(rubric: Rubric) -> None:
    text = "\n".join([shown("x", "y", rubric)[0]["content"], content(shown("x", "y", rubric))]).casefold()
    for word in ("candidat", "reference", "référence", "model", "modèle", "gpt", "mistral", "nvfp4", "first", ".jsonl"):
        assert word not in text, word
    assert "première" not in text and "seconde" not in text


def test_the_task_keeps_its_own_headings_and_cannot_close_its_fence() -> None:
    back = read_back(shown("x", "y"))
    assert back.task == TASK
    check_structure(shown("x", "y"), FRENCH)


def test_an_empty_answer_is_shown_as_empty_and_cannot_be_imitated() -> None:
    lines = content(shown("", "(vide)")).split("\n")
    assert lines.count("(vide)") == 1 and lines.count("> (vide)") == 1


def test_answers_are_whole_without_a_context_and_cut_alike_with_one() -> None:
    long, short = "mot " * 30_000, "phrase " * 10
    assert len(read_back(shown(long, short)).first) == len(long)
    for order in ORDERS:
        cut = render(FRENCH, None, TASK, long, short, order, FENCE, context=8_000, reply_tokens=600)
        back = read_back(cut)
        kept = max(len(back.first), len(back.second))
        assert back.cut and {short} < {back.first, back.second, short}
        assert 10_000 < kept < CHARS_PER_TOKEN * 8_000
        assert f"(coupé ici : {len(long) - kept} caractères de la suite ne sont pas montrés)" in content(cut)
    both = read_back(render(FRENCH, None, TASK, long, long + "!", "candidate_first", FENCE, context=8_000))
    assert len(both.first) == len(both.second) < CHARS_PER_TOKEN * 4_000


def test_a_task_that_fills_the_context_still_leaves_room_for_the_answers() -> None:
    messages = render(FRENCH, None, "mot " * 20_000, "x" * 9_000, "y" * 9_000, "candidate_first", FENCE, context=4_000)
    assert len(read_back(messages).first) == 1_000


def test_a_profile_says_what_is_sent() -> None:
    profile = Profile(
        "p", "m-1", parameters={"temperature": 0, "max_tokens": 9}, cache_breakpoint=True, context=100_000
    )
    messages = renderer(profile)(FRENCH, None, TASK, "x", "y", "candidate_first", FENCE)
    body = request_body(profile, messages)
    assert isinstance(messages[1]["content"], list)
    assert body["temperature"] == 0 and body["model"] == "m-1" and body["messages"] == messages
    assert body["response_format"]["json_schema"]["strict"] is True
    plain = Profile("p", "m-1", response_format="none")
    assert "response_format" not in request_body(plain, messages)
    assert request_body(Profile("p", "m", response_format="json_object"), [])["response_format"] == {
        "type": "json_object"
    }


def test_ordinary_markdown_stays_as_it_was_written() -> None:
    text = (
        "## Résumé\n\n1. **Origine** : le phare naît en 1834 ; sa construction finit en 1839.\n- *Détail* : 40 m.\n\n"
        "| Année | Fait |\n|---|---|\n| 1834 | début |\n\nTitre\n=====\n\n> citation\n\n---\nSystématique, la réponse "
        "est nette : oui. Le verdict du tribunal fut rendu. Fin de l'histoire."
    )
    assert neutralise(text, FENCE) == text
