"""No key on a stream, in a log record or in a file."""

from __future__ import annotations

import base64
import io
import itertools
import json
import logging
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.errors import printable
from lm_eval_fr.io.redaction import Redactor, has_credentials, secrets_in
from lm_eval_fr.io.secret_forms import MASK, MaskedBody, Secrets
from lm_eval_fr.io.streams import RedactedStream, redacted_output

KEEP = "\n\t\r"
KEY = "sk-test-0123456789abcdef"


def test_which_variables_hold_keys() -> None:
    environment = {
        "OPENAI_API_KEY": KEY,
        "MISTRAL_API_KEY": "m1stral-key",
        "HF_TOKEN": "hf_abcdefgh",
        "DB_PASSWORD": "correct horse",
        "VLLM_API_KEY": "EMPTY",
        "MAX_TOKEN": "1234567890",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
        "TOKENIZERS_PARALLELISM": "false!!!!",
        "PATH": "/usr/bin:/bin",
        "AZURE_OPENAI_KEY": "/9j4AAQSkZJRg==",
        "GATEWAY_API_KEY_2": "1234567890123456",
        "HTTPS_PROXY": "http://moi:un%20secret@proxy:3128",
        "HTTP_PROXY": "http://proxy:3128",
    }
    assert set(secrets_in(environment)) == {
        KEY,
        "m1stral-key",
        "hf_abcdefgh",
        "correct horse",
        "/9j4AAQSkZJRg==",
        "1234567890123456",
        "un%20secret",
        "un secret",
        "moi:un secret",
    }


@given(st.lists(st.integers(0, 80), max_size=8), st.text(max_size=30), st.text(max_size=30))
def test_a_stream_shows_everything_but_the_key_however_it_is_cut(cuts: list[int], before: str, after: str) -> None:
    text = f"{before}|{KEY}|{after}"
    stream = io.StringIO(newline="")
    redacted = RedactedStream(stream, Redactor([KEY]))  # type: ignore[arg-type]
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    for start, end in itertools.pairwise(places):
        redacted.write(text[start:end])
    redacted.finish()
    assert stream.getvalue() == f"{printable(before, keep=KEEP)}|{MASK}|{printable(after, keep=KEEP)}"


def test_a_prompt_is_not_left_hanging() -> None:
    stream = io.StringIO()
    redacted = RedactedStream(stream, Redactor([KEY]))  # type: ignore[arg-type]
    redacted.write("answers")
    redacted.flush()
    assert stream.getvalue() == "answers"


def test_whoever_logs_or_prints() -> None:
    out, err, handled = io.StringIO(), io.StringIO(), io.StringIO()
    logger, handler = logging.getLogger("lm_eval.test"), logging.StreamHandler(handled)
    logger.addHandler(handler)
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        with redacted_output(Redactor([KEY])):
            logger.warning("headers: %s", {"Authorization": f"Bearer {KEY}"})
            print("key", KEY)
            print(f"Bearer {'x' * 20}", file=sys.stderr)
    finally:
        sys.stdout, sys.stderr = kept
        logger.removeHandler(handler)
    shown = out.getvalue() + err.getvalue() + handled.getvalue()
    assert KEY not in shown
    assert "x" * 20 not in shown
    assert shown.count(MASK) >= 3


def test_a_file_is_rewritten_only_when_it_must_be(tmp_path: Path) -> None:
    awkward = 'pass"wört\\é'
    redactor = Redactor([KEY, awkward])
    clean, dirty, escaped = (tmp_path / name for name in ("clean", "dirty", "escaped"))
    clean.write_text("Bearer of good news", encoding="utf-8")
    dirty.write_text(f"a {KEY} b\udcff", encoding="utf-8", errors="surrogateescape")
    escaped.write_text(json.dumps({"a": awkward}) + json.dumps(awkward, ensure_ascii=False), encoding="utf-8")
    assert [redactor.scrub_file(path) for path in (clean, dirty, escaped)] == [False, True, True]
    assert clean.read_text() == "Bearer of good news"
    assert dirty.read_bytes() == f"a {MASK} b".encode() + b"\xff"
    assert "wört" not in escaped.read_text(encoding="utf-8") and "w\\u00f6rt" not in escaped.read_text(encoding="utf-8")


