"""The lines of a batch: requests out, replies in. One shape for OpenAI, for Mistral and for `vllm run-batch`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from lm_eval_fr.io.http import MOST_BYTES, Answer

ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


def request_line(custom_id: str, body: Any) -> bytes:
    """A request as `vllm run-batch -i FILE` and OpenAI read it."""
    return msgspec.json.encode({"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}) + b"\n"


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class ReplyLine(msgspec.Struct):
    """One line's reply to one request; without a response, `error` says why. Servers do not bill such a line."""

    custom_id: str
    response: _Response | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def answer(self) -> Answer:
        """The body as a server would have sent it; an error in the line is an error inside a 200."""
        if self.response is not None:
            return Answer(self.response.status_code, {}, bytes(self.response.body), 0.0)
        said = Answer(200, {}, b'{"error": ' + bytes(self.error) + b"}", 0.0)
        return said if said.problem() else Answer(200, {}, b'{"error": "no response in the line"}', 0.0)


decode_reply = msgspec.json.Decoder(ReplyLine).decode


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank; an endless line is cut, so that memory stays bounded."""
    with path.open("rb") as content:
        for number, line in enumerate(iter(lambda: content.readline(MOST_BYTES), b""), 1):
            if line.strip():
                yield number, line
