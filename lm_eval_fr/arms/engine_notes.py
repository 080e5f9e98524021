"""How each answer of an engine in this process ended and what it used, which lm-eval's models do not report.

They generate in batches with `_model_generate` and then return the answers one by one, in the batch's order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

Record = dict[str, Any]


def note_generations(lm: Any) -> deque[Record]:
    """Returns a list that is filled with one record per answer, as the model returns them; () for a model without
    `_model_generate`, or one of an unknown shape."""
    notes: deque[Record] = deque()
    generate = getattr(lm, "_model_generate", None)
    if generate is None:
        return notes

    def noted(*args: Any, **kwargs: Any) -> Any:
        found = generate(*args, **kwargs)
        notes.clear()
        if kwargs.get("generate", True):
            notes.extend(_records(lm, found, kwargs))
        return found

    lm._model_generate = noted
    return notes


def _records(lm: Any, found: Any, kwargs: dict[str, Any]) -> Iterator[Record]:
    if isinstance(found, list) and all(hasattr(one, "outputs") for one in found):
        yield from map(_of_vllm, found)
    elif "attention_mask" in kwargs and hasattr(found, "tolist"):
        yield from _of_hf(lm, found, kwargs)


def _of_vllm(output: Any) -> Record:
    made = output.outputs[0]
    return _record(made.finish_reason, len(output.prompt_token_ids or ()), len(made.token_ids))


def _of_hf(lm: Any, found: Any, kwargs: dict[str, Any]) -> Iterator[Record]:
    """A row ends at its first end mark; one that the limit cut has none, and none of the stops in its text."""
    width, limit = kwargs["context"].shape[1], kwargs.get("max_length")
    for row, mask in zip(found.tolist(), kwargs["attention_mask"].tolist(), strict=True):
        tokens = row[width:] if lm.backend == "causal" else row
        ends = [place for place, token in enumerate(tokens) if token == lm.eot_token_id]
        count = ends[0] + 1 if ends else len(tokens)
        cut = not ends and limit is not None and len(row) >= limit and not _stopped(lm.tok_decode, tokens, kwargs)
        yield _record("length" if cut else "stop", sum(mask), count)


def _stopped(decode: Callable[[list[int]], str], tokens: list[int], kwargs: dict[str, Any]) -> bool:
    text = decode(tokens)
    return any(stop and stop in text for stop in kwargs.get("stop") or ())


def _record(finish_reason: str | None, prompt: int, completion: int) -> Record:
    """In the shape of `models.chat_replies.Reply.record`; a batch's seconds are not those of one answer."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": None, "reasoning_tokens": None}
    unknown = dict.fromkeys(("error", "failure", "reasoned", "seconds"))
    return {"finish_reason": finish_reason, "usage": usage, **unknown}
