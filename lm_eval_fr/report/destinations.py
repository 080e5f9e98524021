"""One face of a report to where it was asked for: a file, or stdout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lm_eval_fr.io.files import write_atomic

STDOUT = Path("-")
Show = Callable[[str], None]


def write_face(path: Path, content: str, *, show: Show, say: Show) -> None:
    """`-` is shown, a file is written and said. Raises UsageError where it cannot be written."""
    if path == STDOUT:
        show(content.rstrip("\n"))
        return
    write_atomic(path, content)
    say(f"wrote {path}")
