"""One JSON request to a server, bounded in time. Standard library only."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lm_eval_fr.errors import ArmError

START_IT = "start the server, or mend the address"


@dataclass(frozen=True)
class Server:
    """Where to ask. url: any address of the server's API. headers may hold a key and are never shown."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def root(self) -> str:
        """The address without the API's own path: vLLM has /health and /tokenize there."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/").removesuffix("/completions").removesuffix("/chat").removesuffix("/v1")
        return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@dataclass(frozen=True)
class Answer:
    """status 0: the server is there but said nothing in time. body: the JSON, or the text that was none."""

    status: int
    body: Any

    @property
    def said(self) -> str:
        """What an error's body says, in at most a line."""
        body = self.body
        error = body.get("error", body) if isinstance(body, dict) else body
        message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
        return " ".join(str(message or body).split())[:200]


def ask(server: Server, path: str = "", body: Mapping[str, Any] | bytes | None = None, *, timeout: float) -> Answer:
    """GET without a body, POST with one. `path` starts from the server's root; "" is the address itself.

    Raises ArmError when nobody answers.
    """
    url = f"{server.root}{path}" if path else server.url
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **server.headers})
        with urllib.request.urlopen(request, timeout=timeout, context=server.tls) as response:
            return Answer(response.status, _read(response.read()))
    except urllib.error.HTTPError as error:
        return Answer(error.code, _read(error.read()))
    except TimeoutError:
        return Answer(0, "")
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return Answer(0, "")
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise ArmError(f"no server answers ({text})", where=url, remedy=START_IT) from None


def _read(content: bytes) -> Any:
    text = content.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
