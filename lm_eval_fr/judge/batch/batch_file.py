"""A judge's batch: questions out, replies in.

Each line has a `custom_id` that contains the question's key, so that matching replies needs no list.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.batch_lines import decode_reply, numbered_lines, request_line
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.judge.asking.protocol import Profile, Question
from lm_eval_fr.judge.live.client import in_our_words
from lm_eval_fr.judge.verdicts.journal import Failure, Journal, StoredReply
from lm_eval_fr.judge.verdicts.question_life import BLOCKED

CHUNK = 1_000  # replies stored at once
CACHE_FIELDS = ("prompt_cache_key", "prompt_cache_options")
Asking = tuple[bytes, int]
"""A question's key, and which asking of it."""
_OUR_ID = re.compile(rb'"custom_id"\s*:\s*"([\w-]{45,64})"')


@dataclass(slots=True)
class Collection:
    """What came in. `pending`: batches that the server has not finished, or whose results are missing."""

    stored: int = 0
    already: int = 0  # stored before: an earlier collect was interrupted, or the same file is read again
    failed: int = 0
    strange: int = 0  # lines that answer none of our questions, or one already answered
    pending: int = 0
    messages: list[str] = field(default_factory=list)
    blocked: Problem | None = None  # a problem that every further question would have: nothing is submitted again
    too_large: bool = False  # the server took no batch of that many tokens


def write(path: Path, questions: Iterable[Question]) -> int:
    """Writes the questions as lines that `vllm run-batch -i FILE` reads, each once, and returns how many."""
    written: set[str] = set()
    with atomic_file(path, durable=True, remedy="give another FILE") as out:
        for question in questions:
            if (name := custom_id(question)) in written:
                continue
            out.write(request_line(name, plain(question.body)))
            written.add(name)
    return len(written)


def read(path: Path, journal: Journal, profile: Profile, known: Mapping[Asking, int]) -> Collection:
    """Stores the replies that `vllm run-batch -o FILE` wrote. known: see `Filing`."""
    if not path.is_file():
        raise InputError("no such file", where=path, remedy="give what `vllm run-batch -o` wrote")
    got = Collection()
    Filing(journal, journal.judge(profile), profile, known, got).add(path)
    if got.strange and not got.stored + got.already + got.failed:
        raise InputError(
            f"none of its {got.strange} lines answers a question of this judge",
            where=path,
            remedy="give the -o file of the run whose -i file was written for these runs, this profile and rubric",
        )
    return got


@dataclass(slots=True)
class Filing:
    """Stores the replies to one judge's batch, each once, and counts them in `got`.

    judge: its number in the journal. known: the questions that were asked, and the bytes of each; None if the list is
    lost. Further lines about an answered question are ignored.
    """

    journal: Journal
    judge: int
    profile: Profile
    known: Mapping[Asking, int] | None
    got: Collection
    _seen: set[Asking] = field(default_factory=set)

    def add(self, path: Path) -> None:
        """Stores every new reply of an output or error file; memory does not grow with the file."""
        replies: list[StoredReply] = []
        failures: list[Future[int]] = []
        for _, raw in numbered_lines(path):
            line = _read(raw)
            if line is None or line.asking in self._seen or (self.known is not None and line.asking not in self.known):
                self.got.strange += 1
                continue
            self._seen.add(line.asking)
            key, repeat = line.asking
            if line.problem is not None:
                problem = in_our_words(line.problem, self.profile)
                failures.append(self.journal.fail(Failure(key, self.judge, problem.kind, str(problem), 0.0)))
                self.got.failed += 1
                self.got.blocked = self.got.blocked or (problem if problem.kind in BLOCKED else None)
            elif any(stored.raw == line.body for stored in self.journal.replies(key)):
                self.got.already += 1
            else:
                sent, output = None if self.known is None else self.known[line.asking], self.profile.max_output_tokens
                replies.append(StoredReply(key, self.judge, line.body, "batch", repeat, sent, output))
                if len(replies) == CHUNK:
                    self.got.stored += self.journal.store_all(replies)
                    replies = []
        for failure in failures:
            failure.result()
        self.got.stored += self.journal.store_all(replies)


def custom_id(question: Question) -> str:
    """At most 64 characters, enough to identify the question."""
    return f"{base64.urlsafe_b64encode(question.key).rstrip(b'=').decode()}-{question.repeat}"


def question_id(custom_id: str) -> Asking:
    """The key and the repeat in a custom_id; ValueError if it is not one of ours."""
    coded, _, repeat = custom_id.rpartition("-")
    key = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    if len(key) != 32 or not (repeat.isascii() and repeat.isdecimal()):
        raise ValueError(f"not a question: {custom_id}")
    return key, int(repeat)


def asked_in(path: Path) -> dict[Asking, int]:
    """Every question in a file of ours, with the bytes of its line."""
    return {question_id(decode_reply(line).custom_id): len(line) for _, line in numbered_lines(path)}


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """The body without its cache hints: they are useless in a batch, and a server may refuse them there."""
    kept = {name: value for name, value in body.items() if name not in CACHE_FIELDS}
    kept["messages"] = [{**message, "content": _text(message["content"])} for message in body["messages"]]
    return kept


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line's answer to one question. `problem`: why there is no reply."""

    asking: Asking
    body: bytes
    problem: Problem | None = None


def _read(raw: bytes) -> _Line | None:
    """None for a line that is not about a question of ours."""
    try:
        line = decode_reply(raw)
        asking = question_id(line.custom_id)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return _unreadable(raw)
    answer = line.answer
    return _Line(asking, answer.body, answer.problem())


def _unreadable(raw: bytes) -> _Line | None:
    """A paid reply is kept, however malformed, if its question can still be identified."""
    found = _OUR_ID.search(raw[:4096])
    try:
        return None if found is None else _Line(question_id(found[1].decode()), raw)
    except ValueError:
        return None
