"""The lines of a batch: questions out, replies in. One shape for OpenAI, for Mistral and for `vllm run-batch`.

Each line bears a `custom_id` in which the question's key can be read, so that replies need no list to be matched with.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.io.http import MOST_BYTES
from lm_eval_fr.io.replies import Problem, find_problem
from lm_eval_fr.judge.asking.protocol import Profile, Question
from lm_eval_fr.judge.live.client import in_our_words
from lm_eval_fr.judge.verdicts.journal import Failure, Journal, StoredReply
from lm_eval_fr.judge.verdicts.question_life import BLOCKED

URL = "/v1/chat/completions"
CHUNK = 1_000  # replies filed at once
CACHE_FIELDS = ("prompt_cache_key", "prompt_cache_options")
Asking = tuple[bytes, int]
"""A question's key, and which asking of it."""
_OUR_ID = re.compile(rb'"custom_id"\s*:\s*"([\w-]{45,64})"')


@dataclass(frozen=True, slots=True)
class Collection:
    """What came in. `pending`: batches that the server has not finished, or whose results are not there."""

    stored: int = 0
    already: int = 0  # filed before: an earlier collect was cut short, or the same file is read again
    failed: int = 0
    strange: int = 0  # lines that answer no question of ours, or one that another line has answered
    pending: int = 0
    messages: tuple[str, ...] = ()
    blocked: Problem | None = None  # what every further question would meet: nothing is submitted again
    too_large: bool = False  # the server took no batch of that many tokens

    def __add__(self, other: Collection) -> Collection:
        return Collection(
            self.stored + other.stored,
            self.already + other.already,
            self.failed + other.failed,
            self.strange + other.strange,
            self.pending + other.pending,
            self.messages + other.messages,
            self.blocked or other.blocked,
            self.too_large or other.too_large,
        )


@dataclass(frozen=True, slots=True)
class Judging:
    """Whose replies are filed: the journal, the judge's number in it, and its profile."""

    journal: Journal
    judge: int
    profile: Profile


def write(path: Path, questions: Iterable[Question]) -> int:
    """Writes the questions as lines that `vllm run-batch -i FILE` reads, each once, and returns how many."""
    written: set[str] = set()
    with atomic_file(path, durable=True, remedy="give another FILE") as out:
        for question in questions:
            if (name := custom_id(question)) in written:
                continue
            line = {"custom_id": name, "method": "POST", "url": URL, "body": plain(question.body)}
            out.write(msgspec.json.encode(line) + b"\n")
            written.add(name)
    return len(written)


def read(path: Path, journal: Journal, profile: Profile, known: Mapping[Asking, int]) -> Collection:
    """Files the replies that `vllm run-batch -o FILE` wrote. known: see `merge`."""
    if not path.is_file():
        raise InputError("no such file", where=path, remedy="give what `vllm run-batch -o` wrote")
    got = merge(path, Judging(journal, journal.judge(profile), profile), known, set())
    if got.strange and not got.stored + got.already + got.failed:
        raise InputError(
            f"none of its {got.strange} lines answers a question of this judge",
            where=path,
            remedy="give the -o file of the run whose -i file was written for these runs, this profile and rubric",
        )
    return got


def merge(path: Path, judging: Judging, known: Mapping[Asking, int] | None, seen: set[Asking]) -> Collection:
    """Files every reply of an output or error file that is not filed yet; memory does not grow with the file.

    known: the questions that were asked, and the bytes of each; None where the list is lost. seen: those that a line
    has answered already; one more line about them counts for nothing.
    """
    total = Collection()
    replies: list[StoredReply] = []
    failures: list[Future[int]] = []
    for raw in lines(path):
        line = _read(raw)
        if line is None or line.asking in seen or (known is not None and line.asking not in known):
            total += Collection(strange=1)
            continue
        seen.add(line.asking)
        key, repeat = line.asking
        if line.problem is not None:
            problem = in_our_words(line.problem, judging.profile)
            failures.append(judging.journal.fail(Failure(key, judging.judge, problem.kind, str(problem), 0.0)))
            total += Collection(failed=1, blocked=problem if problem.kind in BLOCKED else None)
        elif any(stored.raw == line.body for stored in judging.journal.replies(key)):
            total += Collection(already=1)
        else:
            sent, output = None if known is None else known[line.asking], judging.profile.max_output_tokens
            replies.append(StoredReply(key, judging.judge, line.body, "batch", repeat, sent, output))
            if len(replies) == CHUNK:
                total += Collection(stored=judging.journal.store_all(replies))
                replies = []
    for failure in failures:
        failure.result()
    return total + Collection(stored=judging.journal.store_all(replies))


def custom_id(question: Question) -> str:
    """At most 64 characters, enough to find the question again by itself."""
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
    return {question_id(_decode(line).custom_id): len(line) for line in lines(path)}


def lines(path: Path) -> Iterator[bytes]:
    """Those that hold something; one without an end is cut, so that memory is not the file's to decide."""
    with path.open("rb") as content:
        while line := content.readline(MOST_BYTES):
            if line.strip():
                yield line


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """The body without its cache hints: a batch has no use for them, and a server may refuse them there."""
    kept = {name: value for name, value in body.items() if name not in CACHE_FIELDS}
    kept["messages"] = [{**message, "content": _text(message["content"])} for message in body["messages"]]
    return kept


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line's answer to one question. `problem`: why there is no reply; servers do not bill such a line."""

    asking: Asking
    body: bytes
    problem: Problem | None = None


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Written(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Written).decode


def _read(raw: bytes) -> _Line | None:
    """None for a line that is not about a question of ours."""
    try:
        line = _decode(raw)
        asking = question_id(line.custom_id)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return _unreadable(raw)
    if line.response is None:
        error = bytes(line.error)
        said = b'{"error": "no response in the line"}' if error == b"null" else b'{"error": ' + error + b"}"
        return _Line(asking, b"", find_problem(200, {}, said) or Problem("server", "no response in the line"))
    body, status = bytes(line.response.body), line.response.status_code
    return _Line(asking, body, find_problem(status, {}, body))


def _unreadable(raw: bytes) -> _Line | None:
    """A reply that was paid for is kept, however malformed, where its question can still be told."""
    found = _OUR_ID.search(raw[:4096])
    try:
        return None if found is None else _Line(question_id(found[1].decode()), raw)
    except ValueError:
        return None
