"""Asks a running server what it serves: `lm-eval-fr manifest URL`, and every run against a server on this machine.

No redirect is followed, bodies are bounded, and the key goes only to the server's own host (io.http). Files
named by a server on this machine are read for what the server does not say; those named by another machine are
not: a path there means nothing here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lm_eval_fr.arms.checkpoint import find_checkpoint, inspect_checkpoint
from lm_eval_fr.arms.gguf_header import describe_gguf, is_gguf
from lm_eval_fr.arms.manifest import START
from lm_eval_fr.arms.server_dialects import AskedStart, ServedModel, told_by
from lm_eval_fr.errors import ArmError, InputError, LmEvalFrError, UsageError, nearest
from lm_eval_fr.io.clean import one_line, rows_at
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.http import CallFailed, Server, api_address, ask, check_address, is_loopback, shown_address
from lm_eval_fr.io.reading import read_json
from lm_eval_fr.io.redaction import required_key
from lm_eval_fr.report.destinations import Destinations, deliver

ASK_LIMIT = 5.0  # seconds per question
MOST_REPLY = 4 << 20
PATH = re.compile(r"^[/~]|\\|\.gguf$", re.IGNORECASE)  # not a name on a hub
REMEDY = "give the address that answers /v1/models, e.g. http://127.0.0.1:8080/v1"


def manifest_command(url: str, *, model: str | None, key_env: str | None, json_file: Path | None) -> None:
    """Asks the server at `url`, shows what it says and writes it as a manifest. Raises UsageError, ArmError."""
    server = Server(check_address(url, "URL"), required_key(key_env))
    found = ask_server(server, model, key_env=key_env)
    deliver(
        Destinations(json_file=json_file),
        json=lambda: json.dumps(found.fields(), indent=1, ensure_ascii=False) + "\n",
        text=lambda: _table(found),
    )


def _table(found: ServedModel) -> str:
    fields = {name: value for name, value in found.fields().items() if name != START}
    fields |= {"files": found.start.files, "asked": ", ".join(found.start.asked)}
    width = max(map(len, fields))
    return "\n".join(f"{name:<{width}}  {'unknown' if value is None else value}" for name, value in fields.items())


def served_here(server: Server, model: str) -> ServedModel | None:
    """What a server on this machine says about `model`; None if it is elsewhere or says nothing of itself."""
    if not is_loopback(server.url):
        return None
    with suppress(LmEvalFrError):
        found = ask_server(server, model)
        return found if found.engine else None
    return None


def ask_server(server: Server, model: str | None, *, key_env: str | None = None) -> ServedModel:
    """server: its address with the API's path, or the address of an endpoint. Raises ArmError, UsageError."""
    questions = _Questions(server, key_env)
    rows = rows_at(questions.first(), "data")
    names = [one_line(row["id"], 200) for row in rows if isinstance(row.get("id"), str)]
    name = model or _only(names, questions.where)
    row = next((row for row in rows if row.get("id") == name), {})
    told = told_by(questions.ask, name, row) or ServedModel()
    if not (row or told.engine):
        if names:
            remedy = nearest(name, names) or f"it has: {', '.join(names[:6])}"
            raise ArmError(f"the server has no model {name!r}", where=questions.where, remedy=remedy)
        raise ArmError("not a model server: it lists no models", where=questions.where, remedy=REMEDY)
    files = told.model
    asked = AskedStart(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        base_url=questions.where,
        asked=tuple(questions.answered),
        files=None if files is None else one_line(files, 500),
    )
    short = None if files is None else one_line(Path(files).name if PATH.search(files) else files)
    found = replace(told, model=short, served_name=name, start=asked)
    return _with_files(found, files) if files and is_loopback(server.url) else found


class _Questions:
    """GETs and POSTs to one server; remembers which paths it answered."""

    def __init__(self, server: Server, key_env: str | None) -> None:
        self._api = replace(server, url=api_address(server.url))
        self._root = self._api.root
        self._key_env = key_env
        self.where = shown_address(self._api.url)
        self.answered: list[str] = []

    def first(self) -> Mapping[str, Any]:
        """The list of models. Raises ArmError for a server that is down, or that needs a key."""
        try:
            answer = ask(self._api, "/models", timeout=2 * ASK_LIMIT, most_bytes=MOST_REPLY)
        except CallFailed as failed:
            raise failed.error(ArmError, self.where, "start the server, or correct the address") from None
        problem = answer.problem()
        if problem and problem.kind == "key":
            state = f"{self._key_env} was refused" if self._key_env else "name its variable with --key-env NAME"
            raise ArmError(f"the server answers {problem}", where=self.where, remedy=f"it needs a key: {state}")
        return self._kept("/v1/models", None if problem else answer.json)

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        try:
            answer = ask(self._root, path, body, timeout=ASK_LIMIT, most_bytes=MOST_REPLY)
        except CallFailed:
            return {}
        return self._kept(path.partition("?")[0], None if answer.problem() else answer.json)

    def _kept(self, path: str, content: Any) -> Mapping[str, Any]:
        if not isinstance(content, dict):
            return {}
        self.answered.append(path)
        return content


def _only(names: list[str], where: str) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise ArmError("not a model server: it lists no models", where=where, remedy=REMEDY)
    raise UsageError(f"the server has {len(names)} models", where=where, remedy=f"--model {' | '.join(names[:6])}")


def _with_files(found: ServedModel, files: str) -> ServedModel:
    """`found` completed by the GGUF file, the checkpoint folder, or the hub's cached model that the server named."""
    path = Path(files)
    with suppress(InputError, OSError, ValueError):
        if path.is_absolute() and is_gguf(path):
            weights = describe_gguf(path)
            dtype = weights.dtype or found.dtype
            found = replace(found, model=weights.name or found.model, revision=None, dtype=dtype)
        else:
            folder = path if path.is_absolute() else find_checkpoint(files, found.revision)
            if folder is None or not folder.is_dir():
                return found
            weights = inspect_checkpoint(folder, tokenizer=False)
        return replace(
            found,
            revision=found.revision or weights.revision,
            quantization=weights.quantization or found.quantization,
            dtype=found.dtype or weights.dtype,
            chat_template_sha256=found.chat_template_sha256 or weights.chat_template_sha256,
        )
    return found


def hold_to_earlier(found: ServedModel, path: Path) -> None:
    """Records what is served beside an arm's answers; raises ArmError if earlier answers came from something else."""
    earlier = read_json(path) if path.is_file() else {}
    earlier = earlier if isinstance(earlier, dict) else {}
    now = found.fields()
    for name, before in earlier.items():
        if name != START and before is not None and now.get(name) not in (None, before):
            what = f"the server has changed since this arm's first answers: {name} was {before} and is now {now[name]}"
            remedy = "restart the first server, or give another --output_path: one arm is one server"
            raise ArmError(one_line(what), where=found.start.base_url, remedy=remedy)
    known = {name: value for name, value in earlier.items() if now.get(name) is None}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({**now, **known}, indent=1, ensure_ascii=False) + "\n")
