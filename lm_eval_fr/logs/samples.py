"""samples_*.jsonl, one line per document and filter, into typed objects; no other module knows its keys.

Whole samples are streamed from here; columns.py reads scores by the million.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import parse_json
from lm_eval_fr.logs.ingredients import number_of
from lm_eval_fr.logs.logged_prompts import Rendering, read_prompt
from lm_eval_fr.logs.reply_records import COPY_AGAIN
from lm_eval_fr.logs.task_log import FilterOrder, TaskLog

_HASH = re.compile(r"[0-9a-f]{64}")
_HASHES = ("doc_hash", "prompt_hash", "target_hash")
_OWN_KEYS = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", *_HASHES)


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of samples_*.jsonl, read in full. choices: of a multiple-choice document, with their log-likelihoods.

    lists: the scores that are one number an instruction, item by item; `scores` has their mean.
    """

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
    choices: tuple[tuple[str, float], ...] = ()
    lists: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def answer(self) -> str:
        """The first answer after the filter, "" if there is none."""
        return self.answers[0] if self.answers else ""

    @property
    def picked(self) -> str | None:
        """The most likely choice, None if there are none."""
        return max(self.choices, key=lambda choice: choice[1])[0] if self.choices else None

    @property
    def chosen(self) -> str:
        """The answer as a person would give it: a text, or the most likely choice."""
        return self.answer if self.picked is None else self.picked

    @property
    def right(self) -> str:
        """The gold as a text: for a multiple choice, lm-eval logs its index."""
        number = int(self.target) if self.target.isdecimal() and len(self.target) < 4 else len(self.choices)
        return self.choices[number][0] if number < len(self.choices) else self.target

    @property
    def shown(self) -> str:
        """The answer for people to read: a text, or the choices with their log-likelihoods, most likely first."""
        if not self.choices:
            return self.answer
        ordered = sorted(self.choices, key=lambda choice: -choice[1])
        return "\n".join(f"{text} ({likelihood:.4g})" for text, likelihood in ordered)


def read_samples(log: TaskLog, *, filter: str | None = None) -> Iterator[Sample]:
    """The task's samples under one of its filters, the first one unless another is named; in file order."""
    wanted = filter or log.filters[0]
    for file in log.files:
        order = FilterOrder(log.filters)
        with file.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = parse_line(line, file.path, number)
                name = row.get("filter") or order.of(row["doc_id"])
                if name is None:
                    raise too_many_lines(row["doc_id"], log.filters, file.path, number)
                if name == wanted:
                    yield as_sample(row, log, file.path, number, name)


def as_sample(row: Mapping[str, Any], log: TaskLog, path: Path, number: int, filter: str) -> Sample:
    """row: from `parse_line`."""
    sent = row["arguments"]["gen_args_0"]
    lists = {metric.name for metric in log.metrics if metric.shape == "list" and metric.aggregation is None}
    values = {
        name: score_of(row.get(name), as_list=name in lists)
        for name in row.get("metrics") or log.metric_names
        if name != "bypass"
    }
    return Sample(
        task=log.task,
        doc_id=row["doc_id"],
        doc=row["doc"] if isinstance(row["doc"], dict) else {},
        target=str(row["target"]),
        prompt=sent.get("arg_0"),
        generation=sent["arg_1"] if isinstance(sent.get("arg_1"), dict) else {},
        responses=flat(row["resps"]),
        answers=flat(row["filtered_resps"]),
        filter=filter,
        scores={name: value for name, value in values.items() if value is not None},
        doc_hash=row["doc_hash"],
        prompt_hash=row["prompt_hash"],
        target_hash=row["target_hash"],
        path=path,
        line=number,
        rendering=log.rendering,
        choices=() if log.generates else tuple(_choices(row["arguments"], flat(row["filtered_resps"]))),
        lists={name: items for name in lists if (items := _items(row.get(name)))},
    )


