"""piaf_fr: questions on French Wikipedia paragraphs, each answered by a span of the paragraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import read_json
from lm_eval_fr.tasklib.documents import (
    SEED,
    Settings,
    as_dataset,
    local_file,
    read_records,
    require_unique,
    spread_over_clusters,
)
from lm_eval_fr.tasklib.metrics import span_scores
from lm_eval_fr.tasklib.records import Record
from lm_eval_fr.tasklib.shots import with_shots
from lm_eval_fr.tasklib.votes import span_vote_scores

if TYPE_CHECKING:
    import datasets

TASK = "piaf_fr"
PUBLISHED = ("piaf-v1.0.json", "piaf/piaf-v1.0.json", "piaf_fr/piaf-v1.0.json")


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    path = local_file(settings, also=PUBLISHED)
    squad = path is not None and path.suffix == ".json"
    records = list(read_squad(path)) if squad else read_records(settings, also=PUBLISHED)
    documents = [read_document(record) for record in records]
    require_unique(records, [document["id"] for document in documents])
    return {"train": process_docs(as_dataset(settings, documents), settings.seed)}


def load_shots(**given: Any) -> dict[str, datasets.Dataset]:
    """The same documents, each with two solved questions on other articles."""
    docs, seed = load(**given)["train"], Settings.read(TASK, given).seed
    examples = [{"context": d["context"], "question": d["question"], "answer": doc_to_target(d)} for d in docs]
    return {"train": with_shots(docs, examples, docs["id"][:], docs["title"][:], seed)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED) -> datasets.Dataset:
    """The first N documents come from as many articles as possible."""
    return dataset.select(spread_over_clusters(dataset["id"][:], dataset["title"][:], seed))


def read_squad(path: Path) -> Iterator[Record]:
    """The questions of a SQuAD-shaped file, in the hub's flat form."""
    content = read_json(path)
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    values = {"title": article["title"], "context": paragraph["context"], **question}
                    yield Record(values, f"{path}, question {question.get('id')}", task=TASK)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{TASK}: not SQuAD-shaped: {type(error).__name__}: {error}"
        raise InputError(what, where=path, remedy="data[].paragraphs[].qas[] is the shape of PIAF's file") from error


def read_document(record: Record) -> dict[str, Any]:
    answers = record.get("answers")
    if isinstance(answers, Mapping):
        texts, starts = answers.get("text"), answers.get("answer_start")
    elif isinstance(answers, Sequence) and all(isinstance(answer, Mapping) for answer in answers):
        texts = [answer.get("text") for answer in answers]
        starts = [answer.get("answer_start") for answer in answers]
    else:
        texts, starts = None, None
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise record.error("no gold answer", 'answers must be like {"text": ["..."], "answer_start": [0]}')
    return {
        "id": record.identifier("id"),
        "title": record.text("title"),
        "context": record.text("context"),
        "question": record.text("question"),
        "answers": {"text": texts, "answer_start": starts},
    }


def golds(doc: Mapping[str, Any]) -> list[str]:
    """46 published answers have white space at an edge."""
    return [text.strip() for text in doc["answers"]["text"]]


def doc_to_target(doc: Mapping[str, Any]) -> str:
    return golds(doc)[0]


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return span_scores(results[0] or "", golds(doc))


def process_votes(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    return span_vote_scores(results, golds(doc))
