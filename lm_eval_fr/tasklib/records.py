"""Rows of a user's data file, each with its place, so that errors can name file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import parse_json, read_json, read_text

AMEND = "fill it in, or remove that document"


@dataclass(frozen=True, slots=True)
class Record:
    """One row and where it was read, so that errors can name its place."""

    values: Mapping[str, Any]
    where: str
    line: int | None = None
    task: str = ""

    def error(self, what: str, remedy: str = "") -> InputError:
        what = f"{self.task}: {what}" if self.task else what
        return InputError(what, where=self.where, line=self.line, remedy=remedy)

    def get(self, field: str) -> Any:
        if field not in self.values:
            have = ", ".join(map(str, self.values)) or "none"
            raise self.error(f'no field "{field}"', f"rename or add it; the fields here are: {have}")
        return self.values[field]

    def text(self, field: str) -> str:
        """A field that must contain text."""
        value = self.get(field)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f'field "{field}" must be non-empty text, not {shown(value)}', AMEND)
        return value

    def identifier(self, field: str) -> str:
        value = self.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(field).strip()


def shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"


def read_file(path: Path, task: str = "") -> Iterator[Record]:
    """The rows of a .jsonl, .json (a list of objects), .parquet or .tsv file. task: for error messages."""
    readers = {".jsonl": json_lines, ".json": _json_list, ".parquet": _parquet, ".tsv": _tab_separated}
    if path.suffix not in readers:
        raise InputError(f"unknown kind of data file: {path.suffix or 'no suffix'}", where=path, remedy="use .jsonl")
    return readers[path.suffix](path, task)


def json_lines(path: Path, task: str = "", *, comment: str = "") -> Iterator[Record]:
    """comment: what starts a line to ignore."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip() or (comment and line.lstrip().startswith(comment)):
            continue
        remedy = "one JSON object per line; is the file complete?"
        values = parse_json(line, where=path, line=number, remedy=remedy)
        if not isinstance(values, dict):
            raise InputError("not a JSON object", where=path, line=number, remedy="one JSON object per line")
        yield Record(values, str(path), number, task)


def _json_list(path: Path, task: str) -> Iterator[Record]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise InputError("not a list of JSON objects", where=path, remedy="[{...}, {...}], or .jsonl")
    for number, values in enumerate(rows, 1):
        if not isinstance(values, dict):
            raise InputError(f"entry {number} is not a JSON object", where=path, remedy="[{...}, {...}], or .jsonl")
        yield Record(values, f"{path}, entry {number}", task=task)


def _parquet(path: Path, task: str) -> Iterator[Record]:
    import pyarrow.parquet  # comes with datasets

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"not a Parquet file: {error}", where=path, remedy="is the file complete?") from error
    for number, values in enumerate(rows, 1):
        yield Record(values, f"{path}, row {number}", task=task)


def _tab_separated(path: Path, task: str) -> Iterator[Record]:
    """No quoting: a text may itself start with a double quote."""
    lines = read_text(path).split("\n")
    header = lines[0].rstrip("\r").split("\t")
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(header):
            what = f"{len(cells)} columns where the header has {len(header)}"
            raise InputError(what, where=path, line=number, remedy="is the file complete?")
        yield Record(dict(zip(header, cells, strict=True)), str(path), number, task)
