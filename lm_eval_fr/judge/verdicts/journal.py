"""Every reply that was paid for, raw, on disk before anything reads it.

    journal.sqlite        SQLite, WAL, synchronous FULL
    journal.sqlite.lock   held by the one process that may write; the kernel frees it however that process ends

A reply is filed under the hash of what was sent, so a changed rubric, model, parameter or answer asks anew, and a
changed parser reads the old replies again. Which arm wrote which answer is nowhere in it. Failures are filed apart, for
the accounts; nothing ever reads a verdict from them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import astuple, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec

from lm_eval_fr.errors import JournalError
from lm_eval_fr.judge.asking.judge_instructions import PROMPT_VERSION
from lm_eval_fr.judge.asking.protocol import Dialect, Prices, Profile

FORMAT = "1"
Source = Literal["live", "batch", "offline"]
NOT_IN_KEY = ("prompt_cache_key",)  # it moves a call to another machine, and changes no answer
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS judges (
    id INTEGER PRIMARY KEY, profile TEXT NOT NULL, model TEXT NOT NULL, prices TEXT NOT NULL,
    UNIQUE (profile, model, prices));
CREATE TABLE IF NOT EXISTS replies (
    key BLOB NOT NULL, repeat INTEGER NOT NULL, attempt INTEGER NOT NULL, judge INTEGER NOT NULL REFERENCES judges,
    source TEXT NOT NULL, raw BLOB NOT NULL, at REAL NOT NULL, PRIMARY KEY (key, repeat, attempt));
CREATE TABLE IF NOT EXISTS failures (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, judge INTEGER NOT NULL REFERENCES judges, kind TEXT NOT NULL,
    detail TEXT NOT NULL, dollars REAL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS failures_of_key ON failures (key);
CREATE TABLE IF NOT EXISTS sending (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, judge INTEGER NOT NULL, dollars REAL, at REAL NOT NULL);
"""


def call_key(dialect: Dialect, body: dict[str, Any]) -> bytes:
    """What a reply is filed under: all that is sent and could change the answer, the dialect it is sent in, and the
    version of the prompt."""
    sent = {name: value for name, value in body.items() if name not in NOT_IN_KEY}
    content = msgspec.json.encode([dialect, PROMPT_VERSION, sent], order="deterministic")
    return hashlib.sha256(content).digest()


@dataclass(frozen=True, slots=True)
class NewReply:
    """A reply to file. `raw` is the whole body of the HTTP response, as it came."""

    key: bytes
    judge: int  # from `Journal.judge`
    raw: bytes
    source: Source = "live"
    repeat: int = 0  # 0 for the question itself, 1.. for asking it again to measure the judge's noise
    sending: int | None = None  # the reservation that this reply settles


