"""Checks the arguments of a model that runs in this process: a misspelt one is found before any request.

lm-eval's API clients accept any argument and drop unknown ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from lm_eval_fr.errors import UsageError, nearest


def check_arguments(model: str, arguments: Mapping[str, Any]) -> None:
    """Raises UsageError for an argument that `model`, a name in lm-eval's registry, does not have."""
    from lm_eval.api.registry import get_model

    known = _known(get_model(model))
    for name in arguments:
        if name not in known:
            remedy = nearest(name, known) or f"it takes {', '.join(sorted(known))}"
            raise UsageError(f"--model_args: {model} has no argument {name!r}", remedy=remedy)


def _known(model: type) -> set[str]:
    """Argument names of the constructor and of those that it passes the rest to."""
    known: set[str] = set()
    for base in model.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return known - {"self"}
