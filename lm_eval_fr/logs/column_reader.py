"""Reads a task's samples into columns.

Every line is decoded once, into the few fields that pairing needs. What the fast decoder rejects (NaN, which
Python writes and JSON forbids; a metric that is a list on line 300; a truncated line) goes through the slow one, which
explains the error.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import numpy as np

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.columns import Columns, Request
from lm_eval_fr.logs.held_values import HeldValues, Names, is_read, task_scores
from lm_eval_fr.logs.reply_records import COPY_AGAIN
from lm_eval_fr.logs.samples import flat, parse_line, read_line, too_many_lines
from lm_eval_fr.logs.task_log import FilterOrder, Metric, SampleFile

_CHUNK = 1 << 7  # samples between two flushes of objects into arrays: few enough to stay in the processor's cache
_CLOSING = tuple(".!?…»\"”')]}`*|>")  # an answer that ends like this was not cut inside a sentence
_BEGUN = re.compile(rb'\[+"(?: |\\[nrt])*[!#-\[\]-\x7f\xc3]').match  # clearly not only white space
_CHARACTERS = 2.0  # a token's least plausible length in French, in characters
_THOUGHT = re.compile(rb"</?think>").search, re.compile(rb"\[/?THINK\]").search  # one pattern of both is far slower
_EMPTY, _CUT, _MISSING, _REASONING = 1, 2, 4, 8
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


def read_columns(request: Request) -> Columns:
    """One task's columns. InputError for anything that lm-eval would not have written."""
    reader = _Reader(request)
    notes = [note for i, file in enumerate(request.log.files) for note in reader.read(i, file)]
    return reader.columns(tuple(dict.fromkeys(notes)))


@dataclass
class _Pile:
    """Arrays that grow by chunks, so that no million Python objects are alive at once."""

    doc_id: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))
    file: array[int] = field(default_factory=lambda: array("h"))
    generation: array[int] = field(default_factory=lambda: array("i"))
    digest: array[int] = field(default_factory=lambda: array("I"))
    flags: bytearray = field(default_factory=bytearray)
    hashes: bytearray = field(default_factory=bytearray)  # 32 bytes each of document, prompt and target


class _Reader:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.metrics = [metric for metric in request.metrics if is_read(metric)]
        self.row_type: Any = _row_type(request, self.metrics)
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.row_type)
        self.pile = _Pile()
        self.held = [HeldValues() for _ in self.metrics]
        self.names = [Names() for _ in request.fields]
        self.generations: dict[bytes, int] = {}
        self.starts: list[int] = []
        limit = request.log.generation.get("max_gen_toks")
        self.long = limit * _CHARACTERS if isinstance(limit, (int, float)) and limit > 0 else math.inf

    def read(self, index: int, file: SampleFile) -> list[str]:
        """Reads one file to its end and checks that it is complete; returns notes."""
        wanted, digest, start = self.request.filter, hashlib.sha256(), len(self.pile.doc_id)
        self.starts.append(start)
        order, count = FilterOrder(self.request.log.filters), 0
        for rows, numbers, offsets in self._chunks(file.path):
            count += len(rows)
            hashes = "".join([row.doc_hash + row.prompt_hash + row.target_hash for row in rows])
            digest.update(hashes.encode())
            for row, number in zip(rows, numbers, strict=True):
                if row.filter is None:
                    row.filter = order.of(row.doc_id)
                    if row.filter is None:
                        raise too_many_lines(row.doc_id, self.request.log.filters, file.path, number)
            kept = [i for i, row in enumerate(rows) if row.filter == wanted]
            if len(kept) < len(rows):
                rows, numbers, offsets = ([column[i] for i in kept] for column in (rows, numbers, offsets))
                hashes = "".join([row.doc_hash + row.prompt_hash + row.target_hash for row in rows])
            self.pile.line.extend(numbers)
            self.pile.offset.extend(offsets)
            self.pile.file.extend([index] * len(rows))
            try:
                self._add(rows, hashes)
            except _BROKEN:
                self._explain(len(rows))
        if count == 0:
            raise InputError("no sample in this file", where=file.path, remedy=COPY_AGAIN)
        if len(self.pile.doc_id) == start:
            raise InputError(f"no sample of the filter {wanted!r}", where=file.path, remedy=COPY_AGAIN)
        return _check_whole(file, count, len(self.request.log.filters), digest.hexdigest())

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
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
        packed = bytes.fromhex(hashes)
        if len(packed) != 96 * len(rows) or hashes.lower() != hashes:
            raise ValueError(hashes)
        pile.hashes.extend(packed)
        pile.flags.extend([self._flags(row.filtered_resps, row.resps) for row in rows])
        pile.digest.extend([zlib.crc32(row.resps) for row in rows])
        if self.request.log.generates:
            codes = self.generations
            sent = [bytes(row.arguments.gen_args_0.arg_1) for row in rows]
            pile.generation.extend([codes.setdefault(settings, len(codes)) for settings in sent])
        for i, names in enumerate(self.names):
            names.extend([getattr(row.doc, f"f{i}") for row in rows])
        for i, held in enumerate(self.held):
            held.extend([getattr(row, f"m{i}") for row in rows])
        pile.doc_id.extend([row.doc_id for row in rows])

    def _explain(self, count: int) -> NoReturn:
        """Some row of the last chunk is not lm-eval's: rereads the chunk to say where and what."""
        last = len(self.pile.line)
        for row in range(last - count, last):
            path, line = self._place(row)
            parse_line(read_line(path, self.pile.offset[row]), path, line)
        path, line = self._place(last - count)
        raise InputError("not samples as lm-eval writes them", where=path, line=line, remedy=COPY_AGAIN)

    def _place(self, row: int) -> tuple[Path, int]:
        return self.request.log.paths[self.pile.file[row]], self.pile.line[row]

    def _flags(self, answer: msgspec.Raw, response: msgspec.Raw) -> int:
        found = 0
        if not (_BEGUN(answer) and _BEGUN(response)):
            answers, responses = flat(_loads(answer)), flat(_loads(response))
            if not responses:
                found |= _MISSING
            if not any(text.strip() for text in answers[:1]) or not any(text.strip() for text in responses):
                found |= _EMPTY
        if len(memoryview(response)) > self.long:
            longest = max(flat(_loads(response)), key=len, default="")
            if len(longest) > self.long and not longest.rstrip().endswith(_CLOSING):
                found |= _CUT
        return found | (_REASONING if _THOUGHT[0](response) or _THOUGHT[1](response) else 0)

    def _slow(self, line: bytes, path: Path, number: int) -> Any:
        """The row of a line that the fast decoder rejects, or an error that says why."""
        row = parse_line(line, path, number)
        found = self.row_type(
            doc_id=row["doc_id"],
            filter=row.get("filter"),
            doc_hash=row["doc_hash"],
            target_hash=row["target_hash"],
            prompt_hash=row["prompt_hash"],
            arguments=_Arguments(_Sent(_raw(row["arguments"]["gen_args_0"].get("arg_1")))),
            resps=_raw(row["resps"]),
            filtered_resps=_raw(row["filtered_resps"]),
        )
        for i, name in enumerate(self.request.fields):
            setattr(found.doc, f"f{i}", _raw(row["doc"].get(name) if isinstance(row["doc"], dict) else None))
        for i, metric in enumerate(self.metrics):
            setattr(found, f"m{i}", row.get(metric.name))
        return found

    def columns(self, notes: tuple[str, ...]) -> Columns:
        pile, flags, log = self.pile, np.frombuffer(self.pile.flags, dtype=np.uint8), self.request.log
        rows = len(pile.doc_id)
        held = dict(zip(self.metrics, self.held, strict=True))
        parts = list(itertools.pairwise([*self.starts, rows]))
        scores, unscored, kinds = task_scores(
            self.request, held, parts, place=lambda row: "{}:{}".format(*self._place(row))
        )
        doc_hash, prompt_hash, target_hash = np.frombuffer(pile.hashes, dtype="S32").reshape(-1, 3).T.copy()
        return Columns(
            task=log.task,
            paths=log.paths,
            doc_id=np.array(pile.doc_id, dtype=np.int64),
            doc_hash=doc_hash,
            target_hash=target_hash,
            prompt_hash=prompt_hash,
            file=np.array(pile.file, dtype=np.int16),
            line=np.array(pile.line, dtype=np.int64),
            offset=np.array(pile.offset, dtype=np.int64),
            scores=scores,
            unscored=unscored,
            kinds=kinds,
            generation=np.array(pile.generation if log.generates else np.zeros(rows), dtype=np.int32),
            generations=tuple(self.generations) or (b"null",),
            fields={name: found.labels() for name, found in zip(self.request.fields, self.names, strict=True)},
            digest=np.array(pile.digest, dtype=np.uint32),
            empty=(flags & _EMPTY).astype(bool),
            cut_looking=(flags & _CUT).astype(bool),
            missing=(flags & _MISSING).astype(bool),
            reasoning=(flags & _REASONING).astype(bool),
            notes=notes,
        )


