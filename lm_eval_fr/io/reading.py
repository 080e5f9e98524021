"""Reads files into bounded, valid values: the one place that knows how a file can be bad.

Every reader of JSON, JSON lines or YAML goes through here, so that none of them has to foresee:
bytes that are not UTF-8, endless nesting, numbers too large for a float, lone surrogates, YAML's
own constructors (the 45th of a month, an alias of an alias of an alias), duplicate keys. Every
problem is an InputError with the file, the line if known, and the remedy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from lm_eval_fr.errors import InputError, LmEvalFrError
from lm_eval_fr.io.clean import whole_text

if TYPE_CHECKING:
    from hashlib import _Hash as Digest

    import yaml

T = TypeVar("T")
DEPTH = 100  # levels of nesting; Python's own limit is ten times that, and depends on the caller
NODES = 1_000_000  # values of one YAML file, counting each use of an alias
YAML_BYTES = 4 << 20
WHOLE = "is the file complete?"
_LONG = re.compile(rb"\d{101}")  # an integer whose sums may exceed any float
_HINT = re.compile(rb"\d{4}")  # in every 25th byte: finds 101 digits in a row
_PATH = re.compile(r"`\$\.?([^`]*)`")


def read_text(path: Path, *, remedy: str = "", error: type[LmEvalFrError] = InputError) -> str:
    """The file's text, UTF-8 with or without a byte order mark."""
    data = read_bytes(path, remedy=remedy, error=error)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as found:
        line = data.count(b"\n", 0, found.start) + 1
        advice = remedy or "convert it: iconv -t UTF-8"
        raise error("not UTF-8 text", where=path, line=line, remedy=advice) from None


def read_bytes(path: Path, *, remedy: str = "", error: type[LmEvalFrError] = InputError) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as found:  # ValueError: a NUL in the name
        reason = getattr(found, "strerror", None) or "not a valid file name"
        raise error(f"cannot be read: {reason}", where=path, remedy=remedy) from None


def read_json(path: Path, *, remedy: str = WHOLE, nan: bool = False) -> Any:
    """The value of a JSON file. nan: whether to allow NaN and infinities, which Python writes and JSON forbids."""
    return parse_json(read_bytes(path, remedy=remedy), where=path, remedy=remedy, nan=nan)


def read_json_as(path: Path, kind: type[T], *, what: str, remedy: str = WHOLE) -> T:
    """A JSON file of a known shape. what: completes `not ...`, as in `not the judge's summary`."""
    return convert(read_json(path, remedy=remedy), kind, what=what, where=path, remedy=remedy)


