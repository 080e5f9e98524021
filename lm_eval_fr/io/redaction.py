"""Keeps keys out of what is printed, logged and written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl, quote, urlsplit

from lm_eval_fr.errors import LmEvalFrError

MASK = "[redacted]"
KEY_NAME = re.compile(r"(?:^|_)(?:API_?KEY|ACCESS_KEY|SECRET_KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$", re.IGNORECASE)
KEY_ARGUMENT = re.compile(
    r"^(?:x-)?(?:api[-_]?key|auth[-_]?token|access[-_]?token|hf[-_]?token|token|bearer|authorization|password|secret)$",
    re.IGNORECASE,
)
IN_MESSAGES = re.compile(r"(?<=Bearer )[\w.~+/=-]{6,}|\bsk-[\w-]{12,}|\bhf_[A-Za-z0-9]{16,}", re.IGNORECASE)
SHORTEST = 8  # a shorter value ("EMPTY", "none") is no secret and may be an ordinary word


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables whose name says that they hold a key, longest first."""
    values = {value.strip() for name, value in environment.items() if KEY_NAME.search(name)}
    found = {value for value in values if len(value) >= SHORTEST and not value.isdigit() and not value.startswith("/")}
    return tuple(sorted(found, key=len, reverse=True))


class Redactor:
    """Replaces known secrets, and in messages also what looks like one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: dict[str, None] = {}
        for secret in secrets:
            forms |= dict.fromkeys(
                (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret))
            )
        self.forms = tuple(sorted(forms, key=len, reverse=True))
        self._known = re.compile("|".join(map(re.escape, self.forms))) if self.forms else None

    @classmethod
    def from_environment(cls) -> Redactor:
        return cls(secrets_in(os.environ))

    def finds(self, text: str) -> bool:
        return self._known is not None and self._known.search(text) is not None

    def exact(self, text: str) -> str:
        """Without the known secrets: for data, where a look-alike is somebody's text."""
        return self._known.sub(MASK, text) if self._known else text

    def message(self, text: str) -> str:
        """Without the known secrets and without anything that looks like a bearer key."""
        return IN_MESSAGES.sub(MASK, self.exact(text))

    def error(self, error: LmEvalFrError) -> LmEvalFrError:
        """The same error, its text without secrets: a server may repeat the key that it refuses."""
        error.what, error.remedy = self.message(error.what), self.message(error.remedy)
        error.where = error.where and self.message(error.where)
        error.args = (str(error),)
        return error

    def key_among(self, arguments: Mapping[str, Any]) -> str | None:
        """The path of the first argument that is a key, by its name, its value or as part of an address."""
        for path, value in _leaves(arguments):
            text = str(value)
            named = (
                isinstance(value, str) and KEY_ARGUMENT.match(path[-1]) and text.lower() not in ("", "none", "empty")
            )
            if named or self.finds(text) or _has_credentials(text):
                return ".".join(path)
        return None

    def scrub_file(self, path: Path) -> bool:
        """Rewrites a file that holds a secret; True if it did."""
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        if not self.finds(text):
            return False
        draft = path.with_name(f".{path.name}.scrubbed")
        draft.write_bytes(self.exact(text).encode("utf-8", "surrogateescape"))
        draft.replace(path)
        return True

    def held_back(self, text: str) -> int:
        """How many last characters of `text` might be the beginning of a secret."""
        longest = max((len(form) for form in self.forms), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(form.startswith(text[-length:]) for form in self.forms):
                return length
        return 0


class RedactedStream:
    """A text stream that never shows a secret, not even one that arrives in two writes."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor
        self._held = ""

    def write(self, text: str) -> int:
        whole = self._held + text
        keep = self._redactor.held_back(whole)
        self._held = whole[len(whole) - keep :]
        self._stream.write(self._redactor.message(whole[: len(whole) - keep]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        # A few letters are no secret: they are shown rather than left hanging at a prompt.
        if len(self._held) < SHORTEST // 2:
            self._stream.write(self._held)
            self._held = ""
        self._stream.flush()

    def finish(self) -> None:
        self._stream.write(self._redactor.message(self._held) if len(self._held) < SHORTEST // 2 else MASK)
        self._held = ""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def redacted_output(redactor: Redactor) -> Iterator[None]:
    """stdout, stderr and every log record without secrets, whoever writes them."""
    out, err, make_record = sys.stdout, sys.stderr, logging.getLogRecordFactory()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make_record(*args, **kwargs)
        with contextlib.suppress(TypeError, ValueError, KeyError):  # a malformed record is logging's to report
            message = made.getMessage()
            if (shown := redactor.message(message)) != message:
                made.msg, made.args = shown, ()
        return made

    streams = RedactedStream(out, redactor), RedactedStream(err, redactor)
    logging.setLogRecordFactory(record)
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            with contextlib.suppress(OSError, ValueError):
                stream.finish()
        sys.stdout, sys.stderr = out, err
        if logging.getLogRecordFactory() is record:  # else an engine has put its own around ours, and relies on it
            logging.setLogRecordFactory(make_record)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _leaves(inner, path or ("",))
    elif path:
        yield path, value


def _has_credentials(text: str) -> bool:
    if "://" not in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.password) or any(
        KEY_ARGUMENT.match(name) or name.lower() == "key" for name, _ in parse_qsl(parts.query)
    )
