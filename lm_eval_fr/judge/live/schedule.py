"""The order of asking. As many pairs are in work as calls may be in flight; each asks its second order once the first
is back, while the shared part is still in the server's cache."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from lm_eval_fr.io.progress_bar import ProgressBar, speed
from lm_eval_fr.judge.asking.protocol import Question
from lm_eval_fr.judge.asking.worklist import Item, Questioner
from lm_eval_fr.judge.live.asker import Asker
from lm_eval_fr.judge.live.hopeless import Halt
from lm_eval_fr.judge.verdicts.judged_pairs import JudgedPair
from lm_eval_fr.judge.verdicts.outcome import HEADLINE
from lm_eval_fr.judge.verdicts.question_life import open_orders

if TYPE_CHECKING:
    from lm_eval_fr.judge.live.anytime import Anytime

DRAIN = 10.0  # seconds that an interrupted run waits for calls it has already paid for
TICK = 0.1
T = TypeVar("T")


@dataclass
class Schedule:
    """Judges items; `pairs` holds their results, in the items' order."""

    asker: Asker
    questioner: Questioner
    lazy: bool
    concurrency: int
    total: int = 0
    watch: Anytime | None = None
    bar: ProgressBar | None = None
    pairs: list[JudgedPair] = field(default_factory=list)
    done: int = 0  # pairs that are judged
    without: int = 0  # those asked without result
    fresh: int = 0  # those asked in this run; the others were stored or free
    started: float = field(default_factory=time.monotonic)
    _moved_at: float = field(default_factory=time.monotonic)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _nothing_left: bool = False

    async def judge_all(self, items: Iterable[Item]) -> list[JudgedPair]:
        """Returns when every item is judged or asking has stopped. Raises JournalError if the journal fails."""
        watch = self.watch
        await self._each(items, self._judge, lambda item: watch is None or watch.may_start(item.unit))
        return self.pairs

    async def ask_all(self, questions: Iterable[Question]) -> None:
        """Asks questions whose replies are read from the journal later."""

        async def ask(question: Question) -> None:
            await self.asker.ask(question)

        await self._each(questions, ask, lambda question: True)

    async def _judge(self, item: Item) -> None:
        pair = JudgedPair.of(item)
        self.pairs.append(pair)
        if not item.identical:
            self.fresh += await self._ask_both(item, pair)
        pair.done = True
        outcome = pair.outcome(self.lazy)
        self.done += HEADLINE[outcome] is not None
        self.without += outcome in ("invalid", "refused")
        if self.watch is not None and (halt := self.watch.add(pair)) is not None:
            self.asker.stop(halt)
        self._moved_at = time.monotonic()
        self._moved.set()

    async def _ask_both(self, item: Item, pair: JudgedPair) -> bool:
        """Whether anything had to be asked."""
        questions = self.questioner.both(item)
        pair.keys = (questions["candidate_first"].key, questions["reference_first"].key)
        lives = self.asker.lives.both(questions)
        self.asker.waiting += sum(life.state == "waiting" for life in lives.values())
        asked = False
        while self.asker.halt is None and (left := open_orders(lives, lazy=self.lazy)):
            asked = True
            lives[left[0]] = await self.asker.ask(questions[left[0]])
            if lives[left[0]].judgement is None:
                break  # the pair stays undecided whatever the other order says: that call can wait for a resume
        pair.put(lives)
        return asked

    async def _each(
        self, things: Iterable[T], do: Callable[[T], Awaitable[None]], may_start: Callable[[T], bool]
    ) -> None:
        stream = iter(things)
        workers: set[asyncio.Task[None]] = set()

        def work() -> None:
            workers.add(asyncio.create_task(self._work(stream, do, may_start)))

        for _ in range(self.concurrency):
            work()
        ticker = asyncio.create_task(self._tick(workers, work))
        halted = asyncio.create_task(self.asker.halted.wait())
        try:
            with _interrupts(self.asker):
                await self._until_done(workers, halted)
        finally:
            for task in (*workers, ticker, halted):
                task.cancel()
            await asyncio.gather(*workers, ticker, halted, return_exceptions=True)
            self._show()

    async def _until_done(self, workers: set[asyncio.Task[None]], halted: asyncio.Task[bool]) -> None:
        deadline: float | None = None
        while workers:
            left = TICK if deadline is None else max(0.0, deadline - time.monotonic())
            watched = {*workers} if halted.done() else {*workers, halted}
            done, _ = await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for worker in [worker for worker in workers if worker.done()]:
                workers.discard(worker)
                worker.result()  # a failing journal, or a bug, ends the run
            if halted.done():
                self._moved.set()
                if deadline is None and self._ending():
                    deadline = time.monotonic() + DRAIN
            if not done and deadline is not None and time.monotonic() >= deadline:
                return

    async def _work(
        self, stream: Iterator[T], do: Callable[[T], Awaitable[None]], may_start: Callable[[T], bool]
    ) -> None:
        while not self._ending() and (thing := next(stream, None)) is not None:
            while not may_start(thing) and not self._ending():
                self._moved.clear()
                await self._moved.wait()
            await do(thing)
            await asyncio.sleep(0)  # stored pairs never wait: let the replies in flight be read in between
        self._nothing_left = True

    def _ending(self) -> bool:
        """Whether to skip the rest; after other halts, what is stored or free is still read."""
        return self.asker.halt is not None and self.asker.halt.why in ("interrupt", "error", "decided")

    async def _tick(self, workers: set[asyncio.Task[None]], work: Callable[[], None]) -> None:
        """Shows progress, and replaces each worker whose call hangs."""
        while True:
            self._show()
            # If all calls hang, none waits for a slot, so no slot would be given up.
            stuck = time.monotonic() - self._moved_at > self.asker.throttle.patience
            wanted = self.concurrency + self.asker.throttle.aside + stuck
            if 0 < len(workers) < wanted and not self._nothing_left and self.asker.halt is None:
                work()
            await asyncio.sleep(TICK)

    def _show(self) -> None:
        if self.bar is not None:
            self.bar(self.done, self.total, self.progress())

    def progress(self) -> list[str]:
        """What the bar shows besides the count, the most important first."""
        throttle, usage, left = self.asker.throttle, self.asker.ledger.usage(), self.total - self.done - self.without
        found = [f"{self.without:,} without a verdict"] if self.without else []
        found += speed(self.fresh, left, time.monotonic() - self.started)
        found.append("cost unknown" if usage.dollars is None else f"${usage.dollars:.2f}")
        if throttle.pause:
            found.append(f"waiting {throttle.pause:.0f} s for the server")
        found.append(f"{usage.calls:,} calls")
        if self.asker.retries:
            found.append(f"{self.asker.retries:,} retries")
        return [*found, f"{throttle.in_flight}/{int(throttle.limit)} in flight"]


@contextmanager
def _interrupts(asker: Asker) -> Iterator[None]:
    """Ctrl-C once: nothing more is sent, and calls in flight are awaited. Twice: stop now."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        if asker.halt is not None and asker.halt.why == "interrupt" and task is not None:
            task.cancel()
            return
        halt = Halt("interrupt", "interrupted", "the same command resumes")
        if asker.halt is not None:
            asker.halt = halt  # replaces a budget halt, after which reading continues
        asker.stop(halt)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        with suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGINT, interrupt)
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)
