"""No key on a stream, in a log record or in a file."""

from __future__ import annotations

import io
import itertools
import json
import logging
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lm_eval_fr.errors import printable
from lm_eval_fr.io.redaction import MASK, Redactor, secrets_in
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
    }
    assert set(secrets_in(environment)) == {KEY, "m1stral-key", "hf_abcdefgh", "correct horse"}


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
