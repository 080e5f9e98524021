"""What each arm was really asked for, where a client or an engine decided what the task left open.

By the arm's own record where `lm-eval-fr run` left one; else by what lm-eval's clients and engines are known to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_fr.logs.task_log import TaskLog

LENGTH = "max_gen_toks"
HOSTED_LENGTH, USUAL_LENGTH = 1024, 256  # of our own client, and of lm-eval 0.4.2 to 0.4.13's
_HOSTED = frozenset(("hosted-chat", "batch-chat"))
_USUAL = (
    *("anthropic", "azure-openai", "hf", "huggingface", "litellm", "local-", "megatron_lm", "nemo_lm", "neuronx"),
    *("onnxruntime", "openai", "openvino", "sglang", "steered", "textsynth", "trtllm", "vllm"),
)
_FOUR_STOPS = ("local-chat-completions", "openai-chat-completions", "litellm")
MOST_STOPS = 4  # that a chat client of lm-eval's sends; it drops the others without a word


def as_sent(settings: Mapping[str, Any], log: TaskLog) -> dict[str, Any]:
    """settings: those that lm-eval logged with a request, in one spelling (agreement.generation_settings)."""
    found = dict(settings)
    if found.get(LENGTH) is None and (length := default_length(log)) is not None:
        found[LENGTH] = length
    stops = found.get("until")
    if not log.sent and isinstance(stops, list) and log.source.startswith(_FOUR_STOPS):
        told = log.generation.get("until")
        order = [str(stop) for stop in told] if isinstance(told, list) else stops
        found["until"] = sorted(stop for stop in stops if stop in order[:MOST_STOPS])
    other = log.sent.get("other")
    for name, value in other.items() if isinstance(other, Mapping) else ():
        found.setdefault(str(name), value)
    if "voting" not in log.metadata:  # there the arms may draw as many as they like
        repeats = log.sent.get("repeats", log.config.get("repeats"))
        found["repeats"] = repeats if isinstance(repeats, int) and repeats > 0 else 1
    return found


def default_length(log: TaskLog) -> int | None:
    """The longest answer where the task sets no length; None where it is unknown."""
    recorded = log.sent.get("max_tokens")
    if isinstance(recorded, int):
        return recorded
    try:
        return int(log.model_args[LENGTH])
    except (KeyError, TypeError, ValueError):
        pass
    if log.source in _HOSTED:
        return HOSTED_LENGTH
    return USUAL_LENGTH if log.source.startswith(_USUAL) else None


def length_decided_by(log: TaskLog) -> str:
    """Who set the length that the task left open, in words."""
    if LENGTH in log.model_args:
        return f"by --model_args {LENGTH}"
    return f"by the default of {log.source}"
