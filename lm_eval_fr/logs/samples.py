"""samples_*.jsonl, one line a document and filter, into typed objects; nothing else of ours knows its keys.

Whole samples are streamed from here; columns.py reads scores by the million.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import parse_json
from lm_eval_fr.logs.logged_prompts import Rendering, read_prompt

COPY_AGAIN = "copy the file again, or run the arm again: what was already answered comes from its cache"
_HASH = re.compile(r"[0-9a-f]{64}")
_HASHES = ("doc_hash", "prompt_hash", "target_hash")
_OWN_KEYS = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", *_HASHES)


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of samples_*.jsonl, read in full."""

    task: str
    doc_id: int
    doc: Mapping[str, Any]
    target: str
    prompt: Any
    generation: Mapping[str, Any]
    responses: tuple[str, ...]
    answers: tuple[str, ...]
    filter: str
    scores: Mapping[str, float]
    doc_hash: str
    prompt_hash: str
    target_hash: str
    path: Path
    line: int
    rendering: Rendering

    @property
    def answer(self) -> str:
        """The first answer after the filter, "" if there is none."""
        return self.answers[0] if self.answers else ""


@dataclass(frozen=True)
class SampleFile:
    """One samples file and what its results file says of it."""

    path: Path
    task_hash: str | None
    documents: int | None  # that were evaluated, None where lm-eval does not say
    original: int | None  # of the whole evaluation split
    means: Mapping[str, float]  # "<metric>,<filter>" -> the mean that lm-eval printed

    @property
    def responses(self) -> Path:
        return self.path.with_name("responses_" + self.path.name.removeprefix("samples_"))


@dataclass(frozen=True)
class TaskLog:
    """One task of a run. Its files are several when the documents were shared out over machines."""

    task: str
    files: tuple[SampleFile, ...]
    version: Any
    generation: Mapping[str, Any]
    config: Mapping[str, Any]
    filters: tuple[str, ...]
    metrics: tuple[str, ...]
    higher_is_better: Mapping[str, bool]
    cluster_field: str | None
    n_logged: int
    rendering: Rendering = field(default_factory=Rendering)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self.files)

    @property
    def judged(self) -> bool:
        """Whether only a judge can tell: no metric of it is a number."""
        return not self.metrics


def read_samples(log: TaskLog, *, filter: str | None = None) -> Iterator[Sample]:
    """The task's samples in file order, one for each document and filter (or of one filter)."""
    for file in log.files:
        with file.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                sample = parse_sample(line, log, file.path, number)
                if filter is None or sample.filter == filter:
                    yield sample


def parse_sample(line: bytes, log: TaskLog, path: Path, number: int) -> Sample:
    row = parse_line(line, path, number)
    sent = row["arguments"]["gen_args_0"]
    return Sample(
        task=log.task,
        doc_id=row["doc_id"],
        doc=row["doc"],
        target=str(row["target"]),
        prompt=sent.get("arg_0"),
        generation=sent["arg_1"] if isinstance(sent.get("arg_1"), dict) else {},
        responses=flat(row["resps"]),
        answers=flat(row["filtered_resps"]),
        filter=row.get("filter", "none"),
        scores=scores_of(row),
        doc_hash=row["doc_hash"],
        prompt_hash=row["prompt_hash"],
        target_hash=row["target_hash"],
        path=path,
        line=number,
        rendering=log.rendering,
    )


def task_as_asked(sample: Sample) -> tuple[str | None, str]:
    """(system, user content) as the task renders them, without the arm's chat template."""
    return read_prompt(sample.prompt, sample.rendering).as_asked()


def read_responses(log: TaskLog) -> dict[str, Mapping[str, Any]]:
    """doc_hash -> what the arm knew of the reply (finish_reason, usage, error, seconds); {} if it kept none."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in log.files:
        if not file.responses.is_file():
            continue
        with file.responses.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                row = decode_line(line, file.responses, number)
                if not isinstance(row, dict) or not isinstance(row.get("doc_hash"), str):
                    raise InputError(
                        "not a record of a response: no `doc_hash`",
                        where=file.responses,
                        line=number,
                        remedy=COPY_AGAIN,
                    )
                found[row["doc_hash"]] = row
    return found


def read_line(path: Path, offset: int) -> bytes:
    with path.open("rb") as lines:
        lines.seek(offset)
        return lines.readline()


def decode_line(line: bytes, path: Path, number: int) -> Any:
    """One line of JSON, or an InputError that names it."""
    try:
        return parse_json(line, where=path, line=number, remedy=COPY_AGAIN, nan=True)
    except InputError:
        if line.endswith(b"\n"):
            raise
        raise InputError("the file ends inside this line", where=path, line=number, remedy=COPY_AGAIN) from None


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """One sample as a dict whose keys and types are those that lm-eval writes."""
    row = decode_line(line, path, number)
    missing = [key for key in _OWN_KEYS if key not in row] if isinstance(row, dict) else ["doc_hash"]
    if not missing:
        arguments = row["arguments"]
        whole = isinstance(arguments, dict) and isinstance(arguments.get("gen_args_0"), dict)
        missing = [] if whole else ["arguments.gen_args_0"]
        missing += [key for key in _HASHES if not is_hash(row[key])]
        missing += [] if type(row["doc_id"]) is int and 0 <= row["doc_id"] < 1 << 62 else ["doc_id"]
    if missing:
        raise InputError(
            f"not a sample as lm-eval 0.4 writes it: no proper `{missing[0]}`",
            where=path,
            line=number,
            remedy="run the arm again with lm-eval 0.4.13 and --log_samples",
        )
    return row


def is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def flat(value: Any) -> tuple[str, ...]:
    """Responses as lm-eval nests them ([["a", "b"]], ["a"], [["-1.5", "True"]]) as one row of texts."""
    if isinstance(value, list):
        return tuple(text for item in value for text in flat(item))
    return () if value is None else (value if isinstance(value, str) else str(value),)


def scores_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a sample that are numbers; NaN and infinities stay as they are for the caller to judge."""
    named = row.get("metrics")
    names = named if isinstance(named, list) else []
    found = {name: score_of(row.get(name), response_count(row["resps"])) for name in names if name != "bypass"}
    return {name: value for name, value in found.items() if value is not None}


def response_count(resps: Any) -> int:
    """How often the arm answered the first request (repeats)."""
    return len(resps[0]) if isinstance(resps, list) and resps and isinstance(resps[0], list) else 0


def score_of(value: Any, responses: int = 1) -> float | None:
    """One metric of one document as a number, or None.

    A list of truth values (ifeval's instructions) and a list of one number a response (repeats) count as their mean.
    Other lists are ingredients of a corpus metric (gold and prediction of an F1, words and log-likelihoods).
    """
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, list) and value:
        if all(isinstance(item, bool) for item in value):
            return sum(value) / len(value)
        if len(value) == responses > 1 and all(isinstance(item, (bool, int, float)) for item in value):
            return math.fsum(value) / len(value) if all(map(math.isfinite, value)) else math.nan
    return None
