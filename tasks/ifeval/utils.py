"""ifeval_fr: requests with one to three instructions whose keeping can be verified, M-IFEval French."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from lm_eval_fr.tasklib.documents import SEED, Settings, as_dataset, read_records, require_unique, spread_over_labels
from lm_eval_fr.tasklib.instructions import check, definition_fault, family, given_arguments
from lm_eval_fr.tasklib.records import Record

if TYPE_CHECKING:
    import datasets

TASK = "ifeval_fr"
PUBLISHED = ("fr_input_data.jsonl", "m_ifeval_fr/m_ifeval_fr.jsonl")


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    records = read_records(settings, also=PUBLISHED)
    documents = [read_document(record) for record in records]
    require_unique(records, [str(document["key"]) for document in documents])
    return {"train": process_docs(as_dataset(settings, documents), settings.seed)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED) -> datasets.Dataset:
    """Every prefix has about the whole's share of each family of instructions."""
    families = [family(kinds[0]) for kinds in dataset["instruction_id_list"]]
    dataset = dataset.add_column("family", families)
    return dataset.select(spread_over_labels([str(key) for key in dataset["key"]], families, seed))


def read_document(record: Record) -> dict[str, Any]:
    kinds, arguments = record.get("instruction_id_list"), record.get("kwargs")
    if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise record.error('"instruction_id_list" must be a list of kinds of instructions')
    if not isinstance(arguments, list) or len(arguments) != len(kinds):
        raise record.error('"kwargs" must be a list with one object an instruction')
    if not all(isinstance(entry, dict) for entry in arguments):
        raise record.error('"kwargs" must be a list of objects')
    for kind, entry in zip(kinds, arguments, strict=True):
        if fault := definition_fault(kind, entry):
            raise record.error(fault, "the kinds and their arguments are those of M-IFEval French")
    key = record.identifier("key")
    if not key.isdecimal():
        raise record.error(f'key "{key}" is not a number')
    return {
        "key": int(key),
        "prompt": record.text("prompt"),
        "instruction_id_list": kinds,
        "kwargs": [given_arguments(entry) for entry in arguments],
    }


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """Three published prompts end in white space."""
    return str(doc["prompt"]).strip()


def doc_to_target(doc: Mapping[str, Any]) -> str:
    """What must be kept; there is no reference answer."""
    return ", ".join(doc["instruction_id_list"])


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float | list[bool]]:
    """The prompt's two verdicts, and under inst_* one verdict an instruction, in the prompt's order."""
    instructions = zip(doc["instruction_id_list"], doc["kwargs"], strict=True)
    kept = [check(kind, arguments, results[0] or "") for kind, arguments in instructions]
    strict, loose = [one.strict for one in kept], [one.loose for one in kept]
    return {
        "prompt_strict": float(all(strict)),
        "inst_strict": strict,
        "prompt_loose": float(all(loose)),
        "inst_loose": loose,
    }


def instruction_level(verdicts: Sequence[Sequence[bool]]) -> float:
    """The share of all instructions that were kept, whichever prompt they are of."""
    every = list(chain.from_iterable(verdicts))
    return sum(every) / len(every)
