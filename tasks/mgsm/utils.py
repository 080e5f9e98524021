"""mgsm_cot_fr, mgsm_cot_en: grade-school problems, the same ones in both languages, solved step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.tasklib.documents import (
    SEED,
    Settings,
    as_dataset,
    from_hub,
    local_file,
    require_unique,
    spread_over_labels,
)
from lm_eval_fr.tasklib.numbers import Language, last_number
from lm_eval_fr.tasklib.records import Record, read_file, read_text

if TYPE_CHECKING:
    import datasets


def load_fr(**given: Any) -> dict[str, datasets.Dataset]:
    return _load("fr", given)


def load_en(**given: Any) -> dict[str, datasets.Dataset]:
    return _load("en", given)


def _load(language: Language, given: Mapping[str, Any]) -> dict[str, datasets.Dataset]:
    settings = Settings.read(f"mgsm_cot_{language}", given)
    also = (f"{settings.task}.tsv", f"mgsm_{language}.tsv", f"mgsm/mgsm_{language}.tsv")
    path = local_file(settings, also=also)
    if path is None:
        records = from_hub(settings)
    else:
        records = list(read_table(path, settings.task) if path.suffix == ".tsv" else read_file(path, settings.task))
    documents = [read_document(record, number) for number, record in enumerate(records, 1)]
    require_unique(records, [document["id"] for document in documents])
    return {"test": process_docs(as_dataset(settings, documents), settings.seed)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED) -> datasets.Dataset:
    """A shuffle that depends on the ids alone: the first N problems are the same ones in both languages."""
    return dataset.select(spread_over_labels(dataset["id"][:], ["all"] * len(dataset), seed))


def read_table(path: Path, task: str) -> Iterator[Record]:
    """The publisher's table: a problem and its number a line, no header, no quoting."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        record = Record({}, str(path), number, task)
        if len(cells) != 2:
            raise record.error(f"{len(cells)} columns instead of a problem and its number", "is the file complete?")
        yield Record({"question": cells[0], "answer_number": cells[1]}, str(path), number, task)


def read_document(record: Record, number: int) -> dict[str, str]:
    """id: the row's own, else its number, which is the same problem's in the other language."""
    given = record.get("answer_number")
    answer = last_number(str(given), "en")
    if isinstance(given, bool) or answer is None:
        raise record.error(f'"answer_number" must be a number, not {given!r}')
    identifier = record.identifier("id") if "id" in record.values else str(number)
    return {"id": identifier, "question": record.text("question").strip(), "answer": f"{answer.normalize():f}"}


def process_fr(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return _scores(doc, results[0] or "", "fr")


def process_en(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return _scores(doc, results[0] or "", "en")


def _scores(doc: Mapping[str, Any], answer: str, language: Language) -> dict[str, float]:
    number = last_number(answer, language)
    return {"exact_match": float(number == Decimal(doc["answer"])), "has_number": float(number is not None)}
