"""`batch-chat`: an arm's requests through files instead of a server, for `vllm run-batch` on another machine.

    --model batch-chat --model_args model=NAME,write=asked.jsonl    writes what is not answered yet, stops (exit 4)
    vllm run-batch -i asked.jsonl -o got.jsonl --model NAME
    --model batch-chat --model_args model=NAME,read=got.jsonl       the same command reads the answers and finishes

Every other argument is hosted-chat's, and so are the requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError, Unfinished, UsageError
from lm_eval_fr.io.clean import one_line
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.io.http import Answer
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.models.chat_replies import Reply, read_reply
from lm_eval_fr.models.hosted import HostedChat
from lm_eval_fr.models.sender import Done

URL = "/v1/chat/completions"


class BatchChat(HostedChat):
    """write: the file to write the open requests to; read: the file that `vllm run-batch -o` wrote."""

    def __init__(
        self, model: str | None = None, *, write: str | None = None, read: str | None = None, **kwargs: Any
    ) -> None:
        if bool(write) == bool(read):
            remedy = "write=asked.jsonl first; read=got.jsonl when `vllm run-batch` has answered"
            raise UsageError("batch-chat: give write=FILE or read=FILE in --model_args", remedy=remedy)
        # No server is called; hosted-chat requires an address.
        super().__init__(model=model, base_url=f"http://batch.invalid{URL}", **kwargs)
        self.files: BatchWriter | BatchReader = (
            BatchWriter(Path(write), str(self.model)) if write else BatchReader(Path(str(read)))
        )

    def _send(self, bodies: Sequence[bytes], done: Done) -> None:
        self.files.send(bodies, done)


class BatchWriter:
    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model

    def send(self, bodies: Sequence[bytes], done: Done) -> None:
        """Raises Unfinished when the file is written, UsageError when it cannot be."""
        lines = {custom_id(body): body for body in bodies}
        with atomic_file(self.path, durable=True, remedy="give another write=") as out:
            for name, body in lines.items():
                line = {"custom_id": name, "method": "POST", "url": URL, "body": msgspec.Raw(body)}
                out.write(msgspec.json.encode(line) + b"\n")
        run = f"vllm run-batch -i {self.path} -o RESULTS --model {self.model}"
        what = f"{len(lines):,} requests written"
        raise Unfinished(what, where=self.path, remedy=f"{run}; then the same command with read=RESULTS")


class BatchReader:
    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError("no such file", where=path, remedy="give what `vllm run-batch -o` wrote")

    def send(self, bodies: Sequence[bytes], done: Done) -> None:
        """Raises InputError when the file answers none of the bodies."""
        wanted = {custom_id(body) for body in bodies}
        found = {name: reply for name, reply in self._replies() if name in wanted}
        if bodies and not found:
            remedy = "give the -o file of the run whose -i file this very command wrote"
            raise InputError("none of its lines answers a request of this arm", where=self.path, remedy=remedy)
        missing = Reply.failed(Problem("transport", f"no line in {self.path.name}"))
        for index, body in enumerate(bodies):
            done(index, found.get(custom_id(body), missing))

    def _replies(self) -> Iterator[tuple[str, Reply]]:
        with self.path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if not raw.strip():
                    continue
                try:
                    line = _decode(raw)
                except msgspec.DecodeError:
                    remedy = "is the file whole?"
                    raise InputError("not a line of a batch", where=self.path, line=number, remedy=remedy) from None
                yield line.custom_id, line.reply


def custom_id(body: bytes) -> str:
    """The same request has the same name, in whatever run it is written."""
    return f"arm-{hashlib.sha256(body).hexdigest()[:40]}"


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: Any = None

    @property
    def reply(self) -> Reply:
        if self.response is None:
            return Reply.failed(Problem("server", one_line(f"no response: {self.error}", 200)))
        return read_reply(Answer(self.response.status_code, {}, bytes(self.response.body), 0.0))


_decode = msgspec.json.Decoder(_Line).decode
