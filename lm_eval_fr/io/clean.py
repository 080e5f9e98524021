"""Text and JSON from outside, made safe to read, to keep and to print."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from lm_eval_fr.errors import printable

__all__ = ["BadJson", "at", "count_at", "inner", "one_line", "parse_untrusted", "printable", "rows_at", "whole_text"]

MOST_LEVELS = 64
MOST_DIGITS = 18  # so that every whole number fits into 64 bits
MOST_VALUES = 2_000_000  # an empty list takes two bytes in a reply, and seventy here


class BadJson(ValueError):
    """The bytes are not JSON, or are nested too deeply."""


def parse_untrusted(content: bytes | str) -> Any:
    """The JSON value of a server's reply, safe to hash, to encode and to add up. Raises only BadJson.

    Lenient, since a reply was paid for; files are read strictly, by `reading.parse_json`.

    Bytes that are not UTF-8 and halves of characters become U+FFFD. A number that is meaningless in any field (NaN,
    infinity, more than 18 digits) becomes None: unknown, never wrong.
    """
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise BadJson(f"more than {MOST_VALUES:,} values")
    try:
        value = json.loads(
            text.removeprefix("\ufeff"), parse_int=_integer, parse_float=_number, parse_constant=lambda word: None
        )
    except RecursionError:
        _too_deep()
    except ValueError as error:
        raise BadJson(f"not JSON: {error}") from None
    return _bounded(value, MOST_LEVELS) if isinstance(value, (str, dict, list)) else value


def at(value: Any, *path: str | int) -> Any:
    """The value at `path` (keys and indices) in a JSON value of any shape; None if there is none."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, Mapping) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def inner(value: Any, *path: str | int) -> Mapping[str, Any]:
    """The object there; {} if there is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def rows_at(value: Any, *path: str | int) -> list[Mapping[str, Any]]:
    """The objects in the list there; [] if there is none."""
    found = at(value, *path)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def count_at(value: Any, *path: str | int, most: float = math.inf) -> int | None:
    """The whole number there, from 0 to `most`."""
    found = at(value, *path)
    return found if type(found) is int and 0 <= found <= most else None


def whole_text(text: str) -> str:
    """`text` with U+FFFD in place of lone surrogates, which cannot be written to a file or terminal."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def one_line(text: str, most: int = 300) -> str:
    """`text` as one printable line of at most `most` characters."""
    line = printable(" ".join(whole_text(text[: 4 * most]).split()))
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _bounded(value: Any, levels: int) -> Any:
    """`value` itself, with whole strings."""
    if isinstance(value, str):
        return whole_text(value)
    if not levels:
        _too_deep()
    for place, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, (str, dict, list)):
            value[place] = _bounded(inner, levels - 1)
    if isinstance(value, dict) and not all(map(str.isascii, value)):
        return {whole_text(name): inner for name, inner in value.items()}
    return value


def _too_deep() -> NoReturn:
    raise BadJson(f"nested more than {MOST_LEVELS} levels deep") from None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= MOST_DIGITS + digits.startswith("-") else None


def _number(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None
