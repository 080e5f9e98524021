"""What must agree between two arms before their answers are a pair, and what is only shown side by side.

Pure functions of what the arms logged; lm_eval_fr.pairing decides what to do about a disagreement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.logs.results import listed
from lm_eval_fr.models.presets import LENGTHS
from lm_eval_fr.report.arm_model import Setting

# How to tell a server what another does by default: shown, not refused. An API needs a field to switch reasoning
# off that makes vLLM fail, and has its own name for the seed.
DIALECT = frozenset(
    ("reasoning_effort", "chat_template_kwargs", "extra_body", "enable_thinking", "seed", "random_seed", "safe_prompt")
)
LENGTH = LENGTHS[0]
_OF_CLIENTS = ("max_tokens", LENGTH, "max_completion_tokens", "max_new_tokens")  # the order of lm-eval's API clients


def generation_settings(logged: bytes | Mapping[str, Any], *, api: bool = False) -> dict[str, Any]:
    """Generation settings in one spelling, so that equal work compares equal. api: for a client of an API.

    lm-eval samples greedily at temperature 0, its default, whatever `do_sample` says, which an API is not sent.
    """
    given = _parsed(logged)
    if given is None:
        return {}
    found: dict[str, Any] = {str(name): value for name, value in given.items() if value is not None}
    lengths = [found.pop(name) for name in (_OF_CLIENTS if api else LENGTHS) if name in found]
    if lengths:
        found[LENGTH] = lengths[0]
    found["until"] = sorted(set(stops_in_order(given)))
    found.setdefault("temperature", 0.0)
    if api or found["temperature"] == 0 or found.get("do_sample") == (found["temperature"] != 0):
        found.pop("do_sample", None)
    return found


def stops_in_order(logged: bytes | Mapping[str, Any]) -> list[str]:
    """The stops in the order of the task, or lm-eval's default."""
    until = (_parsed(logged) or {}).get("until")
    return [str(stop) for stop in (until if isinstance(until, list) else ["\n\n" if until is None else until])]


def _parsed(logged: bytes | Mapping[str, Any]) -> Mapping[str, Any] | None:
    given = json.loads(logged) if isinstance(logged, bytes) else logged
    return given if isinstance(given, Mapping) else None


def generation_difference(candidate: Mapping[str, Any], reference: Mapping[str, Any]) -> str | None:
    """None if both settings ask for the same generation, else the first difference, with both values."""
    for name in sorted((candidate.keys() | reference.keys()) - DIALECT):
        if candidate.get(name) != reference.get(name):
            return f"{name} is {_shown(candidate, name)} in the candidate, {_shown(reference, name)} in the reference"
    return None


def arm_settings(candidate: Mapping[str, Any], reference: Mapping[str, Any], prefix: str = "") -> Iterator[Setting]:
    """Both arms' settings side by side, without keys."""
    redactor = Redactor.from_environment()
    for name in dict.fromkeys([*reference, *candidate]):
        values = [redactor.value(arm.get(name), name) for arm in (candidate, reference)]
        yield Setting(prefix + name, *values)


def generation_table(by_task: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Setting]:
    """What was sent with the requests: one row per setting, or per task where their settings differ."""
    names = dict.fromkeys(name for arms in by_task.values() for arm in (arms[1], arms[0]) for name in arm)
    for name in names:
        values = {task: (candidate.get(name), reference.get(name)) for task, (candidate, reference) in by_task.items()}
        distinct = list(values.values())
        if all(value == distinct[0] for value in distinct):
            yield Setting(name, *distinct[0])
        else:
            yield from (Setting(f"{name} ({task})", *value) for task, value in values.items() if value != (None, None))


def scoring_changed(candidate: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """Parts of the task's definition that differ although its version does not, and that no logged hash covers."""
    both = {part: (candidate.get(part), reference.get(part)) for part in ("process_results", "metric_list")}
    return [part for part, (one, other) in both.items() if one is not None and other is not None and one != other]


def filter_definition(config: Mapping[str, Any], name: str) -> Any:
    return next((item.get("filter") for item in listed(config, "filter_list") if item.get("name") == name), None)


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "not set"
