"""Judging by the batch endpoint of OpenAI or Mistral, at half the price: submit, status, collect.

    submit    writes the open questions to files, uploads them, creates batches
    status    what the server says of each
    collect   files the replies in the journal, from where they are read as live ones are

A batch goes through these steps, each on disk before the next one is taken:

    written -> uploaded -> creating -> submitted -> collected | failed

A process killed between two of them goes on from the last: an uploaded file is found by its name, a created batch by
the tag in its metadata, so nothing is paid twice as far as the server's own lists are up to date.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from lm_eval_fr.errors import JudgeError
from lm_eval_fr.judge.asking.protocol import Profile, Question
from lm_eval_fr.judge.batch.batch_api import BatchServer, Remote, connect
from lm_eval_fr.judge.batch.batch_file import Collection, asked_in, custom_id, merge, plain
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.ledger import cost_at_most, spent_so_far

NOTE = "batches"

Step = Literal["written", "uploaded", "creating", "submitted", "collected", "failed"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One file of questions on its way. `dollars`: what it may cost at most; None is unknown."""

    tag: str
    judge: int
    profile: str
    base_url: str | None
    step: Step
    questions: int
    created: float
    dollars: float | None = None
    file_id: str | None = None
    id: str | None = None
    stored: int = 0
    message: str = ""

    @property
    def in_flight(self) -> bool:
        return self.step not in ("collected", "failed")

    @property
    def file(self) -> str:
        return f"batch-{self.tag}.jsonl"


@dataclass(frozen=True, slots=True)
class Submission:
    """`waiting`: questions in batches submitted earlier. `held_back`: those that no longer fitted the budget."""

    batches: tuple[Batch, ...]
    questions: int
    waiting: int
    held_back: int


def submit(
    journal: Journal,
    profile: Profile,
    questions: Iterable[Question],
    folder: Path,
    *,
    max_usd: float | None = None,
    server: BatchServer | None = None,
) -> Submission:
    """Sends the questions that are in no batch yet; half-submitted batches are brought to their end first.

    With `max_usd`, what the journal has cost, what is in flight and what is sent now stay within it, at worst prices.
    """
    server = server or connect(profile)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(journal, folder)
        return _submit(journal, profile, questions, folder, max_usd, server)
    except OSError as error:
        raise JudgeError(
            f"cannot be written: {error.strerror}", where=folder, remedy="free space, or give another --out; run again"
        ) from error


def _submit(
    journal: Journal,
    profile: Profile,
    questions: Iterable[Question],
    folder: Path,
    max_usd: float | None,
    server: BatchServer,
) -> Submission:
    for batch in batches(journal, profile):
        if batch.in_flight and batch.step != "submitted":
            _advance(journal, server, batch, folder, resumed=True)
    for batch in batches(journal, profile):
        if batch.in_flight and batch.file_id is not None and not (folder / batch.file).is_file():
            server.fetch(batch.file_id, folder / batch.file)  # without it its questions would be sent again
    taken = in_flight(journal, folder)
    chosen = _Affordable(profile, _allowance(journal, profile, max_usd), taken)
    sent = []
    judge = journal.judge(profile)
    for tag, count, dollars in _write_files(chosen.of(questions), server, folder):
        batch = Batch(tag, judge, profile.name, profile.base_url, "written", count, time.time(), dollars)
        sent.append(_advance(journal, server, _record(journal, batch), folder))
    return Submission(tuple(sent), sum(batch.questions for batch in sent), chosen.waiting, chosen.held_back)


def status(
    journal: Journal, profile: Profile, *, server: BatchServer | None = None
) -> tuple[tuple[Batch, Remote | None], ...]:
    """Every batch of this judge, with what the server says of those that it has."""
    found = batches(journal, profile)
    if server is None and any(batch.step == "submitted" for batch in found):
        server = connect(profile)
    return tuple(
        (batch, server.get(batch.id) if server and batch.id and batch.step == "submitted" else None) for batch in found
    )


def collect(journal: Journal, profile: Profile, folder: Path, *, server: BatchServer | None = None) -> Collection:
    """Files what finished batches brought, of expired and cancelled ones too; the rest is open again for `submit`."""
    total = Collection()
    for batch in batches(journal, profile):
        if batch.step == "submitted" and batch.id is not None:
            server = server or connect(profile)
            total += _collect(journal, server, batch, server.get(batch.id), folder)
        elif batch.in_flight:
            total += Collection(pending=1)
    return total


def collect_and_resubmit(
    journal: Journal,
    profile: Profile,
    open_questions: Callable[[], Iterable[Question]],
    folder: Path,
    *,
    max_usd: float | None = None,
    server: BatchServer | None = None,
) -> tuple[Collection, Submission | None]:
    """`collect`, then `submit` of what finished batches left open, unless they brought nothing at all.

    `open_questions` is called after the replies are filed. A batch without one reply would come back the same.
    """
    got = collect(journal, profile, folder, server=server)
    if not got.stored + got.already:
        return got, None
    again = submit(journal, profile, open_questions(), folder, max_usd=max_usd, server=server)
    return got, again if again.questions or again.held_back else None


def batches(journal: Journal, profile: Profile) -> tuple[Batch, ...]:
    """The batches of this judge at this address, oldest first."""
    return tuple(b for b in _all(journal) if b.profile == profile.name and b.base_url == profile.base_url)


