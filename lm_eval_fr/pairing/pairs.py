"""One task's documents with both arms' scores, and the full texts when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lm_eval_fr.logs.samples import Sample, TaskLog, parse_sample, read_line


@dataclass(frozen=True)
class ArmHealth:
    """What an arm's answers look like, over the paired documents.

    empty: nothing but white space. truncated: by the server's own word (finish_reason), or else by a heuristic: as long
    as max_gen_toks allows (two characters a token), and ends inside a sentence. failed: no answer was obtained.
    """

    n: int
    empty: int
    truncated: int
    failed: int
    truncated_by: Literal["finish_reason", "heuristic"] = "heuristic"


@dataclass(frozen=True)
class Pair:
    """One document and both arms' samples of it."""

    task: str
    candidate: Sample
    reference: Sample
    cluster: str | None = None

    @property
    def doc_id(self) -> int:
        return self.reference.doc_id

    @property
    def doc_hash(self) -> str:
        return self.reference.doc_hash


@dataclass(frozen=True)
class Side:
    """One arm of a paired task: where its samples lie."""

    log: TaskLog
    paths: tuple[Path, ...]
    file: np.ndarray
    line: np.ndarray
    offset: np.ndarray

    def sample(self, i: int) -> Sample:
        path = self.paths[self.file[i]]
        return parse_sample(read_line(path, int(self.offset[i])), self.log, path, int(self.line[i]))


@dataclass(frozen=True, eq=False)
class PairedTask:
    """The documents of one task that both arms answered, in plan order (the reference's doc_id)."""

    task: str
    filter: str
    metrics: tuple[str, ...]
    higher_is_better: Mapping[str, bool]
    n: int
    doc_ids: np.ndarray
    doc_hashes: Sequence[str]
    clusters: np.ndarray | None
    cluster_names: tuple[str, ...]
    candidate: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray]
    candidate_health: ArmHealth
    reference_health: ArmHealth
    allowed: tuple[str, ...]
    sides: tuple[Side, Side] = field(repr=False)
    failed: tuple[np.ndarray, np.ndarray] = field(repr=False)  # per document, candidate's and reference's
    truncated: tuple[np.ndarray, np.ndarray] = field(repr=False)

    @property
    def judged(self) -> bool:
        """Whether only a judge can tell: the task has no metric."""
        return not self.metrics

    def pair(self, i: int) -> Pair:
        """The i-th document, with both arms' full texts."""
        cluster = None if self.clusters is None else self.cluster_names[self.clusters[i]]
        return Pair(self.task, self.sides[0].sample(i), self.sides[1].sample(i), cluster)

    def pairs(self, rows: Sequence[int] | None = None) -> Iterator[Pair]:
        """All documents, or those of `rows`, read from the files one at a time."""
        return (self.pair(int(i)) for i in (range(self.n) if rows is None else rows))
