"""What judging found and cost: frozen results that the judge's folder keeps and the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from lm_eval_fr.stats.estimates import Interval, Proportion
from lm_eval_fr.stats.ppi import PeopleNetWin


@dataclass(frozen=True, slots=True)
class Position:
    """`first_answer`: of all A and B verdicts in pairs decided in both orders, those for the first answer.

    `flips_to_first`: of the flips, those for the first answer both times; its p tests for a preferred position.
    """

    both_orders: int
    first_answer: Proportion
    flip: Proportion
    split: Proportion
    consistent: Proportion
    flips_to_first: Proportion


@dataclass(frozen=True, slots=True)
class LengthBin:
    """The judged pairs whose candidate answer is `low` to `high` times as long as the reference's."""

    low: float
    high: float | None
    n: int
    wins: int
    ties: int
    losses: int
    win_share: Proportion


@dataclass(frozen=True, slots=True)
class Length:
    """In characters. `longer_wins`: of the decided pairs with answers of unequal length, those won by the longer."""

    candidate_mean: float
    reference_mean: float
    difference: Interval
    longer_wins: Proportion
    bins: tuple[LengthBin, ...]


@dataclass(frozen=True, slots=True)
class Repeats:
    """`changed`: of all repeated askings of a question in one order, those with two different verdicts. That is noise.

    `order_changed`: of the pairs judged in both orders, those whose opinion the order changed: noise and bias together.
    `bias`: the second less the first, at least 0; None when either is unknown.
    """

    questions: int
    askings: int
    changed: Proportion
    order_changed: Proportion
    bias: float | None


@dataclass(frozen=True, slots=True)
class PositionReport:
    """None if the verdicts have nothing to report. level: of all its intervals."""

    position: Position | None
    length: Length | None
    repeats: Repeats | None
    warnings: tuple[str, ...]
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges, or a judge and people, on the pairs that both decided as win, tie or loss.

    `kappa` is Cohen's: agreement beyond what their shares of win, tie and loss would give by chance. None, with
    a reason, if chance alone gives all of it.
    """

    first: str
    second: str
    n: int
    raw: Proportion
    kappa: float | None
    table: Mapping[str, int]  # "win/tie": pairs that the first calls win and the second tie
    missing: int = 0  # pairs that only one of them decided
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class People(Agreement):
    """Agreement of a judge with people. net_win: what people would say about all judged pairs.

    whose: the people whose preference that is. unknown: labelled documents that are not among the judged pairs.
    """

    net_win: PeopleNetWin | None = None
    whose: str = ""
    labels: int = 0
    pairs: int = 0
    unknown: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """The gross controls by kind. `won`: those whose full answer won in both orders. `lost`: ids of the others judged.

    `hostile_gain`: what an arm would gain in net win (0 to 2) by writing an order to the judge into poor answers; 0 for
    a judge that obeys none, None when no hostile canary was judged.
    """

    n: int
    judged: int
    won: int
    lost: Mapping[str, str]  # the outcome by the canary's id
    by_kind: Mapping[str, tuple[int, int]]  # won, judged
    hostile_gain: float | None
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.won == self.n


@dataclass(frozen=True, slots=True)
class JudgeNoise:
    """The judge on two runs of one arm. `winner` is the run that it prefers although there is nothing to prefer."""

    n: int
    counts: Mapping[str, int]
    decided: Proportion  # pairs in which it saw a difference between two answers of one arm
    first_run: Proportion  # of those, won by the first run
    net_win: Interval
    winner: Literal["run", "rerun"] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgeControls:
    """What else a judge was asked besides the pairs; None if not."""

    canaries: CanaryReport | None = None
    noise: JudgeNoise | None = None
    people: People | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        asked = (self.canaries, self.noise, self.people)
        return tuple(warning for one in asked if one is not None for warning in one.warnings)


@dataclass(frozen=True, slots=True)
class PanelReport:
    """Several judges on the same pairs; without judges, there was no panel. agreement: of every two of them."""

    judges: tuple[str, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    unanimous: Proportion | None = None
    controls: Mapping[str, JudgeControls] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PairUsage:
    """What was paid for one pair, including replies without a verdict."""

    calls: int = 0
    input_tokens: int = 0  # all of the prompt, the cached part included
    cached_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Self) -> Self:
        """A number unknown in one of them is unknown in the sum."""

        def plus(name: str) -> Any:
            mine, theirs = getattr(self, name), getattr(other, name)
            return None if mine is None or theirs is None else mine + theirs

        return type(self)(*map(plus, self.__match_args__))


@dataclass(frozen=True, slots=True)
class Tokens(PairUsage):
    """What one kind of call (live or batch) used. `dollars` is None when a price is unknown."""

    dollars: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The ledger. `calls` are paid replies; `unusable` ones had no verdict."""

    live: Tokens = field(default_factory=Tokens)
    batch: Tokens = field(default_factory=Tokens)
    unusable: int = 0
    failures: int = 0  # attempts that brought no reply
    without_usage: int = 0  # replies without usage: counted at their greatest possible cost
    lost_dollars: float | None = 0.0  # the most for calls whose reply never arrived: the server may bill them
    dollars: float | None = 0.0  # live, batch and lost; None is unknown, and `unknown` says why
    unknown: str | None = None

    @property
    def calls(self) -> int:
        return self.live.calls + self.batch.calls

    @property
    def input_tokens(self) -> int:
        return self.live.input_tokens + self.batch.input_tokens

    @property
    def cached_tokens(self) -> int:
        return self.live.cached_tokens + self.batch.cached_tokens

    @property
    def output_tokens(self) -> int:
        return self.live.output_tokens + self.batch.output_tokens
