"""Fixtures that every test may use: the real data, and servers that stop with the test."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.server import FakeOpenAI

for _name in ("COLUMNS", "LINES"):  # set for xdist's workers, they would change what is printed into a pipe
    os.environ.pop(_name, None)

ROOT = Path(__file__).resolve().parent.parent

# The same examples every time, however slow the machine is.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Tests fsync thousands of small files, which costs nothing in memory: they write there if there is enough room for the
# suite and programs may be executed.
MEMORY, ROOM = Path("/dev/shm"), 4 << 30
if MEMORY.is_dir() and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # read by pytest when a test first asks for a folder

# A shell's background job ignores Ctrl-C, and so do the processes that it starts: tests send it to them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real PIAF and SIB-200 files; a user's machine may lack them, CI may not."""
    folder = Path(os.environ.get("LM_EVAL_FR_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "piaf" / "piaf-v1.0.json").is_file():
        reason = f"real data not found in {folder}: set LM_EVAL_FR_TEST_DATA to a folder with piaf/ and sib200/"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def fake_server() -> Iterator[Callable[..., FakeOpenAI]]:
    """A factory of servers on free ports of 127.0.0.1, all stopped when the test ends."""
    servers: list[FakeOpenAI] = []

    def start(*args: object, **kwargs: object) -> FakeOpenAI:
        server = FakeOpenAI(*args, **kwargs)  # type: ignore[arg-type]
        servers.append(server.start())
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def forked_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies in this process have their arms forked from a process that has done the imports: tests/e2e/forked.py."""
    from tests.e2e import forked

    monkeypatch.setattr(sys, "executable", forked.interpreter())
