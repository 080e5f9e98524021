"""What the judge's benchmarks share: a server in a process of its own, and French texts of a wanted length."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.fakes.server import Call, FakeOpenAI, Reply

TEXT = """la le les une des du et dans pour avec sur par qui que ville rivière siècle histoire économie population
construction royaume commerce château église région montagne climat agriculture industrie musée université bataille
traité monument architecture fondée célèbre ancienne principale importante nationale européenne découverte
développement production gouvernement littérature peinture"""
WORDS = TEXT.split()
START_LIMIT = 30.0


def french_text(length: int, seed: int) -> str:
    """About `length` characters of French words in sentences."""
    source, words, size = random.Random(seed), [], 0
    while size < length:
        sentence = source.choices(WORDS, k=source.randint(8, 18))
        words.append(" ".join(sentence).capitalize() + ".")
        size += len(words[-1]) + 1
    return " ".join(words)


def fixed_verdict(call: Call) -> str:
    return '{"reason": "La réponse est plus fidèle au texte source et plus complète.", "verdict": "A"}'


@contextmanager
def serving(answer: Callable[[Call], str | Reply], **settings: Any) -> Iterator[str]:
    """The address of a FakeOpenAI in another process."""
    context = multiprocessing.get_context("fork")
    address, stop = context.Queue(), context.Event()

    def run() -> None:
        with FakeOpenAI(answer, keep_calls=False, **settings) as server:
            address.put(server.url)
            stop.wait()

    process = context.Process(target=run, daemon=True)
    process.start()
    try:
        yield address.get(timeout=START_LIMIT)
    finally:
        stop.set()
        process.join(5)
        if process.is_alive():
            process.kill()
