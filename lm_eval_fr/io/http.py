"""One HTTP call for every client here: asynchronous (`Http`) and, by the same rules, blocking (`ask`).

No redirect is followed: an API needs none, and a key or a prompt would go somewhere else. A body is read up
to a bound, which also covers its unpacked size. A call has a deadline. No netrc is read; proxies come from the
environment, but never for this machine. Whatever goes wrong is a `CallFailed` with a `Problem` whose words are
printable and without keys.
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json as jsonlib
import os
import ssl
import time
import urllib.request
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit, urlunsplit

from lm_eval_fr.errors import LmEvalFrError, UsageError
from lm_eval_fr.io.clean import BadJson, one_line, parse_untrusted
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.io.redaction import Redactor, has_credentials, is_secret, passwords
from lm_eval_fr.io.replies import Kind, Problem, find_problem
from lm_eval_fr.io.retry import RetryPolicy, Waiting
from lm_eval_fr.io.secret_forms import MASK, MaskedBody, Secrets

if TYPE_CHECKING:
    from aiohttp import ClientResponse, Payload

MEGABYTE = 1 << 20
MOST_BYTES = 8 * MEGABYTE  # far above any answer
CONNECT_LIMIT = 30.0  # seconds, within the call's deadline
KEEP_ALIVE = 4.0  # seconds; many servers close an idle connection after five, and a call on a dead one is lost
PACKED = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's wbits


@dataclass(frozen=True)
class Server:
    """Where to ask.

    url: an address from `check_address`. key: for that host only; never shown. key_header: the header for the key; in
    `Authorization`, as a bearer token. more: other headers.
    """

    url: str
    key: str = field(default="", repr=False)
    key_header: str = "Authorization"
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    more: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        if not self.key:
            return dict(self.more)
        bearer = "Bearer " if self.key_header.lower() == "authorization" else ""
        return {**self.more, self.key_header: f"{bearer}{self.key}"}

    def at(self, path: str) -> str:
        """The address of `path` below the server's own, keeping its query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))

    @property
    def root(self) -> Server:
        """The server without the API's own path: vLLM has /health and /tokenize there."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/").removesuffix("/completions").removesuffix("/chat").removesuffix("/v1")
        return replace(self, url=urlunsplit((parts.scheme, parts.netloc, path, "", "")))


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's reply, whatever its status. headers: names in lower case. body: empty if it went into a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body's JSON, bounded and valid; None if it is not JSON."""
        with suppress(BadJson):
            return parse_untrusted(self.body)
        return None

    def problem(self, redactor: Redactor | None = None) -> Problem | None:
        """None for an answer; else why it is not one."""
        return find_problem(self.status, self.headers, self.body, redactor=redactor)


