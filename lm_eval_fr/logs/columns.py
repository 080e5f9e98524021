"""The scores of a task as arrays: a million samples of 5 kB in seconds, without keeping their texts.

Every line is decoded once, into the few fields that pairing needs. What the fast decoder does not take (NaN, which
Python writes and JSON forbids; a cut line) goes through the slow one, which explains.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.samples import (
    COPY_AGAIN,
    SampleFile,
    TaskLog,
    decode_line,
    flat,
    parse_line,
    read_line,
    response_count,
    score_of,
)

_CHUNK = 1 << 7  # samples between two flushes of objects into arrays: few enough to stay in the processor's cache
_CLOSING = tuple(".!?…»\"”')]}`*|>")  # an answer that ends so was not cut in a sentence
_BEGUN = re.compile(rb'\[+"(?: |\\[nrt])*[!#-\[\]-\x7f\xc3]').match  # plainly not only white space
_CHARACTERS = 2.0  # a token's least plausible length in French, in characters


@dataclass(frozen=True)
class Columns:
    """One task of one arm under one filter, in file order. A score that a sample lacks is NaN here."""

    task: str
    filter: str
    paths: tuple[Path, ...]
    doc_id: np.ndarray  # int64
    doc_hash: np.ndarray  # S32, the bytes of the SHA-256; so are the other two
    target_hash: np.ndarray
    prompt_hash: np.ndarray
    file: np.ndarray  # index into paths
    line: np.ndarray  # counted from 1
    offset: np.ndarray  # of the line in its file, in bytes
    scores: dict[str, np.ndarray]
    generation: np.ndarray  # index into generations
    generations: tuple[bytes, ...]  # the generation settings as logged (JSON)
    cluster: np.ndarray | None  # index into cluster_names
    cluster_names: tuple[str, ...]
    empty: np.ndarray  # bool: no answer, or nothing but white space
    cut_looking: np.ndarray  # bool: as long as max_gen_toks allows, and ends inside a sentence
    missing: np.ndarray  # bool: no response on record
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.doc_id)

    def place(self, row: int) -> tuple[Path, int]:
        """(file, line) of a sample."""
        return self.paths[self.file[row]], int(self.line[row])


@dataclass(frozen=True)
class Request:
    """What to read of one task."""

    log: TaskLog
    filter: str
    metrics: tuple[str, ...]
    cluster: str | None = None

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.log.paths)


def read_columns(request: Request) -> Columns:
    """One task's columns. InputError for what lm-eval did not write so, and for a score that is no finite number."""
    reader = _Reader(request)
    notes = [note for i, file in enumerate(request.log.files) for note in reader.read(i, file)]
    return reader.columns(tuple(dict.fromkeys(notes)))


def read_logged_prompts(columns: Columns, rows: np.ndarray) -> Iterator[Any]:
    """The prompts of these samples as logged, read from the files again."""
    decoder = msgspec.json.Decoder(_Prompted)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("rb", buffering=1 << 20)) for path in columns.paths]
        for row in rows.tolist():
            file = files[columns.file[row]]
            file.seek(int(columns.offset[row]))
            line = file.readline()
            try:
                yield decoder.decode(line).arguments.gen_args_0.arg_0
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield parse_line(line, *columns.place(row))["arguments"]["gen_args_0"].get("arg_0")


@dataclass
class _Pile:
    """Arrays that grow by chunks, so that no million Python objects are alive at once."""

    doc_id: array = field(default_factory=lambda: array("q"))
    offset: array = field(default_factory=lambda: array("q"))
    line: array = field(default_factory=lambda: array("q"))
    file: array = field(default_factory=lambda: array("h"))
    generation: array = field(default_factory=lambda: array("i"))
    cluster: array = field(default_factory=lambda: array("i"))
    flags: bytearray = field(default_factory=bytearray)  # 1 empty, 2 cut-looking, 4 missing
    hashes: bytearray = field(default_factory=bytearray)  # 32 bytes each of document, prompt and target


