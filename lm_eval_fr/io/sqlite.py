"""One way to open a store: SQLite with a write-ahead log; data is on disk before its next use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lm_eval_fr.errors import InputError, LmEvalFrError

WAIT = 10.0  # seconds for another connection's transaction to end


def open_store(
    path: Path, schema: str = "", *, kind: type[LmEvalFrError] = InputError, exclusive: bool = False
) -> sqlite3.Connection:
    """A connection in autocommit, for any thread; WAL, synchronous FULL. Makes the folder and the schema.

    exclusive: no other connection, of whatever process, may read or write while this one is open.
    Raises `kind` for a file that is damaged, cannot be written, or is held by another process.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1 if exclusive else WAIT)
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path, kind) from None
    try:
        if exclusive:
            store.execute("PRAGMA locking_mode = EXCLUSIVE")
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        found = store.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")
        if schema:
            store.executescript(f"BEGIN IMMEDIATE;{schema};COMMIT;")
    except sqlite3.Error as error:
        store.close()
        raise explain(error, path, kind) from None
    return store


def explain(error: sqlite3.Error | OSError, path: Path, kind: type[LmEvalFrError] = InputError) -> LmEvalFrError:
    """One line for an error of SQLite or the system, with its remedy."""
    said = str(getattr(error, "strerror", None) or error)
    if "locked" in said or "busy" in said:
        return kind("in use by another process", where=path, remedy="wait until it ends, or give another folder")
    if "full" in said or "disk I/O" in said or "No space" in said:
        remedy = "free space on that disk and rerun: what was stored is kept"
        return kind(f"cannot be written: {said}", where=path, remedy=remedy)
    if isinstance(error, OSError) or "readonly" in said or "unable to open" in said:
        return kind(f"cannot be written: {said}", where=path, remedy="give a folder that can be written")
    if isinstance(error, sqlite3.DatabaseError) and ("not a database" in said or "malformed" in said):
        remedy = "restore it from a copy, or move it away to start again"
        return kind(f"is damaged: {said}", where=path, remedy=remedy)
    return kind(f"failed: {said}", where=path, remedy="rerun: what was stored is kept")
