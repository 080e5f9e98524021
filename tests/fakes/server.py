"""An OpenAI-compatible server on a real socket of 127.0.0.1 that answers as told and misbehaves on demand.

    with FakeOpenAI(lambda request: f"echo {request.user}") as server:
        ...  # server.url is http://127.0.0.1:PORT/v1
        server.calls          # every request that reached it, in order

`answer(call)` returns the text, or a `Reply` for anything else: a status, headers (Retry-After), a delay, a finish
reason, a refusal, usage, a raw or cut body, a dropped or hanging connection. It may be called from several requests
at once, on the server's one thread. `latency` (seconds) delays every reply without blocking the others.
Endpoints: POST /v1/completions, /v1/chat/completions; GET /v1/models, /health. More with `mount`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

START_LIMIT = 60.0  # seconds until the socket must be open


@dataclass
class Call:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int
    at: float = field(default_factory=time.monotonic)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body.get("messages", [])

    @property
    def user(self) -> str:
        """The prompt, whichever endpoint it came by."""
        return self.messages[-1]["content"] if self.messages else self.body.get("prompt", "")

    @property
    def system(self) -> str:
        return "\n".join(m["content"] for m in self.messages if m["role"] == "system")


@dataclass
class Reply:
    text: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    finish_reason: str = "stop"
    refusal: str | None = None
    usage: dict[str, Any] | None = None  # None: counted in words; {}: left out
    raw: str | bytes | None = None  # sent as it is instead of a well-formed body
    cut: bool = False  # half of the body, then the connection goes
    drop: bool = False  # the connection goes before a byte
    hang: float = 0.0  # seconds of silence, then the connection goes


Answer = Callable[[Call], "str | Reply"]


class FakeOpenAI:
    def __init__(
        self,
        answer: Answer | str = "ok",
        *,
        latency: float = 0.0,
        models: tuple[str, ...] = ("fake-model",),
        api_key: str | None = None,
        keep_calls: bool = True,
        port: int = 0,
        context: int | None = None,
    ) -> None:
        self.answer: Answer = answer if callable(answer) else (lambda call: answer)
        self.latency = latency
        self.models = models
        self.context = context  # what the list of models calls max_model_len, as vLLM does
        self.api_key = api_key  # when set, another bearer gets 401
        self.keep_calls = keep_calls
        self.calls: list[Call] = []
        self.count = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = port
        self.extra_routes: list[web.RouteDef] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._done: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def mount(self, *routes: web.RouteDef) -> FakeOpenAI:
        """Adds routes (before `start`)."""
        self.extra_routes.extend(routes)
        return self

    def start(self) -> FakeOpenAI:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(START_LIMIT):
            raise RuntimeError(f"the fake server did not open its socket within {START_LIMIT:.0f} s")
        return self

    def stop(self) -> None:
        if self._loop is not None and self._done is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join(10)

    def __enter__(self) -> FakeOpenAI:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(
            [
                web.post("/v1/completions", self._complete),
                web.post("/v1/chat/completions", self._complete),
                web.get("/v1/models", self._list_models),
                web.get("/health", self._health),
                *self.extra_routes,
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self._ready.set()
        await self._done.wait()
        await runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="")

    async def _list_models(self, request: web.Request) -> web.Response:
        if not self._lets_in(request):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        about = {"object": "model"} if self.context is None else {"object": "model", "max_model_len": self.context}
        return web.json_response({"object": "list", "data": [{"id": m, **about} for m in self.models]})

    def _lets_in(self, request: web.Request) -> bool:
        return self.api_key is None or request.headers.get("Authorization") == f"Bearer {self.api_key}"

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._reply_to(request)
        finally:
            self.in_flight -= 1

    async def _reply_to(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.path, dict(request.headers), await request.json(), self.count)
        self.count += 1
        if self.keep_calls:
            self.calls.append(call)
        if not self._lets_in(request):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        answer = self.answer(call)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        if self.latency + reply.delay:
            await asyncio.sleep(self.latency + reply.delay)
        if reply.drop or reply.hang:
            await asyncio.sleep(reply.hang)
            return _abort(request)
        raw = json.dumps(_body(call, reply), ensure_ascii=False) if reply.raw is None else reply.raw
        body = raw if isinstance(raw, bytes) else raw.encode()
        if reply.cut:
            response = web.StreamResponse(
                headers={"Content-Type": "application/json", "Content-Length": str(len(body))}
            )
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            return _abort(request)
        if reply.status != 200 and reply.raw is None:
            return _error(reply.status, reply.text or "error", "fake", reply.headers)
        return web.Response(body=body, status=reply.status, headers=reply.headers, content_type="application/json")


def _body(call: Call, reply: Reply) -> dict[str, Any]:
    chat = call.path.endswith("/chat/completions")
    choice: dict[str, Any] = {"index": 0, "finish_reason": reply.finish_reason}
    if chat:
        choice["message"] = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    else:
        choice["text"] = reply.text
    sent = sum(len(str(m["content"]).split()) for m in call.messages) if chat else len(str(call.user).split())
    out = len((reply.text or "").split())
    usage = (
        {"prompt_tokens": sent, "completion_tokens": out, "total_tokens": sent + out}
        if reply.usage is None
        else reply.usage
    )
    body = {
        "id": f"cmpl-{call.number}",
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,
        "model": call.body.get("model", ""),
        "choices": [choice],
    }
    return body | ({"usage": usage} if usage else {})


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"error": {"message": message, "type": "fake_error", "param": None, "code": code}}
    return web.json_response(error, status=status, headers=headers)


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError
