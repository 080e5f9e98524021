"""Coroutines run from plain code and from code inside an event loop, as a notebook's cells are."""

from __future__ import annotations

import asyncio

import pytest

from lm_eval_fr.io.loops import run_async


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    raise ValueError("inside")


def test_from_plain_code() -> None:
    assert run_async(double(21)) == 42


def test_inside_a_loop() -> None:
    async def cell() -> int:
        return run_async(double(21))

    assert asyncio.run(cell()) == 42


def test_an_error_comes_out_of_either() -> None:
    async def cell() -> None:
        run_async(fail())

    for run in (lambda: run_async(fail()), lambda: asyncio.run(cell())):
        with pytest.raises(ValueError, match="inside"):
            run()


def test_an_interrupt_ends_the_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the main thread while it waits; the coroutine must not go on behind it."""
    ended: list[str] = []
    started: list[bool] = []

    async def long() -> None:
        started.append(True)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def cell() -> None:
        import concurrent.futures
        import time

        def interrupted(self: object, timeout: float | None = None) -> None:
            while not started:
                time.sleep(0.01)
            raise KeyboardInterrupt

        monkeypatch.setattr(concurrent.futures.Future, "result", interrupted)
        run_async(long())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    assert ended == ["cancelled"]
