"""Whether an answer follows its instructions: as it is (strict), or in one of eight lenient readings (loose)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from lm_eval_fr.tasklib.instruction_rules import RELATIONS, RULES

LANGUAGE = "fr:"
_TYPES = {"int": int, "str": str, "Sequence[str]": list, "Mapping[str, str]": dict}


class Kept(NamedTuple):  # lm-eval runs a task's utils.py outside any module: a dataclass would fail
    strict: bool
    loose: bool


def check(kind: str, arguments: Mapping[str, Any], answer: str) -> Kept:
    """arguments: the data set's kwargs of this instruction; null counts as not given."""
    rule, given = RULES[kind.removeprefix(LANGUAGE)], given_arguments(arguments)
    strict = bool(answer.strip()) and rule(answer, **given)
    return Kept(strict, strict or any(rule(text, **given) for text in readings(answer)))


def readings(answer: str) -> list[str]:
    """The answer whole, without its first line, its last line, both; each also without asterisks. No blank ones."""
    lines = answer.split("\n")
    cut = [answer, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    texts = dict.fromkeys([*cut, *(text.replace("*", "") for text in cut)])
    return [text for text in texts if text.strip()]


def given_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Without the nulls that loaders fill in for other instructions' arguments."""
    found = {name: value for name, value in arguments.items() if value is not None}
    return {name: given_arguments(value) if isinstance(value, dict) else value for name, value in found.items()}


def family(kind: str) -> str:
    return kind.removeprefix(LANGUAGE).split(":")[0]


def definition_fault(kind: str, arguments: Mapping[str, Any]) -> str:
    """Why an instruction cannot be checked, "" if it can."""
    rule = RULES.get(kind.removeprefix(LANGUAGE)) if kind.startswith(LANGUAGE) else None
    if rule is None:
        return f'unknown kind of instruction "{kind}"'
    wanted, given = _wanted(kind), given_arguments(arguments)
    for name, type_ in wanted.items():
        value = given.pop(name, None)
        relation = name.endswith("relation")
        if not isinstance(value, type_) or (relation and value not in RELATIONS):
            needed = " or ".join(f'"{word}"' for word in RELATIONS) if relation else f"of type {type_.__name__}"
            return f'{kind} needs "{name}" {needed}'
    return f'{kind} has no argument "{next(iter(given))}"' if given else ""


@cache
def _wanted(kind: str) -> dict[str, type]:
    parameters = list(inspect.signature(RULES[kind.removeprefix(LANGUAGE)]).parameters.values())[1:]
    return {parameter.name: _TYPES[str(parameter.annotation)] for parameter in parameters}
