"""Calls to a batch endpoint: JSON, a file to it, a file from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import FormData

from lm_eval_fr.errors import Unfinished
from lm_eval_fr.io.http import Answer, CallFailed, Http
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.io.retry import RetryPolicy
from lm_eval_fr.judge.asking.protocol import Profile
from lm_eval_fr.judge.live.client import account_headers, address_of, blocked, server_of

RETRIES = 4  # of calls that may be repeated; creating a batch may not
FILE_LIMIT = 600.0  # seconds for a file to go or to come
MOST_FILE = 1 << 30  # bytes of a file of results


class Gone(Exception):
    """The server does not have what was asked for: it was deleted, or belongs to another key's project."""


class Refused(Exception):
    """The server refused this request, so nothing was done."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class BatchHttp:
    """The profile's server. A server that is down is Unfinished (rerun); a problem of every call is raised
    as in `blocked`."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._server = server_of(profile)
        self._headers = account_headers(profile)
        self._where = f"profile {profile.name}, {address_of(profile)}"

    def json(self, path: str, body: dict[str, Any] | None = None, *, once: bool = False) -> dict[str, Any]:
        """GET without a body, POST with one. once: it may not be repeated, and any refusal of it is Refused.

        Raises Gone, Refused.
        """
        data = None if body is None else msgspec.json.encode(body)
        return self._object(
            self._call(lambda http: http.call(path, data, headers=self._headers), self.profile.timeout, once=once)
        )

    def upload(self, path: str, file: Path) -> dict[str, Any]:
        async def send(http: Http) -> Answer:
            with file.open("rb") as content:
                form = FormData({"purpose": "batch"})
                form.add_field("file", content, filename=file.name, content_type="application/jsonl")
                payload = form()  # never whole in memory
                headers = {**self._headers, "Content-Type": str(payload.content_type)}
                return await http.call(path, payload, headers=headers)

        return self._object(self._call(send, FILE_LIMIT))

    def download(self, path: str, to: Path) -> None:
        """Raises Gone."""

        async def fetch(http: Http) -> Answer:
            with to.open("wb") as out:
                return await http.call(path, headers=self._headers, to=out, most_bytes=MOST_FILE)

        self._call(fetch, FILE_LIMIT)

    def _object(self, answer: Answer) -> dict[str, Any]:
        if not isinstance(value := answer.json, dict):
            raise Unfinished("the reply is not a JSON object", where=self._where, remedy="rerun later")
        return value

    def _call(self, send: Callable[[Http], Awaitable[Answer]], limit: float, *, once: bool = False) -> Answer:
        """limit: seconds of one try."""

        async def call() -> Answer:
            async with Http(self._server, timeout=limit) as http:
                return await http.persist(lambda: send(http), RetryPolicy(attempts=1 if once else 1 + RETRIES))

        try:
            return run_async(call())
        except CallFailed as failed:
            found = failed.problem
        if found.passing:
            raise Unfinished(str(found), where=self._where, remedy="rerun: nothing is sent twice")
        if found.status in (404, 410) and not once:
            raise Gone(str(found))
        if once or found.of_this_text:
            raise Refused(found)
        raise blocked(found, self.profile)
