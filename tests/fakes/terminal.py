"""A real terminal of so many columns, whose other end a test reads.

    with Terminal(60) as terminal:
        print("hello", file=terminal.stream)
    terminal.text   # what a person has seen, colours included

`lines` are the rows of the screen: what is wider than the terminal takes two.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from types import TracebackType
from typing import TextIO

LIMIT = 120.0  # seconds for a command


class Terminal:
    def __init__(self, columns: int) -> None:
        self.columns, self.text = columns, ""
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.stream: TextIO = os.fdopen(self.slave, "w", encoding="utf-8")
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Terminal:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        seen = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(self._master, 65536):
                seen += part
        self.text = seen.decode("utf-8").replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        shown = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", self.text).rstrip("\n")
        width = self.columns
        return [line[at : at + width] for line in shown.split("\n") for at in range(0, len(line) or 1, width)]


def on_terminal(columns: int, *words: str, **environment: str) -> Terminal:
    """The command's stdout on a terminal; stderr goes nowhere."""
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with Terminal(columns) as terminal:
        subprocess.run(
            [sys.executable, "-m", "lm_eval_fr", *words],
            stdout=terminal.slave,
            stderr=subprocess.DEVNULL,
            env={**env, "TERM": "xterm", **environment},
            timeout=LIMIT,
            check=False,
        )
    return terminal
