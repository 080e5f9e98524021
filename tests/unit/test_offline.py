"""The offline judge: the same reply every time, symmetrical, and right where the answer is plain."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.offline import answer_offline, judge_offline, verdict_offline
from lm_eval_fr.judge.asking.prompt import parse_reply, render
from lm_eval_fr.judge.asking.protocol import CallUsage, Rubric
from tests.hostile import FENCES, HOSTILE, Hostile

RUBRIC = Rubric("r", "Juge.", "0")
SWAP = {"A": "B", "B": "A", "tie": "tie"}


@pytest.fixture(scope="module")
def articles(shared_data: Path) -> list[str]:
    content = json.loads((shared_data / "piaf" / "piaf-v1.0.json").read_text(encoding="utf-8"))
    texts = [" ".join(p["context"] for p in article["paragraphs"]) for article in content["data"]]
    return [text for text in texts if len(text.split()) >= 600]


def summary(text: str, sentences: int = 5) -> str:
    found = re.split(r"(?<=[.!?]) ", text)
    return " ".join(found[:: max(1, len(found) // sentences)][:sentences])


def test_it_prefers_the_real_answer_on_real_articles(articles: list[str]) -> None:
    for number, text in enumerate(articles):
        task, good = f"Résume fidèlement ce texte.\n\n{text}", summary(text)
        for bad in ("", good[:200], summary(articles[number - 1])):
            assert judge_offline(task, good, bad)[0] == "A" and judge_offline(task, bad, good)[0] == "B"
        assert judge_offline(task, good, good)[0] == "tie"


def test_slight_damage_ties_more_often_than_heavy_damage(articles: list[str]) -> None:
    draw = random.Random(5)
    lost = {}
    for share in (0.02, 0.3):
        found = []
        for text in articles:
            good = summary(text)
            damaged = " ".join(word[::-1] if draw.random() < share else word for word in good.split())
            found.append(judge_offline(text, damaged, good)[0])
        assert "A" not in found
        lost[share] = found.count("B") / len(found)
    assert lost[0.02] < 0.3 < 0.9 < lost[0.3]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_exchanging_the_answers_exchanges_the_verdict(task: str, first: str, second: str) -> None:
    assert SWAP[judge_offline(task, first, second)[0]] == judge_offline(task, second, first)[0]


def test_its_reply_is_read_as_a_served_judges_and_says_what_it_is() -> None:
    messages = render(
        RUBRIC, None, "Le phare fut bâti en 1834.", "Le phare fut bâti en 1834.", "", "candidate_first", FENCES
    )
    text = verdict_offline(messages)
    parsed = parse_reply(text)
    assert parsed.verdict == "A" and "ne remplace pas un juge" in parsed.reason
    assert verdict_offline(messages) == text
    read = read_reply(answer_offline({"model": "offline", "messages": messages}))
    assert (read.verdict, read.reason, read.usage) == ("A", parsed.reason, CallUsage(0, 0, 0, 0))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: h.name)
def test_no_answer_makes_it_fail(hostile: Hostile) -> None:
    for first, second in ((hostile.text, "Une réponse."), (hostile.text, hostile.text)):
        messages = render(RUBRIC, "Réponds.", "Un texte.", first, second, "candidate_first", FENCES)
        assert parse_reply(verdict_offline(messages)).verdict in ("A", "B", "tie")
