"""Dollars of a verdict at GPT-4.1's prices, on 100 real French texts, five analyses of each: 500 pairs.

    python benchmarks/judge_cost.py [--quick]

A local server counts tokens (4.2 bytes each, as published tokenizers make of French) and caches as published:
beginnings of at least 1,024 tokens in steps of 128, once a reply to them is finished. Its verdicts are the same in
every run: a third wins, 27 % losses, 40 % ties, a quarter of them by a flip or a split. Compared, at identical
headline counts:

    full price      two calls a pair, no cache
    plain script    both orders of a pair sent at once
    ours            both orders in turn; lazy; by batch; lazy and stopped when a margin of 10 points is decided

--quick: 20 texts, where nothing is decided early. The texts are PIAF's paragraphs, joined to about 850 words.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lm_eval_fr.judge.asking.envelope import open_body
from lm_eval_fr.judge.asking.profile import load_profile, load_rubric
from lm_eval_fr.judge.asking.protocol import ORDERS, Prices
from lm_eval_fr.judge.asking.worklist import Questioner, worklist
from lm_eval_fr.judge.batch.batch_session import judge_by_batch
from lm_eval_fr.judge.session import judge_runs
from lm_eval_fr.judge.verdicts.ledger import cost
from lm_eval_fr.judge.verdicts.outcome import count, read_verdicts
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.tasklib.definitions import tasks_dir
from tests.fakes.batch import FakeBatches
from tests.fakes.judging import options, pair, shown, verdict_json, write_profile, write_runs
from tests.fakes.server import Call, FakeOpenAI, Reply

ROOT = Path(__file__).resolve().parent.parent
BYTES_PER_TOKEN = 4.2
LEAST, STEP = 1024, 128
OUTPUT_TOKENS = 70
LATENCY = 0.1
CONCURRENCY = 16
SHARES = {"win": 50, "loss": 40, "tie": 45, "flip": 9, "split": 6}  # of 150: the seed study's headline
REASON = "La première réponse reprend les dates du texte ; l'autre en invente une et oublie la seconde partie du sujet."


class Provider:
    """The judge: its verdicts, its tokens and its prompt cache."""

    def __init__(self, *, caches: bool = True) -> None:
        self.caches = caches
        self.ready: dict[bytes, float] = {}  # beginning -> when the reply that wrote it was finished

    def __call__(self, call: Call) -> Reply:
        first, second = (text.split("\n")[-1] for text in (shown(call).first, shown(call).second))
        text = json.dumps([call.body.get("response_format"), call.messages], ensure_ascii=False).encode()
        tokens = round(len(text) / BYTES_PER_TOKEN)
        usage = {"prompt_tokens": tokens, "completion_tokens": OUTPUT_TOKENS, "total_tokens": tokens + OUTPUT_TOKENS}
        usage |= {"prompt_tokens_details": {"cached_tokens": self._cached(text, tokens)}}
        return Reply(verdict_json(verdict(first, second), REASON), usage=usage)

    def _cached(self, text: bytes, tokens: int) -> int:
        now, found = time.monotonic(), 0
        for length in range(LEAST, tokens + 1, STEP):
            key = hashlib.sha256(text[: int(length * BYTES_PER_TOKEN)]).digest()
            if self.ready.setdefault(key, now + LATENCY) <= now and self.caches:
                found = length
        return found


def verdict(first: str, second: str) -> str:
    """The last line of each answer says the pair's outcome, and which of the two answers it is."""
    outcome, role = first.rstrip(".").split()[-2:]
    better = {"win": "candidate", "loss": "reference"}
    if outcome in better:
        return "A" if role == better[outcome] else "B"
    return "tie" if outcome == "tie" or (outcome == "split" and role == "candidate") else "A"


@dataclass
class Bill:
    name: str
    dollars: float
    calls: int
    pairs: int
    headline: tuple[int, int, int]

    def row(self, *references: float) -> str:
        a_pair = 100 * self.dollars / self.pairs
        ratios = "".join(f"{self.dollars / self.pairs / reference:12.2f}" for reference in references)
        return f"{self.name:32}{self.calls:7,}{self.pairs:7,}{a_pair:11.3f}{ratios}   {self.headline}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="20 texts")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pairing = pair(*runs(root, article_texts(20 if given.quick else 100)))
        plain = plain_script(root, pairing)
        full = Bill("two calls at full price", plain[1], plain[0].calls, plain[0].pairs, plain[0].headline)
        bills = [
            full,
            plain[0],
            ours("ours, both orders", root, pairing, "both"),
            ours("ours, lazy", root, pairing, "lazy", orders="lazy"),
            batch("ours, batch, both orders", root, pairing, "batch"),
            batch("ours, batch, lazy", root, pairing, "lazybatch", orders="lazy"),
            ours("ours, lazy, --stop anytime", root, pairing, "anytime", orders="lazy", stop="anytime", margin=0.1),
        ]
    # Stopped early, a run judges fewer pairs to the same decision: its cost is per pair planned.
    bills[-1].pairs = full.pairs
    print(f"{'':32}{'calls':>7}{'pairs':>7}{'cents/pair':>11}{'/ full':>12}{'/ plain':>12}   (win, tie, loss)")
    for bill in bills:
        print(bill.row(full.dollars / full.pairs, plain[0].dollars / full.pairs))
    assert len({bill.headline for bill in bills[:-1]}) == 1, "the headline counts differ"
    print("aims: live at most 0.60, with batch or --stop anytime at most 0.35, of the full price")


