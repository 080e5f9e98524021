"""stdout, stderr and the logs without keys or control sequences, whoever writes to them."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from lm_eval_fr.errors import printable
from lm_eval_fr.io.redaction import SHORTEST, Redactor
from lm_eval_fr.io.secret_forms import MASK
from lm_eval_fr.io.terminal import columns_of, fold

_COLOUR = r"\x1b\[(?:0|1|2|3|4|22|(?:1;)?3\d|4\d|9\d)?m"
_COLOURS = re.compile(f"({_COLOUR})")
_BARS = re.compile(rf"({_COLOUR}|\x1b\[A|\x1b\[2?K|\r)")  # the characters that move a progress bar


def say_on_stderr(message: str) -> None:
    """Progress for people on stderr, so that stdout has only the result; in the terminal's width."""
    shown = printable(message, keep="\n\t")
    print(fold(shown, columns_of(sys.stderr)) if sys.stderr.isatty() else shown, file=sys.stderr, flush=True)


class RedactedStream:
    """A text stream that never shows a secret, not even one that arrives in two writes.

    bars: for stderr: a line may be overwritten, and what looks like a key is masked too. stdout is data.
    """

    def __init__(self, stream: TextIO, redactor: Redactor, *, bars: bool = True) -> None:
        self._stream = stream
        self._redact = redactor.message if bars else redactor.exact
        self._held_back = redactor.held_back
        self._allowed = _BARS if bars else _COLOURS
        self._held = ""

    def write(self, text: str) -> int:
        whole = self._held + text
        keep = self._held_back(whole)
        self._held = whole[len(whole) - keep :]
        self._stream.write(self._clean(whole[: len(whole) - keep]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        # A few letters are not a secret: they are shown rather than held back at a prompt.
        if len(self._held) < SHORTEST // 2:
            self._stream.write(self._clean(self._held))
            self._held = ""
        self._stream.flush()

    def finish(self) -> None:
        self._stream.write(self._clean(self._held) if len(self._held) < SHORTEST // 2 else MASK)
        self._held = ""
        self._stream.flush()

    def _clean(self, text: str) -> str:
        parts = self._allowed.split(self._redact(text))
        parts[::2] = [printable(part, keep="\n\t") for part in parts[::2]]
        return "".join(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def redacted_output(redactor: Redactor) -> Iterator[None]:
    """stdout, stderr and every log record without secrets and control characters, whoever writes them."""
    if isinstance(sys.stdout, RedactedStream):  # a command inside a command: already wrapped
        yield
        return
    out, err, make_record = sys.stdout, sys.stderr, logging.getLogRecordFactory()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make_record(*args, **kwargs)
        with contextlib.suppress(TypeError, ValueError, KeyError):  # logging itself reports a malformed record
            message = made.getMessage()
            if (shown := printable(redactor.message(message), keep="\n\t")) != message:
                made.msg, made.args = shown, ()
        return made

    streams = RedactedStream(out, redactor, bars=False), RedactedStream(err, redactor)
    logging.setLogRecordFactory(record)
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            with contextlib.suppress(OSError, ValueError):
                stream.finish()
        sys.stdout, sys.stderr = out, err
        if logging.getLogRecordFactory() is record:  # otherwise an engine has wrapped ours, and relies on it
            logging.setLogRecordFactory(make_record)
