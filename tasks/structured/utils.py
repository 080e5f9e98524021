"""structured_fr: the typed entities of a sentence as one JSON object under a nested schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from lm_eval_fr.tasklib.documents import SEED, Settings, as_dataset, read_records
from lm_eval_fr.tasklib.json_objects import find_object, is_valid
from lm_eval_fr.tasklib.metrics import open_key, read_both
from lm_eval_fr.tasklib.tagged_sentences import choose_sentences, read_row

TASK = "structured_fr"
SENTENCES = 500
WITHOUT_ENTITY = 0.1
LEAST_ENTITIES = 2  # of the other sentences: an object with one entry shows little of a structure
TYPES = {"PER": "personne", "LOC": "lieu", "ORG": "organisation"}
SCHEMA = {
    "type": "object",
    "properties": {
        "entites": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"nom": {"type": "string"}, "type": {"type": "string", "enum": list(TYPES.values())}},
                "required": ["nom", "type"],
                "additionalProperties": False,
            },
        },
        "comptes": {
            "type": "object",
            "properties": {type_: {"type": "integer"} for type_ in TYPES.values()},
            "required": list(TYPES.values()),
            "additionalProperties": False,
        },
    },
    "required": ["entites", "comptes"],
    "additionalProperties": False,
}
Fact = tuple[str, ...]


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    rows = [read_row(record) for record in read_records(settings, also=("wikiner_fr.jsonl", "wikiner_fr.parquet"))]
    sentences = settings.limit("sentences", SENTENCES)
    return {"train": process_docs(as_dataset(settings, rows), settings.seed, sentences)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED, sentences: int = SENTENCES) -> datasets.Dataset:
    rows = zip(dataset["tokens"], dataset["ner_tags"], strict=True)
    chosen = choose_sentences(rows, count=sentences, without=WITHOUT_ENTITY, seed=seed, least=LEAST_ENTITIES)
    return datasets.Dataset.from_list([{**doc, "size": _size(len(doc["entities"]))} for doc in chosen])


def _size(entities: int) -> str:
    """The stratum."""
    return "4+" if entities > 3 else "2-3" if entities else "none"


def doc_to_text(doc: Mapping[str, Any]) -> str:
    return (
        "Relève les personnes, les lieux et les organisations que nomme la phrase. Réponds uniquement par un objet "
        "JSON conforme au schéma, sans aucun texte autour. « entites » donne chaque nom une seule fois, recopié tel "
        "quel, avec son type ; « comptes » donne le nombre de noms de chaque type.\n\n"
        f"Schéma :\n{json.dumps(SCHEMA, ensure_ascii=False)}\n\n"
        f"Phrase : {doc['text']}\n\n"
        "Objet JSON :"
    )


def right_object(doc: Mapping[str, Any]) -> dict[str, Any]:
    types = [TYPES[kind] for kind in doc["kinds"]]
    named = [{"nom": name, "type": type_} for name, type_ in zip(doc["entities"], types, strict=True)]
    return {"entites": named, "comptes": {type_: types.count(type_) for type_ in TYPES.values()}}


def doc_to_target(doc: Mapping[str, Any]) -> str:
    return json.dumps(right_object(doc), ensure_ascii=False)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """field_f1: of what an object in the answer says. valid_schema: the answer is that object and keeps the schema."""
    answer = results[0] or ""
    found = find_object(answer)
    score = 0.0 if found is None else field_f1(found, right_object(doc))
    return {"field_f1": score, "valid_schema": float(is_valid(answer, SCHEMA))}


def field_f1(given: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """F1 over the fields that say something: each name, each name's type, each count that is not 0."""
    said, wanted = _entries(given), _entries(right)
    names = read_both([name for name, _ in said], [name for name, _ in wanted])
    facts = [
        _counts(content) | {fact for name, (_, type_) in zip(read, entries, strict=True) for fact in _of(name, type_)}
        for content, entries, read in zip((given, right), (said, wanted), names, strict=True)
    ]
    if not facts[0] and not facts[1]:
        return float("entites" in given)
    return 2 * len(facts[0] & facts[1]) / (len(facts[0]) + len(facts[1]))


def _entries(content: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Names, for `read_both`, and their types. What is no entry is kept as a name that nothing has."""
    found: list[tuple[str, str | None]] = []
    entries = content.get("entites")
    for entry in entries if isinstance(entries, list) else ():
        name = entry.get("nom") if isinstance(entry, Mapping) else None
        if isinstance(name, str):
            found.append((open_key(name) or name.strip(), str(entry.get("type"))))
        else:
            found.append((json.dumps(entry, sort_keys=True), None))
    return found


def _of(name: str, type_: str | None) -> set[Fact]:
    return {("nom", name)} | (set() if type_ is None else {("type", name, type_)})


def _counts(content: Mapping[str, Any]) -> set[Fact]:
    counts = content.get("comptes")
    given = counts.items() if isinstance(counts, Mapping) else ()
    return {("compte", type_, f"{n:g}" if isinstance(n, float) else json.dumps(n)) for type_, n in given if n != 0}
