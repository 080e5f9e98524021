"""Submits questions in batches: chooses, writes and uploads them, and creates the batch."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from lm_eval_fr.errors import JudgeError, Unfinished
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.judge.asking.protocol import Profile, Question
from lm_eval_fr.judge.batch.batch_file import Asking, custom_id, plain
from lm_eval_fr.judge.batch.batch_http import Gone, Refused
from lm_eval_fr.judge.batch.batch_record import (
    TOKEN_LIMIT,
    Batch,
    Outbox,
    all_batches,
    committed_dollars,
    in_flight,
)
from lm_eval_fr.judge.live.client import blocked
from lm_eval_fr.judge.verdicts.ledger import cost_at_most

BYTES_PER_TOKEN = 3.0  # on the safe side for French


@dataclass(frozen=True, slots=True)
class Submission:
    """`waiting`: questions in batches submitted earlier. `held_back`: those that no longer fitted the
    budget. `later`: those that the server accepts only after these batches."""

    batches: tuple[Batch, ...]
    questions: int
    waiting: int
    held_back: int
    later: int = 0


def submit(outbox: Outbox, questions: Iterable[Question], *, max_usd: float | None = None) -> Submission:
    """Sends the questions that are not in a batch yet, after finishing half-submitted batches.

    With `max_usd`, what the journal has cost, what is in flight and what is sent now stay within it, at worst prices.
    """
    server, folder = outbox.server, outbox.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(outbox)
        for batch in outbox.flying:
            if batch.step != "submitted":
                _advance(outbox, batch, resumed=True)
        for batch in outbox.flying:
            if batch.file_id is not None and not outbox.path(batch).is_file():
                with suppress(Gone):
                    server.fetch(batch.file_id, outbox.path(batch))  # without it the questions would be sent again
        return _submit(outbox, questions, max_usd)
    except OSError as error:
        raise JudgeError(
            f"cannot be written: {error.strerror}", where=folder, remedy="free space, or give another --out; then rerun"
        ) from error


def _submit(outbox: Outbox, questions: Iterable[Question], max_usd: float | None) -> Submission:
    waiting = sum(batch.questions for batch in outbox.flying)
    taken = in_flight(outbox.journal, outbox.folder)
    chosen = _Affordable(outbox.profile, _allowance(outbox, max_usd), outbox.room, taken)
    sent = []
    for batch in _write_files(outbox, chosen.of(questions)):
        advanced = _advance(outbox, outbox.record(batch))
        if advanced.step == "failed":
            what = f"the server accepts fewer tokens at once: {advanced.message}"
            where = f"profile {outbox.profile.name}"
            raise Unfinished(what, where=where, remedy="submit again: the batches will be smaller")
        sent.append(advanced)
    return Submission(tuple(sent), sum(batch.questions for batch in sent), waiting, chosen.held_back, chosen.later)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A question with its greatest possible cost, and its tokens."""

    question: Question
    dollars: float | None
    tokens: int


@dataclass
class _Affordable:
    """Picks the questions that no batch has and that fit what is left of the budget and of the server's limit of
    tokens; counts the others. After the first that does not fit all others wait: an expensive document must not lose
    its place."""

    profile: Profile
    allowance: float  # dollars
    room: float  # tokens
    taken: set[Asking]
    held_back: int = 0
    later: int = 0

    def of(self, questions: Iterable[Question]) -> Iterator[_Chosen]:
        share = self.profile.prices.batch
        started = False
        for question in questions:
            if (question.key, question.repeat) in self.taken:
                continue
            self.taken.add((question.key, question.repeat))
            most = cost_at_most(question.body, self.profile)
            dollars = None if most is None or share is None else most * share
            tokens = int(len(msgspec.json.encode(question.body)) / BYTES_PER_TOKEN)
            if self.held_back or (math.inf if dollars is None else dollars) > self.allowance:
                self.held_back += 1
            elif self.later or (tokens > self.room and (started or self.room <= 0)):
                self.later += 1  # but a single question that seems too large is tried alone
            else:
                self.allowance -= dollars or 0.0
                self.room -= tokens
                started = True
                yield _Chosen(question, dollars, tokens)


def _allowance(outbox: Outbox, max_usd: float | None) -> float:
    if max_usd is None:
        return math.inf
    profile = outbox.profile
    if profile.prices.batch is None:
        raise JudgeError(
            "a budget needs every price, including the batch price",
            where=f"profile {profile.name}",
            remedy="fill in `prices` in a copy of the profile, or leave --max-usd out",
        )
    return max_usd - committed_dollars(outbox.journal, profile)


def _write_files(outbox: Outbox, chosen: Iterator[_Chosen]) -> Iterator[Batch]:
    """One file after the other, each complete on disk before it is passed on."""
    server, profile = outbox.server, outbox.profile
    judge = outbox.journal.judge(profile)
    carried = next(chosen, None)
    while carried is not None:
        batch = Batch(secrets.token_hex(12), judge, profile.name, profile.base_url, "written", 0, time.time())
        size = count = tokens = 0
        dollars: float | None = 0.0
        with outbox.path(batch).open("wb") as out:
            while carried is not None:
                question = carried.question
                line = server.line(custom_id(question), plain(question.body))
                if count and (count == server.most_requests or size + len(line) > server.most_bytes):
                    break
                out.write(line)
                size, count, tokens = size + len(line), count + 1, tokens + carried.tokens
                dollars = None if dollars is None or carried.dollars is None else dollars + carried.dollars
                carried = next(chosen, None)
            out.flush()
            os.fsync(out.fileno())
        yield replace(batch, questions=count, dollars=dollars, tokens=tokens)


def _advance(outbox: Outbox, batch: Batch, *, resumed: bool = False) -> Batch:
    """Takes a batch from any state to `submitted`. `resumed`: a step that was begun may have been completed."""
    server, path = outbox.server, outbox.path(batch)
    if resumed and batch.step == "creating" and (found := server.find(batch.tag, batch.created)) is not None:
        return outbox.record(batch, step="submitted", id=found.id)
    try:
        file_id = batch.file_id
        if file_id is None:
            if not path.is_file():
                return outbox.record(batch, step="failed", message=f"{path.name} is gone")
            file_id = (server.find_upload(path.name) if resumed else None) or server.upload(path)
            batch = outbox.record(batch, step="uploaded", file_id=file_id)
        batch = outbox.record(batch, step="creating")
        created = server.create(file_id, batch.tag)
    except Refused as refused:
        return _not_created(outbox, batch, refused.problem)
    except JudgeError as error:  # nothing was created: its questions must not wait for it
        outbox.close(batch, "failed", message=error.what)
        raise
    return outbox.record(batch, step="submitted", id=created.id)


def _not_created(outbox: Outbox, batch: Batch, problem: Problem) -> Batch:
    """A refusal at creation: its questions are open again. A refusal for size sets the limit."""
    failed = outbox.close(batch, "failed", message=str(problem))
    if TOKEN_LIMIT.search(str(problem)):
        outbox.learn_limit(batch, problem.said)
        return failed
    raise blocked(problem, outbox.profile)


def _sweep(outbox: Outbox) -> None:
    """Removes files without a batch in flight: never recorded, or already done when the process was killed."""
    kept = {Path(batch.file).stem for batch in all_batches(outbox.journal) if batch.in_flight}
    for path in outbox.folder.glob("batch-*.*"):
        if path.name.split(".")[0] not in kept:
            path.unlink()
