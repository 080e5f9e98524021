"""Hostile JSON and hostile text."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.errors import InputError, nearest
from lm_eval_fr.io.clean import BadJson, at, count_at, inner, one_line, parse_untrusted, printable, rows_at, whole_text


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'"\\ud800 x"', "\ufffd x"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'{"\\udc00": 1}', {"\ufffd": 1}),
        (b"9" * 400, None),
        (b"-123456789012345678", -123456789012345678),
        (b"[NaN, -Infinity, 1e999, 1.5]", [None, None, None, 1.5]),
        (b'"caf\xe9"', "caf\ufffd"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("9" * 5000, None),
    ],
)
def test_what_json_allows_and_nothing_else_does(content: bytes | str, value: object) -> None:
    assert parse_untrusted(content) == value


def test_more_values_than_any_reply_has() -> None:
    with pytest.raises(BadJson, match="more than 2,000,000 values"):
        parse_untrusted(b"[" + b"[]," * 1_000_000 + b"[]]")


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a": ', b"[" * 200_000 + b"]" * 200_000, b"[" * 65 + b"]" * 65])
def test_what_is_not_json(content: bytes) -> None:
    with pytest.raises(BadJson):
        parse_untrusted(content)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: json.dumps(text).encode()))
def test_any_bytes(content: bytes) -> None:
    try:
        value = parse_untrusted(content)
    except BadJson:
        return
    msgspec.json.encode(value)  # no half characters, no number beyond 64 bits
    json.dumps(value, allow_nan=False)


@given(st.text())
def test_ordinary_json_is_read_as_it_is(text: str) -> None:
    assert parse_untrusted(json.dumps({"a": [text, 1, 2.5, None]})) == {"a": [whole_text(text), 1, 2.5, None]}


def test_printable() -> None:
    assert printable("a\x1b[2J\x9b2J\x07\u202eb\nc") == "a\\u001b[2J\\u009b2J\\u0007\\u202eb\\u000ac"
    assert printable("a\nb\tc", keep="\n\t") == "a\nb\tc"
    assert printable("L'été « coûte » 1 000 € \u202f%") == "L'été « coûte » 1 000 € \u202f%"
    assert one_line(" a\n\x00b \ud800 " + "x" * 400, 20) == "a \\u0000b \ufffd xxxxx..."


def test_an_error_is_one_printable_line() -> None:
    error = InputError("bad\n\x1b]0;title\x07", where="a\x1b[2Jb", line=3, remedy="do\nthis")
    assert str(error) == "a\\u001b[2Jb:3: bad \\u001b]0;title\\u0007 (do this)" == error.args[0]


def test_nearest() -> None:
    assert nearest("piaf_rf", ["piaf_fr", "sib200_fr"]) == "did you mean 'piaf_fr'?"
    assert nearest("zzz", ["piaf_fr"]) == ""


def test_a_path_into_json_of_another_shape_leads_nowhere() -> None:
    reply = {"choices": [{"message": {"content": "oui"}}, "x"], "usage": {"n": 3, "far": 9, "yes": True}}
    assert at(reply, "choices", 0, "message", "content") == "oui"
    assert all(at(value, "choices", 0, "message") is None for value in (None, [], "choices", {"choices": {"0": 1}}))
    assert at(reply, "choices", 7) is None and at(reply, "choices", 1, "message") is None
    assert (inner(reply, "choices", 0, "message"), inner(reply, "choices")) == ({"content": "oui"}, {})
    assert (len(rows_at(reply, "choices")), rows_at(reply, "usage")) == (1, [])
    assert [count_at(reply, "usage", name, most=5) for name in ("n", "far", "yes", "no")] == [3, None, None, None]