class _Sent(msgspec.Struct, gc=False):
    arg_1: msgspec.Raw = msgspec.Raw(b"null")


class _Arguments(msgspec.Struct, gc=False):
    gen_args_0: _Sent


_Hash = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
_Number = float | bool | str | None


def _row_type(request: Request, metrics: Sequence[Metric]) -> type[msgspec.Struct]:
    """A struct of the fields that this request needs; msgspec skips all others without building them."""
    fields: list[Any] = [
        ("doc_id", Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]),
        ("doc_hash", _Hash),
        ("target_hash", _Hash),
        ("prompt_hash", _Hash),
        ("arguments", _Arguments),
        ("resps", msgspec.Raw),
        ("filtered_resps", msgspec.Raw),
        ("filter", str | None, None),
    ]
    rename = {f"m{i}": metric.name for i, metric in enumerate(metrics)}
    of_doc = {f"f{i}": name for i, name in enumerate(request.fields)}
    if of_doc:
        values = [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in of_doc]
        doc = msgspec.defstruct("Doc", values, rename=of_doc, gc=False)
        fields.append(("doc", doc, msgspec.field(default_factory=doc)))
    fields += [(f"m{i}", _Number if metric.shape == "number" else Any, None) for i, metric in enumerate(metrics)]
    return msgspec.defstruct("Row", fields, rename=rename, gc=False)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _loads(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return json.loads(bytes(raw))


def _check_whole(file: SampleFile, rows: int, filters: int, digest: str) -> list[str]:
    """lm-eval recorded how many documents it ran and a hash over all of them, in order: a lost line shows."""
    if digest == file.task_hash:
        return []
    if file.documents is not None and rows != file.documents * filters:
        what = f"{rows} samples, but lm-eval wrote {file.documents * filters}"
        raise InputError(what, where=file.path, line=rows, remedy=COPY_AGAIN)
    if file.task_hash is None:
        return []
    if file.documents is None and rows != (file.original or 0) * filters:
        what = "not what lm-eval wrote: lines are missing or changed"
        raise InputError(what, where=file.path, remedy=COPY_AGAIN)
    return [f"{file.path.name}: its lines, or their order, are not what lm-eval wrote"]
