"""Every reply is on disk as soon as it is read, so that a killed run asks only for the rest.

One SQLite file; a reply is stored under the hash of the address, the model and everything that was sent.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.analyses.fidelity.scored import Scored, decode, encode
from lm_eval_fr.errors import InputError
from lm_eval_fr.io.sqlite import explain, open_store

FORMAT = 1
SCHEMA = "CREATE TABLE IF NOT EXISTS scored (key BLOB PRIMARY KEY, value BLOB, at REAL)"


def reply_key(server: str, dialect: str, body: dict[str, Any], asked: int) -> bytes:
    """asked: 0 the first time, 1 for the rerun."""
    return hashlib.sha256(msgspec.json.encode([server, dialect, body, asked], order="deterministic")).digest()


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = open_store(path, SCHEMA)
        found = int(self._do("PRAGMA user_version").fetchone()[0])
        if found not in (0, FORMAT):
            self._rows.close()
            raise InputError(
                f"has format {found}, this version reads {FORMAT}", where=path, remedy="give another --out"
            )
        self._do(f"PRAGMA user_version = {FORMAT}")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def has(self, key: bytes) -> bool:
        return self._do("SELECT 1 FROM scored WHERE key = ?", key).fetchone() is not None

    def get(self, key: bytes) -> Scored | None:
        found = self._do("SELECT value FROM scored WHERE key = ?", key).fetchone()
        try:
            return None if found is None else decode(found[0])
        except (msgspec.MsgspecError, ValueError, TypeError):
            remedy = "restore it from a copy, or move it away to start again"
            raise InputError("holds a reply that cannot be decoded", where=self.path, remedy=remedy) from None

    def put(self, key: bytes, scored: Scored) -> None:
        self._do("INSERT OR REPLACE INTO scored VALUES (?, ?, ?)", key, encode(scored), time.time())

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._rows.execute(statement, values)
        except sqlite3.Error as error:
            raise explain(error, self.path) from None
