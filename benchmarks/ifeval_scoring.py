"""Scoring 10,000 answers of ifeval_fr, strictly and loosely: the aim is under 30 s on one core.

    python benchmarks/ifeval_scoring.py [--answers N] [--real FOLDER]

Prompts are the demonstration's; an answer is 200 to 400 words of its articles with marks of Markdown, and none occurs
twice. With --real: M-IFEval's prompts and collected answers in FOLDER (m_ifeval_fr.jsonl, <model>.jsonl).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_eval_fr.demo import plan_path
from lm_eval_fr.tasklib.instructions import check

AIM_SECONDS = 30.0
DATA = plan_path().parent / "data"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(count: int, draw: random.Random) -> Iterator[tuple[dict[str, Any], str]]:
    prompts = rows(DATA / "ifeval_fr.jsonl")
    words = " ".join(row["text"] for row in rows(DATA / "analysis_fr.jsonl")).split(" ")
    for number in range(count):
        start = draw.randrange(len(words) - 400)
        text = words[start : start + draw.randint(200, 400)]
        for place in range(40, len(text), 60):
            text[place] = draw.choice(["\n\n", "\n- ", "**Oui.**", "\n***\n", "[nom]"])
        yield prompts[number % len(prompts)], f"{' '.join(text)} {number}"


def collected(folder: Path, count: int, draw: random.Random) -> Iterator[tuple[dict[str, Any], str]]:
    prompts = {row["key"]: row for row in rows(folder / "m_ifeval_fr.jsonl")}
    answers = [row for path in folder.glob("*.jsonl") if path.name != "m_ifeval_fr.jsonl" for row in rows(path)]
    for number in range(count):
        answer = answers[number % len(answers)]
        text = answer["response"]
        yield prompts[answer["key"]], text[: len(text) - (number // len(answers)) * draw.randint(1, 9)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--real", type=Path)
    given = parser.parse_args()
    draw = random.Random(7)
    work = list(collected(given.real, given.answers, draw) if given.real else written(given.answers, draw))
    kept = instructions = 0
    wall, started = time.perf_counter(), time.process_time()
    for prompt, text in work:
        for kind, arguments in zip(prompt["instruction_id_list"], prompt["kwargs"], strict=True):
            kept += check(kind, arguments, text).loose
            instructions += 1
    seconds = time.process_time() - started
    print(f"{len(work)} answers, {instructions} instructions, {kept} kept loosely")
    print(
        f"{seconds:.1f} s of one core ({time.perf_counter() - wall:.1f} s by the clock); the aim is {AIM_SECONDS:.0f} s"
    )


if __name__ == "__main__":
    main()
