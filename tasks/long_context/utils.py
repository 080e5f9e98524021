"""long_context_fr: facts put into long French prose, and questions about one, several, none or all of them."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.articles import stream_articles
from lm_eval_fr.tasklib.documents import Settings, as_dataset, local_file, rank, spread_over_labels
from lm_eval_fr.tasklib.haystack import Haystack, contains, render
from lm_eval_fr.tasklib.metrics import tokens
from lm_eval_fr.tasklib.numbers import numbers_in
from lm_eval_fr.tasklib.records import read_file, read_text
from lm_eval_fr.tasklib.tokenizing import CHARACTERS_PER_TOKEN, TokenCount

if TYPE_CHECKING:
    import datasets

TASK = "long_context_fr"
# A text, OneRuler's book, or the articles that the folder holds for analysis_fr.
PUBLISHED = ("long_context_fr.txt", "long_context_fr/les_miserables_fr.txt", "analysis_fr.jsonl")
LENGTHS = (4096, 8192, 16384, 32768, 65536, 131072)
KINDS = ("one", "several", "none", "count")
DOCUMENTS = 240
ANSWER_TOKENS, TEMPLATE_TOKENS = 256, 64  # the first is max_gen_toks; the second is left for a chat template's marks
LEAST_LENGTH = 1024
DEPTHS = 5
ASKED, DISTRACTORS = {"one": 1, "several": 4, "none": 0}, {"one": 3, "several": 2, "none": 4}
COUNTS = range(3, 10)
VALUES = range(2000, 9990)
SETTING = json.loads((Path(__file__).parent / "needles.json").read_text(encoding="utf-8"))
_NONE = re.compile(
    r"\b(?:aucune?s?|néant|introuvables?|absente?s?|inconnue?s?|none)\b"
    r"|\bn(?:e\b|['’])[^.\n]{0,60}?\b(?:pas|nulle part|jamais)\b"
    r"|\b(?:non|pas) (?:mentionn|précis|indiqu|trouv|spécifi|cit|donn)|\bnot (?:mentioned|found|in the text)\b"
)


class Wanted(NamedTuple):  # lm-eval runs this file in no module, where a dataclass with these annotations fails
    """What a run asks of this task's documents."""

    lengths: tuple[int, ...]
    kinds: tuple[str, ...]
    documents: int


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    wanted = read_wanted(settings)
    name = given.get("tokenizer")
    count = TokenCount(None if name in (None, "") else str(name))
    haystack = Haystack.of(read_haystack(settings, max(wanted.lengths)), count)
    documents = list(make_documents(haystack, count, wanted, settings))
    labels = [f"{document['length']} {document['kind']}" for document in documents]
    order = spread_over_labels([document["id"] for document in documents], labels, settings.seed)
    return {"test": as_dataset(settings, [documents[place] for place in order])}


def read_wanted(settings: Settings) -> Wanted:
    lengths = settings.whole_numbers("lengths", LENGTHS, least=LEAST_LENGTH)
    kinds = settings.words("kinds", KINDS)
    for name in ("max_model_len", "max_length"):
        context = settings.limits.get(name)
        if isinstance(context, int) and max(lengths) > context:
            raise InputError(
                f"{TASK}: prompts of {max(lengths):,} tokens are asked for, and this model takes {context:,} ({name})",
                remedy=f"{_fitting(context)}, for both arms",
            )
    return Wanted(lengths, kinds, settings.limit("documents", DOCUMENTS))


def _fitting(tokens: float) -> str:
    lengths = [length for length in LENGTHS if length <= tokens]
    return f"--metadata '{{\"lengths\": {lengths}}}'" if lengths else f"this task needs {LENGTHS[0]:,}"


def read_haystack(settings: Settings, longest: int) -> str:
    """The user's text, or articles put one behind the other."""
    path = local_file(settings, also=PUBLISHED)
    if path is not None and path.suffix == ".txt":
        return read_text(path)
    enough = longest * 2 * CHARACTERS_PER_TOKEN
    records = stream_articles(settings, None) if path is None else read_file(path, TASK)
    parts: list[str] = []
    for record in records:
        parts.append(f"{record.text('title').strip()}\n\n{record.text('text').strip()}")
        if path is None and sum(map(len, parts)) > enough:
            break
    return "\n\n".join(parts)


def make_documents(
    haystack: Haystack, count: TokenCount, wanted: Wanted, settings: Settings
) -> Iterator[dict[str, Any]]:
    if haystack.tokens < max(wanted.lengths):
        what = f"{TASK}: {max(wanted.lengths):,} tokens are asked for, and the text holds about {haystack.tokens:,.0f}"
        where = settings.data or settings.data_dir
        raise InputError(what, where=where, remedy=f"a longer text, or {_fitting(haystack.tokens)}")
    cells = [(length, kind) for length in wanted.lengths for kind in wanted.kinds]
    places = [place for place in SETTING["places"] if not contains(haystack.digest, place)]
    if len(places) < max(COUNTS):
        raise InputError(f"{TASK}: the text names the places that the needles name", remedy="give another text")
    for number in range(wanted.documents):
        length, kind = cells[number % len(cells)]
        turn = number // len(cells)
        yield _document(haystack, count, length, kind, turn, places, settings)


def _document(
    haystack: Haystack, count: TokenCount, length: int, kind: str, turn: int, places: Sequence[str], settings: Settings
) -> dict[str, Any]:
    identifier = f"{length}/{kind}/{turn}"
    seed = rank(settings.seed, identifier) >> 1  # a signed number of 64 bits
    draw = Random(seed)
    family = draw.choice(SETTING["families"])
    asked = draw.choice(COUNTS) if kind == "count" else ASKED[kind]
    names = draw.sample(list(places), asked + DISTRACTORS.get(kind, 0) + (kind == "none"))
    values = [str(value) for value in draw.sample(VALUES, len(names))]
    # Of "none" the question is about the last name, which the text has not.
    sentences = [family["sentence"].format(place=name, value=value) for name, value in zip(names, values, strict=True)]
    told = sentences[: len(names) - (kind == "none")]
    document = {
        "id": identifier,
        "kind": kind,
        "length": f"{length // 1024}k" if length % 1024 == 0 else str(length),
        "question": _question(kind, family, names[-1:] if kind == "none" else names[:asked]),
        "answers": {"none": [], "count": [str(asked)]}.get(kind, values[:asked]),
        "distractors": [] if kind == "count" else values[asked : len(told)],
        "text": haystack.digest,
        "seed": seed,
    }
    frame = count(_frame(document, " ".join(told)))
    window = haystack.window(length - ANSWER_TOKENS - TEMPLATE_TOKENS - frame, draw)
    inside = haystack.inside(*window) if window else ()
    if window is None or len(inside) < 2 * len(told):
        what = f"{TASK}: too few sentences in a stretch of {length:,} tokens of the text"
        raise InputError(
            what, where=settings.data or settings.data_dir, remedy="greater lengths, or prose with full stops"
        )
    depths = _depths(kind, asked, len(told) - asked, turn, draw)
    needles = [
        {"sentence": sentence, "place": place, "asked": number < asked}
        for number, (sentence, place) in enumerate(zip(told, _put(inside, depths), strict=True))
    ]
    return {**document, "depth": _depth(kind, turn), "start": window[0], "end": window[1], "needles": needles}


def _question(kind: str, family: Mapping[str, str], names: Sequence[str]) -> str:
    if kind == "count":
        return family["count"]
    if kind == "several":
        of = [f"de {name}" for name in names]
        return family["several"].format(places=f"{', '.join(of[:-1])} et {of[-1]}")
    return family["one"].format(place=names[0])


def _depths(kind: str, asked: int, others: int, turn: int, draw: Random) -> list[float]:
    """Shares of the window: one fact's depth goes through the fifths in turn, several lie in a part of it each."""
    if kind == "one":
        first = [(turn % DEPTHS + draw.random()) / DEPTHS]
    else:
        parts = draw.sample(range(asked), asked)
        first = [(part + draw.random()) / asked for part in parts]
    return [*first, *(draw.random() for _ in range(others))]


def _depth(kind: str, turn: int) -> str:
    """The stratum."""
    fifth = 100 // DEPTHS
    at = turn % DEPTHS * fifth
    return f"{at}-{at + fifth}%" if kind == "one" else "absent" if kind == "none" else "spread"


def _put(inside: Sequence[int], depths: Sequence[float]) -> list[int]:
    """A place of its own for each: the one at its depth, or the next that is free."""
    first, width = inside[0], inside[-1] - inside[0]
    free, found = list(inside), []
    for depth in depths:
        wanted = first + depth * width
        after = bisect_left(free, wanted)
        beside = [at for at in (after - 1, after) if 0 <= at < len(free)]
        found.append(free.pop(min(beside, key=lambda at: abs(free[at] - wanted))))
    return found


def _frame(doc: Mapping[str, Any], text: str) -> str:
    form = {
        "several": "Réponds uniquement par les nombres, séparés par des points-virgules, sans phrase.",
    }.get(doc["kind"], "Réponds uniquement par le nombre, sans phrase.")
    return (
        "Lis le texte, puis réponds à la question qui le suit.\n\n"
        f"Texte :\n{text}\n\n"
        f"Question : {doc['question']} {form} Si le texte ne le dit pas, réponds seulement : aucun.\n\n"
        "Réponse :"
    )


def doc_to_text(doc: Mapping[str, Any]) -> str:
    return _frame(doc, render(doc["text"], doc["start"], doc["end"], doc["needles"]))


def doc_to_target(doc: Mapping[str, Any]) -> str:
    return " ; ".join(doc["answers"]) or "aucun"


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """recall: the share of the right numbers that the answer gives; of "none", whether it says so and gives none.

    exact_match: those numbers and no other one, in any order; of "none", the one word.
    """
    answer = results[0] or ""
    given, wanted = set(numbers_in(answer, "fr")), {Decimal(value) for value in doc["answers"]}
    if doc["kind"] == "none":
        invented = given & {Decimal(value) for value in doc["distractors"]}
        says = _NONE.search(answer.casefold()) is not None
        return {"recall": float(says and not invented), "exact_match": float(tokens(answer) in (["aucun"], ["aucune"]))}
    if doc["kind"] == "count":  # any text that counts up holds the right number somewhere
        given = set(numbers_in(answer, "fr")[-1:])
    return {"recall": len(given & wanted) / len(wanted), "exact_match": float(set(numbers_in(answer, "fr")) == wanted)}
