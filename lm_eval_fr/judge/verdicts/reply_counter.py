"""How many replies a journal must have: a stored reply was paid for and must not be lost unnoticed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lm_eval_fr.errors import JournalError


class ReplyCounter:
    """The number of stored replies, beside the journal rather than in it: a journal copied or restored without
    its log opens silently with fewer. Written after each commit, so it is never too high."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.count")
        self.path.touch()
        self._file = self.path.open("r+b", buffering=0)

    def read(self) -> int:
        said = self._file.read(40).strip()
        return int(said) if said.isdigit() else 0

    def write(self, stored: int) -> None:
        self._file.seek(0)
        self._file.write(b"%020d\n" % stored)

    def close(self) -> None:
        self._file.close()


def check_whole(store: sqlite3.Connection, counter: ReplyCounter, path: Path) -> None:
    """JournalError if stored replies are missing: they would be paid for again."""
    stored, counted = stored_replies(store), counter.read()
    if stored < counted:
        log = f"{path.name}-wal"
        raise JournalError(
            f"has {stored:,} of {counted:,} stored replies: {log} is missing, or this is an older copy",
            where=path,
            remedy=f"copy back both files, or give another --out; to continue without them, delete {counter.path.name}",
        )
    counter.write(stored)


def stored_replies(store: sqlite3.Connection) -> int:
    """No reply is ever deleted."""
    return int(store.execute("SELECT coalesce(max(rowid), 0) FROM replies").fetchone()[0])
