"""The journal's record of batches: each step is on disk before the next one is taken.

    written -> uploaded -> creating -> submitted -> collected | failed | abandoned

A process killed between two of them goes on from the last: an uploaded file is found by its name, a created batch by
the tag in its metadata, so nothing is paid twice if the server's own lists are up to date. A batch that the
server does not have (another project's key, results that were deleted or are not there yet) stays where it is until it
is there again, or until the user gives it up.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lm_eval_fr.errors import JudgeError, UsageError
from lm_eval_fr.judge.asking.protocol import Profile
from lm_eval_fr.judge.batch.batch_file import Asking, asked_in
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.ledger import spent_so_far

if TYPE_CHECKING:
    from lm_eval_fr.judge.batch.batch_api import OpenAIBatches

NOTE = "batches"
LIMIT_NOTE = "batch tokens of"  # a judge's limit of tokens in flight, as its server last gave it
TOKEN_LIMIT = re.compile(r"token.?limit|enqueued.{0,20}tokens?|too many.{0,20}tokens", re.IGNORECASE)
LIMIT_NUMBER = re.compile(r"limit\W{1,3}([\d,]{3,15})", re.IGNORECASE)

Step = Literal["written", "uploaded", "creating", "submitted", "collected", "failed", "abandoned"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One file of questions in flight. `dollars`: its greatest possible cost; None is unknown."""

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
        """The name shown to the user and used to give it up."""
        return self.id or self.tag

    @property
    def file(self) -> str:
        return f"batch-{self.tag}.jsonl"


def in_flight(journal: Journal, folder: Path) -> set[Asking]:
    """Every question that a batch will answer: asking it live as well would pay twice."""
    paths = (folder / batch.file for batch in all_batches(journal) if batch.in_flight)
    return set().union(*(asked_in(path) for path in paths if path.is_file()))


def reserved_dollars(journal: Journal) -> float | None:
    """The most that the batches in flight may still cost, which a live budget leaves free; None is unknown."""
    waiting = [batch.dollars for batch in all_batches(journal) if batch.in_flight]
    return None if None in waiting else sum(dollars for dollars in waiting if dollars is not None)


def committed_dollars(journal: Journal, profile: Profile) -> float:
    """What is gone from a budget: spent in this folder, or reserved for its batches. Raises UsageError if unknown."""
    spent, reserved = spent_so_far(journal, profile), reserved_dollars(journal)
    if spent is None or reserved is None:
        raise UsageError(
            "--max-usd cannot be kept: what was spent in this folder is unknown",
            where=f"profile {profile.name}",
            remedy="give another --out, or leave --max-usd out",
        )
    return spent + reserved


def all_batches(journal: Journal) -> tuple[Batch, ...]:
    note = journal.note(NOTE)
    return () if note is None else tuple(msgspec.json.decode(note, type=list[Batch]))


@dataclass
class Outbox:
    """A judge's batches: the journal that remembers them, the folder of their files, the server that answers them."""

    journal: Journal
    profile: Profile
    folder: Path

    @cached_property
    def server(self) -> OpenAIBatches:
        """Raises as `connect` does."""
        from lm_eval_fr.judge.batch.batch_api import connect

        return connect(self.profile)

    @property
    def batches(self) -> list[Batch]:
        """Of this judge at this address, oldest first."""
        ours = (self.profile.name, self.profile.base_url)
        return [batch for batch in all_batches(self.journal) if (batch.profile, batch.base_url) == ours]

    @property
    def flying(self) -> list[Batch]:
        return [batch for batch in self.batches if batch.in_flight]

    def path(self, batch: Batch) -> Path:
        return self.folder / batch.file

    def record(self, batch: Batch, **changes: Any) -> Batch:
        """Stores the batch with these changes, on disk before this returns."""
        changed = replace(batch, **changes)
        kept = {known.tag: known for known in all_batches(self.journal)} | {batch.tag: changed}
        self.journal.set_note(NOTE, msgspec.json.encode(list(kept.values())).decode())
        return changed

    def close(self, batch: Batch, step: Step, **changes: Any) -> Batch:
        """Records how the batch ended, and removes its files."""
        closed = self.record(batch, step=step, **changes)
        for path in self.folder.glob(f"batch-{batch.tag}.*"):
            path.unlink()
        return closed

    def learn_limit(self, batch: Batch, said: str) -> None:
        """The server's own limit, or half of what it refused. Raises JudgeError if one question is too much."""
        named = LIMIT_NUMBER.search(said)
        limit = int(named[1].replace(",", "")) if named else batch.tokens
        if limit >= batch.tokens:
            limit = batch.tokens // 2
        if batch.questions < 2:
            remedy = "judge live without --batch, or ask the provider for a higher limit"
            raise JudgeError(f"one question is more than the batches may hold: {said}", where=batch.name, remedy=remedy)
        self.journal.set_note(self._limit_note, str(limit))

    @property
    def room(self) -> float:
        """Tokens that the server still accepts besides the batches in flight; unlimited if it never refused any."""
        limit = self.journal.note(self._limit_note)
        return math.inf if limit is None else max(0, int(limit) - sum(batch.tokens for batch in self.flying))

    @property
    def _limit_note(self) -> str:
        return f"{LIMIT_NOTE} {self.profile.name}"
