"""Input dollars of judging 100 pairs with all controls, at GPT-4.1's prices, against the first version's prompt.

    python benchmarks/judge_cost.py

100 pairs, once on 100 long texts and once on 20 texts used five times each, with `--orders lazy`: the second order is
asked only where the first decided. Today's judging asks 28 gross and 80 graded questions first (40 with `--controls
20`); the first version asked 28, and had a shorter prompt. A third row asks today's questions with that prompt. All are
given the same pairs and ties, one question after the other.

No server is asked: a prompt's tokens are its bytes / 4.2, as published tokenizers make of French, and what is cached is
what GPT-4.1's cache is published to hold: beginnings of at least 1,024 tokens, in steps of 128. Nothing is evicted.
Output is not measured: a reply is taken at the length that its prompt asks for.
The texts are PIAF's paragraphs, joined to about 850 words ($LM_EVAL_FR_TEST_DATA, else ../shared/data).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import runpy
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lm_eval_fr.judge.asking.controls import controls_for, load_canaries
from lm_eval_fr.judge.asking.profile import load_profile, load_rubric
from lm_eval_fr.judge.asking.worklist import Item, Questioner, Worklist, worklist
from lm_eval_fr.tasklib.definitions import tasks_dir
from tests.fakes.judging import pair, write_runs

ROOT = Path(__file__).resolve().parent.parent
BYTES_PER_TOKEN = 4.2
LEAST, STEP = 1024, 128
PROFILE = load_profile("gpt-4.1")
# Dollars per million tokens.
PRICES = {kind: float(getattr(PROFILE.prices, kind)) for kind in ("input", "cached", "output")}
REPLY_TOKENS = 200  # the faults of both answers, at most
FIRST_REPLY_TOKENS = 70  # two sentences
ASKED_ONCE = 0.3  # of the pairs: those whose first order is a tie
# The first version's prompt by its sizes, in bytes: instructions and schema as JSON, and the closing line; the same in
# every question. Measured on lm_eval_fr/judge/prompt.py and judge/rubrics/analyses_fr.yaml, commit 4913d58.
FIRST_INSTRUCTIONS, FIRST_SCHEMA, FIRST_CLOSE = 1816, 275, 72


@dataclass(frozen=True)
class Document:
    prompt: str
    title: str
    candidate: str
    reference: str
    tie: bool


@dataclass
class Bill:
    """What the questions cost so far, by `part`, with the cache that they share."""

    dollars: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: int = 0
    cache: set[bytes] = field(default_factory=set)

    def ask(self, part: str, body: dict[str, Any]) -> None:
        text = json.dumps([body["response_format"], body["messages"]], ensure_ascii=False).encode()
        tokens, cached = round(len(text) / BYTES_PER_TOKEN), 0
        for length in range(LEAST, tokens + 1, STEP):
            key = hashlib.sha256(text[: int(length * BYTES_PER_TOKEN)]).digest()
            if key in self.cache:
                cached = length
            self.cache.add(key)
        self.dollars[part] += ((tokens - cached) * PRICES["input"] + cached * PRICES["cached"]) / 1e6
        self.calls += 1

    @property
    def total(self) -> float:
        return sum(self.dollars.values())

    def row(self, name: str, first: float, reply_tokens: int = REPLY_TOKENS) -> str:
        """first: what the first version paid for the same pairs."""
        output = self.calls * reply_tokens * PRICES["output"] / 1e6
        parts = "".join(f"{self.dollars[part]:9.3f}" for part in ("gross", "graded", "pairs"))
        return f"  {name:30}{self.calls:6}{parts}{self.total:9.3f}{self.total / first:8.2f}{output:12.3f}"


def main() -> None:
    texts = article_texts(100)
    for title, documents in (
        ("100 pairs on 100 texts", study(texts, 1)),
        ("100 pairs on 20 texts, each used five times", study(texts[:20], 5)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            arms = [d.candidate for d in documents], [d.reference for d in documents]
            titles, prompts = [d.title for d in documents], [d.prompt for d in documents]
            work = worklist(pair(*write_runs(Path(folder), *arms, titles=titles, texts=prompts)))
            print(f"{title}\n  {'':30}{'calls':>6}{'gross':>9}{'graded':>9}{'pairs':>9}{'input $':>9}", end="")
            print(f"{'ratio':>8}{'output $':>12}")
            first = first_release(documents)
            print(first.row("first version", first.total, FIRST_REPLY_TOKENS))
            again = first_release(documents, controls_for(work, 40).graded.items)
            print(again.row("its prompt, today's questions", first.total, FIRST_REPLY_TOKENS))
            for graded in (40, 20):
                print(today(documents, work, graded).row(f"today, --controls {graded}", first.total))


def today(documents: list[Document], work: Worklist, graded: int) -> Bill:
    writer, bill, controls = (
        Questioner(PROFILE, load_rubric("analyses_fr"), b"salt"),
        Bill(),
        controls_for(work, graded),
    )
    assert len(controls.graded.items) == graded, controls.graded.shortage
    for item in controls:
        for question in writer.both(item).values():
            bill.ask("gross" if item.gross else "graded", question.body)
    for item, document in zip(work, documents, strict=True):
        assert item.task_text == document.prompt
        lazily(bill, document, [question.body for question in writer.both(item).values()])
    return bill


def first_release(documents: list[Document], graded: Iterable[Item] = ()) -> Bill:
    """graded: controls that it did not have."""
    bill = Bill()
    for canary in load_canaries():
        task = f"{canary.instruction}\n\n{canary.text}"
        for answers in ((canary.good, canary.bad), (canary.bad, canary.good)):
            bill.ask("gross", first_body(task, *answers))
    for item in graded:
        for answers in ((item.candidate, item.reference), (item.reference, item.candidate)):
            bill.ask("graded", first_body(item.task_text, *answers))
    for document in documents:
        answers = document.candidate, document.reference
        lazily(bill, document, [first_body(document.prompt, *shown) for shown in (answers, answers[::-1])])
    return bill


def lazily(bill: Bill, document: Document, bodies: list[dict[str, Any]]) -> None:
    for body in bodies[: 1 if document.tie else 2]:
        bill.ask("pairs", body)


def first_body(task: str, first: str, second: str) -> dict[str, Any]:
    """A question as the first version asked it, its wording replaced by as many bytes."""
    code = hashlib.sha256("\n".join([task, *sorted((first, second))]).encode()).hexdigest()[:32]
    blocks = [first_block("DEMANDE", "0" * 16, task)]
    blocks += [first_block(f"RÉPONSE {label}", code, text) for label, text in (("A", first), ("B", second))]
    messages = [
        {"role": "system", "content": "x" * (FIRST_INSTRUCTIONS - 2)},  # a string's quotes are two of its bytes
        {"role": "user", "content": "\n\n".join([*blocks, "x" * FIRST_CLOSE])},
    ]
    return {"messages": messages, "response_format": "x" * (FIRST_SCHEMA - 2)}


def first_block(name: str, code: str, text: str) -> str:
    quoted = "\n".join(f"> {line}" for line in text.split("\n"))
    return f"===== DÉBUT {name} {code} =====\n{quoted}\n===== FIN {name} {code} ====="


def study(texts: list[str], rounds: int) -> list[Document]:
    """In each round every text with another analysis, as analysis_fr orders them; answers of eight sentences of it."""
    prompt, kinds = task_prompt()
    source, documents = random.Random(7), []
    for number in range(len(texts) * rounds):
        article = number % len(texts)
        kind = kinds[(article + number // len(texts)) % len(kinds)]
        sentences = texts[article].replace("\n", " ").split(". ")
        answers = [". ".join(source.sample(sentences, min(8, len(sentences))))[:1100] + "." for _ in range(2)]
        tie = source.random() < ASKED_ONCE
        text = prompt.render(text=texts[article], instruction=kind)
        documents.append(Document(text, f"article {article}", answers[0], answers[1], tie))
    return documents


def article_texts(n: int) -> list[str]:
    """`n` texts of about equal length: PIAF's paragraphs in their order, none twice."""
    data = Path(os.environ.get("LM_EVAL_FR_TEST_DATA", ROOT.parent / "shared" / "data")) / "piaf" / "piaf-v1.0.json"
    if not data.is_file():
        raise SystemExit(f"{data} is missing: set LM_EVAL_FR_TEST_DATA to the folder that holds piaf/piaf-v1.0.json")
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


def task_prompt() -> tuple[jinja2.Template, list[str]]:
    """analysis_fr's own prompt and instructions."""
    folder = tasks_dir() / "analysis"
    lines = (folder / "analysis_fr.yaml").read_text(encoding="utf-8").split("doc_to_text: |-\n")[1].splitlines()
    block = lines[: next(i for i, line in enumerate(lines) if line and not line.startswith("  "))]
    return jinja2.Template("\n".join(line[2:] for line in block)), list(
        runpy.run_path(str(folder / "utils.py"))["ANALYSES"].values()
    )


if __name__ == "__main__":
    main()
