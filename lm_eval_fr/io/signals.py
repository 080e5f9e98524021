"""SIGTERM and SIGHUP as interrupts: whatever cleans up after Ctrl-C also cleans up after them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from lm_eval_fr.errors import Terminated

if TYPE_CHECKING:
    import asyncio

NUMBERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


def _handled_by(handler: object) -> list[signal.Signals]:
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in NUMBERS if signal.getsignal(number) is handler]


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raises Terminated in the main thread, for signals without a handler."""
    taken = _handled_by(signal.SIG_DFL)
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def signals_cancel(task: asyncio.Task[object]) -> Iterator[None]:
    """In an event loop: such a signal cancels `task`, as Ctrl-C does, and is raised afterwards."""
    import asyncio

    loop, numbers = asyncio.get_running_loop(), _handled_by(_interrupt)
    came: list[int] = []

    def cancel(number: int) -> None:
        came.append(number)
        task.cancel()

    taken = []
    for number in numbers:
        try:
            loop.add_signal_handler(number, cancel, number)
        except NotImplementedError:  # Windows: the interrupt comes between two steps of the loop
            break
        taken.append(number)
    try:
        yield
    except asyncio.CancelledError:
        if came:
            raise Terminated(came[0]) from None
        raise
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
            signal.signal(number, _interrupt)
