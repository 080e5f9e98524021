"""Runs with what their answers used, and runs whose documents have several responses."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fakes.runs import GREEDY, FakeSample, FakeTask, make_run, plain_task, write_responses

DRAWN = {**GREEDY, "temperature": 0.7, "do_sample": True}
Scores = Sequence[float]


def arm(
    folder: Path,
    scores: Scores | Mapping[str, Scores],
    *,
    usage: Sequence[tuple[int, int, int]] | tuple[int, int, int] | None = (1000, 100, 0),
    seconds: float = 12.5,
    model: str = "org/petit",
    titles: Sequence[str] | None = None,
) -> Path:
    """A run of piaf_fr, or of the named tasks, with (input, output, cached) tokens a document, or without usage."""
    by_task = scores if isinstance(scores, Mapping) else {"piaf_fr": scores}
    tasks = [
        plain_task(name, {"f1": list(values)}, titles=titles, cluster="title" if titles else None)
        for name, values in by_task.items()
    ]
    results = {"total_evaluation_time_seconds": str(seconds)}
    place = make_run(folder, *tasks, model=model, results=results)
    if usage is not None:
        for path in place.glob("samples_*.jsonl"):
            task, stamp = path.stem.removeprefix("samples_").rsplit("_", 1)
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            each = [usage] * len(lines) if isinstance(usage[0], int) else list(usage)
            rows = [
                {
                    "task": task,
                    "doc_hash": line["doc_hash"],
                    "usage": {"prompt_tokens": i, "completion_tokens": o, "cached_tokens": c},
                    "error": None,
                }
                for line, (i, o, c) in zip(lines, each, strict=True)  # type: ignore[misc]
            ]
            write_responses(place, task, rows, stamp)
    return place


def right(n: int, successes: int) -> list[float]:
    """Spread evenly, so that no interval depends on where they stand."""
    return [float((i + 1) * successes // n - i * successes // n) for i in range(n)]


def voting_task(name: str, answers: Sequence[Sequence[str]], **changes: Any) -> FakeTask:
    """A question a document, whose gold is "oui"; two documents an article."""
    samples = [
        FakeSample(
            doc={"id": f"d{i}", "title": f"Article {i // 2}"},
            prompt=f"Question n° {i} ?",
            answer=responses,
            scores={"f1": sum(text == "oui" for text in responses) / len(responses)},
            target="oui",
        )
        for i, responses in enumerate(answers)
    ]
    several = len(answers[0]) > 1
    config = {"repeats": len(answers[0])}
    metadata = {"version": 1.0, "cluster": "title", **({"voting": "span"} if several else {})}
    settings: dict[str, Any] = {"generation": DRAWN if several else GREEDY, "cluster": "title"}
    return FakeTask(name, samples, **{**settings, "config": {**config, "metadata": metadata}, **changes})


def draws(seed: int, documents: int, n: int, hard: float, right: float = 0.75) -> list[list[str]]:
    """`hard` of the documents are wrong whatever is drawn; an answer to the others is right so often."""
    draw = random.Random(seed)
    lost = [draw.random() < hard for _ in range(documents)]
    return [["oui" if not one and draw.random() < right else "non" for _ in range(n)] for one in lost]