def read_jsonl(path: Path, *, remedy: str = WHOLE, digest: Digest | None = None) -> Iterator[tuple[int, Any]]:
    """(line, value) of every line that is not blank, one at a time. digest: is fed the whole file on the way."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if digest is not None:
                    digest.update(line)
                if line.strip():
                    yield number, parse_json(line, where=path, line=number, remedy=remedy)
    except (OSError, ValueError) as found:
        raise InputError(
            f"cannot be read: {getattr(found, 'strerror', None) or found}", where=path, remedy=remedy
        ) from None


def parse_json(
    data: bytes | str, *, where: str | Path, line: int | None = None, remedy: str = WHOLE, nan: bool = False
) -> Any:
    """One JSON value. A lone surrogate becomes U+FFFD; nesting and numbers are bounded."""
    raw = data if isinstance(data, bytes) else whole_text(data).encode()

    def refuse(what: str, at: int | None = line) -> NoReturn:
        raise InputError(what, where=where, line=at, remedy=remedy)

    # No value is nested deeper than its number of brackets, so few need a check of every level.
    if raw.count(b"[") + raw.count(b"{") > DEPTH and _depth(raw) > DEPTH:
        refuse(f"nested more than {DEPTH} levels deep")
    if _HINT.search(raw[::25]) and _LONG.search(raw) and _too_long(raw):
        refuse("a number of more than 100 digits")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as found:
        refuse("not UTF-8 text", line if line is not None else raw.count(b"\n", 0, found.start) + 1)
    except json.JSONDecodeError as found:
        refuse(f"not JSON: {found.msg}", line if line is not None else found.lineno)
    except (ValueError, RecursionError):
        refuse("unreadable JSON")
    return _whole(value, nan, refuse)


def convert(
    value: Any, kind: type[T], *, what: str, where: str | Path, line: int | None = None, remedy: str = WHOLE
) -> T:
    """A parsed value converted to its known shape. what: completes `not ...`."""
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as found:
        reason = _PATH.sub(r"`\1`", str(found))
        raise InputError(f"not {what}: {reason}", where=where, line=line, remedy=remedy) from None


def read_yaml(path: Path, *, remedy: str = "", error: type[LmEvalFrError] = InputError) -> Any:
    return parse_yaml(read_text(path, remedy=remedy, error=error), where=path, remedy=remedy, error=error)


def parse_yaml(text: str, *, where: str | Path, remedy: str = "", error: type[LmEvalFrError] = InputError) -> Any:
    """One YAML document of plain values."""
    import yaml

    if len(text) > YAML_BYTES:
        raise error(f"more than {YAML_BYTES >> 20} MB of YAML", where=where, remedy=remedy)
    try:
        value = yaml.load(text, Loader=_loader())
        _check_size(value)
    except yaml.YAMLError as found:
        mark = getattr(found, "problem_mark", None)
        problem = getattr(found, "problem", None) or getattr(found, "reason", None) or "cannot be parsed"
        line = None if mark is None else mark.line + 1
        raise error(f"not YAML: {problem}", where=where, line=line, remedy=remedy) from None
    except RecursionError:
        raise error(f"nested more than {DEPTH} levels deep", where=where, remedy=remedy) from None
    except _TooLarge as found:
        raise error(str(found), where=where, remedy=remedy) from None
    return value


class _TooLarge(Exception):
    pass


def _loader() -> type[yaml.SafeLoader]:
    """YAML's safe loader, whose constructors raise errors with a line."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_scalar(self, node: Any) -> Any:
            value = super().construct_scalar(node)
            return whole_text(value) if isinstance(value, str) else value

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep=deep)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError):
                kind = str(node.tag).rpartition(":")[2]
                problem = f"{str(node.value)[:60]!r} is not a valid {kind}"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                    problem = f"the key {key.value[:60]!r} appears twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
            return super().construct_mapping(node, deep=deep)

    return Loader


def _check_size(value: Any) -> None:
    """An alias is one object in memory but a copy in everything made from it, so it counts as a copy."""
    count, open_values = 0, [(value, 1)]
    while open_values:
        item, depth = open_values.pop()
        count += 1
        if depth > DEPTH:
            raise _TooLarge(f"nested more than {DEPTH} levels deep")
        if count > NODES:
            raise _TooLarge(f"more than {NODES:,} values, counting aliases")
        if isinstance(item, dict):
            open_values += [(inner, depth + 1) for pair in item.items() for inner in pair]
        elif isinstance(item, (list, tuple, set)):
            open_values += [(inner, depth + 1) for inner in item]
        elif isinstance(item, int) and abs(item) >= 10**100:
            raise _TooLarge("a number of more than 100 digits")


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_A_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for sign in _STRING.sub(b"", raw).translate(None, _NOT_A_BRACKET):
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _too_long(raw: bytes) -> bool:
    """Whether a number, rather than a string, has this many digits."""
    return any(_LONG.search(part) for part in _STRING.split(raw))


def _whole(value: Any, nan: bool, refuse: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, dict):
        return {whole_text(key): _whole(inner, nan, refuse) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner, nan, refuse) for inner in value]
    if isinstance(value, float) and not nan and not math.isfinite(value):
        refuse(f"{value} is not a finite number")
    return value
