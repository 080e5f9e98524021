"""/v1/files and /v1/batches (OpenAI), /v1/batch/jobs (Mistral), mounted on FakeOpenAI's real socket.

    server = FakeOpenAI(answer)
    batches = FakeBatches(server)        # before server.start()

A batch is answered when it is first asked after, line by line, by the server's own `answer`; `hold` keeps it running.
What it can do wrong: expire after some lines, refuse single lines, refuse the whole file, leave the answer to a
creation unsent, lose its lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.server import Call, FakeOpenAI, Reply, _abort, _body, _error


@dataclass
class FakeFile:
    id: str
    name: str
    purpose: str
    content: bytes


@dataclass
class FakeBatch:
    id: str
    file_id: str
    metadata: dict[str, str]
    created_at: int
    model: str | None = None  # Mistral's: on the job
    status: str = "in_progress"
    output: str | None = None
    errors: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    message: str = ""


@dataclass
class FakeBatches:
    server: FakeOpenAI
    hold: bool = False
    expire_after: int | None = None  # lines answered before the batch expires; once
    refuse_line: Callable[[dict[str, Any]], int | None] = lambda line: None  # a status instead of a reply
    refuse_file: str | None = None  # the whole batch fails with this message
    cut_content: bool = False  # half of a file, then the connection goes; once
    drop_creation: bool = False  # the batch is made, the connection goes before the reply; once
    unnamed: bool = False  # it is completed, and its files are not named yet
    gone: bool = False  # another project's key: no batch of ours is known
    lost_results: bool = False  # the files of results were deleted
    refuse_creation: dict[str, Any] | None = None  # an error body for POST /batches
    most_lines: int | None = None  # a longer file fails for its tokens
    answered: Callable[[dict[str, Any]], list[bytes]] | None = None  # what is written instead of a good line
    cancelled: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    created_at: int = 2_000_000_000
    files: dict[str, FakeFile] = field(default_factory=dict)
    batches: dict[str, FakeBatch] = field(default_factory=dict)
    lines_answered: list[str] = field(default_factory=list)  # custom_ids, in order: what would be billed

    def __post_init__(self) -> None:
        self.server.mount(
            web.post("/v1/files", self._upload),
            web.get("/v1/files", self._list_files),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batches", self._create),
            web.get("/v1/batches", self._list),
            web.get("/v1/batches/{id}", self._retrieve),
            web.post("/v1/batches/{id}/cancel", self._cancel),
            web.post("/v1/batch/jobs", self._create),
            web.get("/v1/batch/jobs", self._list),
            web.get("/v1/batch/jobs/{id}", self._retrieve),
        )

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._unknown_key(request)) is not None:
            return refused
        form = await request.post()
        upload = form["file"]
        assert isinstance(upload, web.FileField)
        file = self._add(upload.filename, str(form["purpose"]), upload.file.read())
        return web.json_response(_file(file))

    async def _list_files(self, request: web.Request) -> web.StreamResponse:
        found = [_file(file) for file in self.files.values() if file.purpose == request.query.get("purpose")]
        return web.json_response(_page(found, request))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        file = None if self.lost_results else self.files.get(request.match_info["id"])
        if file is not None and self.cut_content:
            self.cut_content = False
            response = web.StreamResponse(headers={"Content-Length": str(len(file.content))})
            await response.prepare(request)
            await response.write(file.content[: len(file.content) // 2])
            return _abort(request)
        return _error(404, "no such file", "not_found") if file is None else web.Response(body=file.content)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._unknown_key(request)) is not None:
            return refused
        if self.refuse_creation is not None:
            return web.json_response({"error": self.refuse_creation}, status=400)
        body = await request.json()
        mistral = request.path.endswith("/jobs")
        file_id = body["input_files"][0] if mistral else body["input_file_id"]
        if file_id not in self.files:
            return _error(400, f"no such file: {file_id}", "invalid_request")
        assert body["endpoint"] == "/v1/chat/completions"
        number = len(self.batches)
        self.created_at += 1
        batch = FakeBatch(f"batch_{number}", file_id, body["metadata"], self.created_at, body.get("model"))
        self.batches[batch.id] = batch
        if self.drop_creation:
            self.drop_creation = False
            return _abort(request)
        return web.json_response(self._show(batch, mistral=mistral))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        mistral = request.path.endswith("/jobs")
        found = [self._show(batch, mistral=mistral) for batch in reversed(self.batches.values())]
        return web.json_response(_page(found, request))

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._unknown_key(request)) is not None:
            return refused
        batch = None if self.gone else self.batches.get(request.match_info["id"])
        if batch is None:
            return _error(404, "no such batch", "not_found")
        if batch.status == "in_progress" and not self.hold:
            self._run(batch)
        return web.json_response(self._show(batch, mistral="/jobs/" in request.path))

    def _run(self, batch: FakeBatch) -> None:
        lines = [json.loads(line) for line in self.files[batch.file_id].content.splitlines()]
        batch.total = len(lines)
        if self.most_lines is not None and len(lines) > self.most_lines:
            batch.status = "failed"
            batch.message = "Enqueued token limit reached for judge-1 in organization org. Limit: 90 enqueued tokens."
            return
        if self.refuse_file is not None:
            batch.status, batch.message = "failed", self.refuse_file
            return
        until, self.expire_after = self.expire_after, None
        output, errors = [], []
        for number, line in enumerate(lines):
            if until is not None and number >= until:
                errors.append(_unanswered(line, None, "batch_expired"))
            elif (status := self.refuse_line(line)) is not None:
                errors.append(_unanswered(line, status, "refused"))
            else:
                output.append(self._answer(batch, line))
        batch.status = "completed" if until is None else "expired"
        batch.completed, batch.failed = len(output), len(errors)
        batch.output = self._result(output)
        batch.errors = self._result(errors)

    def _answer(self, batch: FakeBatch, line: dict[str, Any]) -> dict[str, Any]:
        self.lines_answered.append(line["custom_id"])
        body = {"model": batch.model, **line["body"]} if batch.model else line["body"]
        call = Call("/v1/chat/completions", {}, body, len(self.lines_answered))
        answer = self.server.answer(call)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        response = {"status_code": reply.status, "request_id": f"r{call.number}", "body": _body(call, reply)}
        return {"id": f"b{call.number}", "custom_id": line["custom_id"], "response": response, "error": None}

    def _result(self, lines: list[dict[str, Any]]) -> str | None:
        if not lines:
            return None  # a batch whose lines all failed has an error file and no other
        content = b"".join(
            part + b"\n"
            for line in lines
            for part in (self.answered(line) if self.answered else [json.dumps(line, ensure_ascii=False).encode()])
        )
        return self._add("result.jsonl", "batch_output", content).id

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        batch = None if self.gone else self.batches.get(request.match_info["id"])
        if batch is None:
            return _error(404, "no such batch", "not_found")
        self.cancelled.append(batch.id)
        return web.json_response(self._show(batch, mistral=False))

    def _add(self, name: str, purpose: str, content: bytes) -> FakeFile:
        file = FakeFile(f"file-{len(self.files)}", name, purpose, content)
        self.files[file.id] = file
        return file

    def _unknown_key(self, request: web.Request) -> web.Response | None:
        self.headers.append(dict(request.headers))
        self.paths.append(request.path)
        key = self.server.api_key
        if key is None or request.headers.get("Authorization") == f"Bearer {key}":
            return None
        return _error(401, f"Incorrect API key provided: {request.headers.get('Authorization')}", "invalid_api_key")

    def _show(self, batch: FakeBatch, *, mistral: bool) -> dict[str, Any]:
        if mistral:
            names = {
                "in_progress": "RUNNING",
                "completed": "SUCCESS",
                "expired": "TIMEOUT_EXCEEDED",
                "failed": "FAILED",
            }
            return {
                "id": batch.id,
                "object": "batch",
                "input_files": [batch.file_id],
                "metadata": batch.metadata,
                "status": names[batch.status],
                "model": batch.model,
                "output_file": batch.output,
                "error_file": batch.errors,
                "errors": [{"message": batch.message, "count": 1}] if batch.message else [],
                "created_at": batch.created_at,
                "total_requests": batch.total,
                "completed_requests": batch.completed + batch.failed,
                "succeeded_requests": batch.completed,
                "failed_requests": batch.failed,
            }
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "input_file_id": batch.file_id,
            "metadata": batch.metadata,
            "status": batch.status,
            "output_file_id": None if self.unnamed else batch.output,
            "error_file_id": None if self.unnamed else batch.errors,
            "errors": {"object": "list", "data": [{"message": batch.message}]} if batch.message else None,
            "created_at": batch.created_at,
            "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        }


def _file(file: FakeFile) -> dict[str, Any]:
    shown = {"id": file.id, "object": "file", "filename": file.name, "purpose": file.purpose}
    return shown | {"bytes": len(file.content), "created_at": 0, "status": "processed"}


def _unanswered(line: dict[str, Any], status: int | None, code: str) -> dict[str, Any]:
    response = None if status is None else {"status_code": status, "request_id": "", "body": {"error": code}}
    error = {"code": code, "message": f"{code}: this request was not answered"}
    return {"id": "e", "custom_id": line["custom_id"], "response": response, "error": error}


def _page(rows: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """By number (Mistral) or after an id (OpenAI), as many as were asked for."""
    query = request.query
    if "page" in query:
        size = int(query["page_size"])
        start = int(query["page"]) * size
        return {"object": "list", "data": rows[start : start + size], "total": len(rows)}
    ids = [row["id"] for row in rows]
    start = ids.index(query["after"]) + 1 if "after" in query else 0
    size = int(query.get("limit", 20))
    return {"object": "list", "data": rows[start : start + size], "has_more": start + size < len(rows)}
