"""Every reply on disk as soon as it is read, so that a killed run asks only for the rest.

One SQLite file; a reply is filed under the hash of the address, the model and all that was sent.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from lm_eval_fr.analyses.fidelity.scored import Scored, decode, encode
from lm_eval_fr.errors import InputError

FORMAT = 1


def reply_key(server: str, dialect: str, body: dict[str, Any], asked: int) -> bytes:
    """asked: 0 the first time, 1 for the rerun."""
    return hashlib.sha256(msgspec.json.encode([server, dialect, body, asked], order="deterministic")).digest()


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute("CREATE TABLE IF NOT EXISTS scored (key BLOB PRIMARY KEY, value BLOB, at REAL)")
            found = int(self._rows.execute("PRAGMA user_version").fetchone()[0])
            self._rows.execute(f"PRAGMA user_version = {FORMAT}")
        except (sqlite3.Error, OSError) as error:
            remedy = "give an --out that can be written, or another one if this file is damaged"
            raise InputError(f"cannot be used: {error}", where=path, remedy=remedy) from None
        if found not in (0, FORMAT):
            raise InputError(
                f"has format {found}, this version reads {FORMAT}", where=path, remedy="give another --out"
            )

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def has(self, key: bytes) -> bool:
        return self._rows.execute("SELECT 1 FROM scored WHERE key = ?", (key,)).fetchone() is not None

    def get(self, key: bytes) -> Scored | None:
        found = self._rows.execute("SELECT value FROM scored WHERE key = ?", (key,)).fetchone()
        return None if found is None else decode(found[0])

    def put(self, key: bytes, scored: Scored) -> None:
        try:
            self._rows.execute("INSERT OR REPLACE INTO scored VALUES (?, ?, ?)", (key, encode(scored), time.time()))
        except sqlite3.Error as error:
            remedy = "free space on that disk and run again: what was stored is kept"
            raise InputError(f"cannot be written: {error}", where=self.path, remedy=remedy) from None
