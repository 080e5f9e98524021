"""A chat template that came with somebody's run cannot cost more than a little time and memory."""

from __future__ import annotations

import pytest

from lm_eval_fr.logs.template_renderer import MOST_TEXT, render

TURNS = [
    [{"role": "user", "content": "Bonjour"}],
    [{"role": "system", "content": "s"}, {"role": "user", "content": "é"}],
]
REAL = "{{ bos }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{{ '>' if add_generation_prompt }}"


def test_a_template_is_rendered_as_transformers_does() -> None:
    assert render(REAL, TURNS, {"bos": "<s>"}, "D") == ["<s><|user|>Bonjour>", "<s><|system|>s<|user|>é>"]
    assert render("{{ strftime_now('%Y') }} {{ messages | tojson }}", TURNS[:1], {}, "D") == [
        'D [{"role": "user", "content": "Bonjour"}]'
    ]


def test_one_conversation_that_it_refuses_does_not_spoil_the_other() -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ messages[-1].content }}"
    assert render(strict, TURNS, {}, "D") == ["Bonjour", None]


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% set k = i %}{% endfor %}{% endfor %}",
        "{% set n = namespace(t='aaaaaaaa') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
        "{{ 'a' * 10 ** 12 }}",
        "{{ 'a' * 30000000 }}",
        "{{ ''.__class__.__mro__ }}{{ cycler.__init__.__globals__.os }}",
        "{% for",
    ],
    ids=["loops", "doubling", "repetition", "long", "escape", "broken"],
)
def test_a_hostile_template_gives_nothing(template: str) -> None:
    assert render(template, TURNS[:1], {}, "D", cpu_limit=1) == [None]
    assert MOST_TEXT < 30_000_000
