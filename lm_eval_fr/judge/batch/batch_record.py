"""What the journal remembers of batches: each step is on disk before the next one is taken.

    written -> uploaded -> creating -> submitted -> collected | failed | abandoned

A process killed between two of them goes on from the last: an uploaded file is found by its name, a created batch by
the tag in its metadata, so nothing is paid twice as far as the server's own lists are up to date. A batch that the
server does not have (another project's key, results that were deleted or are not there yet) stays where it is until it
is there again, or until the user gives it up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from lm_eval_fr.errors import JudgeError
from lm_eval_fr.judge.asking.protocol import Profile
from lm_eval_fr.judge.batch.batch_file import Asking, asked_in
from lm_eval_fr.judge.verdicts.journal import Journal

NOTE = "batches"
LIMIT_NOTE = "batch tokens of"  # a judge's limit of tokens in flight, as its server last gave it
TOKEN_LIMIT = re.compile(r"token.?limit|enqueued.{0,20}tokens?|too many.{0,20}tokens", re.IGNORECASE)
LIMIT_NUMBER = re.compile(r"limit\W{1,3}([\d,]{3,15})", re.IGNORECASE)

Step = Literal["written", "uploaded", "creating", "submitted", "collected", "failed", "abandoned"]


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
    tokens: int = 0  # of the prompts, estimated

    @property
    def in_flight(self) -> bool:
        return self.step not in ("collected", "failed", "abandoned")

    @property
    def name(self) -> str:
        """As the user is told it, and gives it up by."""
        return self.id or self.tag

    @property
    def file(self) -> str:
        return f"batch-{self.tag}.jsonl"


def batches(journal: Journal, profile: Profile) -> tuple[Batch, ...]:
    """The batches of this judge at this address, oldest first."""
    return tuple(b for b in all_batches(journal) if b.profile == profile.name and b.base_url == profile.base_url)


def in_flight(journal: Journal, folder: Path) -> set[Asking]:
    """Every question that a batch is going to answer: asking one live too would pay it twice."""
    paths = (folder / batch.file for batch in all_batches(journal) if batch.in_flight)
    return set().union(*(asked_in(path) for path in paths if path.is_file()))


def reserved_dollars(journal: Journal) -> float | None:
    """What the batches in flight may still cost at most, for a live budget to leave free; None is unknown."""
    waiting = [batch.dollars for batch in all_batches(journal) if batch.in_flight]
    return None if None in waiting else sum(dollars for dollars in waiting if dollars is not None)


def all_batches(journal: Journal) -> tuple[Batch, ...]:
    note = journal.note(NOTE)
    return () if note is None else tuple(msgspec.json.decode(note, type=list[Batch]))


def record(journal: Journal, batch: Batch) -> Batch:
    """On disk when this returns."""
    kept = {known.tag: known for known in all_batches(journal)}
    kept[batch.tag] = batch
    journal.set_note(NOTE, msgspec.json.encode(list(kept.values())).decode())
    return batch


def remove_files(folder: Path, batch: Batch) -> None:
    for path in folder.glob(f"batch-{batch.tag}.*"):
        path.unlink()


def _limit(journal: Journal, profile: Profile) -> int | None:
    """Tokens that this judge's server takes in all batches in flight together; None where it never complained."""
    note = journal.note(f"{LIMIT_NOTE} {profile.name}")
    return None if note is None else int(note)


def learn_limit(journal: Journal, profile: Profile, batch: Batch, said: str) -> None:
    """What the server names, or half of what it refused. Raises JudgeError when one question is too much."""
    named = LIMIT_NUMBER.search(said)
    limit = int(named[1].replace(",", "")) if named else batch.tokens
    if limit >= batch.tokens:
        limit = batch.tokens // 2
    if batch.questions < 2:
        remedy = "judge live without --batch, or ask the provider for a higher limit"
        raise JudgeError(f"one question is more than the batches may hold: {said}", where=batch.name, remedy=remedy)
    journal.set_note(f"{LIMIT_NOTE} {profile.name}", str(limit))


def room(journal: Journal, profile: Profile) -> int | None:
    limit = _limit(journal, profile)
    flying = sum(batch.tokens for batch in batches(journal, profile) if batch.in_flight)
    return None if limit is None else max(0, limit - flying)
