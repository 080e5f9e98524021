"""One task's documents split over machines with --samples: which runs of picked documents complete each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.results import Results
from lm_eval_fr.logs.samples import parse_line


def shards_of(task: str, found: Sequence[Results], notes: list[str]) -> list[Results]:
    """The runs of picked documents that complete each other, newest first.

    A run whose documents newer runs have answered again is superseded; one that overlaps partly is refused.
    """
    used = [found[0]]
    taken = _documents(found[0].samples(task))
    for results in found[1:]:
        path = results.samples(task)
        if not path.is_file() or not results.partial(task):
            continue
        documents = _documents(path)
        both = taken.keys() & documents.keys()
        if both and len(both) < len(documents):
            twice = min(both, key=lambda key: documents[key])
            where = f"{taken[twice][0].name}:{taken[twice][1]}"
            raise InputError(
                f"document {twice[1]} ({twice[0][:12]}) of {task} is also in {where}: two shards share documents",
                where=path,
                line=documents[twice][1],
                remedy="keep one answer per document, or name one results file",
            )
        if not both:
            _same_work(task, used[0], results)
            used.append(results)
            taken |= documents
    if len(used) > 1:
        notes.append(f"{task}: {len(used)} shards put together, {len(taken)} documents")
    original = found[0].evaluated(task)[1]
    if original and len(taken) < original:
        notes.append(f"{task}: {len(taken)} of the {original} documents were run (--samples)")
    return used


def _same_work(task: str, one: Results, other: Results) -> None:
    for what in ("generation_kwargs", "metadata", "description", "num_fewshot", "doc_to_text", "filter_list"):
        values = [results.of_task("configs", task).get(what) for results in (one, other)]
        if what == "metadata":
            values = [(value or {}).get("version") for value in values]
        if values[0] != values[1]:
            raise InputError(
                f"shards of {task} are not the same work: {what} is {values[1]!r}, {values[0]!r} in {one.path.name}",
                where=other.path,
                remedy="run the shards with one setting, or name one results file",
            )


class _Named(msgspec.Struct):
    doc_hash: str
    doc_id: int


def _documents(path: Path) -> dict[tuple[str, int], tuple[Path, int]]:
    """(doc_hash, doc_id) -> where the document is. A task may hold one text twice, under two ids."""
    found, decoder = {}, msgspec.json.Decoder(_Named)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = decoder.decode(line)
                key = row.doc_hash, row.doc_id
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                slow = parse_line(line, path, number)
                key = slow["doc_hash"], slow["doc_id"]
            found[key] = (path, number)
    return found