class CallFailed(Exception):
    """A call without a complete reply."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    def error(self, kind: type[LmEvalFrError], where: str, remedy: str = "") -> LmEvalFrError:
        """The same as an error for people. remedy: used if the failure has none of its own."""
        advice = {"address": "check the address; for a private authority's certificate, set SSL_CERT_FILE=FILE"}
        return kind(str(self.problem), where=shown_address(where), remedy=advice.get(self.problem.kind, remedy))


class Http:
    """Calls to one server. Make it inside a running event loop and `close` it there.

    timeout: seconds of a whole call. most_bytes: of a reply's body, unpacked.
    """

    def __init__(self, server: Server, *, timeout: float, most_bytes: int = MOST_BYTES) -> None:
        import aiohttp

        self.server = server
        self.timeout = timeout
        self.most_bytes = most_bytes
        self.redactor = Redactor.from_environment((server.key,))
        tls = (server.tls or tls_context()) if server.url.startswith("https") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=None, connect=min(timeout, CONNECT_LIMIT)),
            headers={"Content-Type": "application/json", "Accept-Encoding": "gzip", **server.headers},
            auto_decompress=False,
            trust_env=False,  # otherwise a netrc would replace the key
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._proxy = proxy_of(server.url)
        # Some servers echo what they are sent, and replies are stored.
        sent = [*(value.removeprefix("Bearer ") for value in server.headers.values()), *passwords(self._proxy or "")]
        self._secrets = Secrets(filter(is_secret, sent))
        self._never_sent = (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.ClientProxyConnectionError)
        self._lost = (aiohttp.ClientError, OSError, ValueError, zlib.error, EOFError)

    async def call(
        self,
        path: str = "",
        body: bytes | Payload | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        to: BinaryIO | None = None,
        most_bytes: int | None = None,
    ) -> Answer:
        """GET without a body, POST with one. path: below the server's address; "" is the address itself.

        to: takes the body of a 200 as it arrives. Raises CallFailed.
        """
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(self.timeout),
                self._session.request(
                    "GET" if body is None else "POST",
                    self.server.at(path) if path else self.server.url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                ) as response,
            ):
                if 300 <= response.status < 400:
                    raise self._redirected(response)
                content = await self._read(response, most_bytes or self.most_bytes, to)
                found = {name.lower(): self.redactor.exact(value) for name, value in response.headers.items()}
                return Answer(response.status, found, content, time.monotonic() - started)
        except TimeoutError:
            raise CallFailed(Problem("transport", f"no reply within {self.timeout:g} s", billed=True)) from None
        except self._never_sent as error:
            raise self._failed(error, billed=False) from None
        except self._lost as error:
            raise self._failed(error, billed=True) from None

    async def persist(
        self, send: Callable[[], Awaitable[Answer]], policy: RetryPolicy, waiting: Waiting | None = None
    ) -> Answer:
        """What `send` returns in the end, after at most the attempts of `policy`. Raises CallFailed."""
        waits, left = policy.waits(), policy.attempts
        while True:
            try:
                answer = await send()
                problem = answer.problem(self.redactor)
            except CallFailed as failed:
                problem = failed.problem
            if problem is None:
                return answer
            left -= 1
            if not left or not problem.passing:
                raise CallFailed(problem)
            pause = waits.next(problem.wait)
            if waiting is not None:
                waiting.tell(pause, problem)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self, response: ClientResponse, most: int, to: BinaryIO | None) -> bytes:
        """The body, unpacked in steps, so that both its length and its unpacked size stay bounded."""
        packing = response.headers.get("Content-Encoding", "identity").strip().lower()
        unpacker = zlib.decompressobj(PACKED[packing]) if packing in PACKED else None
        if unpacker is None and packing not in ("identity", ""):
            raise ValueError(f"the reply is encoded as {packing}, which was not requested")
        if response.status != 200:  # an error's words
            to, most = None, min(most, MOST_BYTES)
        kept, size, mask = io.BytesIO(), 0, MaskedBody(self._secrets)
        async for chunk in response.content.iter_any():
            part = chunk if unpacker is None else unpacker.decompress(chunk, most + 1 - size)
            size += len(part)
            if size > most or (unpacker is not None and unpacker.unconsumed_tail):
                response.close()
                said = f"the reply is larger than {most / MEGABYTE:g} MB"
                raise CallFailed(Problem("server", said, response.status, billed=True))
            if unpacker is not None and unpacker.unused_data:  # it would be collected without a bound
                raise ValueError("the reply continues after the end of its compressed data")
            (to or kept).write(mask.next(part))
        if unpacker is not None and size and not unpacker.eof:
            raise EOFError("the reply ends early")
        (to or kept).write(mask.rest())
        return kept.getvalue()

    def _redirected(self, response: ClientResponse) -> CallFailed:
        target = response.headers.get("Location", "")
        try:
            host = urlsplit(target).netloc.rpartition("@")[2] or "the same host"
        except ValueError:
            host = "an unreadable address"
        said = self.redactor.message(f"the server redirects to {host}, which is not followed")
        return CallFailed(Problem("address", one_line(said, 200), response.status))

    def _failed(self, error: BaseException, *, billed: bool) -> CallFailed:
        certificate = getattr(error, "certificate_error", error)
        kind: Kind = "transport"
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(certificate, ssl.SSLCertVerificationError):
            kind, said = "address", f"its certificate is not trusted: {certificate.verify_message}"
        elif isinstance(error, ssl.SSLError) or type(error).__name__ == "ClientConnectorSSLError":
            kind, said = "address", f"no TLS: {getattr(error, 'reason', None) or said}"
        elif type(error).__name__ == "InvalidURL":
            kind = "address"
        elif not billed:
            code = getattr(error, "errno", None)
            said = f"no server answers ({os.strerror(code) if isinstance(code, int) and code > 0 else said})"
        return CallFailed(Problem(kind, one_line(self.redactor.message(str(said))), billed=billed))


def ask(
    server: Server,
    path: str = "",
    body: Mapping[str, Any] | bytes | None = None,
    *,
    timeout: float,
    most_bytes: int = MOST_BYTES,
) -> Answer:
    """One blocking call: GET without a body, POST with one. Raises CallFailed."""

    async def call() -> Answer:
        data = body if body is None or isinstance(body, bytes) else jsonlib.dumps(body).encode("utf-8", "replace")
        async with Http(server, timeout=timeout, most_bytes=most_bytes) as client:
            return await client.call(path, data)

    return run_async(call())


def check_address(url: str, flag: str, example: str = "http://127.0.0.1:8000/v1") -> str:
    """`url` without a trailing slash. Raises UsageError for an invalid address, and for one that contains a
    key or a password, which is not repeated."""
    given = url.strip()
    if has_credentials(given) or "@" in urlsplit(given.replace("[", "").replace("]", "")).netloc:
        remedy = "keys are read from an environment variable and sent in a header"
        raise UsageError(f"{flag}: the address holds a password or a key", remedy=remedy)
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or any(character.isspace() or not character.isprintable() for character in given):
        raise UsageError(f"{flag}: {one_line(given, 100)!r} is not an address", remedy=f"e.g. {example}")
    return given.rstrip("/")


def complete_address(url: str, path: str = "") -> str:
    """`url` with /v1 added if it names only a server, and with `path` if it ends in /v1; otherwise unchanged."""
    try:
        parts = urlsplit(url.strip().rstrip("/"))
    except ValueError:
        return url
    found = parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or (found and not found.endswith("/v1")):
        return url
    return urlunsplit((parts.scheme, parts.netloc, f"{found or '/v1'}{path}", parts.query, ""))


def api_address(url: str) -> str:
    """The base address of an API's /models and /chat/completions, whichever of these `url` names."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url
    path = parts.path.rstrip("/").removesuffix("/completions").removesuffix("/chat")
    return complete_address(urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")))


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_of(url: str) -> str | None:
    """The environment's proxy for `url`, which may hold a password: never print it."""
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def tls_context(ca_file: str | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """The trusted authorities: the system's, or those in SSL_CERT_FILE or `ca_file`. Raises UsageError."""
    named = ca_file or os.environ.get("SSL_CERT_FILE")
    flag = "ca_cert_path" if ca_file else "SSL_CERT_FILE"
    if named and not Path(named).is_file():
        raise UsageError(f"{flag}: no such file", where=named, remedy="name a file of certificates in PEM")
    try:
        context = ssl.create_default_context(cafile=named or None)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{flag}: not certificates in PEM ({said})", where=named) from None
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown_address(url: str) -> str:
    """`url` as it may be printed: without user, password or query."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return MASK
