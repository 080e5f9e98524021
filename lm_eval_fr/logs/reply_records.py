"""responses_*.jsonl: what an arm recorded of each reply (how it ended, usage, seconds), summed up by document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import read_jsonl

COPY_AGAIN = "copy the file again, or rerun the arm: answers it already has come from its cache"
End = Literal["filtered", "truncated", "interrupted", "sound"]
_ENDS: tuple[End, ...] = ("filtered", "truncated", "interrupted", "sound")  # the worst first

# finish_reason, in the words of the APIs. Anything else is `interrupted`, never a proper end.
ENDED_ITSELF = frozenset(
    ("", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "complete", "finished")
)
_LENGTH = frozenset(("length", "max_tokens", "model_length", "max_output_tokens", "max_length"))
_FILTERED = ("filter", "refus", "safety", "recitation", "blocklist", "prohibited", "sensitive", "moderat")


@dataclass(frozen=True, slots=True)
class Replied:
    """All replies of an arm to one document: how the worst of them ended, and their total usage.

    failed: none was obtained; a rerun of the arm asks again. Tokens and seconds are None where the record of a reply
    lacks them; a reply that was never obtained used nothing. cached is part of input, reasoning of output.
    """

    replies: int
    end: End
    failed: bool
    input: float | None
    output: float | None
    cached: float | None
    reasoning: float | None
    seconds: float | None


def read_replies(paths: Iterable[Path], limit: object = None) -> dict[str, Replied]:
    """By doc_hash; {} where the arm kept no record. Raises InputError for a file that is not one.

    limit: the most tokens that an answer could have, by which one is known to be cut where the server gives no reason.
    """
    records: dict[str, list[Mapping[str, Any]]] = {}
    for path in paths:
        for number, row in read_jsonl(path, remedy=COPY_AGAIN) if path.is_file() else ():
            if not isinstance(row, dict) or not isinstance(row.get("doc_hash"), str):
                raise InputError(
                    "not a record of a response: no `doc_hash`", where=path, line=number, remedy=COPY_AGAIN
                )
            records.setdefault(row["doc_hash"], []).append(row)
    return {name: _summed(rows, limit) for name, rows in records.items()}


def _summed(rows: Sequence[Mapping[str, Any]], limit: object) -> Replied:
    return Replied(
        replies=len(rows),
        end=min((_end_of(row, limit) for row in rows), key=_ENDS.index),
        failed=all(row.get("error") for row in rows),
        input=_total(rows, "prompt_tokens"),
        output=_total(rows, "completion_tokens"),
        cached=_total(rows, "cached_tokens"),
        reasoning=_total(rows, "reasoning_tokens"),
        seconds=_total(rows, "seconds"),
    )


def _total(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    total = 0.0
    for row in rows:
        if row.get("error") and not row.get("usage"):
            continue  # never obtained; a reply without an answer was still paid for
        found = row.get(name) if name == "seconds" else _usage(row, name)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
            return None
        total += found
    return total


def _usage(row: Mapping[str, Any], name: str) -> Any:
    usage = row.get("usage")
    return usage.get(name) if isinstance(usage, Mapping) else None


def _end_of(row: Mapping[str, Any], limit: object) -> End:
    reason = str(row.get("finish_reason") or "").strip().lower()
    if row.get("failure") == "moderated" or _is_filter(row.get("error")) or _is_filter(reason):
        return "filtered"
    if reason in _LENGTH:
        return "truncated"
    made = _usage(row, "completion_tokens")
    if not reason and isinstance(made, int) and isinstance(limit, int) and made >= limit:
        return "truncated"
    return "sound" if not reason or reason in ENDED_ITSELF else "interrupted"


def _is_filter(reason: Any) -> bool:
    return isinstance(reason, str) and any(word in reason.lower() for word in _FILTERED)
