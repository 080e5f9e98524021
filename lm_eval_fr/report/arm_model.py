"""What is known about the two arms: their names, how their answers ended, their settings side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How many of an arm's answers are not real answers: counted, never dropped.

    failed: no answer was obtained. empty: only white space. truncated: by the server's finish_reason, or else
    by a heuristic: as long as max_gen_toks allows (two characters per token) and ends inside a sentence.
    """

    answers: int
    empty: int
    truncated: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One served model, as its run describes it. `name` is short and distinct from the other arm's."""

    name: str
    model: str
    source: str
    path: str
    date: str | None = None
    seconds: float | None = None
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of both arms; None if an arm has no record of it."""

    name: str
    candidate: Any
    reference: Any

    @property
    def differs(self) -> bool:
        return bool(self.candidate != self.reference)

    @property
    def expected(self) -> bool:
        """Whether this setting is meant to differ (the arm's name, its address, its date)."""
        return self.name in ("model", "source") or self.name.startswith("model_args.")