class _Reader:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.row_type: Any = _row_type(request)
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.row_type)
        self.pile = _Pile()
        self.scores = {name: array("d") for name in request.metrics}
        self.generations: dict[bytes, int] = {}
        self.clusters: dict[bytes, int] = {}
        # A log-likelihood request has a continuation where a generation has its settings.
        self.generates = request.log.config.get("output_type", "generate_until") == "generate_until"
        limit = request.log.generation.get("max_gen_toks")
        self.long = limit * _CHARACTERS if isinstance(limit, (int, float)) and limit > 0 else math.inf

    def read(self, index: int, file: SampleFile) -> list[str]:
        """Reads one file to its end and checks that it is whole; returns what is worth a note."""
        wanted, digest, start = self.request.filter, hashlib.sha256(), len(self.pile.doc_id)
        count = 0
        for rows, numbers, offsets in self._chunks(file.path):
            count += len(rows)
            hashes = "".join([row.doc_hash + row.prompt_hash + row.target_hash for row in rows])
            digest.update(hashes.encode())
            kept = [i for i, row in enumerate(rows) if row.filter == wanted]
            if len(kept) < len(rows):
                rows, numbers, offsets = ([column[i] for i in kept] for column in (rows, numbers, offsets))
                hashes = "".join([row.doc_hash + row.prompt_hash + row.target_hash for row in rows])
            self.pile.line.extend(numbers)
            self.pile.offset.extend(offsets)
            self.pile.file.extend([index] * len(rows))
            self._add(rows, hashes)
        if count == 0:
            raise InputError("no sample in this file", where=file.path, remedy=COPY_AGAIN)
        if len(self.pile.doc_id) == start:
            raise InputError(f"no sample of the filter {wanted!r}", where=file.path, remedy=COPY_AGAIN)
        notes = _check_whole(file, count, len(self.request.log.filters), digest.hexdigest())
        return notes + self._check_means(file, start)

    def _chunks(self, path: Path) -> Iterator[tuple[list[Any], list[int], list[int]]]:
        """Decoded rows with their line numbers and offsets, a few at a time."""
        rows: list[Any] = []
        numbers: list[int] = []
        offsets: list[int] = []
        decode, offset = self.decoder.decode, 0
        with path.open("rb", buffering=1 << 20) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    rows.append(decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    if not line.strip():
                        offset += len(line)
                        continue
                    rows.append(self._slow(line, path, number))
                numbers.append(number)
                offsets.append(offset)
                offset += len(line)
                if len(rows) == _CHUNK:
                    yield rows, numbers, offsets
                    rows, numbers, offsets = [], [], []
        if rows:
            yield rows, numbers, offsets

    def _add(self, rows: Sequence[Any], hashes: str) -> None:
        pile = self.pile
        try:
            packed = bytes.fromhex(hashes)
            if len(packed) != 96 * len(rows):
                raise ValueError(packed)
            pile.hashes.extend(packed)
        except ValueError:
            self._explain(rows)
        try:
            pile.flags.extend([self._flags(row.filtered_resps, row.resps) for row in rows])
        except ValueError:  # a text that the fast decoder skipped and that is no JSON string
            first = len(pile.doc_id)
            for i in range(len(rows)):
                path, line = self._place(first + i)
                decode_line(read_line(path, pile.offset[first + i]), path, line)
            raise
        pile.doc_id.extend([row.doc_id for row in rows])
        if self.generates:
            codes = self.generations
            sent = [bytes(row.arguments.gen_args_0.arg_1) for row in rows]
            pile.generation.extend([codes.setdefault(settings, len(codes)) for settings in sent])
        if self.request.cluster is not None:
            names = self.clusters
            pile.cluster.extend([names.setdefault(bytes(row.doc.cluster), len(names)) for row in rows])
        for i, name in enumerate(self.request.metrics):
            self.scores[name].extend(self._numbers(rows, i, name))

    def _numbers(self, rows: Sequence[Any], i: int, name: str) -> Sequence[float]:
        values = [getattr(row, f"m{i}") for row in rows]
        try:
            numbers = array("d", values)
        except TypeError:  # a list (one value an instruction or a response), or no value
            scores = [score_of(value, _count(row)) for value, row in zip(values, rows, strict=True)]
            for at, (value, score) in enumerate(zip(values, scores, strict=True)):
                if value is not None and score is None:
                    self._no_number(name, value, *self._place(len(self.scores[name]) + at))
            numbers = array("d", [math.nan if score is None else score for score in scores])
        for at in np.flatnonzero(~np.isfinite(np.frombuffer(numbers))).tolist():
            if values[at] is not None:
                self._no_number(name, numbers[at], *self._place(len(self.scores[name]) + at))
        return numbers

    def _place(self, row: int) -> tuple[Path, int]:
        return self.request.log.paths[self.pile.file[row]], self.pile.line[row]

    def _no_number(self, name: str, value: Any, path: Path, line: int) -> None:
        others = ", ".join(other for other in self.request.log.metrics if other != name) or "this task has no other"
        shown = str(value) if isinstance(value, float) else repr(value)[:60]
        raise InputError(
            f"the {name} of this document is {shown}, not a finite number",
            where=path,
            line=line,
            remedy=f"correct the task's process_results, or choose another metric ({others})",
        )

    def _explain(self, rows: Sequence[Any]) -> None:
        """Names the first row whose hashes are none."""
        first = len(self.pile.doc_id)
        for i, row in enumerate(rows):
            for name in ("doc_hash", "target_hash", "prompt_hash"):
                if len(getattr(row, name)) != 64 or set(getattr(row, name)) - set("0123456789abcdef"):
                    path, line = self._place(first + i)
                    raise InputError(f"not a sample as lm-eval writes it: no proper `{name}`", where=path, line=line)

    def _flags(self, answer: msgspec.Raw, response: msgspec.Raw) -> int:
        found = 0
        if not (_BEGUN(answer) and _BEGUN(response)):
            answers, responses = flat(_loads(answer)), flat(_loads(response))
            if not responses:
                found |= 4
            if not any(text.strip() for text in answers[:1]) or not any(text.strip() for text in responses):
                found |= 1
        if len(memoryview(response)) > self.long:
            longest = max(flat(_loads(response)), key=len, default="")
            if len(longest) > self.long and not longest.rstrip().endswith(_CLOSING):
                found |= 2
        return found

    def _slow(self, line: bytes, path: Path, number: int) -> Any:
        """The row of a line that the fast decoder refuses, or an error that says why."""
        row = parse_line(line, path, number)
        found = self.row_type(
            doc_id=row["doc_id"],
            filter=row.get("filter", "none"),
            doc_hash=row["doc_hash"],
            target_hash=row["target_hash"],
            prompt_hash=row["prompt_hash"],
            arguments=_Arguments(_Sent(_raw(row["arguments"]["gen_args_0"].get("arg_1")))),
            resps=_raw(row["resps"]),
            filtered_resps=_raw(row["filtered_resps"]),
        )
        if self.request.cluster is not None:
            field_of = row["doc"].get(self.request.cluster) if isinstance(row["doc"], dict) else None
            found.doc.cluster = _raw(field_of)
        for i, name in enumerate(self.request.metrics):
            value = row.get(name)
            score = score_of(value, response_count(row["resps"]))
            if value is not None and (score is None or not math.isfinite(score)):
                self._no_number(name, value, path, number)
            setattr(found, f"m{i}", score)
        return found

    def _check_means(self, file: SampleFile, start: int) -> list[str]:
        """The printed mean of each metric must be the mean of its samples: else somebody edited one of the files."""
        notes = []
        for name, values in self.scores.items():
            printed = file.means.get(f"{name},{self.request.filter}")
            mine = np.frombuffer(values, dtype=np.float64)[start:]
            mine = mine[~np.isnan(mine)]
            if printed is not None and len(mine) and not math.isclose(mine.mean(), printed, rel_tol=1e-6, abs_tol=1e-9):
                notes.append(
                    f"{self.request.log.task}: the samples' mean {name} is {mine.mean():.6g}, "
                    f"lm-eval printed {printed:.6g}: one of the files was edited ({file.path.name})"
                )
        return notes

    def columns(self, notes: tuple[str, ...]) -> Columns:
        pile, flags = self.pile, np.frombuffer(self.pile.flags, dtype=np.uint8)
        clustered = self.request.cluster is not None
        doc_hash, prompt_hash, target_hash = np.frombuffer(pile.hashes, dtype="S32").reshape(-1, 3).T.copy()
        generation = pile.generation if self.generates else np.zeros(len(pile.doc_id))
        return Columns(
            task=self.request.log.task,
            filter=self.request.filter,
            paths=self.request.log.paths,
            doc_id=np.array(pile.doc_id, dtype=np.int64),
            doc_hash=doc_hash,
            target_hash=target_hash,
            prompt_hash=prompt_hash,
            file=np.array(pile.file, dtype=np.int16),
            line=np.array(pile.line, dtype=np.int64),
            offset=np.array(pile.offset, dtype=np.int64),
            scores={name: np.array(values, dtype=np.float64) for name, values in self.scores.items()},
            generation=np.array(generation, dtype=np.int32),
            generations=tuple(self.generations) or (b"null",),
            cluster=np.array(pile.cluster, dtype=np.int32) if clustered else None,
            cluster_names=tuple(_cluster_name(raw) for raw in self.clusters),
            empty=(flags & 1).astype(bool),
            cut_looking=(flags & 2).astype(bool),
            missing=(flags & 4).astype(bool),
            notes=notes,
        )


class _SentPrompt(msgspec.Struct):
    arg_0: Any = None


class _PromptArguments(msgspec.Struct):
    gen_args_0: _SentPrompt


class _Prompted(msgspec.Struct):
    arguments: _PromptArguments


class _Sent(msgspec.Struct, gc=False):
    arg_1: msgspec.Raw = msgspec.Raw(b"null")


class _Arguments(msgspec.Struct, gc=False):
    gen_args_0: _Sent


_Hash = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
_Score = float | bool | None | list[float | bool]


def _row_type(request: Request) -> type[msgspec.Struct]:
    """A struct of the fields that this request needs; msgspec skips all others without building them."""
    fields: list[Any] = [
        ("doc_id", Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]),
        ("doc_hash", _Hash),
        ("target_hash", _Hash),
        ("prompt_hash", _Hash),
        ("arguments", _Arguments),
        ("resps", msgspec.Raw),
        ("filtered_resps", msgspec.Raw),
        ("filter", str, "none"),
    ]
    rename = {f"m{i}": name for i, name in enumerate(request.metrics)}
    if request.cluster is not None:
        value = [("cluster", msgspec.Raw, msgspec.Raw(b"null"))]
        doc = msgspec.defstruct("Doc", value, rename={"cluster": request.cluster}, gc=False)
        fields.append(("doc", doc, msgspec.field(default_factory=doc)))
    fields += [(name, _Score, None) for name in rename]
    return msgspec.defstruct("Row", fields, rename=rename, gc=False)


def _count(row: Any) -> int:
    return response_count(_loads(row.resps))


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _loads(raw: msgspec.Raw | bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return json.loads(bytes(raw))


def _cluster_name(raw: bytes) -> str:
    try:
        value = _loads(raw)
    except ValueError:
        value = None
    return value if isinstance(value, str) else raw.decode("utf-8", "replace")


def _check_whole(file: SampleFile, rows: int, filters: int, digest: str) -> list[str]:
    """lm-eval wrote down how many documents it ran and a hash over all of them, in order: a lost line shows."""
    if digest == file.task_hash:
        return []
    if file.documents is not None and rows != file.documents * filters:
        what = f"{rows} samples where lm-eval wrote {file.documents * filters}"
        raise InputError(what, where=file.path, line=rows, remedy=COPY_AGAIN)
    if file.task_hash is None:
        return []
    if file.documents is None and rows != (file.original or 0) * filters:
        what = "not what lm-eval wrote: lines are missing or changed"
        raise InputError(what, where=file.path, remedy=COPY_AGAIN)
    return [f"{file.path.name}: its lines are not in the order, or not those, that lm-eval wrote"]