def article_texts(n: int) -> list[str]:
    """`n` texts of about equal length: PIAF's paragraphs in their order, none twice."""
    data = Path(os.environ.get("LM_EVAL_FR_TEST_DATA", ROOT.parent / "shared" / "data")) / "piaf" / "piaf-v1.0.json"
    articles = json.loads(data.read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    length, texts, part = sum(map(len, paragraphs)) / 100, [], ""
    for paragraph in paragraphs:
        part += paragraph + "\n\n"
        if len(part) >= length - 400:
            texts.append(part.strip())
            part = ""
    assert len(texts) >= n
    return texts[:n]


def runs(root: Path, texts: list[str]) -> tuple[Path, Path]:
    """Two arms of analysis_fr: in each round every article with another analysis, as the task orders them."""
    prompt, kinds = task_prompt()
    source = random.Random(7)
    outcomes = source.choices(list(SHARES), weights=list(SHARES.values()), k=len(texts) * len(kinds))
    prompts, titles, answers = [], [], ([], [])
    for number, outcome in enumerate(outcomes):
        article = number % len(texts)
        kind = kinds[(article + number // len(texts)) % len(kinds)]
        prompts.append(prompt.render(text=texts[article], instruction=kind))
        titles.append(f"article {article}")
        sentences = texts[article].replace("\n", " ").split(". ")
        for arm, role in enumerate(("candidate", "reference")):
            body = ". ".join(source.sample(sentences, min(8, len(sentences))))[:1100]
            answers[arm].append(f"{body}\n{outcome} {role}.")
    return write_runs(root / "runs", *answers, titles=titles, texts=prompts)


def task_prompt() -> tuple[jinja2.Template, list[str]]:
    """analysis_fr's own prompt and instructions."""
    folder = tasks_dir() / "analysis"
    lines = (folder / "analysis_fr.yaml").read_text(encoding="utf-8").split("doc_to_text: |-\n")[1].splitlines()
    block = lines[: next(i for i, line in enumerate(lines) if line and not line.startswith("  "))]
    spec = importlib.util.spec_from_file_location("analysis_utils", folder / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return jinja2.Template("\n".join(line[2:] for line in block)), list(module.ANALYSES.values())


def gpt(root: Path, url: str, name: str) -> str:
    """GPT-4.1's profile, at another address."""
    known = load_profile("gpt-4.1")
    prices = {name: getattr(known.prices, name) for name in Prices.__slots__}
    return write_profile(
        root, url, name, model=known.model, parameters=known.parameters, prices=prices, cache_key=True,
        concurrency=CONCURRENCY, timeout=60,
    )  # fmt: skip


def ours(name: str, root: Path, pairing: Pairing, out: str, **more: Any) -> Bill:
    with FakeOpenAI(Provider(), latency=LATENCY, keep_calls=False) as server:
        summary = judge_runs(pairing, root / out, options(gpt(root, server.url, out), **more))
    return bill(name, root / out, summary.spent.dollars, summary.spent.calls)


def batch(name: str, root: Path, pairing: Pairing, out: str, **more: Any) -> Bill:
    server = FakeOpenAI(Provider(caches=False), keep_calls=False)
    FakeBatches(server)
    with server:
        asked = options(gpt(root, server.url, out), **more)
        judge_by_batch(pairing, root / out, asked, "submit")
        summary = None
        for _ in range(4):
            summary = judge_by_batch(pairing, root / out, asked, "collect")
            if summary is not None and summary.finished:
                break
    assert summary is not None
    assert summary.finished, summary.left
    return bill(name, root / out, summary.usage.dollars, summary.usage.calls)


def bill(name: str, out: Path, dollars: float | None, calls: int) -> Bill:
    counts = count(read_verdicts(out))
    assert dollars is not None
    return Bill(name, dollars, calls, counts.n, (counts.wins, counts.ties, counts.losses))


def plain_script(root: Path, pairing: Pairing) -> tuple[Bill, float]:
    """Both orders of a pair at once, with the same prompts; its bill, and what it would be without a cache."""
    import aiohttp

    async def run(url: str) -> tuple[float, float, int]:
        profile = load_profile(gpt(root, url, "plain"))
        writer = Questioner(profile, load_rubric("analyses_fr"), b"")
        gate, paid, uncached, calls = asyncio.Semaphore(CONCURRENCY // 2), 0.0, 0.0, 0

        async with aiohttp.ClientSession() as session:

            async def post(body: dict[str, Any]) -> bytes:
                async with session.post(f"{url}/chat/completions", json=body) as reply:
                    return await reply.read()

            async def both(bodies: list[dict[str, Any]]) -> None:
                nonlocal paid, uncached, calls
                async with gate:
                    for raw in await asyncio.gather(*(post(body) for body in bodies)):
                        usage = open_body(raw).usage
                        assert usage is not None
                        paid += cost(usage, profile.prices) or 0.0
                        uncached += (usage.input * 2.0 + usage.output * 8.0) / 1e6
                        calls += 1

            pairs = [[writer.question(item, order).body for order in ORDERS] for item in worklist(pairing)]
            await asyncio.gather(*(both(bodies) for bodies in pairs))
        return paid, uncached, calls

    with FakeOpenAI(Provider(), latency=LATENCY, keep_calls=False) as server:
        paid, uncached, calls = asyncio.run(run(server.url))
    n = sum(task.n for task in pairing.tasks)
    judged = ours("", root, pairing, "headline")  # the same server, so the same verdicts
    return Bill("plain script, both at once", paid, calls, n, judged.headline), uncached


if __name__ == "__main__":
    main()
