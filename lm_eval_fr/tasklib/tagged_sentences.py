"""WikiNER-fr-gold: sentences whose persons, places and organisations are tagged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lm_eval_fr.tasklib.documents import spread_over_labels
from lm_eval_fr.tasklib.records import Record

# The data set's own numbering (its labels.json): places before organisations. A public converter swaps them.
KINDS = ("PER", "LOC", "ORG", "MISC")
TAGS = ("O", *(f"{place}-{kind}" for kind in KINDS for place in "BIES"))
ASKED = frozenset(["PER", "LOC", "ORG"])  # MISC is works, events, languages...: no plain question covers it

_SPACELESS_BEFORE = re.compile(r"[,.)\]}…]+|\.{2,}|-\w.*")
_SPACELESS_AFTER = re.compile(r"[(\[{]|.*\w['’]", re.DOTALL)
_APOSTROPHES = ("'", "’")
_ELIDED = re.compile(r"(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quoiqu|aujourd)", re.IGNORECASE)


def read_row(record: Record) -> dict[str, Any]:
    tokens, tags = record.get("tokens"), record.get("ner_tags")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) and token for token in tokens):
        raise record.error('"tokens" must be a list of words')
    if not isinstance(tags, list) or len(tags) != len(tokens):
        raise record.error('"ner_tags" must be a list with one tag per token')
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
    """(kind, first token, last token) of each entity. A tag that does not continue the last one starts a new entity."""
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
    """The sentence in written French, with elisions joined and "(a, b)." closed up, and each token's position."""
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


def choose_sentences(
    rows: Iterable[tuple[Sequence[str], Sequence[int]]],
    *,
    count: int,
    without: float,
    seed: int,
    least: int = 1,
) -> list[dict[str, Any]]:
    """A seeded choice of the distinct sentences, in an order that spreads those without a name among the others.

    rows: tokens and tags. without: the share of sentences without a name. least: how many names the others have at
    least.
    """
    distinct: dict[tuple[str, ...], tuple[int, Sequence[int]]] = {}
    for index, (tokens, tags) in enumerate(rows):
        distinct.setdefault(tuple(tokens), (index, tags))
    documents = [sentence(index, tokens, tags) for tokens, (index, tags) in distinct.items()]
    order = spread_over_labels([doc["id"] for doc in documents], ["all"] * len(documents), seed)
    named = [documents[i] for i in order if len(documents[i]["entities"]) >= least]
    empty = [documents[i] for i in order if not documents[i]["entities"]][: round(count * without)]
    chosen = [*named[: count - len(empty)], *empty]
    order = spread_over_labels([doc["id"] for doc in chosen], [str(bool(doc["entities"])) for doc in chosen], seed)
    return [chosen[i] for i in order]