def _choices(arguments: Mapping[str, Any], answers: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """The continuations whose log-likelihoods were asked; of one continuation after several beginnings, these."""
    asked = [arguments.get(f"gen_args_{i}") for i in range(len(arguments))]
    pairs = [(sent.get("arg_0"), sent.get("arg_1")) for sent in asked if isinstance(sent, dict)]
    likelihoods = [number_of(answer) for answer in answers[::2]]
    if len(pairs) < 2 or len(likelihoods) != len(pairs):
        return
    texts = [str(end) for _, end in pairs]
    half = len(texts) // 2
    if len(set(texts)) == 1:
        texts = [str(beginning) for beginning, _ in pairs]
    elif texts[:half] == texts[half:]:  # each a second time without its question, to tell what that adds
        texts = texts[:half]
    for text, likelihood in zip(texts, likelihoods, strict=False):
        if likelihood is not None and math.isfinite(likelihood):
            yield text.strip(), likelihood


def too_many_lines(doc_id: int, filters: tuple[str, ...], path: Path, number: int) -> InputError:
    what = f"document {doc_id} has more lines than the task has filters ({', '.join(filters)}), none named"
    return InputError(what, where=path, line=number, remedy="rerun the arm with lm-eval 0.4.7 or later")


def task_as_asked(sample: Sample) -> tuple[str | None, str]:
    """(system, user content) as the task renders them, without the arm's chat template."""
    return read_prompt(sample.prompt, sample.rendering).as_asked()


def read_line(path: Path, offset: int) -> bytes:
    with OpenFiles() as files:
        return files.line(path, offset)


class OpenFiles:
    """Files that stay open from one line to the next: opening one takes three times as long as reading a line of it."""

    MOST = 64  # open at once
    AHEAD = 1 << 16  # bytes read at once: about ten samples, often including the next one requested

    def __init__(self) -> None:
        self._files: dict[Path, BinaryIO] = {}

    def line(self, path: Path, offset: int) -> bytes:
        file = self._files.get(path)
        if file is None:
            if len(self._files) == self.MOST:
                self._files.pop(next(iter(self._files))).close()
            file = self._files[path] = path.open("rb", buffering=self.AHEAD)
        file.seek(offset)
        return file.readline()

    def __enter__(self) -> OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """One sample as a dict whose keys and types are those that lm-eval writes."""
    try:
        row: dict[str, Any] = parse_json(line, where=path, line=number, remedy=COPY_AGAIN, nan=True)
    except InputError:
        if line.endswith(b"\n"):
            raise
        raise InputError("the file ends inside this line", where=path, line=number, remedy=COPY_AGAIN) from None
    missing = [key for key in _OWN_KEYS if key not in row] if isinstance(row, dict) else ["doc_hash"]
    if not missing:
        arguments, names = row["arguments"], row.get("metrics")
        whole = isinstance(arguments, dict) and isinstance(arguments.get("gen_args_0"), dict)
        missing = [] if whole else ["arguments.gen_args_0"]
        missing += [key for key in _HASHES if not (isinstance(row[key], str) and _HASH.fullmatch(row[key]))]
        missing += [] if type(row["doc_id"]) is int and 0 <= row["doc_id"] < 1 << 62 else ["doc_id"]
        missing += [] if isinstance(row.get("filter"), str | None) else ["filter"]
        named = names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))
        missing += [] if named else ["metrics"]
    if missing:
        old = isinstance(row, dict) and "resps" in row and "doc_hash" not in row
        before = ": lm-eval 0.4.2 and older write no hashes" if old else ""
        raise InputError(
            f"not a sample as lm-eval 0.4.3 to 0.4.13 write it: no valid `{missing[0]}`{before}",
            where=path,
            line=number,
            remedy="rerun the arm with lm-eval 0.4.13 and --log_samples",
        )
    return row


def flat(value: Any) -> tuple[str, ...]:
    """Responses as lm-eval nests them ([["a", "b"]], ["a"], [["-1.5", "True"]]) as one row of texts."""
    if isinstance(value, list):
        return tuple(text for item in value for text in flat(item))
    return () if value is None else (value if isinstance(value, str) else str(value),)


def _items(value: Any) -> tuple[float, ...]:
    """The numbers of a list that has only numbers, else ()."""
    numbers = [number_of(item) for item in value] if isinstance(value, list) else []
    known = tuple(number for number in numbers if number is not None and math.isfinite(number))
    return known if len(known) == len(numbers) else ()


def score_of(value: Any, *, as_list: bool = False) -> float | None:
    """What to show of a metric beside one answer: its number; as_list: the mean of a list of numbers. Otherwise None.

    Lists are the truth values of a document's instructions, or one number a response. The ingredients of a corpus
    metric (gold and prediction, a log-likelihood and its words) are not a score of the document.
    """
    if as_list and isinstance(value, list) and value:
        items = _items(value)
        return math.fsum(items) / len(items) if items else None
    number = number_of(value)
    return number if number is not None and math.isfinite(number) else None