def in_flight(journal: Journal, folder: Path) -> set[tuple[bytes, int]]:
    """Key and repeat of every question that a batch is going to answer: asking one live too would pay it twice."""
    paths = (folder / batch.file for batch in _all(journal) if batch.in_flight)
    return set().union(*(asked_in(path) for path in paths if path.is_file()))


def reserved_dollars(journal: Journal) -> float | None:
    """What the batches in flight may still cost at most, for a live budget to leave free; None is unknown."""
    waiting = [batch.dollars for batch in _all(journal) if batch.in_flight]
    return None if None in waiting else sum(dollars for dollars in waiting if dollars is not None)


def _collect(journal: Journal, server: BatchServer, batch: Batch, remote: Remote, folder: Path) -> Collection:
    if remote.state == "running":
        return Collection(pending=1)
    got = Collection()
    for number, file_id in enumerate(remote.files):
        path = folder / f"batch-{batch.tag}.{number}.out"
        server.fetch(file_id, path)
        got += merge(path, journal, batch.judge, None)
    left = batch.questions - got.stored - got.already
    if left:
        said = f"batch {batch.id} {remote.status}" + (f": {remote.message}" if remote.message else "")
        got += Collection(messages=(f"{said}; {left} of {batch.questions} questions have no reply",))
    step: Step = "failed" if remote.state == "failed" else "collected"
    _record(journal, replace(batch, step=step, stored=got.stored + got.already, message=remote.message))
    for path in folder.glob(f"batch-{batch.tag}.*"):
        path.unlink()
    return got


class _Affordable:
    """Picks the questions that no batch has and that fit what is left of the budget; counts the others."""

    def __init__(self, profile: Profile, allowance: float | None, taken: set[tuple[bytes, int]]) -> None:
        self.profile = profile
        self.allowance = allowance
        self.taken = taken
        self.waiting = 0
        self.held_back = 0

    def of(self, questions: Iterable[Question]) -> Iterator[tuple[Question, float | None]]:
        """The chosen with what each may cost at most."""
        share = self.profile.prices.batch
        for question in questions:
            if (question.key, question.repeat) in self.taken:
                self.waiting += 1
                continue
            self.taken.add((question.key, question.repeat))
            most = cost_at_most(question.body, self.profile)
            dollars = None if most is None or share is None else most * share
            if self.allowance is not None:
                # After the first that does not fit all others wait: a dearer document must not lose its place.
                if self.held_back or dollars is None or dollars > self.allowance:
                    self.held_back += 1
                    continue
                self.allowance -= dollars
            yield question, dollars


def _allowance(journal: Journal, profile: Profile, max_usd: float | None) -> float | None:
    if max_usd is None:
        return None
    spent, reserved = spent_so_far(journal, profile), reserved_dollars(journal)
    if spent is None or reserved is None or profile.prices.batch is None:
        raise JudgeError(
            "a budget needs to know every price, the batch price too",
            where=f"profile {profile.name}",
            remedy="fill in `prices` in a copy of the profile, or leave --max-usd out",
        )
    return max_usd - spent - reserved


def _write_files(
    chosen: Iterator[tuple[Question, float | None]], server: BatchServer, folder: Path
) -> Iterator[tuple[str, int, float | None]]:
    """One file after the other, each complete on disk before it is handed on: tag, lines, dollars at most."""
    carried = next(chosen, None)
    while carried is not None:
        tag = secrets.token_hex(12)
        size = count = 0
        dollars: float | None = 0.0
        with (folder / f"batch-{tag}.jsonl").open("wb") as out:
            while carried is not None:
                question, most = carried
                line = msgspec.json.encode(server.line(custom_id(question), plain(question.body))) + b"\n"
                if count and (count == server.most_requests or size + len(line) > server.most_bytes):
                    break
                out.write(line)
                size += len(line)
                count += 1
                dollars = None if dollars is None or most is None else dollars + most
                carried = next(chosen, None)
            out.flush()
            os.fsync(out.fileno())
        yield tag, count, dollars


def _advance(journal: Journal, server: BatchServer, batch: Batch, folder: Path, *, resumed: bool = False) -> Batch:
    """Takes a batch from wherever it is to `submitted`. `resumed`: what was begun may have been done."""
    path = folder / batch.file
    if resumed and batch.step == "creating" and (found := server.find(batch.tag, batch.created)) is not None:
        return _record(journal, replace(batch, step="submitted", id=found.id))
    file_id = batch.file_id
    if file_id is None:
        if not path.is_file():
            return _record(journal, replace(batch, step="failed", message=f"{path.name} is gone"))
        file_id = (server.find_upload(path.name) if resumed else None) or server.upload(path)
        batch = _record(journal, replace(batch, step="uploaded", file_id=file_id))
    batch = _record(journal, replace(batch, step="creating"))
    created = server.create(file_id, batch.tag)
    return _record(journal, replace(batch, step="submitted", id=created.id))


def _sweep(journal: Journal, folder: Path) -> None:
    """Removes files whose batch was never recorded: the process was killed while it wrote them."""
    known = {batch.file for batch in _all(journal)}
    for path in folder.glob("batch-*.jsonl"):
        if path.name not in known:
            path.unlink()


def _all(journal: Journal) -> tuple[Batch, ...]:
    note = journal.note(NOTE)
    return () if note is None else tuple(msgspec.json.decode(note, type=list[Batch]))


def _record(journal: Journal, batch: Batch) -> Batch:
    """On disk when this returns."""
    kept = {known.tag: known for known in _all(journal)}
    kept[batch.tag] = batch
    journal.set_note(NOTE, msgspec.json.encode(list(kept.values())).decode())
    return batch
