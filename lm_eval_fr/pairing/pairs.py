"""One task's documents with both arms' scores, and the full texts when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.samples import OpenFiles, Sample, as_sample, parse_line, read_line
from lm_eval_fr.logs.task_log import TaskLog
from lm_eval_fr.pairing.answers import Answers
from lm_eval_fr.pairing.chance import UNKNOWN, Chance


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
    filter: str
    paths: tuple[Path, ...]
    file: np.ndarray
    line: np.ndarray
    offset: np.ndarray

    @cached_property
    def sha256(self) -> str:
        """Of the samples files. Raises InputError where one cannot be read."""
        whole = hashlib.sha256()
        for path in sorted(self.paths):
            try:
                with path.open("rb") as file:
                    whole.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", where=path) from error
        return whole.hexdigest()

    def sample(self, i: int, files: OpenFiles | None = None) -> Sample:
        """files: kept open by a caller that reads many samples."""
        path, offset = self.paths[self.file[i]], int(self.offset[i])
        line = files.line(path, offset) if files else read_line(path, offset)
        number = int(self.line[i])
        return as_sample(parse_line(line, path, number), self.log, path, number, self.filter)


@dataclass(frozen=True)
class Printed:
    """One aggregate that lm-eval printed, None if it printed none for an arm.

    score: the entry of `PairedTask.metrics` made from it, or None, and then `reason` says why.
    """

    metric: str
    filter: str
    candidate: float | None
    reference: float | None
    higher_is_better: bool | None
    score: str | None = None
    reason: str | None = None

    @property
    def known(self) -> bool:
        return self.candidate is not None or self.reference is not None


@dataclass(frozen=True, eq=False)
class Strata:
    """The documents by one of their properties: codes (one per document) index labels."""

    name: str
    labels: tuple[str, ...]
    codes: np.ndarray

    def called(self, code: int) -> str:
        """The report's name for the documents of this code: "length: 4k"."""
        return f"{self.name}: {self.labels[code]}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Paired:
    """The scores of both arms on the same documents: those of one task, or of a group of tasks.

    metrics: the scores that each document has, the first one primary. candidate, reference: their values, whose mean is
    what the task says of an arm: what lm-eval printed, except that answers never obtained count worst.
    weights: of a score whose aggregate is a weighted mean (a document's words, its instructions): the values hold the
    weight already, so that their plain mean is the aggregate. ends: the least and the largest score of a metric, where
    they are known. answers: the candidate's, the reference's. no_verdict: why nothing may be claimed,
    else None. clusters: documents of one article, or copies of one document. copies: how many documents
    repeat another. each: if an arm has several answers per document, all scores (one row per answer) of
    the candidate and of the reference; `candidate` and `reference` then hold the means, and everything else is about
    the first answers.
    """

    task: str
    judged: bool = False  # a group's score is made of scores
    metrics: tuple[str, ...]
    higher_is_better: Mapping[str, bool]
    n: int
    clusters: np.ndarray | None
    candidate: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray]
    answers: tuple[Answers, Answers] = field(repr=False)
    allowed: tuple[str, ...] = ()
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    printed: tuple[Printed, ...] = ()
    no_verdict: str | None = None
    strata: tuple[Strata, ...] = ()
    copies: int = 0
    chance: Chance = UNKNOWN
    each: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None

    @cached_property
    def shares(self) -> Mapping[str, np.ndarray]:
        """Of a weighted score: a document's part in the mean, 1 on average, which the values hold as a factor."""
        return {name: weights / weights.mean() for name, weights in self.weights.items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class PairedTask(Paired):
    """The documents of one task that both arms answered, in plan order (the reference's doc_id).

    identical: whether both arms' responses are the same in every byte.
    """

    filter: str
    doc_ids: np.ndarray
    doc_hashes: Sequence[str]
    cluster_names: tuple[str, ...]
    sides: tuple[Side, Side] = field(repr=False)
    identical: np.ndarray = field(repr=False)

    @property
    def scored(self) -> bool:
        """Whether each document has a score that may be compared."""
        return bool(self.metrics)

    @property
    def generates(self) -> bool:
        return self.sides[1].log.generates

    def pair(self, i: int, files: OpenFiles | None = None) -> Pair:
        """The i-th document, with both arms' full texts. files: kept open by a caller that reads many."""
        cluster = None if self.clusters is None else self.cluster_names[self.clusters[i]]
        return Pair(self.task, self.sides[0].sample(i, files), self.sides[1].sample(i, files), cluster)

    def pairs(self, rows: Sequence[int] | None = None) -> Iterator[Pair]:
        """All documents, or those of `rows`, read from the files one at a time."""
        with OpenFiles() as files:
            for i in range(self.n) if rows is None else rows:
                yield self.pair(int(i), files)


def clusters_over(tasks: Sequence[PairedTask]) -> np.ndarray | None:
    """Clusters of the tasks' documents in one array; no cluster spans tasks. None if every document is its own."""
    if all(task.clusters is None for task in tasks):
        return None
    found, start = [], 0
    for task in tasks:
        codes = np.arange(task.n) if task.clusters is None else task.clusters
        found.append(codes + start)
        start += int(codes.max(initial=-1)) + 1
    return np.concatenate(found)
