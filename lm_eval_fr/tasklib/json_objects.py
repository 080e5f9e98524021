"""JSON objects in answers: found amid prose, and checked against a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_MOST_TRIED = 64  # "{" in one answer: bounds the work that a runaway generation can cause


def find_object(text: str) -> dict[str, Any] | None:
    """The first JSON object that is not empty, else an empty one; code fences and prose around it are allowed."""
    empty: dict[str, Any] | None = None
    place = -1
    for _ in range(_MOST_TRIED):
        place = text.find("{", place + 1)
        if place < 0:
            break
        try:
            value, end = json.JSONDecoder().raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if value:
            return dict(value)
        empty, place = {}, end - 1
    return empty


def is_valid(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether the whole text is JSON under the schema, with nothing around it."""
    try:
        return bool(_validator(json.dumps(schema)).is_valid(json.loads(text)))
    except (ValueError, RecursionError):
        return False


@lru_cache(maxsize=8)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))
