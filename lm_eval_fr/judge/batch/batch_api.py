"""The batch endpoints of OpenAI and of Mistral behind one set of calls.

    OpenAI    POST /files   POST /batches      GET /batches/ID      GET /files/ID/content
    Mistral   POST /files   POST /batch/jobs   GET /batch/jobs/ID   GET /files/ID/content, the model on the job

A batch bears a tag in its metadata, so that one whose creation was never recorded is found again and not created twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from lm_eval_fr.errors import JudgeError, Unfinished
from lm_eval_fr.judge.asking.protocol import Profile
from lm_eval_fr.judge.live.client import NO_KEY, read_key, scrub

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
State = Literal["running", "done", "failed"]
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
TAG = "lm_eval_fr"
RETRIES = 4  # of calls that may be repeated; creating a batch may not
PAGE = 100
CLOCK_SKEW = 86_400  # seconds: batches created this long before ours are not looked at in a search


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as the server sees it. `done` also says expired and cancelled: what was finished is there to fetch."""

    id: str
    state: State
    status: str
    total: int
    completed: int
    failed: int
    files: tuple[str, ...]  # output and error files, those that exist
    message: str = ""


class BatchServer(Protocol):
    most_requests: int
    most_bytes: int

    def line(self, custom_id: str, body: dict[str, Any]) -> dict[str, Any]: ...

    def upload(self, path: Path) -> str: ...

    def find_upload(self, name: str) -> str | None: ...

    def create(self, file_id: str, tag: str) -> Remote: ...

    def find(self, tag: str, since: float) -> Remote | None: ...

    def get(self, batch_id: str) -> Remote: ...

    def fetch(self, file_id: str, to: Path) -> None: ...


def connect(profile: Profile) -> BatchServer:
    """Raises JudgeError where the profile's judge has no batches, or no key."""
    if profile.dialect == "offline":
        raise JudgeError(
            "the offline judge has no batches", where="--batch", remedy="leave --batch out, or choose another --profile"
        )
    return MistralBatches(profile) if profile.dialect == "mistral" else OpenAIBatches(profile)


class OpenAIBatches:
    most_requests = 50_000
    most_bytes = 200_000_000

    def __init__(self, profile: Profile) -> None:
        import openai

        self.profile = profile
        self._key = read_key(profile)
        try:
            self._client: OpenAI = openai.OpenAI(
                api_key=self._key, base_url=profile.base_url, max_retries=RETRIES, timeout=profile.timeout
            )
        except (openai.OpenAIError, ValueError) as error:
            raise JudgeError(scrub(str(error), self._key), remedy="check --base-url") from None

    def line(self, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}

    def upload(self, path: Path) -> str:
        def send() -> str:
            with path.open("rb") as content:
                return self._client.files.create(file=(path.name, content), purpose="batch").id

        return self._call(send)

    def find_upload(self, name: str) -> str | None:
        def search() -> str | None:
            found = (file.id for file in self._client.files.list(purpose="batch", limit=PAGE) if file.filename == name)
            return next(found, None)

        return self._call(search)

    def create(self, file_id: str, tag: str) -> Remote:
        once = self._client.with_options(max_retries=0)
        return self._call(
            lambda: self._read(
                once.batches.create(
                    input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h", metadata={TAG: tag}
                ).to_dict()
            )
        )

    def find(self, tag: str, since: float) -> Remote | None:
        def search() -> Remote | None:
            for batch in self._client.batches.list(limit=PAGE):  # the newest first
                if batch.created_at < since - CLOCK_SKEW:
                    return None
                if (batch.metadata or {}).get(TAG) == tag:
                    return self._read(batch.to_dict())
            return None

        return self._call(search)

    def get(self, batch_id: str) -> Remote:
        return self._call(lambda: self._read(self._client.batches.retrieve(batch_id).to_dict()))

    def fetch(self, file_id: str, to: Path) -> None:
        import openai

        def download() -> None:
            with self._client.files.with_streaming_response.content(file_id) as content:
                try:
                    content.stream_to_file(to)
                except OSError:
                    raise
                except Exception as error:
                    # The transport's own errors come through here: a body that ends early must not pass for whole.
                    raise openai.APIConnectionError(message=str(error), request=content.http_request) from error

        self._call(download)

    def _read(self, batch: Mapping[str, Any]) -> Remote:
        status, counts = str(batch["status"]), batch.get("request_counts") or {}
        state: State = "running"
        if status in ("completed", "expired", "cancelled"):
            state = "done"
        elif status == "failed":
            state = "failed"
        errors = (batch.get("errors") or {}).get("data") or []
        files = tuple(str(file) for name in ("output_file_id", "error_file_id") if (file := batch.get(name)))
        return Remote(
            id=str(batch["id"]),
            state=state,
            status=status,
            total=_int(counts.get("total")),
            completed=_int(counts.get("completed")),
            failed=_int(counts.get("failed")),
            files=files,
            message=scrub("; ".join(str(error.get("message")) for error in errors[:3]), self._key),
        )

    def _call(self, do: Callable[[], T]) -> T:
        """A server that is away leaves the batch where it is (run again); one that refuses is a mistake to mend."""
        import openai

        where = str(self._client.base_url)
        try:
            return do()
        except openai.APIStatusError as error:
            status, said = error.status_code, scrub(str(error.message), self._key)
            if status in (408, 409, 429) or status >= 500:
                raise Unfinished(f"HTTP {status}: {said}", where=where, remedy="run again later") from None
            key = f"check the key in {self.profile.key_env}" if self._key != NO_KEY else "does the server want a key?"
            remedy = {401: key, 403: key, 404: "does this server have batches? check --base-url"}.get(status, "")
            raise JudgeError(f"HTTP {status}: {said}", where=where, remedy=remedy) from None
        except openai.APIConnectionError as error:
            said = scrub(str(error.__cause__ or error), self._key)
            raise Unfinished(f"no answer: {said}", where=where, remedy="run again: nothing is sent twice") from None


