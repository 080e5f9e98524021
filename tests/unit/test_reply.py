"""A reply's verdict is read only where the reply states it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.judge.asking.prompt import parse_reply


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"reason": "r", "verdict": "A"}', "A"),
        ('  {"verdict": "tie", "reason": "r"}\n', "tie"),
        ('```json\n{"reason": "r", "verdict": "B"}\n```', "B"),
        ('```\n{"reason": "r", "verdict": "B"}\n```', "B"),
        ('{"reason": "deux\nlignes", "verdict": "B"}', "B"),
        ('{"reason": "r", "verdict": "A", "confidence": 0.9}', "A"),
        ('\ufeff{"reason": "r", "verdict": "A"}', "A"),
    ],
)
def test_a_stated_verdict_is_read(text: str, verdict: str) -> None:
    parsed = parse_reply(text)
    assert parsed.verdict == verdict and not parsed.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty reply"),
        ("   \n", "empty reply"),
        ("La réponse A est meilleure. Verdict : A", "not a JSON object"),
        ('Voici : {"reason": "r", "verdict": "A"}', "not a JSON object"),
        ('{"reason": "r", "verdict": "A"} Voilà.', "not a JSON object"),
        ('{"reason": "r", "verdict": "A"', "not a JSON object"),
        ('{"reason": "r"}', "no verdict in the object"),
        ('{"reason": "r", "verdict": "a"}', 'verdict outside A, B, tie: "a"'),
        ('{"reason": "r", "verdict": "C"}', 'verdict outside A, B, tie: "C"'),
        ('{"reason": "r", "verdict": null}', "verdict outside A, B, tie: null"),
        ('{"reason": "r", "verdict": ["A"]}', 'verdict outside A, B, tie: ["A"]'),
        ('{"reason": "r", "verdict": true}', "verdict outside A, B, tie: true"),
        ('{"verdict": "A", "reason": "r", "verdict": "B"}', "`verdict` is given twice"),
        ('["A"]', "not a JSON object"),
        ('"A"', "not a JSON object"),
        ("A", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
    ],
)
def test_nothing_else_is_guessed_at(text: str, problem: str) -> None:
    parsed = parse_reply(text)
    assert parsed.verdict is None and parsed.problem == problem


@given(st.text())
def test_any_text_is_read_without_an_exception(text: str) -> None:
    parsed = parse_reply(text)
    assert (parsed.verdict is None) == bool(parsed.problem)
