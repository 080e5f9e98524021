"""Asks a server whether it is there, lets us in and has the model, before lm-eval is loaded."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lm_eval_fr.arms.flags import ArmCall, nearest
from lm_eval_fr.errors import ArmError, UsageError
from lm_eval_fr.models.presets import DEFAULT_PRESET, PRESETS, is_loopback

CONNECT_LIMIT = 10.0  # seconds; a server that is slower to list its models is asked nothing more
PATHS = {
    "local-completions": "/completions",
    "openai-completions": "/completions",
    "local-chat-completions": "/chat/completions",
    "openai-chat-completions": "/chat/completions",
    "hosted-chat": "/chat/completions",
}


@dataclass(frozen=True)
class Endpoint:
    url: str
    model: str
    path: str
    key_env: str
    key_header: str
    context: ssl.SSLContext | None

    @property
    def models_url(self) -> str:
        parts = urlsplit(self.url)
        root = parts.path.rstrip("/").removesuffix(self.path)
        return urlunsplit((parts.scheme, parts.netloc, f"{root}/models", parts.query, ""))


def endpoint_of(call: ArmCall) -> Endpoint | None:
    """The server that an arm talks to; None when the model runs in this process. Raises UsageError."""
    if call.model not in PATHS:
        return None
    arguments, path = call.model_args, PATHS[call.model]
    preset_name = str(arguments.get("preset") or ("openai" if call.model.startswith("openai-") else DEFAULT_PRESET))
    if preset_name not in PRESETS:
        remedy = nearest(preset_name, list(PRESETS)) or f"there are: {', '.join(PRESETS)}"
        raise UsageError(f"--model_args preset={preset_name}: no such preset", remedy=remedy)
    preset = PRESETS[preset_name]
    default = preset.base_url and preset.base_url.removesuffix("/chat/completions") + path
    url = str(arguments.get("base_url") or default or "")
    if not url:
        raise UsageError("--model_args: base_url is missing", remedy=f"base_url=http://127.0.0.1:8000/v1{path}")
    _check_path(url, path)
    model = arguments.get("model") or arguments.get("pretrained")
    if not model:
        raise UsageError("--model_args: model is missing", remedy="model=<the name that the server knows it by>")
    key_env = str(arguments.get("api_key_env") or preset.key_env)
    if preset.key_required and not arguments.get("base_url") and not os.environ.get(key_env):
        raise ArmError(f"{key_env} is not set", where=url, remedy=f"export {key_env}=...")
    return Endpoint(
        url, str(model), path, key_env, str(arguments.get("api_key_header") or "Authorization"), _tls(arguments)
    )


def check_endpoint(endpoint: Endpoint) -> tuple[str, ...]:
    """Notes on a server that answers. Raises ArmError when it is not there, refuses the key or lacks the model."""
    status, text = _ask(endpoint, endpoint.models_url)
    if status in (401, 403):
        raise _refused(endpoint, status, text)
    names = _listed(text) if status == 200 else ()
    if not names or endpoint.model in names:
        return ()
    # Some servers take names that they do not list: one token of one answer tells.
    message = [{"role": "user", "content": "Bonjour"}]
    prompt: dict[str, Any] = {"messages": message} if endpoint.path.startswith("/chat") else {"prompt": "Bonjour"}
    status, text = _ask(endpoint, endpoint.url, {"model": endpoint.model, "max_tokens": 1, **prompt})
    if status in (401, 403):
        raise _refused(endpoint, status, text)
    if status in (400, 404, 422):
        remedy = nearest(endpoint.model, names) or f"it has: {', '.join(names[:6])}"
        raise ArmError(f"the server has no model {endpoint.model!r}", where=endpoint.url, remedy=remedy)
    return (f"the server does not list {endpoint.model!r} (it lists {', '.join(names[:3])}), but answers for it",)


def server_message(text: str) -> str:
    """What an API's error body says, in at most a line."""
    try:
        body = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:200]
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return " ".join(str(message or text).split())[:200]


def _ask(endpoint: Endpoint, url: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
    """Status and text; 0 for a server that is there but says nothing in time. Raises ArmError when there is none."""
    key = os.environ.get(endpoint.key_env, "")
    bearer = f"Bearer {key}" if endpoint.key_header == "Authorization" else key
    headers = {"Content-Type": "application/json"} | ({endpoint.key_header: bearer} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    limit = CONNECT_LIMIT if body is None else 6 * CONNECT_LIMIT
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=endpoint.context)]
    if is_loopback(url):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=limit) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except TimeoutError:
        return 0, ""
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = "no connection in time"
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        remedy = "start the server, or mend base_url; for a certificate of your own: ca_cert_path=FILE"
        raise ArmError(f"no server answers ({text})", where=endpoint.url, remedy=remedy) from None


def _refused(endpoint: Endpoint, status: int, text: str) -> ArmError:
    state = "is refused" if os.environ.get(endpoint.key_env) else "is not set"
    return ArmError(
        f"the server answers {status}: {server_message(text)}",
        where=endpoint.url,
        remedy=f"the key is read from {endpoint.key_env}, which {state}",
    )


def _listed(text: str) -> tuple[str, ...]:
    try:
        data = json.loads(text)["data"]
        return tuple(str(entry["id"]) for entry in data)
    except (ValueError, KeyError, TypeError):
        return ()


def _check_path(url: str, path: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"base_url={url}: not an address", remedy=f"base_url=http://127.0.0.1:8000/v1{path}")
    found = parts.path.rstrip("/")
    wrong_end = path == "/completions" and found.endswith("/chat/completions")
    wrong_end |= path == "/chat/completions" and found.endswith("/completions") and not found.endswith(path)
    if wrong_end or found in ("", "/v1") or found.endswith("/v1"):
        root = found.removesuffix("/completions").removesuffix("/chat") or "/v1"
        right = urlunsplit((parts.scheme, parts.netloc, f"{root}{path}", parts.query, ""))
        raise UsageError(f"base_url={url}: this model posts to {path}", remedy=f"base_url={right}")


def _tls(arguments: Mapping[str, Any]) -> ssl.SSLContext | None:
    if arguments.get("verify_certificate") is False:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    path = arguments.get("ca_cert_path")
    try:
        return ssl.create_default_context(cafile=str(path)) if path else None
    except OSError as error:
        raise UsageError(f"ca_cert_path={path}: {error.strerror or error}") from None
