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
from typing import Any, NoReturn

import msgspec

from lm_eval_fr.errors import InputError, Unfinished, UsageError
from lm_eval_fr.io.batch_lines import ENDPOINT, decode_reply, numbered_lines, request_line
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.models.chat_replies import Reply, read_reply
from lm_eval_fr.models.hosted import HostedChat
from lm_eval_fr.models.sender import Done


class BatchChat(HostedChat):
    """write: the file to write the open requests to; read: the file that `vllm run-batch -o` wrote."""

    def __init__(
        self, model: str | None = None, *, write: str | None = None, read: str | None = None, **kwargs: Any
    ) -> None:
        if bool(write) == bool(read):
            remedy = "write=asked.jsonl first; read=got.jsonl when `vllm run-batch` has answered"
            raise UsageError("batch-chat: give write=FILE or read=FILE in --model_args", remedy=remedy)
        # No server is called, but hosted-chat requires an address.
        super().__init__(model=model, base_url=f"http://batch.invalid{ENDPOINT}", **kwargs)
        self._write, self._read = write, Path(read or "")
        if read and not self._read.is_file():
            raise InputError("no such file", where=self._read, remedy="give what `vllm run-batch -o` wrote")

    def _send(self, bodies: Sequence[bytes], done: Done) -> None:
        if self._write:
            write_requests(Path(self._write), str(self.model), bodies)
        read_answers(self._read, bodies, done)


def write_requests(path: Path, model: str, bodies: Sequence[bytes]) -> NoReturn:
    """Raises Unfinished when the file is written, UsageError when it cannot be."""
    lines = {custom_id(body): body for body in bodies}
    with atomic_file(path, durable=True, remedy="give another write=") as out:
        for name, body in lines.items():
            out.write(request_line(name, msgspec.Raw(body)))
    run = f"vllm run-batch -i {path} -o RESULTS --model {model}"
    what = f"{len(lines):,} requests written"
    raise Unfinished(what, where=path, remedy=f"{run}; then the same command with read=RESULTS")


def read_answers(path: Path, bodies: Sequence[bytes], done: Done) -> None:
    """Raises InputError when the file answers none of the bodies."""
    wanted = {custom_id(body) for body in bodies}
    found = {name: reply for name, reply in _replies(path) if name in wanted}
    if bodies and not found:
        remedy = "give the -o file of the run whose -i file this command wrote"
        raise InputError("none of its lines answers a request of this arm", where=path, remedy=remedy)
    missing = Reply.failed(Problem("transport", f"no line in {path.name}"))
    for index, body in enumerate(bodies):
        done(index, found.get(custom_id(body), missing))


def _replies(path: Path) -> Iterator[tuple[str, Reply]]:
    for number, raw in numbered_lines(path):
        try:
            line = decode_reply(raw)
        except (msgspec.DecodeError, RecursionError):
            remedy = "is the file complete?"
            raise InputError("not a line of a batch", where=path, line=number, remedy=remedy) from None
        yield line.custom_id, read_reply(line.answer)


def custom_id(body: bytes) -> str:
    """The same request has the same name in every run."""
    return f"arm-{hashlib.sha256(body).hexdigest()[:40]}"
