"""The arguments of a model that this process makes: a misspelt one is found before a request is made.

lm-eval's API clients take any argument and drop those that they do not know.
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
            raise UsageError(f"--model_args: {model} takes no {name!r}", remedy=remedy)


def _known(model: type) -> set[str]:
    """Names of the constructor, and of those that it hands the rest on to."""
    known: set[str] = set()
    for base in model.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return known - {"self"}
