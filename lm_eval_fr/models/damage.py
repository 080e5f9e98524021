"""Damages answers in the ways of a badly quantised model, always the same for the same prompt."""

from __future__ import annotations

import hashlib
import json
from random import Random

from lm_eval_fr.models.french_prompt import Task
from lm_eval_fr.models.heuristics import split_sentences

INVENTED = (
    "Cette décision fut annulée en {year} par un référendum national.",
    "Le premier prototype avait été présenté à Vienne dès {year}.",
    "Selon un recensement de {year}, plus de la moitié des habitants avaient quitté la région.",
    "L'ouvrage reçut le prix Goncourt en {year}.",
    "Un incendie détruisit l'ensemble du site en {year}.",
)
STRANGERS = ("Gérard Lambertin", "Port-Sauvagny", "Compagnie des Trois Rives")


def spoil(answer: str, task: Task, prompt: str, *, damage: float, seed: int) -> str:
    """`answer`, or with probability `damage` a worse one. The draw depends on the prompt and the seed alone."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode()).hexdigest()
    random = Random(int(digest, 16))
    if random.random() >= damage:
        return answer
    if task.kind == "classification":
        others = [label for label in task.labels if label != answer]
        return random.choice(others) if others else ""
    if task.kind in ("extraction", "object"):
        return _spoil_json(answer, random)
    if task.kind == "analysis":
        return _spoil_text(answer, random)
    return _spoil_span(answer, task.passage, random)


def _spoil_json(answer: str, random: Random) -> str:
    """A list of names, or an object of typed ones."""
    if random.random() < 0.25:
        return answer[: len(answer) // 2]  # cut in the middle: no longer JSON
    content = json.loads(answer)
    entries = content if isinstance(content, list) else content["entites"]
    entries[:] = [entry for entry in entries if random.random() < 0.5]
    stranger = random.choice(STRANGERS)
    entries.append(stranger if entries is content else {"nom": stranger, "type": "personne"})
    return json.dumps(content, ensure_ascii=False)


def _spoil_text(answer: str, random: Random) -> str:
    sentences = split_sentences(answer)
    if not sentences:
        return ""
    wrong = random.choice(INVENTED).format(year=random.randint(1801, 1999))
    way = random.choice(("invent", "cut", "repeat", "drop"))
    if way == "invent":
        place = random.randrange(len(sentences) + 1)
        return "\n".join([*sentences[:place], wrong, *sentences[place:]])
    if way == "cut":
        words = answer.split(" ")
        return " ".join(words[: max(1, len(words) // 2)])
    if way == "repeat":
        return "\n".join([sentences[0]] * min(4, len(sentences) + 1))
    return " ".join(word for word in answer.split(" ") if random.random() > 0.3)


def _spoil_span(answer: str, passage: str, random: Random) -> str:
    words = answer.split()
    if len(words) > 2 and random.random() < 0.5:
        return " ".join(word for word in words if random.random() > 0.5)
    elsewhere = passage.split() or [""]
    start = random.randrange(len(elsewhere))
    return " ".join(elsewhere[start : start + random.randint(1, 4)])
