"""Every paid reply, raw, on disk before anything reads it.

    journal.sqlite        SQLite, WAL, synchronous FULL
    journal.sqlite.lock    held by the one process that may write; the system releases it however that process ends
    journal.sqlite.count  how many replies were stored, by which a journal without its log is noticed

A reply is stored under the hash of what was sent, so a changed rubric, model, parameter or answer is asked again, and a
changed parser rereads the old replies. The journal does not say which arm wrote which answer. Failures are stored
separately; no verdict is ever read from them.
"""

from __future__ import annotations

import hashlib
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from lm_eval_fr.errors import JournalError, LmEvalFrError
from lm_eval_fr.io.locks import Lock
from lm_eval_fr.io.sqlite import explain, open_store
from lm_eval_fr.judge.asking.judge_instructions import PROMPT_VERSION
from lm_eval_fr.judge.asking.protocol import Dialect, Prices, Profile
from lm_eval_fr.judge.verdicts.reply_counter import ReplyCounter, check_whole, stored_replies

FORMAT = "1"
Source = Literal["live", "batch", "offline"]
NOT_IN_KEY = ("prompt_cache_key",)  # it moves a call to another machine but changes no answer
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
CREATE TABLE IF NOT EXISTS sizes (key BLOB PRIMARY KEY, sent INTEGER NOT NULL, output INTEGER);
"""


def call_key(dialect: Dialect, body: dict[str, Any]) -> bytes:
    """The key of a reply: everything sent that could change the answer, its dialect, and the
    version of the prompt."""
    sent = {name: value for name, value in body.items() if name not in NOT_IN_KEY}
    content = msgspec.json.encode([dialect, PROMPT_VERSION, sent], order="deterministic")
    return hashlib.sha256(content).digest()


REPLY = "key, judge, raw, source, repeat, sent, output, attempt, at"
FAILURE = "key, judge, kind, detail, dollars, at"


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply, before or after it is stored. `raw` is the whole body of the HTTP response, unchanged.

    sent, output: bytes of the request and the limit of output tokens, from which its greatest cost follows; None is
    unknown. attempt, at (Unix time): given by the journal.
    """

    key: bytes
    judge: int  # from `Journal.judge`
    raw: bytes
    source: Source = "live"
    repeat: int = 0  # 0 for the question itself, 1.. for asking it again to measure the judge's noise
    sent: int | None = None
    output: int | None = None
    attempt: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a reply. `dollars`: the most it may have cost; None if unknown."""

    key: bytes
    judge: int
    kind: str
    detail: str = ""
    dollars: float | None = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class QuestionRows:
    """Everything in the journal about one question: replies by repeat and attempt, failures by time."""

    replies: tuple[StoredReply, ...] = ()
    failures: tuple[Failure, ...] = ()


Statement = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class _Job:
    """Statements of one transaction; `done` has the row of the first."""

    statements: Sequence[Statement]
    done: Future[int] = field(default_factory=Future)


class Journal(AbstractContextManager["Journal"]):
    """One open journal. Its methods may be called from any thread; a `Future` is done once its row is on disk."""

    def __init__(
        self, path: Path, lock: Lock, counter: ReplyCounter, reader: sqlite3.Connection, writer: sqlite3.Connection
    ) -> None:
        self.path = path
        self.salt = bytes.fromhex(reader.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0])
        self._lock = lock
        self._counter = counter
        self._closed = False
        self._reader = reader
        self._reading = threading.Lock()
        self._writer = writer
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Opens or creates the journal, for this process only.

        Calls that a killed process was waiting for become failures that may have cost what was reserved for them.
        Raises JournalError if another process holds it, or if it is damaged or cannot be written.
        """
        with ExitStack() as opened:
            lock = Lock(path, kind=JournalError)
            opened.callback(lock.release)
            counter = ReplyCounter(path)
            opened.callback(counter.close)
            writer = open_store(path, SCHEMA, kind=JournalError)
            opened.callback(writer.close)
            try:
                check_whole(writer, counter, path)
                _prepare(writer, path)
                journal = cls(path, lock, counter, open_store(path, kind=JournalError), writer)
            except sqlite3.Error as error:
                raise explain(error, path, JournalError) from error
            opened.pop_all()
            return journal

    @property
    def name(self) -> str:
        """Identifies this journal without revealing the salt."""
        return hashlib.sha256(b"journal" + self.salt).hexdigest()[:16]

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for pending writes and releases the journal."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        with self._reading:
            self._reader.close()
        self._counter.close()
        self._lock.release()

    def judge(self, profile: Profile) -> int:
        """The number under which this profile's replies are stored, with today's prices."""
        values = (profile.name, profile.model, msgspec.json.encode(profile.prices).decode())
        self._submit(("INSERT OR IGNORE INTO judges (profile, model, prices) VALUES (?, ?, ?)", values)).result()
        found = self._select("SELECT id FROM judges WHERE profile = ? AND model = ? AND prices = ?", values)
        return int(found[0][0])

    def judges(self) -> dict[int, tuple[str, str, Prices]]:
        """Profile name, model and prices of every judge that replied here."""
        rows = self._select("SELECT id, profile, model, prices FROM judges", ())
        return {row[0]: (row[1], row[2], msgspec.json.decode(row[3], type=Prices)) for row in rows}

    def store(self, reply: StoredReply, sending: int | None = None) -> Future[int]:
        """Stores a reply; done once it is on disk. sending: the reservation that it settles."""
        insert = (
            "INSERT INTO replies SELECT ?, ?, 1 + coalesce(max(attempt), 0), ?, ?, ?, ? "
            "FROM replies WHERE key = ? AND repeat = ?"
        )
        values = (reply.key, reply.repeat, reply.judge, reply.source, reply.raw, time.time(), reply.key, reply.repeat)
        size = ("INSERT OR IGNORE INTO sizes VALUES (?, ?, ?)", (reply.key, reply.sent, reply.output))
        return self._submit((insert, values), *([size] if reply.sent is not None else []), *_settled(sending))

    def store_all(self, replies: Iterable[StoredReply]) -> int:
        """Stores many and returns how many, once they are on disk."""
        futures = [self.store(reply) for reply in replies]
        for future in futures:
            future.result()
        return len(futures)

    def fail(self, failure: Failure, sending: int | None = None) -> Future[int]:
        """Stores a failure. sending: the reservation that it settles."""
        values = (failure.key, failure.judge, failure.kind, failure.detail, failure.dollars, time.time())
        return self._submit((f"INSERT INTO failures ({FAILURE}) VALUES (?, ?, ?, ?, ?, ?)", values), *_settled(sending))

    def announce(self, key: bytes, judge: int, dollars: float) -> Future[int]:
        """Reserves a call's greatest cost before it is sent, so that the budget survives a kill: see `open`.

        The result is passed to whatever settles it.
        """
        statement = "INSERT INTO sending (key, judge, dollars, at) VALUES (?, ?, ?, ?)"
        return self._submit((statement, (key, judge, dollars, time.time())))

    def rows(self, key: bytes) -> QuestionRows:
        """Everything known about a question."""
        replies = self._select(
            f"SELECT {REPLY} FROM replies LEFT JOIN sizes USING (key) WHERE key = ? ORDER BY repeat, attempt", (key,)
        )
        failures = self._select(f"SELECT {FAILURE} FROM failures WHERE key = ? ORDER BY id", (key,))
        return QuestionRows(tuple(StoredReply(*row) for row in replies), tuple(Failure(*row) for row in failures))

    def replies(self, key: bytes) -> list[StoredReply]:
        """Every reply to a question, by repeat and attempt."""
        return list(self.rows(key).replies)

    def all_replies(self) -> Iterator[StoredReply]:
        """Every paid reply, one block at a time."""
        last = -1
        while rows := self._select(
            f"SELECT {REPLY}, replies.rowid FROM replies LEFT JOIN sizes USING (key) "
            "WHERE replies.rowid > ? ORDER BY replies.rowid LIMIT 2000",
            (last,),
        ):
            yield from (StoredReply(*row[:-1]) for row in rows)
            last = rows[-1][-1]

    def count(self) -> int:
        """How many replies there are."""
        with self._reading:
            return stored_replies(self._reader)

    def failures(self) -> list[tuple[int, str, float | None, int]]:
        """Judge, kind, greatest cost (None if any is unknown) and count of the attempts without a reply."""
        return [
            (judge, kind, None if count > known else dollars, count)
            for judge, kind, dollars, known, count in self._select(
                "SELECT judge, kind, sum(dollars), count(dollars), count(*) FROM failures GROUP BY judge, kind", ()
            )
        ]

    def note(self, name: str) -> str | None:
        """A note kept beside the replies, or None."""
        found = self._select("SELECT value FROM meta WHERE name = ?", (f"note:{name}",))
        return str(found[0][0]) if found else None

    def set_note(self, name: str, value: str) -> None:
        """Stores a note (a batch's number, say), on disk before this returns."""
        statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        self._submit((statement, (f"note:{name}", value))).result()

    def _select(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self.path, JournalError) from error

    def _submit(self, *statements: Statement) -> Future[int]:
        job = _Job(statements)
        if self._closed:
            job.done.set_exception(JournalError("is closed", where=self.path))
        else:
            job.done.set_running_or_notify_cancel()  # the caller may give up; paid replies are stored anyway
            self._jobs.put(job)
        return job.done

    def _write(self) -> None:
        """The writing thread: everything since the last commit goes to disk in one transaction."""
        broken: LmEvalFrError | None = None
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

    def _commit(self, work: list[_Job]) -> LmEvalFrError | None:
        if not work:
            return None
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            rows = []
            for job in work:
                first, *_ = [self._writer.execute(*statement).lastrowid for statement in job.statements]
                rows.append(first or 0)
            self._writer.execute("COMMIT")
            self._counter.write(stored_replies(self._writer))
        except sqlite3.Error as error:
            return explain(error, self.path, JournalError)
        except Exception as error:  # a dying thread would leave its callers waiting forever
            return JournalError(f"failed: {error!r}", where=self.path)
        for job, row in zip(work, rows, strict=True):
            job.done.set_result(row)
        return None


def _settled(sending: int | None) -> list[Statement]:
    return [] if sending is None else [("DELETE FROM sending WHERE id = ?", (sending,))]


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    values = [("format", FORMAT), ("salt", secrets.token_hex(16))]
    writer.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", values)
    found = writer.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()[0]
    if found != FORMAT:
        raise JournalError(
            f"has format {found}, this version reads {FORMAT}", where=path, remedy="use another --out or version"
        )
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(
        f"INSERT INTO failures ({FAILURE}) "
        "SELECT key, judge, 'lost', 'the process that was waiting for it was killed', dollars, at FROM sending"
    )
    writer.execute("DELETE FROM sending")
    writer.execute("COMMIT")
