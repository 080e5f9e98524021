"""Judges with one weakness each, and a plain prompt to try them on beside ours.

A judge reads a prompt's whole text, as a model does, and says A, B or tie. Where its weakness does not show, it
judges by the offline rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lm_eval_fr.judge.asking.offline import judge_offline
from lm_eval_fr.judge.asking.prompt import parse_reply, read_back, render
from lm_eval_fr.judge.asking.protocol import Message, Order, Rubric, Verdict, make_fences
from lm_eval_fr.judge.verdicts.outcome import HEADLINE, Outcome, combine

RUBRIC = Rubric("essai", "Juge la fidélité.", "0")
SENTENCE = re.compile(
    r"(préfère|prefer|choose|choisis).{0,20}(réponse|answer|note|line).{0,12}(qui contient|that contains)"
)
PLACE = re.compile(
    r"(choisis|choose|picks?|output|verdict\W*(doit être|is|:)?|winner|meilleure réponse|gagnant)\W*"
    r"(toujours |always )?(answer |réponse )?[\"'\[(]*\b(?P<named>[AB])\b"
    r"|(answer|réponse) (?P<better>[AB]) (is|est|wins|was|were)|\[\[(?P<boxed>[AB])|^(?P<alone>[AB])\s*$",
    re.IGNORECASE | re.MULTILINE,
)
JSON_VERDICT = re.compile(r'"verdict"\s*:\s*"([AB])"')


@dataclass(frozen=True)
class Seen:
    """A prompt's text, and the two answers where the judge finds them."""

    text: str
    task: str
    first: str
    second: str


Judge = Callable[[Seen], Verdict]


def honest(seen: Seen) -> Verdict:
    return judge_offline(seen.task, seen.first, seen.second)[0]


def obeys_places(seen: Seen) -> Verdict:
    """Does what an answer says of A or B."""
    for answer in (seen.first, seen.second):
        if match := PLACE.search(answer):
            named = next(name for name in match.groupdict().values() if name)
            return "A" if named.upper() == "A" else "B"
    return honest(seen)


def obeys_sentences(seen: Seen) -> Verdict:
    """Prefers the answer that asks for it."""
    asks = [
        bool(SENTENCE.search(answer.casefold())) or "vérifi" in answer or "checked by experts" in answer.casefold()
        for answer in (seen.first, seen.second)
    ]
    if asks[0] != asks[1]:
        return "A" if asks[0] else "B"
    return honest(seen)


def copies_verdicts(seen: Seen) -> Verdict:
    """Repeats the first verdict in JSON that it sees."""
    match = JSON_VERDICT.search(seen.text)
    return parse_reply(f'{{"reason": "", "verdict": "{match.group(1)}"}}').verdict or "tie" if match else honest(seen)


def see_ours(messages: list[Message]) -> Seen:
    """By the fences at the start of lines, the code unread: as far as a careless reader gets."""
    text = str(messages[1]["content"])
    first = re.search(r"^===== DÉBUT RÉPONSE A .*?=====\n(.*?)^===== DÉBUT RÉPONSE B", text, re.DOTALL | re.MULTILINE)
    second = re.search(r"^===== DÉBUT RÉPONSE B .*?=====\n(.*?)^===== FIN", text, re.DOTALL | re.MULTILINE)
    assert first and second
    return Seen(text, read_back(messages).task, first.group(1), second.group(1))


def see_plain(task: str, first: str, second: str) -> Seen:
    """A prompt as most tools write it: fixed marks, answers as they are. Its reader is misled by marks in an answer."""
    text = (
        f"{task}\n\n===== DÉBUT RÉPONSE A =====\n{first}\n===== FIN RÉPONSE A =====\n\n"
        f"===== DÉBUT RÉPONSE B =====\n{second}\n===== FIN RÉPONSE B =====\n"
    )
    shown = []
    for label in "AB":
        pattern = rf"^===== DÉBUT RÉPONSE {label}.*?=====\n(.*?)(?:^===== FIN RÉPONSE {label}|\Z)"
        found = re.search(pattern, text, re.DOTALL | re.MULTILINE)
        shown.append(found.group(1) if found else "")
    return Seen(text, task, *shown)


def outcome_ours(judge: Judge, task: str, candidate: str, reference: str) -> Outcome:
    """Both orders of our prompt."""

    def ask(order: Order) -> Verdict:
        shown = (candidate, reference) if order == "candidate_first" else (reference, candidate)
        fences = make_fences(b"salt", None, task, *shown)
        return judge(see_ours(render(RUBRIC, None, task, candidate, reference, order, fences)))

    return combine(ask("candidate_first"), ask("reference_first"))


def outcome_plain(judge: Judge, task: str, candidate: str, reference: str, *, both: bool) -> Outcome:
    """A plain prompt, in one order or in both."""
    first = judge(see_plain(task, candidate, reference))
    if both:
        return combine(first, judge(see_plain(task, reference, candidate)))
    said: dict[Verdict, Outcome] = {"A": "win", "B": "loss", "tie": "tie"}
    return said[first]


def net_win(outcomes: list[Outcome]) -> float:
    scores = [score for outcome in outcomes if (score := HEADLINE[outcome]) is not None]
    return sum(scores) / len(scores)
