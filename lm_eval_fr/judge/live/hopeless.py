"""When to stop: questions in a row without a verdict, and what most of them have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.judge.asking.protocol import OUTPUT_LIMITS, Profile
from lm_eval_fr.judge.verdicts.question_life import QuestionLife

IN_A_ROW = 20  # questions without a verdict
PROBES = 3  # questions to a server that has never answered


@dataclass(frozen=True, slots=True)
class Halt:
    """Why nothing more is sent. `error` is set if the run has to fail; `what` says why in one line."""

    why: Literal["budget", "server", "hopeless", "controls", "interrupt", "error", "decided", "no calls"]
    what: str
    remedy: str = ""
    error: LmEvalFrError | None = None


@dataclass(slots=True)
class Streak:
    """The questions since the last verdict. `replied`: whether the server ever answered in this run."""

    profile: Profile
    most: int = IN_A_ROW
    replied: bool = False
    _row: list[QuestionLife] = field(default_factory=list)

    def add(self, life: QuestionLife) -> Halt | None:
        """Records the outcome of a question; returns a Halt if it was one too many."""
        if life.state == "answered":
            self._row.clear()
            return None
        self._row.append(life)
        if len(self._row) < (self.most if self.replied else min(PROBES, self.most)):
            return None
        causes = Counter(_cause(life) for life in self._row)
        cause, count = causes.most_common(1)[0]
        last = next(life.said for life in reversed(self._row) if _cause(life) == cause)
        n = len(self._row)
        if cause == "no reply":
            return Halt("server", f"{n} questions in a row got no answer; the last: {last}", "rerun when it answers")
        return Halt("hopeless", f"{n} questions in a row got no verdict, {count} of them: {last}", self._remedy(cause))

    def _remedy(self, cause: str) -> str:
        copy = f"in a copy of profile {self.profile.name}"
        schema = self.profile.response_format == "json_schema"
        limit = next((name for name in OUTPUT_LIMITS if name in self.profile.parameters), OUTPUT_LIMITS[0])
        remedies = {
            "prompt": f"raise the server's context length, or set `context` {copy} to the tokens that it reads",
            "length": f"raise {limit} {copy}; a model that reasons spends it on that first",
            "thinking": "start the server with the model's reasoning parser (vLLM: --reasoning-parser NAME), or turn "
            f"thinking off {copy}",
            "prose": "choose a server that enforces `response_format`, or another judge"
            if schema
            else f"set `response_format: json_schema` {copy}, or choose another judge",
            "empty": f"raise {limit} {copy}, or choose another judge",
            "no completion": "is this an OpenAI-compatible server? check --base-url",
            "refused": "choose a judge without that filter: these pairs are not asked again",
        }
        return remedies[cause]


def _cause(life: QuestionLife) -> str:
    if life.cautions:
        return "prompt"
    return life.cause or "no reply"
