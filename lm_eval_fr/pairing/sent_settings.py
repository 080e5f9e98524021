"""What each arm was really sent, where a client or an engine set what the task left open, or changed it.

From the arm's own record if `lm-eval-fr run` left one; else from the known behaviour of lm-eval's clients and engines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lm_eval_fr.logs.task_log import TaskLog
from lm_eval_fr.models.presets import CLIENT_SEED, HOSTED_LENGTH
from lm_eval_fr.pairing.agreement import LENGTH, generation_settings, stops_in_order

USUAL_LENGTH = 256  # default maximum length of lm-eval 0.4.2 to 0.4.13's clients and engines
_HOSTED = ("hosted-chat", "batch-chat")
_CLIENTS = ("local-", "openai", "azure-openai", "litellm")  # lm-eval's own, which send a seed
_API = (*_CLIENTS, *_HOSTED, "anthropic-chat", "sglang-generate")
_USUAL = (
    *("anthropic", "azure-openai", "hf", "huggingface", "litellm", "local-", "megatron_lm", "nemo_lm", "neuronx"),
    *("onnxruntime", "openai", "openvino", "sglang", "steered", "textsynth", "trtllm", "vllm"),
)
_FOUR_STOPS = ("local-chat-completions", "openai-chat-completions", "azure-openai", "litellm", *_HOSTED)
MOST_STOPS = 4  # that lm-eval's chat clients send; they drop the others silently
_NAMES = {"stop": "until", "max_tokens": LENGTH, "max_completion_tokens": LENGTH}  # a request's -> lm-eval's
_OPENAI = ("openai-chat-completions", "azure-openai")
# Since this version of lm-eval: parts of models' names.
_FIXED = (((0, 4, 6), ("o1",)), ((0, 4, 9, 2), ("o1", "o3", "o4", "5")))


def as_sent(logged: bytes | Mapping[str, Any], log: TaskLog) -> dict[str, Any]:
    """The generation settings of a request as they were sent, in one spelling. logged: as lm-eval logged them."""
    if "max_tokens" in log.sent or "other" in log.sent:
        settings, asked = (generation_settings(one, api=_is_api(log.source)) for one in (logged, log.generation))
        found = _changed(settings, asked, _recorded(log.sent, asked)) if settings else {}
        if _is_api(log.source) and log.sent.get("seed") is not None:  # an engine's is an argument of the arm
            found.setdefault("seed", log.sent["seed"])
    else:
        found = by_client(logged, log.source, log.model_args, log.lm_eval_version)
    if "voting" not in log.metadata:  # there the arms may draw any number
        repeats = log.sent.get("repeats", log.config.get("repeats"))
        found["repeats"] = repeats if isinstance(repeats, int) and repeats > 0 else 1
    return found


def by_client(
    asked: bytes | Mapping[str, Any], source: str, arguments: Mapping[str, Any], version: str = ""
) -> dict[str, Any]:
    """What lm-eval's client or engine of this name makes of a request's settings, if it left no record.

    arguments: the arm's --model_args. version: of lm-eval, "" for today's.
    """
    found = generation_settings(asked, api=_is_api(source))
    if not found:
        return {}
    if found.get(LENGTH) is None and (length := _default_length(source, arguments)) is not None:
        found[LENGTH] = length
    if source.startswith(_FOUR_STOPS):
        found["until"] = sorted(set(stops_in_order(asked)[:MOST_STOPS]))
    if source.startswith("anthropic-chat"):
        found["until"] = [stop for stop in found["until"] if stop.strip()]
    if source.startswith(_OPENAI) and _is_fixed(str(arguments.get("model")), version):
        found |= {"temperature": 1, "until": []}
    if source.startswith(_CLIENTS):
        found.setdefault("seed", arguments.get("seed", CLIENT_SEED))
    return _by_our_client(found, arguments) if source in _HOSTED else found


def _by_our_client(found: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What `extra_body` and `omit` change."""
    extra, omitted = arguments.get("extra_body"), str(arguments.get("omit") or "").split("+")
    more = extra if isinstance(extra, Mapping) else {}
    named = {_NAMES.get(str(name), str(name)): value for name, value in more.items()}
    sent = generation_settings({**found, **named}, api=True)
    return {name: value for name, value in sent.items() if name not in {_NAMES.get(word, word) for word in omitted}}


def _default_length(source: str, arguments: Mapping[str, Any]) -> int | None:
    """The maximum length if the task sets none; None if unknown."""
    try:
        return int(arguments[LENGTH])
    except (KeyError, TypeError, ValueError):
        pass
    if source in _HOSTED:
        return HOSTED_LENGTH
    return USUAL_LENGTH if source.startswith(_USUAL) else None


def length_decided_by(log: TaskLog, logged: Mapping[str, Any]) -> str | None:
    """Who set the maximum length, in words; None if the task did. logged: its settings as logged."""
    by = log.sent.get("max_tokens_from")
    if by == "server":
        return "left to the server"
    if by == "model_args" or (by is None and LENGTH not in logged and LENGTH in log.model_args):
        return f"set by --model_args {LENGTH if LENGTH in log.model_args else 'extra_body'}"
    return f"set by the default of {log.source}" if by == "client" or LENGTH not in logged else None


def _is_api(source: str) -> bool:
    return source.startswith(_API)


def _recorded(sent: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """An arm's record (arms/sent.py) as settings; `asked`: the task's, used where the record has none."""
    other = sent.get("other")
    found = {str(name): value for name, value in other.items()} if isinstance(other, Mapping) else dict(asked)
    told, here = sent.get("stop"), sent.get("stop_applied_here")
    stops = [*told, *(here if isinstance(here, list) else ())] if isinstance(told, list) else asked["until"]
    found |= {"until": sorted(set(map(str, stops))), "temperature": sent.get("temperature", asked["temperature"])}
    found[LENGTH] = sent.get("max_tokens", asked.get(LENGTH))
    return {name: value for name, value in found.items() if value is not None}


def _changed(settings: Mapping[str, Any], asked: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with the client's changes to `asked`, the settings of the task."""
    kept = {name: value for name, value in settings.items() if name in sent or name not in asked}
    return {**kept, **{name: value for name, value in sent.items() if asked.get(name) != value or name not in kept}}


def _is_fixed(model: str, version: str) -> bool:
    """Whether lm-eval's OpenAI client always sends temperature 1 and no stop to a model of this name."""
    number = tuple(map(int, re.findall(r"\d{1,4}", version)[:4]))
    known = [parts for since, parts in _FIXED if not number or number >= since]
    return bool(known) and any(part in model for part in known[-1])
