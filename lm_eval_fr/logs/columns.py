"""A task's samples as arrays: a million samples of 5 kB in seconds, without keeping their texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lm_eval_fr.logs.aggregates import DocumentScores, Kinds, NoScores
from lm_eval_fr.logs.samples import OpenFiles, parse_line
from lm_eval_fr.logs.task_log import Metric, TaskLog


@dataclass(frozen=True)
class Labels:
    """A field of the documents: codes (int32) index names. A document without it has a code whose name is None."""

    codes: np.ndarray
    names: tuple[str | None, ...]


@dataclass(frozen=True)
class Columns:
    """One task of one arm under one filter, in file order."""

    task: str
    paths: tuple[Path, ...]
    doc_id: np.ndarray  # int64
    doc_hash: np.ndarray  # S32, the bytes of the SHA-256; so are the other two
    target_hash: np.ndarray
    prompt_hash: np.ndarray
    file: np.ndarray  # index into paths
    line: np.ndarray  # counted from 1
    offset: np.ndarray  # of the line in its file, in bytes
    scores: Mapping[str, DocumentScores]  # by the score's name, the task's first metric first
    unscored: tuple[NoScores, ...]
    kinds: Kinds | None  # which of its metrics a document has, where each has exactly one
    generation: np.ndarray  # index into generations
    generations: tuple[bytes, ...]  # the generation settings as logged (JSON)
    fields: Mapping[str, Labels]
    digest: np.ndarray  # uint32, a checksum of the responses: equal where they are byte-identical
    empty: np.ndarray  # bool: no answer, or only white space
    cut_looking: np.ndarray  # bool: as long as max_gen_toks allows, and ends inside a sentence
    missing: np.ndarray  # bool: no response on record
    reasoning: np.ndarray  # bool: a reasoning part is in the response
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.doc_id)

    def place(self, row: int) -> tuple[Path, int]:
        """(file, line) of a sample."""
        return self.paths[self.file[row]], int(self.line[row])

    def where(self, row: int) -> str:
        return "{}:{}".format(*self.place(row))

    def named(self, row: int) -> str:
        """The document of a sample, as messages name it."""
        return f"document {self.doc_id[row]} ({hex_of(self.doc_hash[row])[:12]}) of {self.task}"


def hex_of(digest: bytes) -> str:
    return bytes(digest).ljust(32, b"\0").hex()  # numpy drops trailing zero bytes of an S32


@dataclass(frozen=True)
class Request:
    """What to read of one task. fields: of its documents, to group them by."""

    log: TaskLog
    filter: str
    metrics: tuple[Metric, ...]
    fields: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.log.paths)


class _Asked(msgspec.Struct):
    arguments: dict[str, dict[str, Any]]


def read_arguments(columns: Columns, rows: np.ndarray) -> Iterator[Mapping[str, Any]]:
    """What a model was asked for these samples (a prompt, or each of its choices), as logged, reread."""
    decoder = msgspec.json.Decoder(_Asked)
    with OpenFiles() as files:
        for row in rows.tolist():
            path, number = columns.place(row)
            line = files.line(path, int(columns.offset[row]))
            try:
                yield decoder.decode(line).arguments
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield parse_line(line, path, number)["arguments"]
