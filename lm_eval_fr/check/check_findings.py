"""What a preflight found, and how it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TextIO

from lm_eval_fr.check.decision import Prospects
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.io.terminal import LINES, columns_of, fold
from lm_eval_fr.judge.asking.protocol import Prices
from lm_eval_fr.judge.estimate import Estimate

Level = Literal["ok", "warning", "problem"]
MARKS: dict[Level, str] = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


@dataclass(frozen=True)
class Finding:
    """where: "candidate", "reference", "both arms", "judge", "tasks" or "plan"."""

    level: Level
    where: str
    what: str
    remedy: str = ""

    @classmethod
    def of(cls, error: LmEvalFrError, where: str) -> Finding:
        place = f"{error.where}: " if error.where else ""
        return cls("problem", where, f"{place}{error.what}", error.remedy)

    def __str__(self) -> str:
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{MARKS[self.level]}  {self.where}: {self.what}{advice}"


@dataclass(frozen=True)
class ArmEstimate:
    """What an arm will ask over all its runs. Tokens are counted by its own server if there is one (`measured`).

    documents: of one run. requests: of them, reruns and repeats included. output_tokens: at most, if every answer is
    as long as its task allows. own: whether it runs on the user's hardware. prices: the API's; None if unknown.
    """

    arm: str
    documents: int
    requests: int
    input_tokens: int
    output_tokens: int
    measured: bool
    own: bool
    prices: Prices | None = None

    @property
    def dollars(self) -> float | None:
        """At most."""
        if self.own or self.prices is None or self.prices.input is None or self.prices.output is None:
            return None
        return (self.input_tokens * self.prices.input + self.output_tokens * self.prices.output) / 1_000_000

    def __str__(self) -> str:
        again = f" ({self.documents:,} documents)" if self.requests > self.documents else ""
        rate = "by its server's count" if self.measured else "at four characters a token"
        asked = f"{self.requests:,} requests{again}"
        tokens = f"{self.input_tokens:,} tokens in {rate}, {self.output_tokens:,} out at most"
        return f"{self.arm}: {asked}, {tokens}; {self._cost()}"

    @property
    def brief(self) -> str:
        return f"{self.arm}: {self.requests:,} requests; {self._cost()}"

    def _cost(self) -> str:
        if self.own:
            return "your own hardware"
        if self.dollars is None or self.prices is None:
            return "cost unknown: multiply by your API's prices"
        return f"${self.dollars:.2f} at most, at ${self.prices.input:g} and ${self.prices.output:g} a million"


@dataclass(frozen=True)
class CheckReport:
    """judge: one estimate per judge, for answers of a typical length. prospects: what the documents can decide."""

    plan: str
    findings: tuple[Finding, ...]
    arms: tuple[ArmEstimate, ...] = ()
    judge: tuple[Estimate, ...] = ()
    prospects: Prospects = field(default_factory=Prospects)

    @property
    def problems(self) -> tuple[Finding, ...]:
        return self._of("problem")

    @property
    def exit_code(self) -> int:
        return 2 if self.problems else 0

    def lines(self) -> Iterator[str]:
        if self.prospects.headline and not self.problems:
            yield self.prospects.headline
            yield ""
        yield from map(str, self.findings)
        if self.prospects.claims:
            yield ""
            yield "What it can decide:"
            yield from (f"  {line}" for line in self.prospects.lines())
        if self.arms or self.judge:
            yield ""
            yield "What the study will ask:"
            yield from (f"  {arm}" for arm in self.arms)
            for estimate in self.judge:
                yield from (f"  {line}" for line in estimate.text().splitlines())
        yield ""
        yield self.conclusion

    @property
    def conclusion(self) -> str:
        if self.problems:
            count, them = ("1 problem", "it") if len(self.problems) == 1 else (f"{len(self.problems)} problems", "them")
            return f"{count}: fix {them} before `lm-eval-fr ab {self.plan}`"
        warnings = len(self._of("warning"))
        noted = f", {warnings} warning{'s' if warnings != 1 else ''}" if warnings else ""
        return f"ready{noted}: lm-eval-fr ab {self.plan}"

    def text(self) -> str:
        return "\n".join(self.lines())

    def brief(self, columns: int) -> str:
        """At most fifteen lines for a terminal: the problems, or else what can be decided, and what it will cost."""
        found = [str(one) for one in self.problems]
        if not self.problems:
            found += [*filter(None, [self.prospects.headline]), *self.prospects.table()]
        found += [str(one) for one in self._of("warning")]
        if not self.problems:
            found += [*(arm.brief for arm in self.arms), *(judge.brief for judge in self.judge)]
        body, room = fold("\n".join(found), columns).split("\n"), LINES - 2
        more = f"… {len(body) - room:,} more, what is in order" if len(body) > room else "What is in order"
        return "\n".join([*body[:room], f"{more}, and what was assumed: --full", self.conclusion])

    def on_terminal(self, stream: TextIO, *, full: bool = False) -> str:
        """`brief` in the terminal's width; all of the text if `stream` is not a terminal, or if full."""
        if not stream.isatty():
            return self.text()
        columns = columns_of(stream)
        return fold(self.text(), columns) if full else self.brief(columns)

    def _of(self, level: Level) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == level)
