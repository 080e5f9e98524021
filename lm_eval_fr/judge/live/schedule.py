"""Who is asked next. As many pairs are in work as calls may be in flight; each asks its second order when the first is
back, so that the server still has the shared part in its cache."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, TypeVar

from lm_eval_fr.judge.asking.protocol import ORDERS, VERDICTS, Order, Question
from lm_eval_fr.judge.asking.worklist import Item, Questioner
from lm_eval_fr.judge.live.asker import Asker, Halt
from lm_eval_fr.judge.live.progress import Progress, Report
from lm_eval_fr.judge.verdicts.judged_pairs import Judged
from lm_eval_fr.judge.verdicts.outcome import Judgement

DRAIN = 10.0  # seconds that an interrupted run gives to the calls it has already paid for
TICK = 0.1
T = TypeVar("T")


class Watch(Protocol):
    """Looks at the pairs in plan order and says when enough are known."""

    def may_start(self, unit: int) -> bool:
        """False while `unit` is too far ahead of what is decided."""
        ...

    def add(self, pair: Judged) -> Halt | None: ...


class Schedule:
    """Judges items; `pairs` holds what became of them, in the items' order."""

    def __init__(
        self,
        asker: Asker,
        questioner: Questioner,
        *,
        lazy: bool,
        concurrency: int,
        total: int,
        watch: Watch | None = None,
        report: Report | None = None,
    ) -> None:
        self.asker = asker
        self.questioner = questioner
        self.lazy = lazy
        self.concurrency = concurrency
        self.total = total
        self.watch = watch
        self.pairs: list[Judged] = []
        self.done = 0
        self.fresh = 0
        self._report = report
        self._started = time.monotonic()
        self._moved = asyncio.Event()

    async def judge_all(self, items: Iterable[Item]) -> None:
        """Returns when every item is judged or asking has stopped. Raises JournalError when the journal fails."""
        await self._each(items, self._judge, self._may_start)

    async def ask_all(self, questions: Iterable[Question]) -> None:
        """Asks questions for their own sake, to be read from the journal later."""

        async def ask(question: Question) -> None:
            await self.asker.ask(question)

        await self._each(questions, ask, None)

    async def _judge(self, item: Item) -> None:
        pair = Judged.of(item)
        self.pairs.append(pair)
        if not item.identical:
            self.fresh += await self._ask_both(item, pair)
        pair.done = True
        self.done += 1
        if self.watch is not None and (halt := self.watch.add(pair)) is not None:
            self.asker.stop(halt)
        self._moved.set()

    async def _ask_both(self, item: Item, pair: Judged) -> bool:
        """Whether anything had to be asked."""
        asked = False
        questions = self.questioner.both(item)
        pair.keys = (questions["candidate_first"].key, questions["reference_first"].key)
        for order in ORDERS:
            self._put(pair, order, self.asker.stored(questions[order].key))
        for order, question in questions.items():
            if self._settled(pair):
                break
            if getattr(pair, order) not in VERDICTS:
                asked = True
                judgement = await self.asker.ask(question)
                self._put(pair, order, judgement)
                if judgement not in VERDICTS:
                    break  # the pair is undecided whatever the other order says: that call can wait for a resume
        return asked

    def _settled(self, pair: Judged) -> bool:
        return self.lazy and "tie" in (pair.candidate_first, pair.reference_first)

    @staticmethod
    def _put(pair: Judged, order: Order, judgement: Judgement) -> None:
        setattr(pair, order, judgement)

    def _may_start(self, item: Item) -> bool:
        return self.watch is None or self.watch.may_start(item.unit)

    async def _each(
        self, things: Iterable[T], do: Callable[[T], Awaitable[None]], may_start: Callable[[T], bool] | None
    ) -> None:
        stream = iter(things)
        workers = [asyncio.create_task(self._work(stream, do, may_start)) for _ in range(self.concurrency)]
        ticker = asyncio.create_task(self._tick())
        halted = asyncio.create_task(self.asker.halted.wait())
        try:
            with _interrupts(self.asker):
                await self._until_done(workers, halted)
        finally:
            for task in (*workers, ticker, halted):
                task.cancel()
            await asyncio.gather(*workers, ticker, halted, return_exceptions=True)
            self._show()

    async def _until_done(self, workers: list[asyncio.Task[None]], halted: asyncio.Task[bool]) -> None:
        pending: set[asyncio.Task[None]] = set(workers)
        deadline: float | None = None
        while pending:
            watched = pending if halted.done() else pending | {halted}
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            done, _ = await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            for task in done - {halted}:
                task.result()  # a journal that fails, or a bug, ends the run
            if halted.done():
                self._moved.set()
                if deadline is None and self._ending():
                    deadline = time.monotonic() + DRAIN
            if not done and deadline is not None:
                return

    async def _work(
        self, stream: Iterator[T], do: Callable[[T], Awaitable[None]], may_start: Callable[[T], bool] | None
    ) -> None:
        while not self._ending() and (thing := next(stream, None)) is not None:
            while may_start is not None and not may_start(thing) and not self._ending():
                self._moved.clear()
                await self._moved.wait()
            await do(thing)
            await asyncio.sleep(0)  # stored pairs wait for nothing: let the replies in flight be read between them

    def _ending(self) -> bool:
        """Whether to leave the rest alone; after the other halts, what is stored or free is still read."""
        return self.asker.halt is not None and self.asker.halt.why in ("interrupt", "error", "decided")

    async def _tick(self) -> None:
        while self._report is not None:
            self._show()
            await asyncio.sleep(TICK)

    def _show(self) -> None:
        if self._report is not None:
            self._report(self.progress())

    def progress(self) -> Progress:
        throttle, usage = self.asker.throttle, self.asker.ledger.usage()
        return Progress(
            done=self.done,
            total=self.total,
            calls=usage.calls,
            retries=self.asker.retries,
            dollars=usage.dollars,
            in_flight=throttle.in_flight,
            limit=int(throttle.limit),
            pause=throttle.pause,
            seconds=time.monotonic() - self._started,
            fresh=self.fresh,
        )


class _interrupts:
    """Ctrl-C once: nothing more is sent, and what is in flight is waited for. Twice: now."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._loop = asyncio.get_running_loop()
        self._mine = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._task = asyncio.current_task()
            with suppress(NotImplementedError):
                self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
                self._mine = True

    def __exit__(self, *_: object) -> None:
        if self._mine:
            self._loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        if self._asker.halt is not None and self._asker.halt.why == "interrupt" and self._task is not None:
            self._task.cancel()
            return
        halt = Halt("interrupt", "interrupted", "the same command resumes")
        if self._asker.halt is not None:
            self._asker.halt = replace(halt)  # over a budget that had ended, which reads on
        self._asker.stop(halt)
