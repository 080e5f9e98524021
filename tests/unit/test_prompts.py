"""One prompt in three forms: undoing chat templates of the kinds in use, and telling what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lm_eval_fr.logs.logged_prompts import Prompt, Rendering, Turn, prompt_difference, read_prompt
from tests.fakes.runs import BOS, CHATML, EOS, INST, render

LLAMA = (  # a date, a trim, a default system text of its own
    "{{- bos_token }}{%- set date = strftime_now('%d %b %Y') %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content']|trim %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date + '\n\n' + system + '<|eot_id|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content']|trim + '<|eot_id|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
GEMMA = (  # the system text goes in front of the first question
    "{{ bos_token }}{%- set first = '' %}{%- set rest = messages %}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set first = messages[0]['content'] + '\n\n' %}{%- set rest = messages[1:] %}{%- endif %}"
    "{%- for message in rest %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    "{{ first if loop.first else '' }}{{ message['content'] | trim + '<end_of_turn>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{%- endif %}"
)
STRICT = INST.replace(  # no system role at all
    "{%- if message['role'] == 'system' %}{{ '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}{%- elif",
    "{%- if message['role'] == 'system' %}{{ raise_exception('no system role') }}{%- elif",
)
THINKING = CHATML.replace(
    "<|im_start|>assistant\n' }}",
    "<|im_start|>assistant\n' }}{%- if not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{%- endif %}",
)
TEMPLATES = {"chatml": CHATML, "inst": INST, "llama": LLAMA, "gemma": GEMMA, "thinking": THINKING}
QUESTION = "Où est « l’île » ?\n\n<|im_end|>[INST] n'y change rien.\nRéponse :"


def system_of(turns: list[dict[str, str]]) -> str:
    return turns[0]["content"] if turns[0]["role"] == "system" else ""


def rendered(template: str, turns: list[dict[str, str]], **about: Any) -> Prompt:
    shots = sum(turn["role"] == "assistant" for turn in turns)
    known = Rendering(system=system_of(turns), template=template, bos=BOS, eos=EOS, shots=shots)
    made = render(template.replace("strftime_now('%d %b %Y')", "'26 Jul 2026'"), turns)
    return read_prompt(made, replace(known, **about))


def chat(turns: list[dict[str, str]]) -> Prompt:
    return read_prompt([json.dumps(turns, ensure_ascii=False)], Rendering(template=""))


def raw(turns: list[dict[str, str]]) -> Prompt:
    glue = {"system": "", "user": " ", "assistant": "\n\n"}
    text = "".join(turn["content"] + glue[turn["role"]] for turn in turns[:-1]) + turns[-1]["content"]
    return read_prompt(text, Rendering(system=system_of(turns)))


CONVERSATIONS = {
    "question": [{"role": "user", "content": QUESTION}],
    "system": [{"role": "system", "content": "Tu lis.\n\nTu réponds."}, {"role": "user", "content": QUESTION}],
    "shots": [
        {"role": "system", "content": "Tu lis."},
        {"role": "user", "content": "Q1 ?"},
        {"role": "assistant", "content": "R1"},
        {"role": "user", "content": QUESTION},
    ],
}


@pytest.mark.parametrize("turns", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_rendered_prompt_gives_back_its_turns(template: str, turns: list[dict[str, str]]) -> None:
    prompt = rendered(template, turns)
    assert prompt.turns is not None
    assert prompt.as_asked() == ((turns[0]["content"] if len(turns) > 1 else None), QUESTION)
    for other in (chat(turns), raw(turns), rendered(INST, turns)):
        assert prompt_difference(prompt, other) is None
        assert prompt_difference(other, prompt) is None


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("form", [chat, raw, lambda turns: rendered(CHATML, turns)], ids=["chat", "raw", "template"])
def test_any_other_turn_is_told(template: str, form: Any) -> None:
    turns = CONVERSATIONS["shots"]
    for at in range(len(turns)):
        changed = [dict(turn) for turn in turns]
        changed[at]["content"] += " Sois bref."
        assert prompt_difference(rendered(template, changed), form(turns)) is not None
    assert prompt_difference(rendered(template, turns[:1] + turns[3:]), form(turns)) is not None
    assert prompt_difference(rendered(template, turns[1:]), form(turns)) is not None


def test_a_template_without_a_system_role() -> None:
    assert rendered(STRICT, CONVERSATIONS["question"]).turns == (Turn("user", QUESTION),)


def test_a_system_text_that_varies_by_document() -> None:
    prompt = rendered(CHATML, CONVERSATIONS["system"], system=None)
    assert prompt.as_asked() == ("Tu lis.\n\nTu réponds.", QUESTION)


def test_thinking_switched_off_in_the_model_arguments() -> None:
    turns = CONVERSATIONS["question"]
    off = rendered(THINKING, turns, arguments={"enable_thinking": False})
    assert off.turns == (Turn("user", QUESTION),)
    assert rendered(THINKING, turns, arguments={"enable_thinking": True}).turns is None, "it was rendered without"


def test_the_difference_is_shown_where_it_is() -> None:
    one, other = (chat([{"role": "user", "content": f"{'a' * 100} {word} {'b' * 100}"}]) for word in ("cinq", "six"))
    shown = [f"…{'a' * 19} cinq {'b' * 35}"[:61], f"…{'a' * 19} six {'b' * 36}"[:61]]
    assert prompt_difference(one, other) == f"…'{shown[0][1:]}'… against …'{shown[1][1:]}'…"
    system = chat([{"role": "system", "content": "Un."}, {"role": "user", "content": "Q"}])
    assert prompt_difference(system, chat([{"role": "user", "content": "Q"}])) == "system text: 'Un.' against ''"


@pytest.mark.parametrize(
    "logged",
    [["not JSON"], [], [{"role": "user"}], ['{"role": 1}'], {"a": 1}, None, 3, ['["x"]']],
)
def test_what_is_no_conversation_has_no_turns(logged: Any) -> None:
    prompt = read_prompt(logged, Rendering(template=""))
    assert prompt.turns is None
    assert isinstance(prompt.as_asked()[1], str)
    assert prompt_difference(prompt, chat(CONVERSATIONS["question"])) is not None


def test_a_conversation_that_was_not_encoded() -> None:
    turns = CONVERSATIONS["system"]
    assert prompt_difference(read_prompt(turns, Rendering(template="")), chat(turns)) is None


def test_parts_of_a_message() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    assert prompt_difference(read_prompt([json.dumps(parts)], Rendering()), chat(CONVERSATIONS["question"])) is None


def test_a_hostile_template_is_not_obeyed() -> None:
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0]['content'] }}"
    prompt = read_prompt(QUESTION, Rendering(template=template))
    assert prompt.turns is None
