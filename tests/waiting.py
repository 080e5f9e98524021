"""Waiting for what must happen. The limit ends hangs; no test depends on how fast the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT = 300.0  # seconds for anything that is waited for, a process included


def wait_for(done: Callable[[], object], why: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < deadline, f"waited {LIMIT:.0f} s in vain: {why}"
        time.sleep(0.005)
