"""Columns of many tasks, large files shared between two processes."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.column_reader import read_columns
from lm_eval_fr.logs.columns import Columns, Request

_PARALLEL = 64 << 20  # bytes from which starting a second process pays off


def read_many(requests: Sequence[Request]) -> list[Columns]:
    """read_columns of each. Large files are shared with a second process, by size."""
    sizes = [request.size for request in requests]
    if len(requests) < 2 or sum(sizes) < _PARALLEL or (os.cpu_count() or 1) < 2:
        return [read_columns(request) for request in requests]
    theirs = _half(sizes)
    with _helper([requests[i] for i in theirs]) as process:
        mine = {i: read_columns(request) for i, request in enumerate(requests) if i not in theirs}
        mine |= zip(theirs, _result(process), strict=True)
    return [mine[i] for i in range(len(requests))]


def _half(sizes: Sequence[int]) -> list[int]:
    """Indices whose sizes make about half of the sum: largest first, each to the lighter side."""
    sides: tuple[list[int], list[int]] = ([], [])
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        min(sides, key=lambda side: sum(sizes[j] for j in side)).append(i)
    return sorted(sides[1])


@contextlib.contextmanager
def _helper(requests: Sequence[Request]) -> Iterator[subprocess.Popen[bytes]]:
    """A second interpreter that reads. Not a fork: the caller may have threads. Not multiprocessing: no __main__."""
    command = [sys.executable, "-c", "from lm_eval_fr.logs.parallel import serve; serve()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # _result tells if it died
                pickle.dump(list(requests), stdin, protocol=5)
            yield process
        finally:
            process.kill()


def _result(process: subprocess.Popen[bytes]) -> list[Columns]:
    assert process.stdout is not None
    try:
        answer: list[Columns] | dict[str, Any] = pickle.load(process.stdout)
    except EOFError:
        what = f"the reading process ended with status {process.wait()}"
        raise InputError(what, remedy="free some memory and try again") from None
    if isinstance(answer, dict):
        raise InputError(**answer)
    return answer


def serve() -> None:
    """The other end of _helper: requests on stdin, columns on stdout."""
    answer: Any
    try:
        answer = [read_columns(request) for request in pickle.load(sys.stdin.buffer)]
    except InputError as error:
        answer = {"what": error.what, "where": error.where, "remedy": error.remedy}
    except KeyboardInterrupt:
        return
    pickle.dump(answer, sys.stdout.buffer, protocol=5)
