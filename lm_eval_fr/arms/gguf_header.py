"""What the header of a GGUF file says about its model. No weights are read, and no package is needed.

The layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A server names the file, so neither its name nor
its content is trusted: every length is checked against a bound and the file's size before anything is read.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from lm_eval_fr.arms.checkpoint import DAMAGE, DOWNLOAD, Weights, first_and_last, template_sha256
from lm_eval_fr.errors import InputError
from lm_eval_fr.io.clean import one_line

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_ENTRIES = 4096
MOST_ITEMS = 1 << 22  # entries of all arrays together; a vocabulary and its merges have under a million
MOST_TEXT = 1 << 20  # bytes of one text that is kept; a chat template has about ten thousand
MOST_HEADER = 256 << 20
CUT = "its header is truncated or implausible"
TEXT, ARRAY = 8, 9
# The types of values by number: how `struct` reads one.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# `general.file_type`, llama.cpp's llama_ftype: how most of the weights are stored.
WHOLE = {0: "float32", 1: "float16", 32: "bfloat16"}
_STORED = (
    "2:Q4_0 3:Q4_1 7:Q8_0 8:Q5_0 9:Q5_1 10:Q2_K 11:Q3_K_S 12:Q3_K_M 13:Q3_K_L 14:Q4_K_S 15:Q4_K_M 16:Q5_K_S 17:Q5_K_M "
    "18:Q6_K 19:IQ2_XXS 20:IQ2_XS 21:Q2_K_S 22:IQ3_XS 23:IQ3_XXS 24:IQ1_S 25:IQ4_NL 26:IQ3_S 27:IQ3_M 28:IQ2_S "
    "29:IQ2_M 30:IQ4_XS 31:IQ1_M 36:TQ1_0 37:TQ2_0 38:MXFP4_MOE 39:NVFP4"
)
FILE_TYPES = {int(number): name for number, name in (word.split(":") for word in _STORED.split())}
Value = str | int | float | bool


def is_gguf(path: Path) -> bool:
    """Whether it is a regular file that starts like a GGUF file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def describe_gguf(path: Path) -> Weights:
    """Raises InputError for a file that is not GGUF, or whose header is truncated or implausible."""
    metadata = read_gguf_header(path)
    quantization, dtype = stored_as(metadata.get("general.file_type"), metadata.get(f"{DAMAGE}.description"))
    name = metadata.get("general.name")
    digest = hashlib.sha256(f"{path.stat().st_size}\n".encode() + first_and_last(path))
    return Weights(
        name=one_line(name, 200) if isinstance(name, str) and name else None,
        quantization=quantization,
        dtype=dtype,
        revision=f"files:{digest.hexdigest()[:16]}",
        chat_template_sha256=template_sha256(metadata.get("tokenizer.chat_template")),
    )


def stored_as(file_type: object, damage: object = None) -> tuple[str | None, str | None]:
    """(quantization, dtype) of a GGUF model. file_type: its number. damage: what scripts/damage.py wrote there."""
    if type(file_type) is not int:
        return None, None
    dtype = WHOLE.get(file_type)
    if isinstance(damage, str):
        return one_line(damage, 200), dtype
    return ("none" if dtype else FILE_TYPES.get(file_type)), dtype


def read_gguf_header(path: Path) -> dict[str, Value]:
    """The metadata with single values; arrays, above all the vocabulary, are skipped. Raises InputError."""
    try:
        with path.open("rb", buffering=1 << 18) as file:
            return dict(_Header(file, path).entries())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path, remedy="check its permissions") from None


class _Header:
    """Reads forward, never beyond the file's end or MOST_HEADER."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._left = min(os.fstat(file.fileno()).st_size, MOST_HEADER)
        self._items = 0

    def entries(self) -> Iterator[tuple[str, Value]]:
        if self._take(len(MAGIC)) != MAGIC:
            self._refuse("not a GGUF file")
        if (version := self._number("I")) not in VERSIONS:
            self._refuse(f"GGUF version {version}, not {' or '.join(map(str, VERSIONS))}")
        self._number("Q")  # of tensors, which are not read
        count = self._number("Q")
        if count > MOST_ENTRIES:
            self._refuse(f"a header of {count:,} entries")
        for _ in range(int(count)):
            name, kind = self._text(), int(self._number("I"))
            if kind == ARRAY:
                self._pass_array()
            else:
                yield name, self._text() if kind == TEXT else self._number(self._format(kind))

    def _pass_array(self) -> None:
        kind, count = int(self._number("I")), int(self._number("Q"))
        self._items += count
        if self._items > MOST_ITEMS:
            self._refuse("a header with implausible lists")
        if kind != TEXT:
            self._pass(count * struct.calcsize(self._format(kind)))
            return
        for _ in range(count):
            self._pass(int(self._number("Q")))

    def _format(self, kind: int) -> str:
        if kind not in NUMBERS:
            self._refuse(f"a header with a value of type {kind}")
        return NUMBERS[kind]

    def _number(self, kind: str) -> float:
        value: float = struct.unpack(f"<{kind}", self._take(struct.calcsize(kind)))[0]
        return value

    def _text(self) -> str:
        length = int(self._number("Q"))
        if length > MOST_TEXT:
            self._refuse(f"a header with a text of {length:,} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _take(self, count: int) -> bytes:
        self._spend(count)
        data = self._file.read(count)
        if len(data) < count:
            self._refuse(CUT)
        return data

    def _pass(self, count: int) -> None:
        self._spend(count)
        self._file.seek(count, os.SEEK_CUR)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            self._refuse(CUT)

    def _refuse(self, what: str) -> NoReturn:
        raise InputError(what, where=self._path, remedy=DOWNLOAD)