WAYS = {
    "as it is": str,
    "JSON, all escaped": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "JSON, in part": lambda key: "".join(f"\\u{ord(c):04X}" if i % 3 else c for i, c in enumerate(key)),
    "JSON in JSON": lambda key: json.dumps(json.dumps("".join(f"\\u{ord(c):04x}" for c in key)))[3:-3],
    "PHP": lambda key: key.replace("/", "\\/"),
    "Python": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "address": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "address, twice": lambda key: "".join(f"%25{ord(c):02X}" for c in key),
    "HTML": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "HTML, hexadecimal": lambda key: "".join(f"&#x{ord(c):X};" for c in key),
    "hexadecimal": lambda key: key.encode().hex(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "Basic": lambda key: base64.b64encode(f"moi:{key}".encode()).decode(),
    "Basic, a longer name": lambda key: base64.urlsafe_b64encode(f"a:{key}:x".encode()).decode(),
    "Basic, a name between": lambda key: base64.b64encode(f"nous:{key}".encode()).decode(),
}
"""How servers and programs write a key that they repeat."""


@pytest.mark.parametrize("key", [KEY, "gw+0123/4567-89=abcdefgh", "1234567890123456"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_body_without_the_key_however_it_is_written_and_cut(key: str, way: str, step: int) -> None:
    written = WAYS[way](key)
    body = f'{{"a": "été à 14 %, \\u00e9 {written} fin {written}"}}'.encode()
    mask = MaskedBody(Secrets([key]))
    found = b"".join([*(mask.next(body[at : at + step]) for at in range(0, len(body), step)), mask.rest()]).decode()
    assert written not in found and found.count(MASK) == 2
    assert found.startswith('{"a": "été à 14 %, \\u00e9 ') and found.endswith('"}')


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_the_rest_of_a_body_stays(before: bytes, after: bytes) -> None:
    mask = MaskedBody(Secrets([KEY]))
    found = mask.next(before + KEY.encode()) + mask.next(after) + mask.rest()
    assert found == before + MASK.encode() + after


WITH_A_KEY = """api_key apikey x-api-key x-goog-api-key subscription-key Ocp-Apim-Subscription-Key sig signature token
access_token auth_token client_secret X-Amz-Signature X-Amz-Credential X-Goog-Signature AWSAccessKeyId pwd password
code_password jwt app_key api_token"""


@pytest.mark.parametrize("name", WITH_A_KEY.split())
def test_addresses_with_a_key(name: str) -> None:
    assert has_credentials(f"https://host/v1?a=1&{name}=abc")


@pytest.mark.parametrize("name", ["api-version", "model", "keyword", "max_tokens", "think_end_token", "monkey", "n"])
def test_addresses_without_one(name: str) -> None:
    assert not has_credentials(f"https://host/v1?{name}=abc")


def test_settings_of_a_server_s_manifest() -> None:
    """They are shown under names with dots, and a command holds its keys after flags."""
    redactor = Redactor(())
    assert redactor.value("plain-word", "manifest.api_key") == MASK
    assert redactor.value({"X-Any": "plain-word"}, "manifest.headers") == {"X-Any": MASK}
    for command in ("serve --api-key plain-word m", "serve --token=plain-word m", "serve --key plain-word m"):
        assert "plain-word" not in redactor.message(command) and command.split()[-1] in redactor.message(command)
    words = ["serve", "--api-key", "plain-word", "--port", "80"]
    assert redactor.value(words, "manifest.command") == ["serve", "--api-key", MASK, "--port", "80"]
    for harmless in ("--key-env NAME", "--token --port 80", "the token is a word", "manifest.token_count 12"):
        assert redactor.message(harmless) == harmless
