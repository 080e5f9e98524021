"""A MediaWiki API on a real socket of 127.0.0.1, as far as scripts/build_evalset.py goes, that misbehaves on demand.

    with FakeMediaWiki(articles) as wiki:
        ...  # wiki.api is http://127.0.0.1:PORT/w/api.php
        wiki.asked  # the parameters of every request that was answered with content

`trouble(number, parameters)` sees each request, counted from 1, and may return a `Trouble` instead of an answer.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Article:
    page: int
    title: str
    extract: str
    redirect: bool = False
    namespace: int = 0


@dataclass(frozen=True)
class Trouble:
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False  # the connection goes before a byte


def maxlag(seconds: float = 0) -> Trouble:
    """HTTP 200 all the same."""
    body = {"error": {"code": "maxlag", "info": "Waiting for 10.64.32.12: 6.1 seconds lagged.", "lag": 6.1}}
    return Trouble(body=json.dumps(body), headers={"Retry-After": str(seconds), "Content-Type": "application/json"})


def too_many(retry_after: str = "0") -> Trouble:
    return Trouble(429, "<h1>Too many requests</h1>", {"Retry-After": retry_after, "Content-Type": "text/html"})


class FakeMediaWiki:
    def __init__(
        self,
        articles: Sequence[Article],
        *,
        category: str = "Catégorie:Article de qualité",
        page_size: int = 3,
        trouble: Callable[[int, dict[str, str]], Trouble | None] = lambda number, parameters: None,
    ) -> None:
        self.articles = {article.page: article for article in articles}
        self.category = category
        self.page_size = page_size  # members a request, whatever cmlimit says, to force continuation
        self.trouble = trouble
        self.asked: list[dict[str, str]] = []
        self.agents: set[str] = set()
        self.count = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/w/api.php"

    def __enter__(self) -> FakeMediaWiki:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def answer(self, parameters: dict[str, str]) -> dict[str, Any]:
        if parameters.get("list") == "categorymembers":
            return self._members(parameters)
        if parameters.get("list") == "recentchanges":
            return {"query": {"recentchanges": [{"type": "new", "ns": 0, "pageid": max(self.articles)}]}}
        pages = [self._page(int(number), parameters) for number in parameters["pageids"].split("|")]
        return {"batchcomplete": True, "query": {"pages": pages}}

    def _members(self, parameters: dict[str, str]) -> dict[str, Any]:
        known = sorted(self.articles) if parameters["cmtitle"] == self.category else []
        start = int(parameters.get("cmcontinue", 0))
        members = [{"pageid": page} for page in known[start : start + self.page_size]]
        more = {} if start + self.page_size >= len(known) else {"cmcontinue": str(start + self.page_size)}
        return {**({"continue": more | {"continue": "-||"}} if more else {}), "query": {"categorymembers": members}}

    def _page(self, number: int, parameters: dict[str, str]) -> dict[str, Any]:
        article = self.articles.get(number)
        if article is None:
            return {"pageid": number, "missing": True}
        page: dict[str, Any] = {"pageid": number, "ns": article.namespace, "title": article.title}
        page["length"] = len(article.extract.encode())
        if article.redirect:
            page["redirect"] = True
        if "extracts" in parameters["prop"]:
            page["extract"] = article.extract
            page["revisions"] = [{"revid": 10_000 + number, "timestamp": "2026-01-02T03:04:05Z"}]
            page["canonicalurl"] = f"https://fr.wikipedia.org/wiki/{article.title.replace(' ', '_')}"
        return page


def _handler(wiki: FakeMediaWiki) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with wiki.lock:
                wiki.count += 1
                number = wiki.count
                wiki.in_flight += 1
                wiki.most_in_flight = max(wiki.most_in_flight, wiki.in_flight)
            try:
                self._reply(number)
            finally:
                with wiki.lock:
                    wiki.in_flight -= 1

        def _reply(self, number: int) -> None:
            parameters = dict(parse_qsl(urlsplit(self.path).query))
            agent = self.headers.get("User-Agent", "")
            wiki.agents.add(agent)
            trouble = wiki.trouble(number, parameters)
            if "(" not in agent or not urlsplit(self.path).path.endswith("/w/api.php"):
                trouble = Trouble(403, "<html>Please set a user-agent</html>", {"Content-Type": "text/html"})
            if trouble is not None:
                if trouble.drop:
                    self.close_connection = True
                    return
                self._send(trouble.status, trouble.headers, trouble.body.encode())
                return
            wiki.asked.append(parameters)
            body = gzip.compress(json.dumps(wiki.answer(parameters)).encode())
            self._send(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, body)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