class MistralBatches(OpenAIBatches):
    """Mistral's jobs: the same files, other names, and pages by number."""

    def line(self, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"custom_id": custom_id, "body": {name: value for name, value in body.items() if name != "model"}}

    def find_upload(self, name: str) -> str | None:
        found = (file for file in self._pages("/files", {"purpose": "batch"}) if file.get("filename") == name)
        return next((str(file["id"]) for file in found), None)

    def create(self, file_id: str, tag: str) -> Remote:
        once = self._client.with_options(max_retries=0)
        job = {
            "input_files": [file_id],
            "endpoint": ENDPOINT,
            "model": self.profile.model,
            "timeout_hours": 24,
            "metadata": {TAG: tag},
        }
        return self._call(lambda: self._read(_dict(once.post("/batch/jobs", cast_to=object, body=job))))

    def find(self, tag: str, since: float) -> Remote | None:
        for job in self._pages("/batch/jobs", {}):
            if (job.get("metadata") or {}).get(TAG) == tag:
                return self._read(job)
        return None

    def get(self, batch_id: str) -> Remote:
        return self._call(lambda: self._read(_dict(self._client.get(f"/batch/jobs/{batch_id}", cast_to=object))))

    def _pages(self, path: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        page = 0
        while True:
            rows = self._call(partial(self._page, path, {**parameters, "page": page, "page_size": PAGE}))
            yield from rows
            page += 1
            if len(rows) < PAGE:
                return

    def _page(self, path: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        found = _dict(self._client.get(path, cast_to=object, options={"params": parameters}))
        return found.get("data") or []

    def _read(self, batch: Mapping[str, Any]) -> Remote:
        status = str(batch["status"])
        state: State = "running"
        if status in ("SUCCESS", "TIMEOUT_EXCEEDED", "CANCELLED"):
            state = "done"
        elif status == "FAILED":
            state = "failed"
        files = tuple(str(file) for name in ("output_file", "error_file") if (file := batch.get(name)))
        if state == "failed" and files:
            state = "done"  # a job may fail as a whole and still have finished lines, which are billed
        errors = "; ".join(str(error.get("message")) for error in (batch.get("errors") or [])[:3])
        return Remote(
            id=str(batch["id"]),
            state=state,
            status=status,
            total=_int(batch.get("total_requests")),
            completed=_int(batch.get("succeeded_requests")),
            failed=_int(batch.get("failed_requests")),
            files=files,
            message=scrub(errors, self._key),
        )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
