"""What the samples hold of each metric, collected row by row, and the scores computed from it."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from lm_eval_fr.logs.aggregates import (
    CORPUS,
    DocumentScores,
    Kinds,
    NoScores,
    Part,
    document_scores,
    scores_by_kind,
)
from lm_eval_fr.logs.columns import Labels, Request
from lm_eval_fr.logs.task_log import Metric


def is_read(metric: Metric) -> bool:
    """Whether a document's score can be computed from its sample: texts and corpus metrics are not even read."""
    return metric.aggregation not in CORPUS and metric.shape != "other"


def task_scores(
    request: Request,
    held: Mapping[Metric, HeldValues],
    parts: Sequence[tuple[int, int]],
    *,
    place: Callable[[int], str],
) -> tuple[dict[str, DocumentScores], tuple[NoScores, ...], Kinds | None]:
    """Scores by name, metrics without any, metrics of which each document has one.

    parts: the rows [start, stop) of each of the task's files. place: names the place of a row.
    """
    found = []
    for metric in request.metrics:
        printed = [file.printed.get(f"{metric.name},{request.filter}") for file in request.log.files]
        of_files = [Part(*part, value) for part, value in zip(parts, printed, strict=True)]
        values = held[metric].all() if metric in held else None
        found.append(
            document_scores(metric.name, metric.aggregation, metric.higher_is_better, values, of_files, place=place)
        )
    scores: dict[str, DocumentScores] = {}
    for one in found:
        if isinstance(one, DocumentScores):
            scores.setdefault(one.name, one)
    kinds = scores_by_kind(found)
    if kinds is not None:
        scores = {kinds.score.name: kinds.score, **scores}
    return scores, tuple(one for one in found if isinstance(one, NoScores)), kinds


@dataclass
class HeldValues:
    """One metric's values: numbers, and by row what is not a number (a list, a text, NaN)."""

    numbers: array[float] = field(default_factory=lambda: array("d"))
    strange: dict[int, Any] = field(default_factory=dict)

    def extend(self, values: Sequence[Any]) -> None:
        try:
            numbers = array("d", values)
        except (TypeError, OverflowError):
            numbers = None
        if numbers is not None and all(map(math.isfinite, numbers)):
            self.numbers.extend(numbers)
            return
        for value in values:
            self._append(value)

    def _append(self, value: Any) -> None:
        number = math.nan
        if isinstance(value, (bool, int, float)):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
        if value is not None and not math.isfinite(number):
            self.strange[len(self.numbers)] = value
        self.numbers.append(number if math.isfinite(number) else math.nan)

    def all(self) -> np.ndarray | Sequence[Any]:
        """As numbers (NaN where a sample holds nothing), or as they were logged (None) if one is not a number."""
        numbers = np.array(self.numbers, dtype=np.float64)
        if not self.strange:
            return numbers
        values: list[Any] = [None if math.isnan(number) else number for number in numbers.tolist()]
        for row, value in self.strange.items():
            values[row] = value
        return values


@dataclass
class Names:
    """A field of the documents: its distinct values, numbered in order of appearance."""

    codes: array[int] = field(default_factory=lambda: array("i"))
    known: dict[bytes, int] = field(default_factory=dict)

    def extend(self, values: Sequence[msgspec.Raw]) -> None:
        known = self.known
        self.codes.extend([known.setdefault(bytes(value), len(known)) for value in values])

    def labels(self) -> Labels:
        return Labels(np.array(self.codes, dtype=np.int32), tuple(map(_label, self.known)))


def _label(raw: bytes) -> str | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")
    if value is None or isinstance(value, str):
        return value if value is None else value.encode("utf-8", "replace").decode()
    return raw.decode("utf-8", "replace")
