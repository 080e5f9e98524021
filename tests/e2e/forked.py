"""`python -m lm_eval_fr ...` in a process of its own, forked from one that has done the imports: they take a second.

For tests of what the commands do. The arms of a study that such a process runs are forked in the same way. What happens
at the very start of a program (its imports, its signals), and that an arm ends with its study, is tested with fresh
interpreters: test_package.py, test_exits.py, test_study_kill.py.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import lm_eval_fr
from lm_eval_fr.arms.child import PARENT
from tests.waiting import LIMIT

PYTHON = sys.executable
ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "lm_eval.evaluator",
    "lm_eval.models.openai_completions",
    "lm_eval_fr.arms.harness",
    "lm_eval_fr.analyses.export",
)
# The client, for programs that bash starts: a shebang line and this module's address come before it.
CLIENT = """
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as call:
    call.connect(ADDRESS)
    socket.send_fds(call, [b"x"], [0, 1, 2])
    job = {"words": [*BEFORE, *sys.argv[1:]], "folder": os.getcwd(), "environment": dict(os.environ)}
    call.sendall(json.dumps(job).encode())
    call.shutdown(socket.SHUT_WR)
    os.close(1)  # who reads the pipe waits for the forked process alone
    lines = call.makefile()
    pid = int(lines.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = int(lines.readline())
os._exit(code)
"""
INTERPRETER = """#!/bin/sh
[ "$1 $2 $3" = "-m lm_eval_fr run" ] && exec {client} "$@"
exec {python} "$@"
"""


def run(
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = LIMIT,
) -> subprocess.CompletedProcess[str]:
    """What `python *words` would do: its exit code and what it printed. `env` is added to this process's."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        Path(os.devnull).open() as nothing,
        socket.socket(socket.AF_UNIX) as call,
    ):
        call.settimeout(timeout)
        call.connect(address())
        socket.send_fds(call, [b"x"], [nothing.fileno(), out.fileno(), errors.fileno()])
        job = {"words": words, "folder": str(cwd or Path.cwd()), "environment": {**os.environ, **(env or {})}}
        call.sendall(json.dumps(job).encode())
        call.shutdown(socket.SHUT_WR)
        lines = call.makefile()
        pid = int(lines.readline())
        try:
            code = int(lines.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            code = -signal.SIGKILL
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(list(words), code, out.read(), errors.read())


def interpreter() -> str:
    """A Python for `sys.executable` by which a study in this process has its arms forked; all else it runs as ever."""
    return str(_interpreter(address()))


def install(path: Path, before: Sequence[str]) -> None:
    """Puts a program at `path` that does what `python *before` and its own arguments would do."""
    _write_client(path, address(), before)


def _write_client(path: Path, door: str, before: Sequence[str]) -> None:
    head = f"#!{PYTHON} -S\nADDRESS, BEFORE = {door!r}, {list(before)!r}"
    path.write_text(head + CLIENT, encoding="utf-8")
    path.chmod(0o755)


def _interpreter(door: str) -> Path:
    return Path(door).with_name("python")


@cache
def address() -> str:
    """Of the process that forks; it is started by the first test that needs it, and ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="lm-eval-fr-forks-")
    path = str(Path(folder.name) / "door")
    command = [PYTHON, "-m", __name__, path]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    client, program = Path(folder.name) / "client", _interpreter(path)
    _write_client(client, path, [])
    program.write_text(INTERPRETER.format(client=client, python=PYTHON), encoding="utf-8")
    program.chmod(0o755)

    def end() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    return path


def _serve(path: str) -> None:
    for name in HEAVY:
        importlib.import_module(name)
    for name in lm_eval_fr.__all__:
        getattr(lm_eval_fr, name)
    sys.executable = str(_interpreter(path))
    gc.freeze()  # a collection in a child would copy every page
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at a terminal: it is for the tests
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    calls: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([door, woken, sys.stdin], [], [])
            if sys.stdin in ready:  # the tests are over
                return
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(calls)
            if door in ready:
                call, _ = door.accept()
                _, files, _, _ = socket.recv_fds(call, 1, 3)
                job = json.loads(call.makefile("rb").read())
                pid = os.fork()
                if pid == 0:
                    for other in (door, call, *calls.values()):
                        other.close()
                    _do(job, files)
                for file in files:
                    os.close(file)
                calls[pid] = call
                call.sendall(f"{pid}\n".encode())


def _tell_ends(calls: dict[int, socket.socket]) -> None:
    for pid in list(calls):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            with calls.pop(pid) as call, suppress(BrokenPipeError):
                call.sendall(f"{code if code >= 0 else 128 - code}\n".encode())


def _do(job: dict[str, Any], files: Sequence[int]) -> NoReturn:
    """In the forked process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    os.environ.pop(PARENT, None)  # an arm is no child of its study here
    tempfile.tempdir = None  # TMPDIR may be another
    code = 0
    try:
        _run_as_main(*job["words"])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # taking all of the modules down again would copy every page of the memory


def _run_as_main(first: str, *rest: str) -> None:
    if first == "-m":
        sys.argv = list(rest)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
