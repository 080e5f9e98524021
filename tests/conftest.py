"""Fixtures that every test may use: the real data, and servers that stop with the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.server import FakeOpenAI

ROOT = Path(__file__).resolve().parent.parent


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