@dataclass(frozen=True, slots=True)
class StoredReply:
    key: bytes
    repeat: int
    attempt: int
    judge: int
    source: Source
    raw: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a reply. `dollars`: what it may have cost at most; None when that is unknown."""

    key: bytes
    judge: int
    kind: str
    detail: str = ""
    dollars: float | None = 0.0
    sending: int | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """A call that is about to be made, for the budget to survive a kill: see `Journal.open`."""

    key: bytes
    judge: int
    dollars: float


@dataclass(slots=True)
class _Job:
    statement: str
    values: tuple[Any, ...]
    settles: int | None = None
    done: Future[int] = field(default_factory=Future)


class Journal:
    """One open journal. Its methods may be called from any thread; a `Future` is done when its row is on disk."""

    def __init__(self, path: Path, lock: int, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        self.path = path
        self.salt = bytes.fromhex(reader.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0])
        self._lock_file = lock
        self._closed = False
        self._reader = reader
        self._reading = threading.Lock()
        self._writer = writer
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Opens or makes the journal, for this process alone.

        Calls that a killed process was waiting for become failures that may have cost what was reserved for them.
        Raises JournalError when another process has it, or when the folder cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(path)
        except OSError as error:
            why = f"{path.parent} is no folder" if isinstance(error, FileExistsError) else error.strerror
            raise JournalError(
                f"cannot be written: {why}", where=path, remedy="give an --out that can be written"
            ) from error
        try:
            reader, writer = _connect(path), _connect(path)
            _prepare(writer, path)
            return cls(path, lock, reader, writer)
        except sqlite3.Error as error:
            os.close(lock)
            raise _explain(error, path) from error
        except BaseException:
            os.close(lock)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Waits for what was handed in, and gives the journal back."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        with self._reading:
            self._reader.close()
        os.close(self._lock_file)

    def judge(self, profile: Profile) -> int:
        """The number under which this profile's replies are filed, prices as of now."""
        values = (profile.name, profile.model, msgspec.json.encode(profile.prices).decode())
        self._submit(_Job("INSERT OR IGNORE INTO judges (profile, model, prices) VALUES (?, ?, ?)", values)).result()
        found = self._select("SELECT id FROM judges WHERE profile = ? AND model = ? AND prices = ?", values)
        return int(found[0][0])

    def judges(self) -> dict[int, tuple[str, str, Prices]]:
        """Profile name, model and prices of every judge that replied here."""
        rows = self._select("SELECT id, profile, model, prices FROM judges", ())
        return {row[0]: (row[1], row[2], msgspec.json.decode(row[3], type=Prices)) for row in rows}

    def store(self, reply: NewReply) -> Future[int]:
        """Files a reply; done when it is on disk. The result is its attempt number's row."""
        statement = (
            "INSERT INTO replies SELECT ?, ?, 1 + coalesce(max(attempt), 0), ?, ?, ?, ? "
            "FROM replies WHERE key = ? AND repeat = ?"
        )
        values = (reply.key, reply.repeat, reply.judge, reply.source, reply.raw, time.time(), reply.key, reply.repeat)
        return self._submit(_Job(statement, values, reply.sending))

    def store_all(self, replies: Iterable[NewReply]) -> int:
        """Files many, and returns how many once they are on disk."""
        futures = [self.store(reply) for reply in replies]
        for future in futures:
            future.result()
        return len(futures)

    def fail(self, failure: Failure) -> Future[int]:
        statement = "INSERT INTO failures (key, judge, kind, detail, dollars, at) VALUES (?, ?, ?, ?, ?, ?)"
        values = (*astuple(failure)[:5], time.time())
        return self._submit(_Job(statement, values, failure.sending))

    def announce(self, sending: Sending) -> Future[int]:
        """Reserves a call's greatest cost before it is sent. The result goes into what settles it."""
        statement = "INSERT INTO sending (key, judge, dollars, at) VALUES (?, ?, ?, ?)"
        return self._submit(_Job(statement, (*astuple(sending), time.time())))

    def replies(self, key: bytes) -> list[StoredReply]:
        """Every reply to a question, by repeat and attempt."""
        columns = "key, repeat, attempt, judge, source, raw, at"
        rows = self._select(f"SELECT {columns} FROM replies WHERE key = ? ORDER BY repeat, attempt", (key,))
        return [StoredReply(*row) for row in rows]

    def all_replies(self) -> Iterator[tuple[int, Source, bytes]]:
        """Judge, source and raw body of everything that was paid for, a block at a time."""
        last = -1
        while rows := self._select(
            "SELECT rowid, judge, source, raw FROM replies WHERE rowid > ? ORDER BY rowid LIMIT 2000", (last,)
        ):
            yield from (row[1:] for row in rows)
            last = rows[-1][0]

    def failures(self) -> list[tuple[int, str, float | None, int]]:
        """Judge, kind, dollars at most (None when any is unknown) and count of the attempts without a reply."""
        return [
            (judge, kind, None if count > known else dollars, count)
            for judge, kind, dollars, known, count in self._select(
                "SELECT judge, kind, sum(dollars), count(dollars), count(*) FROM failures GROUP BY judge, kind", ()
            )
        ]

    def last_failure(self, key: bytes) -> tuple[str, str] | None:
        """Kind and detail of the last attempt at this question that brought no reply."""
        found = self._select("SELECT kind, detail FROM failures WHERE key = ? ORDER BY id DESC LIMIT 1", (key,))
        return (str(found[0][0]), str(found[0][1])) if found else None

    def note(self, name: str) -> str | None:
        """A note kept beside the replies, or None."""
        found = self._select("SELECT value FROM meta WHERE name = ?", (f"note:{name}",))
        return str(found[0][0]) if found else None

    def set_note(self, name: str, value: str) -> None:
        """Keeps a note (a batch's number, say); it is on disk when this returns."""
        statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        self._submit(_Job(statement, (f"note:{name}", value))).result()

    def _select(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error

    def _submit(self, job: _Job) -> Future[int]:
        if self._closed:
            job.done.set_exception(JournalError("is closed", where=self.path))
        else:
            job.done.set_running_or_notify_cancel()  # who waits may give up; what was paid for is stored all the same
            self._jobs.put(job)
        return job.done

    def _write(self) -> None:
        """The writing thread: whatever has come in since the last commit goes to disk in one."""
        broken: JournalError | None = None
        closing = False
        while not closing:
            jobs = [self._jobs.get()]
            while len(jobs) < 1000:
                try:
                    jobs.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            closing = None in jobs
            work = [job for job in jobs if job is not None]
            if broken is None:
                broken = self._commit(work)
            for job in work if broken is not None else ():
                job.done.set_exception(broken)
        self._writer.close()

    def _commit(self, work: list[_Job]) -> JournalError | None:
        if not work:
            return None
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            rows = []
            for job in work:
                rows.append(self._writer.execute(job.statement, job.values).lastrowid or 0)
                if job.settles is not None:
                    self._writer.execute("DELETE FROM sending WHERE id = ?", (job.settles,))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            return _explain(error, self.path)
        except Exception as error:  # a thread that dies would leave its callers waiting for ever
            return JournalError(f"failed: {error!r}", where=self.path)
        for job, row in zip(work, rows, strict=True):
            job.done.set_result(row)
        return None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    writer.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
    values = [("format", FORMAT), ("salt", secrets.token_hex(16))]
    writer.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", values)
    found = writer.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()[0]
    if found != FORMAT:
        raise JournalError(
            f"has format {found}, this version reads {FORMAT}", where=path, remedy="use another --out or version"
        )
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(
        "INSERT INTO failures (key, judge, kind, detail, dollars, at) "
        "SELECT key, judge, 'lost', 'the process that was waiting for it was killed', dollars, at FROM sending"
    )
    writer.execute("DELETE FROM sending")
    writer.execute("COMMIT")


def _take_lock(path: Path) -> int:
    lock = path.with_name(path.name + ".lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(handle, 100, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise JournalError(
            f"in use by process {owner}", where=path, remedy="wait until it ends, or give another --out"
        ) from None
    except OSError:
        os.close(handle)
        raise
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def _explain(error: sqlite3.Error, path: Path) -> JournalError:
    said = str(error)
    if "full" in said or "disk I/O" in said:
        what, remedy = f"cannot be written: {said}", "free space on that disk and run again: what was stored is kept"
    elif "readonly" in said or "unable to open" in said:
        what, remedy = f"cannot be written: {said}", "give an --out that can be written"
    elif "not a database" in said or "malformed" in said:
        what, remedy = f"is damaged: {said}", "move it away to start anew, or restore it from a copy"
    else:
        what, remedy = f"failed: {said}", "run again: what was stored is kept"
    return JournalError(what, where=path, remedy=remedy)
