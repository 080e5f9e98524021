"""own_*_fr: the user's own documents, `id, system?, input, gold?, cluster?, labels?`, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import datasets

from lm_eval_fr.tasklib.documents import (
    Settings,
    as_dataset,
    read_records,
    require_unique,
    spread_over_clusters,
    spread_over_labels,
)
from lm_eval_fr.tasklib.metrics import label_scores, list_scores, match_label, parse_json_array, span_scores
from lm_eval_fr.tasklib.records import Record

Gold = Callable[[Record], list[str]]


def load_qa(**given: Any) -> dict[str, datasets.Dataset]:
    return _load("own_qa_fr", given, read_answers)


def load_classification(**given: Any) -> dict[str, datasets.Dataset]:
    return _load("own_classification_fr", given, read_label)


def load_extraction(**given: Any) -> dict[str, datasets.Dataset]:
    return _load("own_extraction_fr", given, read_items)


def load_analysis(**given: Any) -> dict[str, datasets.Dataset]:
    return _load("own_analysis_fr", given, lambda record: [])


def _load(task: str, given: Mapping[str, Any], gold: Gold) -> dict[str, datasets.Dataset]:
    settings = Settings.read(task, given)
    records = read_records(settings)
    documents = [read_document(record, gold) for record in records]
    keys = [document["id"] for document in documents]
    require_unique(records, keys)
    if task == "own_classification_fr":
        complete_labels(records, documents)
    clusters = [document["cluster"] for document in documents]
    if task == "own_classification_fr" and clusters == keys:
        order = spread_over_labels(keys, [document["gold"][0] for document in documents], settings.seed)
    else:
        order = spread_over_clusters(keys, clusters, settings.seed)
    return {"test": as_dataset(settings, [documents[i] for i in order])}


def read_document(record: Record, gold: Gold) -> dict[str, Any]:
    identifier = record.identifier("id")
    system, cluster = record.values.get("system"), record.values.get("cluster")
    if not isinstance(system, str | None):
        raise record.error('"system" must be text')
    return {
        "id": identifier,
        "system": (system or "").strip(),
        "input": record.text("input").strip(),
        "gold": gold(record),
        "labels": read_strings(record, "labels") if record.values.get("labels") is not None else [],
        # A document without a cluster is its own: documents of one source are not independent evidence.
        "cluster": identifier if cluster in (None, "") else str(cluster),
    }


def read_strings(record: Record, field: str) -> list[str]:
    """A list of texts or numbers."""
    value = record.get(field)
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise record.error(f'"{field}" must be a list of texts')
    return [str(item) for item in value]


def read_answers(record: Record) -> list[str]:
    """One text or number, or a list of equally right ones; "" where saying nothing is right."""
    value = record.get("gold")
    answers = [value] if not isinstance(value, list) else value
    if not answers or not all(isinstance(answer, str | int | float) for answer in answers):
        raise record.error('"gold" must be the right answer, or a list of right answers', "correct that line")
    return [str(answer) for answer in answers]


def read_label(record: Record) -> list[str]:
    return [record.identifier("gold")]


def read_items(record: Record) -> list[str]:
    """A list of texts, or the text of a JSON array."""
    value = record.get("gold")
    if not isinstance(value, str):
        return read_strings(record, "gold")
    items = parse_json_array(value)
    if items is None:
        raise record.error('"gold" must be a list of texts', '["Jean Moulin", "Lyon"], or [] for none')
    return items


def complete_labels(records: Sequence[Record], documents: Sequence[dict[str, Any]]) -> None:
    """Where a document lists no labels, its labels are all the golds of the file."""
    everything = sorted({document["gold"][0] for document in documents})
    for record, document in zip(records, documents, strict=True):
        document["labels"] = document["labels"] or everything
        if match_label(document["gold"][0], document["labels"]) is None:
            raise record.error(f'gold "{document["gold"][0]}" is not one of its labels')


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """The system text goes in front of the input, so that every kind of arm is asked the same: see README.md."""
    return f"{doc['system']}\n\n{doc['input']}" if doc["system"] else doc["input"]


def answer_target(doc: Mapping[str, Any]) -> str:
    return doc["gold"][0]


def items_target(doc: Mapping[str, Any]) -> str:
    return json.dumps(doc["gold"], ensure_ascii=False)


def score_qa(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return span_scores(results[0] or "", doc["gold"])


def score_classification(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return label_scores(results[0] or "", doc["gold"][0], doc["labels"])


def score_extraction(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return list_scores(results[0] or "", doc["gold"])


def score_analysis(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Nothing to score: the judge reads the logged answers."""
    return {}
