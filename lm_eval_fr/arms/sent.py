"""What an arm really sends, which lm-eval does not fully log: lengths, stops and seeds that a client decides by itself.

`arm_STAMP.json` holds it under "sent", one object a task:

    {"piaf_fr": {
        "max_tokens": 64,             the longest answer that was asked for
        "max_tokens_from": "task",    by "task" (its YAML or --gen_kwargs), "model_args" or "client" (its
                                      default); "server" where none is sent (omit=max_tokens)
        "stop": ["</s>"],             the stops that were sent; the model's own end mark is left out
        "stop_applied_here": [],      those that the client does not send (chat clients: beyond the fourth; omit=stop):
                                      the answer is cut at them before it is scored
        "temperature": 0.0,           null: none is sent (omit=temperature), and the server decides
        "seed": null,                 null: none is sent. It decides nothing at temperature 0
        "repeats": 1,                 answers per document
        "num_fewshot": 0,
        "other": {"top_p": 0.9}}}     every other field of the request but the model's name and the prompt

A task without an answer in words has only "repeats" and "num_fewshot". Where "max_tokens_from" is null too, the length
is that of an engine which this version does not know. Without "sent" the run was made by an earlier version, or by
lm-eval.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lm_eval_fr.errors import UsageError
from lm_eval_fr.models.presets import LENGTHS

FIELDS = ("max_tokens", "max_completion_tokens", "max_new_tokens")  # fields of a request that servers know
PROMPTS = ("messages", "prompt", "input_ids", "text", "system", "model")
SEEDS = ("seed", "random_seed")
NOT_SENT = ("until", "do_sample", *LENGTHS)


@dataclass(frozen=True)
class Sent:
    """One task's settings as sent; the names are those of the module's table."""

    max_tokens: int | None = None
    max_tokens_from: str | None = None
    stop: Sequence[str] | None = None
    stop_applied_here: Sequence[str] = ()
    temperature: float | None = None
    seed: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict)


def sent_by(lm: Any, settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> Sent:
    """What `lm` sends for a request's generation settings. arguments: the arm's --model_args."""
    asked = stops_of(settings)
    if hasattr(lm, "_create_payload"):
        return _by_an_api(lm, settings, arguments, asked)
    return _by_an_engine(lm, settings, arguments, asked)


def stops_of(settings: Mapping[str, Any]) -> list[str]:
    until = settings.get("until") or []
    return [until] if isinstance(until, str) else [str(stop) for stop in until]


def refuse_one_seed(task: str, sent: Sent, repeats: int) -> None:
    """Raises UsageError for sampled answers that would all be the same: the server gets one seed for all."""
    if repeats > 1 and sent.seed is not None and sent.temperature != 0:
        what = f"{task} samples {repeats} answers per document, and every request would carry the seed {sent.seed}"
        remedy = "use --model hosted-chat, which sends none unless --model_args has seed="
        raise UsageError(f"{what}: they would be one answer", remedy=remedy)


def cut_at(text: str, stops: Sequence[str]) -> str:
    """`text` as a server with these stops would have ended it."""
    for stop in stops:
        text = text.split(stop, 1)[0] if stop else text
    return text


def _by_an_api(lm: Any, settings: Mapping[str, Any], arguments: Mapping[str, Any], asked: list[str]) -> Sent:
    """The request body that its client makes, which is authoritative."""
    eos = getattr(lm, "eos_string", None)
    body: dict[str, Any] = lm._create_payload(
        [{"role": "user", "content": ""}],
        generate=True,
        gen_kwargs=copy.deepcopy(dict(settings)),
        seed=lm._seed,
        eos=eos,
    )
    body |= body.pop("sampling_params", {})  # sglang's own endpoint
    length = next((name for name in FIELDS if name in body), None)
    stop = body.get("stop") or body.get("stop_sequences") or []
    told = [stop] if isinstance(stop, str) else list(stop)
    taken = (*PROMPTS, *SEEDS, length, LENGTHS[0], "stop", "stop_sequences", "temperature")
    return Sent(
        max_tokens=None if length is None else body[length],
        max_tokens_from=_who(settings, arguments, None if length is None else body[length]),
        stop=[mark for mark in told if mark in asked or mark != eos],
        stop_applied_here=[mark for mark in asked if mark not in told],
        temperature=body.get("temperature"),
        seed=next((body[name] for name in SEEDS if name in body), None),
        other=_plain({name: value for name, value in body.items() if name not in taken}),
    )


def _by_an_engine(lm: Any, settings: Mapping[str, Any], arguments: Mapping[str, Any], asked: list[str]) -> Sent:
    """lm-eval's engines in this process accept every stop, and each has one default length."""
    length = next((settings[name] for name in LENGTHS if settings.get(name) is not None), None)
    if length is None:
        length = getattr(lm, "max_gen_toks", None)
    greedy = settings.get("do_sample") is False or settings.get("temperature") is None
    return Sent(
        max_tokens=length if isinstance(length, int) else None,
        max_tokens_from=None if length is None else _who(settings, arguments, length),
        stop=asked,
        temperature=0.0 if greedy else settings.get("temperature"),
        seed=arguments.get("seed"),
        other=_plain({n: value for n, value in settings.items() if n not in (*NOT_SENT, *SEEDS, "temperature")}),
    )


def _who(settings: Mapping[str, Any], arguments: Mapping[str, Any], length: Any) -> str:
    """Who set the `length` that is sent; None if none is."""
    if length is None:
        return "server"
    asked = [settings[name] for name in LENGTHS if settings.get(name) is not None]
    if asked:
        return "task" if length in asked else "model_args"
    extra = arguments.get("extra_body")
    named = {*arguments, *(extra if isinstance(extra, Mapping) else ())}
    return "model_args" if named.intersection(LENGTHS) else "client"


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(fields, default=str, sort_keys=True))
    return plain
