"""Checks, before lm-eval is loaded, that a server is up, accepts the key and has the model."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lm_eval_fr.arms.flags import PATHS, ArmCall
from lm_eval_fr.arms.server_manifest import served_here
from lm_eval_fr.errors import ArmError, UsageError, nearest
from lm_eval_fr.io.clean import rows_at
from lm_eval_fr.io.http import CallFailed, Server, ask, check_address, tls_context
from lm_eval_fr.io.redaction import key_from
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.models.presets import DEFAULT_PRESET, PRESETS
from lm_eval_fr.tasklib.definitions import tasks_behind

LONG_TASK = "long_context_fr"
CONTEXT_KEYS = ("max_model_len", "max_context_length", "context_length", "context_window")  # vLLM's, Mistral's, others'
CONNECT_LIMIT = 10.0  # seconds; a server that takes longer to list its models is not asked further


@dataclass(frozen=True)
class Endpoint:
    url: str
    model: str
    path: str
    key_env: str
    key_header: str
    context: ssl.SSLContext | None

    @property
    def server(self) -> Server:
        return Server(self.url, key_from(self.key_env), self.key_header, self.context)

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
        raise UsageError("--model_args: model is missing", remedy="model=<its name on the server>")
    key_env = str(arguments.get("api_key_env") or preset.key_env)
    key = key_from(key_env)
    if preset.key_required and not arguments.get("base_url") and not key:
        raise ArmError(f"{key_env} is not set", where=url, remedy=f"export {key_env}=...")
    authorities, verify = arguments.get("ca_cert_path"), arguments.get("verify_certificate") is not False
    tls = tls_context(str(authorities) if authorities else None, verify=verify) if authorities or not verify else None
    return Endpoint(url, str(model), path, key_env, str(arguments.get("api_key_header") or "Authorization"), tls)


def check_endpoint(endpoint: Endpoint) -> tuple[str, ...]:
    """Notes about a server that answers. Raises ArmError if it is down, refuses the key or lacks the model."""
    listed, problem = _ask(endpoint, endpoint.models_url)
    names = [] if problem else [str(row["id"]) for row in rows_at(listed, "data") if "id" in row]
    if not names or endpoint.model in names:
        return ()
    # Some servers accept names that they do not list: asking for one token shows whether this one does.
    message = [{"role": "user", "content": "Bonjour"}]
    prompt: dict[str, Any] = {"messages": message} if endpoint.path.startswith("/chat") else {"prompt": "Bonjour"}
    _, problem = _ask(endpoint, endpoint.url, {"model": endpoint.model, "max_tokens": 1, **prompt})
    if problem and problem.status in (400, 404, 422):
        remedy = nearest(endpoint.model, names) or f"it has: {', '.join(names[:6])}"
        raise ArmError(f"the server has no model {endpoint.model!r}", where=endpoint.url, remedy=remedy)
    return (f"the server does not list {endpoint.model!r} (it lists {', '.join(names[:3])}), but answers to that name",)


def note_context(call: ArmCall, endpoint: Endpoint | None) -> None:
    """Tells the task with long prompts how many tokens the server accepts, where it says so. Raises ArmError."""
    asked = LONG_TASK in (tasks_behind(call.tasks) or call.tasks)
    if endpoint is None or not asked or {"max_length", "max_model_len"} & set(call.model_args):
        return
    listed, problem = _ask(endpoint, endpoint.models_url)
    served = [] if problem else [row for row in rows_at(listed, "data") if row.get("id") == endpoint.model]
    sizes = [row[key] for row in served for key in CONTEXT_KEYS if type(row.get(key)) is int]
    found = None if sizes else served_here(endpoint.server, endpoint.model)
    if size := sizes[0] if sizes else found and found.max_model_len:
        call.flags.metadata = {**call.flags.metadata, "max_model_len": size}


def _ask(endpoint: Endpoint, url: str, body: Mapping[str, Any] | None = None) -> tuple[Any, Problem | None]:
    """The reply's JSON, and what it says if it is an error; nothing from a server that is up but silent.

    Raises ArmError if there is no server, or if it refuses the key.
    """
    try:
        answer = ask(replace(endpoint.server, url=url), "", body, timeout=CONNECT_LIMIT * (1 if body is None else 6))
    except CallFailed as failed:
        if failed.problem.billed and failed.problem.kind == "transport":
            return None, None
        raise failed.error(ArmError, endpoint.url, "start the server, or correct base_url") from None
    if (problem := answer.problem()) and problem.kind == "key":
        state = "is refused" if os.environ.get(endpoint.key_env) else "is not set"
        remedy = f"the key is read from {endpoint.key_env}, which {state}"
        raise ArmError(f"the server answers {problem}", where=endpoint.url, remedy=remedy)
    return answer.json, problem


def _check_path(url: str, path: str) -> None:
    parts = urlsplit(check_address(url, "base_url", f"http://127.0.0.1:8000/v1{path}"))
    found = parts.path.rstrip("/")
    wrong_end = path == "/completions" and found.endswith("/chat/completions")
    wrong_end |= path == "/chat/completions" and found.endswith("/completions") and not found.endswith(path)
    if wrong_end:
        root = found.removesuffix("/completions").removesuffix("/chat") or "/v1"
        right = urlunsplit((parts.scheme, parts.netloc, f"{root}{path}", parts.query, ""))
        raise UsageError(f"base_url={url}: this model posts to {path}", remedy=f"base_url={right}")
