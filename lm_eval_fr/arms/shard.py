"""`run --shard K/N`: one machine's share of the documents; the runs of all N machines make up the whole run.

Every Nth document, starting with the Kth: our documents are in a seeded order that spreads over the articles, and
so is every shard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval_fr.errors import UsageError

MOST = 10_000


@dataclass(frozen=True)
class Shard:
    """number: from 1 to `of`. limit: the run's --limit, which lm-eval must not log (it would look partial)."""

    number: int
    of: int
    limit: float | None = None

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str, limit: float | None) -> Shard:
    """`3/8`. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MOST:
        raise UsageError(f"--shard {text}: not of the form K/N", remedy="--shard 1/8 to --shard 8/8")
    return Shard(int(found[1]), int(found[2]), limit)


def share_out(evaluate: Callable[..., Any], shard: Shard) -> Callable[..., Any]:
    """lm-eval's `evaluate` for a shard's part of the documents that --limit or --samples picks."""

    def sharded(*, task_dict: Mapping[str, Any], samples: Mapping[str, list[int]] | None, **more: Any) -> Any:
        picked = {name: _picked(shard, name, task, samples) for name, task in task_dict["tasks"].items()}
        return evaluate(task_dict=task_dict, samples=picked, **more)

    return sharded


def _picked(shard: Shard, name: str, task: Any, samples: Mapping[str, list[int]] | None) -> list[int]:
    from lm_eval.evaluator_utils import get_sample_size

    asked = samples.get(name) if samples else None
    limit, available = get_sample_size(task, shard.limit), len(task.eval_docs)
    documents = asked or range(available if limit is None else min(available, int(limit)))
    if not (picked := list(documents[shard.number - 1 :: shard.of])):  # lm-eval reads an empty list as all documents
        raise UsageError(f"--shard {shard}: {name} has only {len(documents)} documents", remedy="make fewer shards")
    return picked
