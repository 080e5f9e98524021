"""The batch endpoints of OpenAI and of Mistral behind one set of calls.

    OpenAI    POST /files   POST /batches      GET /batches/ID      GET /files/ID/content
    Mistral   POST /files   POST /batch/jobs   GET /batch/jobs/ID   GET /files/ID/content, the model on the job

A batch has a tag in its metadata, so that one whose creation was never recorded is found again rather than created
twice. What a server says about a batch is read into bounded values; anything else is a `Problem`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode

import msgspec

from lm_eval_fr.errors import Unfinished
from lm_eval_fr.io.batch_lines import ENDPOINT, request_line
from lm_eval_fr.io.clean import at, count_at, one_line, rows_at
from lm_eval_fr.judge.asking.protocol import Profile
from lm_eval_fr.judge.batch.batch_http import BatchHttp

State = Literal["running", "done", "failed"]
TAG = "lm_eval_fr"
PAGE, MOST_PAGES = 100, 1000
CLOCK_SKEW = 86_400  # seconds: a search ignores batches created this long before ours


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as the server sees it. `done` includes expired and cancelled: finished lines can be fetched."""

    id: str
    state: State
    status: str
    completed: int
    failed: int
    files: tuple[str, ...]  # output and error files, those that exist
    message: str = ""


def connect(profile: Profile) -> OpenAIBatches:
    """Raises JudgeError if the key is missing."""
    return MistralBatches(profile) if profile.dialect == "mistral" else OpenAIBatches(profile)


class OpenAIBatches:
    """`create` raises Refused; `get`, `cancel` and `fetch` raise Gone."""

    most_requests = 50_000
    most_bytes = 200_000_000
    jobs = "/batches"
    # Where a batch says what, and how it says that it has ended.
    ended: ClassVar[Sequence[str]] = ("completed", "expired", "cancelled")
    failed = "failed"
    counts: ClassVar[Sequence[Sequence[str]]] = (("request_counts", "completed"), ("request_counts", "failed"))
    files: ClassVar[Sequence[str]] = ("output_file_id", "error_file_id")
    errors: ClassVar[Sequence[str]] = ("errors", "data")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._http = BatchHttp(profile)

    def line(self, custom_id: str, body: dict[str, Any]) -> bytes:
        return request_line(custom_id, body)

    def upload(self, path: Path) -> str:
        return _text(self._http.upload("/files", path), "id")

    def find_upload(self, name: str) -> str | None:
        found = (file for file in self._listed("/files", purpose="batch") if file.get("filename") == name)
        return next((_text(file, "id") for file in found), None)

    def create(self, file_id: str, tag: str) -> Remote:
        job = {**self._job(file_id), "endpoint": ENDPOINT, "metadata": {TAG: tag}}
        return self._read(self._http.json(self.jobs, job, once=True))

    def _job(self, file_id: str) -> dict[str, Any]:
        return {"input_file_id": file_id, "completion_window": "24h"}

    def find(self, tag: str, since: float) -> Remote | None:
        for batch in self._listed(self.jobs):  # the newest first
            created = batch.get("created_at")
            if isinstance(created, (int, float)) and created < since - CLOCK_SKEW:
                return None
            if at(batch, "metadata", TAG) == tag:
                return self._read(batch)
        return None

    def get(self, batch_id: str) -> Remote:
        return self._read(self._http.json(f"{self.jobs}/{quote(batch_id, safe='')}"))

    def cancel(self, batch_id: str) -> None:
        self._http.json(f"{self.jobs}/{quote(batch_id, safe='')}/cancel", {})

    def fetch(self, file_id: str, to: Path) -> None:
        self._http.download(f"/files/{quote(file_id, safe='')}/content", to)

    def _read(self, batch: Mapping[str, Any]) -> Remote:
        """A batch has ended once its files are named: servers say "completed" a minute before that."""
        status = _text(batch, "status")
        named = [batch.get(name) if isinstance(batch.get(name), str) else None for name in self.files]
        completed, not_done = (count_at(batch, *path) or 0 for path in self.counts)
        answered = named[0] is not None or not completed
        nothing_to_come = any(named) or (status != self.ended[0] and not completed)
        state: State = "running"
        if status in self.ended and answered and nothing_to_come:
            state = "done"
        elif status == self.failed:  # as a whole: it may have finished, and billed, lines
            state = "done" if any(named) else "failed"
        errors = rows_at(batch, *self.errors)[:3]
        said = "; ".join(f"{error.get('code') or ''} {error.get('message') or ''}".strip() for error in errors)
        return Remote(
            id=_text(batch, "id"),
            state=state,
            status=one_line(status, 40),
            completed=completed,
            failed=not_done,
            files=tuple(name for name in named if name),
            message=one_line(said),
        )

    def _listed(self, path: str, **parameters: str) -> Iterator[Mapping[str, Any]]:
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            page = self._http.json(f"{path}?{urlencode({**parameters, 'limit': PAGE, **after})}")
            rows = rows_at(page, "data")
            yield from rows
            if not rows or not page.get("has_more"):
                return
            after = {"after": _text(rows[-1], "id")}


class MistralBatches(OpenAIBatches):
    """Mistral's jobs: the same files, other names, numbered pages."""

    jobs = "/batch/jobs"
    ended = ("SUCCESS", "TIMEOUT_EXCEEDED", "CANCELLED")
    failed = "FAILED"
    counts = (("succeeded_requests",), ("failed_requests",))
    files = ("output_file", "error_file")
    errors = ("errors",)

    def line(self, custom_id: str, body: dict[str, Any]) -> bytes:
        kept = {name: value for name, value in body.items() if name != "model"}
        return msgspec.json.encode({"custom_id": custom_id, "body": kept}) + b"\n"

    def _job(self, file_id: str) -> dict[str, Any]:
        return {"input_files": [file_id], "model": self.profile.model, "timeout_hours": 24}

    def find(self, tag: str, since: float) -> Remote | None:
        found = (job for job in self._listed(self.jobs) if at(job, "metadata", TAG) == tag)
        return next(map(self._read, found), None)

    def _listed(self, path: str, **parameters: str) -> Iterator[Mapping[str, Any]]:
        for page in range(MOST_PAGES):
            found = self._http.json(f"{path}?{urlencode({**parameters, 'page': page, 'page_size': PAGE})}")
            rows = rows_at(found, "data")
            yield from rows
            if len(rows) < PAGE:
                return


def _text(value: Mapping[str, Any], name: str) -> str:
    """Raises Unfinished if the server's reply lacks a required field."""
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise Unfinished(f"a reply from the batch server has no {name}", remedy="rerun later")
    return found
