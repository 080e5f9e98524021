"""wikiner_fr: the persons, places and organisations that a sentence of French Wikipedia names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from lm_eval_fr.tasklib.documents import SEED, Settings, as_dataset, read_records
from lm_eval_fr.tasklib.metrics import list_scores
from lm_eval_fr.tasklib.shots import with_shots
from lm_eval_fr.tasklib.tagged_sentences import choose_sentences, read_row
from lm_eval_fr.tasklib.votes import item_vote_scores

TASK = "wikiner_fr"
SENTENCES = 1000
WITHOUT_ENTITY = 0.15  # share of the sentences in which the right answer is []


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
    rows = zip(dataset["tokens"], dataset["ner_tags"], strict=True)
    return datasets.Dataset.from_list(choose_sentences(rows, count=sentences, without=WITHOUT_ENTITY, seed=seed))


def doc_to_target(doc: Mapping[str, Any]) -> str:
    return json.dumps(doc["entities"], ensure_ascii=False)


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return list_scores(results[0] or "", doc["entities"])


def process_votes(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    return item_vote_scores(results, doc["entities"])
