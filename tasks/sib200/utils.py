"""sib200_fr: the topic of a sentence, one of seven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval_fr.tasklib.documents import SEED, Settings, as_dataset, read_records, require_unique, spread_over_labels
from lm_eval_fr.tasklib.metrics import label_scores
from lm_eval_fr.tasklib.records import Record
from lm_eval_fr.tasklib.shots import with_shots
from lm_eval_fr.tasklib.votes import label_vote_scores

if TYPE_CHECKING:
    import datasets

TASK = "sib200_fr"
PUBLISHED = ("sib200_fr.tsv", "fra_Latn/train.tsv", "sib200/fra_Latn/train.tsv")
LABELS = {
    "science/technology": "sciences et techniques",
    "travel": "voyages et tourisme",
    "politics": "politique, institutions, conflits",
    "sports": "sport",
    "health": "santé et médecine",
    "entertainment": "divertissement, spectacles, médias",
    "geography": "géographie",
}
LISTED = "\n".join(f"- {label} : {meaning}" for label, meaning in LABELS.items())


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    records = read_records(settings, also=PUBLISHED)
    documents = [read_document(record) for record in records]
    require_unique(records, [str(document["index_id"]) for document in documents])
    return {"train": process_docs(as_dataset(settings, documents), settings.seed)}


def load_shots(**given: Any) -> dict[str, datasets.Dataset]:
    """The same documents, each with two solved ones."""
    docs, seed = load(**given)["train"], Settings.read(TASK, given).seed
    examples = [{"text": doc["text"], "answer": doc["category"]} for doc in docs]
    keys = [str(doc["index_id"]) for doc in docs]
    return {"train": with_shots(docs, examples, keys, keys, seed)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED) -> datasets.Dataset:
    """Every prefix has about the whole's share of each topic."""
    keys = [str(index) for index in dataset["index_id"]]
    return dataset.select(spread_over_labels(keys, dataset["category"][:], seed))


def read_document(record: Record) -> dict[str, Any]:
    category, index = record.text("category"), record.identifier("index_id")
    if category not in LABELS:
        raise record.error(f'unknown topic "{category}"', f"the topics are: {', '.join(LABELS)}")
    if not index.isdecimal():
        raise record.error(f'index_id "{index}" is not a number')
    return {"index_id": int(index), "category": category, "text": record.text("text")}


def doc_to_text(doc: Mapping[str, Any]) -> str:
    return (
        "Indique le thème principal du texte. Choisis un seul des thèmes suivants :\n"
        f"{LISTED}\n\n"
        f"Texte : {doc['text'].strip()}\n\n"
        "Réponds par le seul nom du thème, tel qu'il est écrit avant les deux-points.\n\n"
        "Thème :"
    )


def doc_to_text_with_shots(doc: Mapping[str, Any]) -> str:
    solved = [f"Texte : {shot['text'].strip()}\nThème : {shot['answer']}\n\n" for shot in doc["shots"]]
    return (
        "Chaque texte a un thème principal, un seul parmi les suivants :\n"
        f"{LISTED}\n\n"
        f"{''.join(solved)}"
        f"Texte : {doc['text'].strip()}\nThème :"
    )


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return label_scores(results[0] or "", doc["category"], LABELS)


def process_votes(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    return label_vote_scores(results, doc["category"], LABELS)
