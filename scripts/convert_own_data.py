"""Splits one file of mixed documents into the files that the own_*_fr tasks read.

    python scripts/convert_own_data.py FILE.jsonl --out DIR

FILE is the format of llm-quant-ab: one JSON object per line with `id`, `type`, `system`, `input`, `gold`; lines that
start with # are left out. `type` is qa, classification, extraction or judge (also called analysis, and the
default). DIR gets own_qa_fr.jsonl, own_classification_fr.jsonl, own_extraction_fr.jsonl, own_analysis_fr.jsonl, those
that have documents, and is then a `--metadata data_dir=DIR`. The fields `cluster` and `labels` are copied too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.script import run_script, script_parser
from lm_eval_fr.tasklib.metrics import parse_json_array
from lm_eval_fr.tasklib.records import Record, json_lines

TASKS = {
    "qa": "own_qa_fr",
    "classification": "own_classification_fr",
    "extraction": "own_extraction_fr",
    "judge": "own_analysis_fr",
    "analysis": "own_analysis_fr",
}


def convert(record: Record) -> tuple[str, dict[str, Any]]:
    """(task, document). Raises InputError with the line."""
    kind = record.values.get("type", "judge")
    if kind not in TASKS:
        raise record.error(f'unknown type "{kind}"', f"the types are: {', '.join(TASKS)}")
    identifier = record.identifier("id") if "id" in record.values else f"ex{record.line}"
    document: dict[str, Any] = {"id": identifier}
    if record.values.get("system"):
        document["system"] = record.text("system")
    document["input"] = record.text("input")
    if TASKS[kind] != "own_analysis_fr":
        document["gold"] = _gold(kind, record)
    document |= {field: record.values[field] for field in ("cluster", "labels") if field in record.values}
    return TASKS[kind], document


def _gold(kind: str, record: Record) -> Any:
    gold = record.get("gold")
    if gold is None:
        raise record.error('"gold" is missing', f"a document of type {kind} needs one")
    if kind == "extraction" and isinstance(gold, str):
        items = parse_json_array(gold)
        return items if items is not None else [part.strip() for part in re.split(r"[\n,;]+", gold) if part.strip()]
    return gold


def split(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The documents of each task, in the file's order."""
    found: dict[str, list[dict[str, Any]]] = {}
    places: dict[tuple[str, str], int | None] = {}
    for record in json_lines(path, comment="#"):
        task, document = convert(record)
        key = (task, document["id"])
        if key in places:
            raise record.error(
                f'id "{key[1]}" was used before, at line {places[key]}', "give every document its own id"
            )
        places[key] = record.line
        found.setdefault(task, []).append(document)
    if not found:
        raise InputError("it holds no documents", where=path)
    return found


def write(found: Mapping[str, list[dict[str, Any]]], out: Path) -> None:
    for task in found:
        if (out / f"{task}.jsonl").exists():
            raise UsageError("exists already", where=out / f"{task}.jsonl", remedy="give another --out")
    out.mkdir(parents=True, exist_ok=True)
    for task, documents in found.items():
        lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
        (out / f"{task}.jsonl").write_text(lines, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")

    def work() -> None:
        given = parser.parse_args(argv)
        found = split(given.file)
        write(found, given.out)
        for task, documents in found.items():
            print(f"{given.out / task}.jsonl: {len(documents)} documents")
        print(f"lm-eval-fr run --tasks {','.join(found)} --data-dir {given.out} ...")

    return run_script("convert_own_data", work)


if __name__ == "__main__":
    sys.exit(main())
