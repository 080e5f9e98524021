"""A stand-in for a judge: a fixed rule, no network, the same reply every time.

It compares words. An answer gains by covering the task's content words and loses by words that the task does not have;
numbers and names count for more. It understands nothing, so it cannot judge quality; with it a whole study can run and
be tested without a key. Exchanging the answers exchanges its verdict.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from lm_eval_fr.judge.asking.prompt import read_back
from lm_eval_fr.judge.asking.protocol import Message, Verdict

TIE_WITHIN = 0.04  # closer scores are a tie
ENOUGH = 0.35  # of the source's content: an answer that covers this much need cover no more
NUMBER_WEIGHT = 3.0
MOST_READ = 200_000  # characters of one text

_SENTENCE_END = re.compile(r"[.!?…\n]+")
_WORD = re.compile(r"\d+(?:[.,\u00a0\u202f ]\d{3})*(?:[.,]\d+)?|[^\W\d_]+")
_EMPTY_WORDS = """
ai ainsi alors apres as au aucun aucune auquel aussi autre autres aux avait avant avec avoir avons ayant bien car ce
ceci cela celle celles celui ces cet cette ceux chaque chez ci comme comment dans de des deux devant doit donc dont du
elle elles en encore entre est et etaient etait etant ete etre eu eux fait fut il ils je jusqu la le les leur leurs
lors lorsque lui ma mais me meme memes mes mon ne ni nos notre nous on ont ou par parce pas pendant peu peut plus
plusieurs pour pourquoi puis qu quand que quel quelle quelles quelque quels qui quoi sa sans se selon sera ses si sien
son sont sous sur ta tandis te tel telle telles tels tes ton tous tout toute toutes tres trop tu un une vers voici vos
votre vous y the of and to in is it that this with for as are was be by on an or from
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())


@dataclass(frozen=True, slots=True)
class Score:
    """`covered`: weighted share of the task's content words; `invented`: of the answer's words not in the task."""

    value: float
    covered: float
    invented: float


def answer_offline(request: dict[str, Any]) -> bytes:
    """The body of the reply to a request's, as a served judge would send it: a completion that used nothing."""
    message = {"role": "assistant", "content": verdict_offline(request["messages"])}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    reply = {"object": "chat.completion", "model": request["model"], "choices": [choice], "usage": usage}
    return msgspec.json.encode(reply)


def verdict_offline(messages: list[Message]) -> str:
    """The reply to a rendered prompt, in the JSON that a served judge writes."""
    shown = read_back(messages)
    verdict, first, second = judge_offline(shown.task, shown.first, shown.second)
    reason = (
        "Règle hors ligne, qui compte des mots et ne remplace pas un juge : "
        f"A couvre {_percent(first.covered)} du contenu et en invente {_percent(first.invented)} ; "
        f"B couvre {_percent(second.covered)} et en invente {_percent(second.invented)}."
    )
    return json.dumps({"faults_a": [], "faults_b": [], "reason": reason, "verdict": verdict}, ensure_ascii=False)


def judge_offline(task: str, first: str, second: str) -> tuple[Verdict, Score, Score]:
    weights = _weights(task)
    one, two = score(weights, first), score(weights, second)
    if abs(one.value - two.value) <= TIE_WITHIN:
        return "tie", one, two
    return ("A" if one.value > two.value else "B"), one, two


def score(weights: dict[str, float], answer: str) -> Score:
    """0 for an answer with no content, 1 for one that covers enough and invents nothing."""
    counts = Counter(_content(answer))
    if not counts:
        return Score(0.0, 0.0, 0.0)
    total = sum(weights.values())
    covered = sum(weights[word] for word in counts if word in weights) / total if total else 0.0
    # Repeating a word adds neither coverage nor invention.
    own = {word: _weight(word) for word in counts}
    invented = sum(weight for word, weight in own.items() if word not in weights) / sum(own.values())
    repeated = 1 - len(counts) / sum(counts.values())
    fluent = (1 - max(0.0, repeated - 0.6) / 0.4) * _said_once(answer)
    return Score(math.sqrt(min(1.0, covered / ENOUGH)) * (1 - invented) * fluent, covered, invented)


def _said_once(answer: str) -> float:
    """The share of the sentences that are not there before."""
    found = [sentence for part in _SENTENCE_END.split(answer[:MOST_READ]) if len(sentence := part.strip()) > 20]
    return len(set(found)) / len(found) if found else 1.0


@lru_cache(maxsize=64)
def _weights(task: str) -> dict[str, float]:
    """The task's content words; frequent words weigh more."""
    return {word: _weight(word) * (1 + math.log(count)) for word, count in Counter(_content(task)).items()}


def _weight(word: str) -> float:
    return NUMBER_WEIGHT if word[0].isdigit() else 1.0


def _content(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text[:MOST_READ].casefold())
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    found = (word if not word[0].isdigit() else re.sub(r"[\s\u00a0\u202f]", "", word) for word in _WORD.findall(plain))
    return [word[:7] for word in found if (len(word) > 2 or word[0].isdigit()) and word not in _EMPTY]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
