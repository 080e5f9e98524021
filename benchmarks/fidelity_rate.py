"""Requests per second of `lm-eval-fr fidelity` against what a plain client gets out of the same server.

    python benchmarks/fidelity_rate.py [--quick] [--concurrency N]

The server is a pseudo model in a process of its own, which computes 20 log-probabilities a token as it goes, as an
engine would. The plain client sends the same bodies with the same concurrency and does not look at the replies: that is
the server's own limit. Ours reads every reply into arrays and stores it. Aim: at least 0.9 of the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import msgspec

from benchmarks._judging import french_text, serving
from lm_eval_fr.analyses.fidelity.fidelity_session import score
from lm_eval_fr.analyses.fidelity.logprob_client import Client, ScoringArm
from lm_eval_fr.analyses.fidelity.logprob_request import body_of, path_of
from lm_eval_fr.analyses.fidelity.reply_store import Store, reply_key
from lm_eval_fr.analyses.fidelity.texts import Passage
from lm_eval_fr.io.http import Server
from tests.fakes.logprobs import PseudoModel

TOP = 20
LETTERS = 2500  # about 450 tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 rounds")
    parser.add_argument("--concurrency", type=int, default=4)
    given = parser.parse_args()
    rounds, count = (5 if given.quick else 15), 30
    passages = [Passage(str(i), french_text(LETTERS, i), str(i)) for i in range(count)]
    found = []
    with tempfile.TemporaryDirectory() as folder, serving(PseudoModel()) as url:
        arm = ScoringArm("candidate", Server(url), "fake-model")
        asyncio.run(plain(arm, passages, given.concurrency))  # the server's caches are warm for both
        for number in range(rounds):  # in turns, so that what else the machine does hits both
            limit = asyncio.run(plain(arm, passages, given.concurrency))
            mine, cpu = asyncio.run(ours(arm, passages, given.concurrency, Path(folder) / f"{number}.sqlite"))
            found.append((mine / limit, mine, limit, cpu))
    ratio, mine, limit, cpu = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"{rounds} rounds of {count} texts of about 450 tokens, {TOP} log-probabilities a token, medians")
    print(f"plain client    {limit:7.1f} requests/s   (the server's own limit)")
    print(f"fidelity        {mine:7.1f} requests/s   ({1000 * cpu / count:.1f} ms of CPU a request)")
    print(f"ratio           {ratio:7.2f}              (aim: at least 0.9)")


async def plain(arm: ScoringArm, passages: list[Passage], concurrency: int) -> float:
    """Requests per second, nothing read out of the replies."""
    places = asyncio.Semaphore(concurrency)
    async with aiohttp.ClientSession() as session:

        async def send(body: dict[str, Any]) -> None:
            async with places, session.post(f"{arm.url}/completions", data=msgspec.json.encode(body)) as response:
                assert response.status == 200 and await response.read()

        started = time.perf_counter()
        await asyncio.gather(*(send(body_of(one, arm.model, TOP, "prompt_logprobs")) for one in passages))
        return len(passages) / (time.perf_counter() - started)


async def ours(arm: ScoringArm, passages: list[Passage], concurrency: int, path: Path) -> tuple[float, float]:
    """Requests per second, every reply stored; and the CPU seconds of this process."""
    client = Client(arm, concurrency)
    with Store(path) as store:

        async def one(passage: Passage) -> None:
            key = reply_key(arm.identity, "prompt_logprobs", body_of(passage, arm.model, TOP, "prompt_logprobs"), 0)
            store.put(key, await score(client, passage, TOP, "prompt_logprobs"))
            assert path_of(passage) == "/completions"

        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(passage) for passage in passages))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    await client.close()
    return len(passages) / seconds, cpu


if __name__ == "__main__":
    main()
