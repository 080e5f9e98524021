"""Servers that describe themselves as six engines do, on a real socket of 127.0.0.1.

    with EngineServer(OLLAMA) as server:
        ...  # server.url is http://127.0.0.1:PORT; server.asked is every request's method, path and headers

The replies are the engines' own, shortened: llama.cpp's (xllamacpp 2026.10) and vLLM's (0.32) as recorded from running
servers, the others' from their documentation and source.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def listed(name: str, owner: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": owner, **more}]}


@dataclass(frozen=True)
class Dialect:
    """replies: by path. unknown: the status and the body for any other path."""

    replies: Mapping[str, Any]
    unknown: tuple[int, Any] = (404, {"error": {"message": "File Not Found", "code": 404}})


LLAMA_CPP = Dialect(
    {
        "/v1/models": listed("smollm2", "llamacpp", meta={"n_ctx": 512, "n_ctx_train": 8192, "ftype": "Q4_1"}),
        "/props": {
            "default_generation_settings": {"params": {"seed": 4294967295}, "n_ctx": 512},
            "total_slots": 1,
            "model_alias": "smollm2",
            "model_ftype": "Q4_K - Medium",
            "model_path": "/models/smollm2.gguf",
            "chat_template": TEMPLATE,
            "build_info": "b6789-0123abcd",
        },
    }
)
VLLM = Dialect(
    {
        "/v1/models": listed("served", "vllm", root="org/no-such-model", parent=None, max_model_len=4096),
        "/version": {"version": "0.32.0"},
    },
    (404, {"detail": "Not Found"}),
)
SGLANG = Dialect(
    {
        "/v1/models": listed("served", "sglang", root="served", max_model_len=32768),
        "/server_info": {
            "model_path": "org/no-such-model",
            "served_model_name": "served",
            "quantization": "fp8",
            "dtype": "auto",
            "kv_cache_dtype": "auto",
            "context_length": None,
            "api_key": "sk-sglang-0123456789",
            "admin_api_key": "sk-admin-0123456789",
            "version": "0.5.6",
        },
    },
    (404, {"detail": "Not Found"}),
)
OLD_SGLANG = Dialect(
    {
        "/v1/models": listed("served", "sglang", root="served"),
        "/get_server_info": {"server_args": {"model_path": "org/no-such-model", "context_length": 8192}},
    },
    (404, {"detail": "Not Found"}),
)
TENSORRT_LLM = Dialect(
    {"/v1/models": listed("no-such-model", "tensorrt_llm"), "/version": {"version": "1.2.0"}},
    (404, {"detail": "Not Found"}),
)
OLLAMA = Dialect(
    {
        "/v1/models": listed("llama3.2:latest", "library"),
        "/api/version": {"version": "0.12.6"},
        "/api/show": {
            "modelfile": "FROM /root/.ollama/models/blobs/sha256-0123",
            "template": "{{ .System }}{{ .Prompt }}",
            "details": {"format": "gguf", "family": "llama", "quantization_level": "Q4_K_M"},
            "model_info": {"general.architecture": "llama", "general.file_type": 15, "llama.context_length": 131072},
        },
        "/api/tags": {"models": [{"name": "llama3.2:latest", "digest": "a80c4f17acd5"}]},
        "/api/ps": {"models": [{"name": "llama3.2:latest", "context_length": 4096}]},
    },
    (404, "404 page not found"),
)
LM_STUDIO = Dialect(
    {
        "/v1/models": listed("gemma-3-270m", "organization_owner"),
        "/api/v1/models": {
            "models": [
                {
                    "key": "gemma-3-270m",
                    "quantization": {"name": "Q4_0", "bits_per_weight": 4},
                    "loaded_instances": [{"id": "gemma-3-270m", "config": {"context_length": 4096}}],
                    "max_context_length": 32768,
                    "format": "gguf",
                }
            ]
        },
    },
    (200, {"error": "Unexpected endpoint or method. (GET /props)"}),
)
OLD_LM_STUDIO = Dialect(
    {
        "/v1/models": listed("gemma-3-270m", "organization_owner"),
        "/api/v0/models": {
            "object": "list",
            "data": [
                {
                    "id": "gemma-3-270m",
                    "quantization": "BF16",
                    "state": "loaded",
                    "max_context_length": 32768,
                    "loaded_context_length": 8192,
                }
            ],
        },
    },
    (200, {"error": "Unexpected endpoint or method. (GET /api/v1/models)"}),
)


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str] = field(repr=False)


class EngineServer:
    """raw: paths with a whole reply of their own: status, headers, body."""

    def __init__(self, dialect: Dialect, raw: Mapping[str, tuple[int, Mapping[str, str], bytes]] | None = None) -> None:
        self.dialect, self.raw = dialect, dict(raw or {})
        self.asked: list[Asked] = []
        handler = type("Handler", (_Handler,), {"engine": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> EngineServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    engine: EngineServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.engine.asked.append(Asked(self.command, self.path, dict(self.headers)))
        if path in self.engine.raw:
            status, headers, body = self.engine.raw[path]
        else:
            status, content = 200, self.engine.dialect.replies.get(path)
            if content is None:
                status, content = self.engine.dialect.unknown
            headers, body = {"Content-Type": "application/json"}, json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


def gguf_file(metadata: Mapping[str, Any], *, version: int = 3, tail: bytes = b"\x00" * 64) -> bytes:
    """A GGUF file without tensors, by the format's description. Values: str, bool, int (u32), float, lists of these."""
    entries = b"".join(_text(name) + _typed(value) for name, value in metadata.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(metadata)) + entries + tail


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Any) -> bytes:
    if isinstance(value, list):
        kind = struct.unpack("<I", _typed(value[0])[:4])[0]
        return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(_typed(one)[4:] for one in value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    kinds: dict[type, tuple[int, str]] = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}
    number, form = kinds[type(value)]
    return struct.pack(f"<I{form}", number, value)
