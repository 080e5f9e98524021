"""wikiner_fr: the persons, places and organisations that a sentence of French Wikipedia names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import datasets

from lm_eval_fr.tasklib.documents import SEED, Settings, as_dataset, read_records, spread_over_labels
from lm_eval_fr.tasklib.metrics import list_scores
from lm_eval_fr.tasklib.records import Record
from lm_eval_fr.tasklib.shots import with_shots
from lm_eval_fr.tasklib.votes import item_vote_scores

TASK = "wikiner_fr"
# The data set's own numbering (its labels.json): places before organisations. A public converter swaps them.
KINDS = ("PER", "LOC", "ORG", "MISC")
TAGS = ("O", *(f"{place}-{kind}" for kind in KINDS for place in "BIES"))
ASKED = frozenset(["PER", "LOC", "ORG"])  # MISC holds works, events, languages...: no question one can ask plainly
SENTENCES = 1000
WITHOUT_ENTITY = 0.15  # share of the sentences in which the right answer is []

_SPACELESS_BEFORE = re.compile(r"[,.)\]}…]+|\.{2,}|-\w.*")
_SPACELESS_AFTER = re.compile(r"[(\[{]|.*\w['’]", re.DOTALL)
_APOSTROPHES = ("'", "’")
_ELIDED = re.compile(r"(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quoiqu|aujourd)", re.IGNORECASE)


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    rows = [read_row(record) for record in read_records(settings)]
    sentences = settings.limit("sentences", SENTENCES)
    return {"train": process_docs(as_dataset(settings, rows), settings.seed, sentences)}


def load_shots(**given: Any) -> dict[str, datasets.Dataset]:
    """The same sentences, each with two solved ones."""
    docs, seed = load(**given)["train"], Settings.read(TASK, given).seed
    examples = [{"text": doc["text"], "answer": doc_to_target(doc)} for doc in docs]
    return {"train": with_shots(docs, examples, docs["id"][:], docs["id"][:], seed)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED, sentences: int = SENTENCES) -> datasets.Dataset:
    """A seeded choice of sentences, the few without a name spread evenly among the others."""
    rows: dict[tuple[str, ...], tuple[int, Sequence[int]]] = {}
    for index, (tokens, tags) in enumerate(zip(dataset["tokens"], dataset["ner_tags"], strict=True)):
        rows.setdefault(tuple(tokens), (index, tags))
    documents = [sentence(index, tokens, tags) for tokens, (index, tags) in rows.items()]
    order = spread_over_labels([doc["id"] for doc in documents], ["all"] * len(documents), seed)
    named = [documents[i] for i in order if documents[i]["entities"]]
    empty = [documents[i] for i in order if not documents[i]["entities"]][: round(sentences * WITHOUT_ENTITY)]
    chosen = [*named[: sentences - len(empty)], *empty]
    order = spread_over_labels([doc["id"] for doc in chosen], [str(bool(doc["entities"])) for doc in chosen], seed)
    return datasets.Dataset.from_list([chosen[i] for i in order])


def read_row(record: Record) -> dict[str, Any]:
    tokens, tags = record.get("tokens"), record.get("ner_tags")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) and token for token in tokens):
        raise record.error('"tokens" must be a list of words')
    if not isinstance(tags, list) or len(tags) != len(tokens):
        raise record.error('"ner_tags" must be a list with one tag a token')
    if not all(isinstance(tag, int) and 0 <= tag < len(TAGS) for tag in tags):
        raise record.error(f'"ner_tags" must be numbers from 0 to {len(TAGS) - 1}', f"in the order {', '.join(TAGS)}")
    return {"tokens": tokens, "ner_tags": tags}


def sentence(index: int, tokens: Sequence[str], tags: Sequence[int]) -> dict[str, Any]:
    """id, text, and the distinct names in it with their kinds, in order of appearance."""
    text, places = join_tokens(tokens)
    kinds: dict[str, str] = {}
    for kind, first, last in spans(tags):
        if kind in ASKED:
            kinds.setdefault(text[places[first][0] : places[last][1]], kind)
    return {"id": str(index), "text": text, "entities": list(kinds), "kinds": list(kinds.values())}


def spans(tags: Iterable[int]) -> list[tuple[str, int, int]]:
    """(kind, first token, last token) of each entity. A tag that does not follow from the last one starts anew."""
    found: list[tuple[str, int, int]] = []
    open_kind = ""
    for position, tag in enumerate(tags):
        place, _, kind = TAGS[tag].partition("-")
        if place in ("I", "E") and kind == open_kind:
            found[-1] = (kind, found[-1][1], position)
        elif kind:
            found.append((kind, position, position))
        open_kind = kind if place in ("B", "I") else ""
    return found


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The sentence as French is written, elisions joined and "(a, b)." closed up, and where in it each token stands."""
    text = ""
    places: list[tuple[int, int]] = []
    for position, token in enumerate(tokens):
        before = tokens[position - 1] if position else ""
        two_before = tokens[position - 2] if position > 1 else ""
        joined = (
            not text
            or _SPACELESS_BEFORE.fullmatch(token)
            or _SPACELESS_AFTER.fullmatch(before)
            or (token in _APOSTROPHES and _ELIDED.fullmatch(before))
            or (before in _APOSTROPHES and _ELIDED.fullmatch(two_before))
        )
        text += token if joined else f" {token}"
        places.append((len(text) - len(token), len(text)))
    return text, places


def doc_to_target(doc: Mapping[str, Any]) -> str:
    return json.dumps(doc["entities"], ensure_ascii=False)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return list_scores(results[0] or "", doc["entities"])


def process_votes(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    return item_vote_scores(results, doc["entities"])
