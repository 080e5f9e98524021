"""The lines of a batch: questions out, replies in. One shape for OpenAI, for Mistral and for `vllm run-batch`.

Each line bears a `custom_id` in which the question's key can be read, so that replies need no list to be matched with.
"""

from __future__ import annotations

import base64
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.judge.asking.protocol import Profile, Question
from lm_eval_fr.judge.verdicts.journal import Failure, Journal, NewReply

URL = "/v1/chat/completions"
CHUNK = 1_000  # replies filed at once
CACHE_FIELDS = ("prompt_cache_key", "prompt_cache_options")
REFUSED = (400, 413, 422)  # this text will not be taken, whenever it is asked


@dataclass(frozen=True, slots=True)
class Collection:
    """What came in. `pending`: batches that the server has not finished."""

    stored: int = 0
    already: int = 0  # filed before: an earlier collect was cut short, or the same file is read again
    failed: int = 0
    strange: int = 0  # lines that are no answer to a question of ours
    pending: int = 0
    messages: tuple[str, ...] = ()

    def __add__(self, other: Collection) -> Collection:
        return Collection(
            self.stored + other.stored,
            self.already + other.already,
            self.failed + other.failed,
            self.strange + other.strange,
            self.pending + other.pending,
            self.messages + other.messages,
        )


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


def read(path: Path, journal: Journal, profile: Profile, known: Container[bytes]) -> Collection:
    """Files the replies that `vllm run-batch -o FILE` wrote. `known` has the keys of the questions they may answer."""
    if not path.is_file():
        raise InputError("no such file", where=path, remedy="give what `vllm run-batch -o` wrote")
    got = merge(path, journal, journal.judge(profile), known)
    if got.strange and not got.stored + got.already + got.failed:
        raise InputError(
            f"none of its {got.strange} lines answers a question of this judge",
            where=path,
            remedy="give the -o file of the run whose -i file was written for these runs, this profile and rubric",
        )
    return got


def merge(path: Path, journal: Journal, judge: int, known: Container[bytes] | None) -> Collection:
    """Files every reply of an output or error file that is not filed yet; memory does not grow with the file."""
    total = Collection()
    replies: list[NewReply] = []
    failures: list[Future[int]] = []
    for raw in lines(path):
        try:
            line = _decode(raw)
            key, repeat = question_id(line.custom_id)
        except (ValueError, msgspec.DecodeError):
            total += Collection(strange=1)
            continue
        if known is not None and key not in known:
            total += Collection(strange=1)
        elif (body := line.reply) is None:
            failures.append(journal.fail(_failure(key, judge, line)))
            total += Collection(failed=1)
        elif any(stored.raw == body for stored in journal.replies(key)):
            total += Collection(already=1)
        else:
            replies.append(NewReply(key, judge, body, source="batch", repeat=repeat))
            if len(replies) == CHUNK:
                total += Collection(stored=journal.store_all(replies))
                replies = []
    for failure in failures:
        failure.result()
    return total + Collection(stored=journal.store_all(replies))


def custom_id(question: Question) -> str:
    """At most 64 characters, enough to find the question again by itself."""
    return f"{base64.urlsafe_b64encode(question.key).rstrip(b'=').decode()}-{question.repeat}"


def question_id(custom_id: str) -> tuple[bytes, int]:
    """The key and the repeat in a custom_id; ValueError if it is not one of ours."""
    coded, _, repeat = custom_id.rpartition("-")
    key = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    if len(key) != 32 or not (repeat.isascii() and repeat.isdecimal()):
        raise ValueError(f"not a question: {custom_id}")
    return key, int(repeat)


def asked_in(path: Path) -> set[tuple[bytes, int]]:
    """Key and repeat of every question in a file of ours."""
    return {question_id(_decode(line).custom_id) for line in lines(path)}


def lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as content:
        yield from (line for line in content if line.strip())


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what steers a cache: batches have none, and a server may refuse such fields there."""
    kept = {name: value for name, value in body.items() if name not in CACHE_FIELDS}
    kept["messages"] = [{**message, "content": _text(message["content"])} for message in body["messages"]]
    return kept


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | str | None = None

    @property
    def reply(self) -> bytes | None:
        """The body of the completion, byte for byte, or None where the server did not answer."""
        return bytes(self.response.body) if self.response is not None and self.response.status_code == 200 else None

    @property
    def why(self) -> str:
        if isinstance(self.error, str):
            return self.error[:300]
        if self.error is not None:
            return f"{self.error.code}: {self.error.message}"[:300]
        if self.response is None:
            return "no response in the line"
        return f"HTTP {self.response.status_code}: {bytes(self.response.body)[:200].decode(errors='replace')}"


_decode = msgspec.json.Decoder(_Line).decode


def _failure(key: bytes, judge: int, line: _Line) -> Failure:
    """No server bills a line that it says it did not answer."""
    refused = line.response is not None and line.response.status_code in REFUSED
    return Failure(key, judge, "request" if refused else "batch", line.why, dollars=0.0)
