"""One call to a server that means harm, or is only unlucky."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from lm_eval_fr.errors import UsageError
from lm_eval_fr.io.http import MEGABYTE, Answer, CallFailed, Http, Server, api_address, ask, check_address, proxy_of
from lm_eval_fr.io.loops import run_async
from tests.fakes.server import FakeOpenAI

KEY = "sk-test-0123456789abcdef"


@contextmanager
def serving(handler: Callable[[web.Request], object]) -> Iterator[Server]:
    with FakeOpenAI().mount(web.route("*", "/raw{tail:.*}", handler)) as server:  # type: ignore[arg-type]
        yield Server(server.url.replace("/v1", "/raw"), KEY)


def failure(server: Server, **more: float) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(server, timeout=more.pop("timeout", 10), **more)  # type: ignore[arg-type]
    return caught.value


def test_an_answer() -> None:
    async def echo(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        said = {"path": request.path_qs, "body": await request.text()}
        return web.json_response(said, headers={"X-Where": "here"})

    with serving(echo) as server:
        found = ask(Server(f"{server.url}?api-version=1", KEY), "/chat", {"a": 1}, timeout=10)
        assert found.json == {"path": "/raw/chat?api-version=1", "body": '{"a": 1}'}
        assert (found.status, found.headers["x-where"], found.problem()) == (200, "here", None)
        assert KEY not in repr(server)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    arrived: list[str] = []

    async def take(request: web.Request) -> web.Response:
        arrived.append(request.path)
        return web.Response()

    with FakeOpenAI().mount(web.route("*", "/taken", take)) as thief:
        target = thief.url.replace("/v1", "/taken").replace("127.0.0.1", "localhost")

        async def redirect(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": target})

        with serving(redirect) as server:
            problem = failure(server).problem
    assert problem.kind == "address" and "localhost" in problem.said
    assert not arrived


def packed(size: int, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join([*(packer.compress(b" " * MEGABYTE) for _ in range(size)), packer.flush()])


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15)])
def test_what_unpacks_to_too_much(encoding: str, wbits: int) -> None:
    body = packed(200, wbits)

    async def bomb(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    with serving(bomb) as server:
        tracemalloc.start()
        problem = failure(server, most_bytes=2 * MEGABYTE).problem
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert problem.kind == "server" and "larger than 2 MB" in problem.said and problem.billed
    assert peak < 40 * MEGABYTE


def test_a_body_without_an_end() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    with serving(endless) as server:
        assert "larger than" in failure(server).problem.said


def test_a_packed_answer_and_a_cut_one() -> None:
    whole = gzip.compress(b'{"a": "oui"}' * 50)

    async def reply(request: web.Request) -> web.Response:
        body = whole if request.path.endswith("whole") else whole[:-9]
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    with serving(reply) as server:
        assert ask(server, "/whole", timeout=10).body == b'{"a": "oui"}' * 50
        assert failure(server).problem.kind == "transport"


@pytest.mark.parametrize("after", [b"\0", gzip.compress(b" ", mtime=0)], ids=["a byte", "another body"])
def test_what_goes_on_after_a_packed_answer(after: bytes) -> None:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(gzip.compress(b"{}"))
        while True:
            await response.write(after * 10_000)

    with serving(reply) as server:
        problem = failure(server).problem
    assert (problem.kind, problem.said) == ("transport", "the reply continues after the end of its compressed data")


def test_a_deadline_holds_for_the_whole_call() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    with serving(drip) as server:
        problem = failure(server, timeout=0.3).problem
    assert (problem.kind, problem.said, problem.billed) == ("transport", "no reply within 0.3 s", True)


def test_a_body_goes_into_a_file_within_its_bound(tmp_path: Path) -> None:
    async def reply(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 3000)

    async def fetch(server: Server, most: int) -> Answer:
        with (tmp_path / "got").open("wb") as out:
            async with Http(server, timeout=10) as client:
                return await client.call(to=out, most_bytes=most)

    with serving(reply) as server:
        assert run_async(fetch(server, 3000)).body == b""
        assert (tmp_path / "got").read_bytes() == b"x" * 3000
        with pytest.raises(CallFailed, match="larger"):
            run_async(fetch(server, 2999))


@pytest.mark.parametrize("status", [206, 404, 500])
def test_an_error_in_place_of_a_file_is_bounded_like_an_answer(tmp_path: Path, status: int) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    async def fetch(server: Server) -> None:
        with (tmp_path / "got").open("wb") as out:
            async with Http(server, timeout=10) as client:
                await client.call(to=out, most_bytes=1 << 30)

    with serving(endless) as server, pytest.raises(CallFailed, match="larger than 8 MB"):
        run_async(fetch(server))
    assert not (tmp_path / "got").stat().st_size


def test_a_redirect_that_repeats_the_key() -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"http://{KEY}.example/"})

    with serving(redirect) as server:
        problem = failure(server).problem
    assert problem.said == "the server redirects to [redacted].example, which is not followed"


def test_no_netrc_and_no_proxy_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\ndefault login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://me:hidden@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    async def compare(request: web.Request) -> web.Response:
        return web.json_response(request.headers.get("Authorization", "none") == f"Bearer {KEY}")

    with serving(compare) as server:
        assert ask(server, timeout=10).json is True
        assert ask(Server(server.url), timeout=10).json is False
    assert proxy_of("http://example.org/v1") == "http://me:hidden@127.0.0.1:9"
    problem = failure(Server("http://example.org/v1")).problem
    assert problem.kind == "transport" and "hidden" not in problem.said and not problem.billed


def test_nobody_is_there_or_it_speaks_no_tls() -> None:
    problem = failure(Server("http://127.0.0.1:9/v1")).problem
    assert (problem.kind, problem.billed) == ("transport", False)
    assert problem.said == "no server answers (Connection refused)"
    with FakeOpenAI() as server:
        assert failure(Server(server.url.replace("http", "https"))).problem.kind == "address"


@pytest.mark.parametrize(("header", "value"), [("x-api-key", KEY), ("Authorization", f"Bearer {KEY}")])
def test_a_key_goes_into_its_header(header: str, value: str) -> None:
    async def compare(request: web.Request) -> web.Response:
        return web.json_response(request.headers[header] == value)

    with serving(compare) as server:
        assert ask(Server(server.url, KEY, header), timeout=10).json is True


def test_bytes_of_any_kind() -> None:
    async def reply(request: web.Request) -> web.Response:
        return web.Response(status=503, body="Accès".encode("latin-1"), content_type="text/plain", charset="koi8-x")

    with serving(reply) as server:
        found = ask(server, timeout=10)
        assert found.json is None and str(found.problem()) == "HTTP 503: Acc�s"


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hidden-word@host/v1",
        "http://hidden-word@host/v1",
        "http://host/v1?api_key=hidden-word",
        "https://host/v1?subscription-key=hidden-word",
        "https://host/v1?sig=hidden-word&x=1",
        "http://me:hidden-word@[::1]/v1",
    ],
)
def test_an_address_with_a_secret_is_refused_unseen(url: str) -> None:
    with pytest.raises(UsageError, match="--base-url: the address holds a password or a key") as caught:
        check_address(url, "--base-url")
    assert "hidden-word" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["host:8000", "ftp://host", "http://", "http://a b", "http://h:99999/", "http://[::1", "http://h/\x1b[2J"]
)
def test_what_is_not_an_address(url: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        check_address(url, "--base-url")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://h:8080", "http://h:8080/v1"),
        ("http://h:8080/", "http://h:8080/v1"),
        ("http://h:8080/v1/", "http://h:8080/v1"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("http://h/v1/completions?version=2", "http://h/v1?version=2"),
        ("https://h/openai/deployments/d/chat/completions", "https://h/openai/deployments/d"),
        ("http://[::1", "http://[::1"),
        ("h:8080", "h:8080"),
    ],
)
def test_the_address_of_an_api_in_any_form(given: str, found: str) -> None:
    assert api_address(given) == found


def test_a_key_that_comes_back_is_masked_wherever_the_body_is_cut(tmp_path: Path) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Echo": request.headers["Authorization"]})
        await response.prepare(request)
        for part in (b"a " + KEY.encode()[:5], KEY.encode()[5:] + b" b ", KEY.encode() + b" c"):
            await response.write(part)
            await asyncio.sleep(0.01)
        return response

    async def fetch(server: Server) -> None:
        with (tmp_path / "got").open("wb") as out:
            async with Http(server, timeout=10) as client:
                await client.call(to=out)

    with serving(echo) as server:
        found = ask(server, timeout=10)
        run_async(fetch(server))
    assert found.body == b"a [redacted] b [redacted] c" == (tmp_path / "got").read_bytes()
    assert found.headers["x-echo"] == "Bearer [redacted]"
