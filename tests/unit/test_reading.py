"""Whatever a file holds: a plain bounded value, or one line that names the file and the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lm_eval_fr.errors import InputError, PlanError, UsageError
from lm_eval_fr.io.reading import (
    convert,
    parse_json,
    parse_yaml,
    read_json,
    read_json_as,
    read_jsonl,
    read_text,
    read_yaml,
)

BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nday: 2026-02-31", 2, "'2026-02-31' is not a valid timestamp"),
        ("day: 2026-01-01T25:61:61", 1, "not a valid timestamp"),
        ("a: !!timestamp 'hier'", 1, "not a valid timestamp"),
        ("a: !!int 'deux'", 1, "'deux' is not a valid int"),
        ("a: !!bool 'peut-être'", 1, "not a valid bool"),
        ("a: !!float douze", 1, "not a valid float"),
        ("? [a, b]\n: c", 1, "unhashable"),
        ("a: 1\nb: 2\na: 3", 3, "'a' appears twice"),
        ("a: [1, 2", 1, "not YAML"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: !!python/object:os.system {}", 1, "constructor"),
        ("a: " + "9" * 5_000, 1, "not a valid int"),
        ("a: " + "9" * 200, None, "more than 100 digits"),
        ("a: &a [*a]", None, "levels deep"),
        ("a: " + "[" * 300 + "]" * 300, None, "levels deep"),
        ("a: " + "[" * 9_000 + "]" * 9_000, None, "levels deep"),
        (BOMB, None, "aliases"),
        ("a: \x01", None, "special characters"),
    ],
)
def test_yaml_is_refused_in_one_line(text: str, line: int | None, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_yaml(text, where="p.yaml", remedy="look at the example", error=PlanError)
    message = str(caught.value)
    assert message.startswith("p.yaml: " if line is None else f"p.yaml:{line}: ")
    assert said in message and "look at the example" in message and "\n" not in message


def test_yaml_that_is_sound_stays_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes("\ufeffa: &a {b: été, c: [1, 2.5, null, true]}\nd: {<<: *a, b: x}\n".encode())
    sound = {"b": "été", "c": [1, 2.5, None, True]}
    assert read_yaml(file) == {"a": sound, "d": {**sound, "b": "x"}}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": NaN}', "nan is not a finite number"),
        (b'{"a": [1, -Infinity]}', "-inf is not a finite number"),
        (b'{"a": 1e999}', "inf is not a finite number"),
        (b'{"a": ' + b"1" * 101 + b"}", "more than 100 digits"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "levels deep"),
        (b'{"a": ' + b'{"b":' * 5_000 + b"1" + b"}" * 5_001, "levels deep"),
        (b"[" * 100_000, "levels deep"),
    ],
)
def test_json_is_refused_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(data)
    with pytest.raises(InputError, match=said) as caught:
        read_json(file)
    assert str(file) in str(caught.value) and "is the file complete?" in str(caught.value)


def test_json_that_only_looks_deep_or_long_is_taken() -> None:
    many = b'{"a": "' + b"[" * 400 + b"8" * 400 + b'\\"", "b": [' + b", ".join([b"[[]]"] * 400) + b"]}"
    assert parse_json(many, where="x")["a"] == "[" * 400 + "8" * 400 + '"'


def test_half_a_surrogate_pair_is_replaced_wherever_it_stands() -> None:
    value = parse_json(b'{"k\\ud83d": ["a\\udc00b", {"x": "\\ud83d\\ude00"}]}', where="x")
    assert value == {"k�": ["a�b", {"x": "😀"}]}
    msgspec.json.encode(value)


def test_nan_is_kept_where_it_may_be() -> None:
    (value,) = parse_json(b"[NaN]", where="x", nan=True)
    assert value != value


def test_lines_are_counted_from_one_and_blank_ones_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"a": 1}\n\n{"a": 2}\n{"a": \n')
    rows = read_jsonl(file, remedy="copy it")
    assert [next(rows), next(rows)] == [(1, {"a": 1}), (3, {"a": 2})]
    with pytest.raises(InputError, match=r"x\.jsonl:4: not JSON.*copy it"):
        next(rows)


@pytest.mark.parametrize("name", ["missing.json", ".", "nul\0"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        list(read_jsonl(tmp_path / name))


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes("un\ndeux\nété\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"x\.txt:3: not UTF-8"):
        read_text(file, error=UsageError)


class Shape(msgspec.Struct):
    count: int
    names: tuple[str, ...] = ()
    by_number: dict[int, float] = {}


def test_a_known_shape(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"count": 2, "names": ["a"], "by_number": {"3": 1}}')
    assert read_json_as(file, Shape, what="a shape") == Shape(2, ("a",), {3: 1.0})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], r"x:7: not a shape: .*array"),
        ({}, r"not a shape: .*missing required field `count`"),
        ({"count": "2"}, r"at `count`"),
        ({"count": 1, "names": ["a", 3]}, r"at `names\[1\]`"),
        ({"count": 1.5}, "not a shape"),
    ],
)
def test_another_shape_is_refused_by_its_place(value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert(value, Shape, what="a shape", where="x", line=7)


@pytest.mark.parametrize("before", range(26))
def test_a_number_that_is_too_long_is_found_wherever_it_stands(before: int) -> None:
    with pytest.raises(InputError, match="more than 100 digits"):
        parse_json(b'{"a": ' + b" " * before + b"1" * 101 + b"}", where="here")
