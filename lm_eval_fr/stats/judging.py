"""What a judging found and what it cost: frozen results, which the judge's folder keeps and the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .estimates import Interval, Proportion


@dataclass(frozen=True, slots=True)
class Position:
    """`first_answer`: of all A and B given in pairs that were decided in both orders, those that named the first.

    `flips_to_first`: of the flips, those where it was the first both times; its p says whether the judge leans.
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
    """`changed`: of all two askings of one question in one order, those that got two verdicts. That is noise.

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
    """None where the verdicts hold nothing to report on."""

    position: Position | None
    length: Length | None
    repeats: Repeats | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges, or a judge and people, on the pairs that both decided as win, tie or loss.

    `kappa` is Cohen's: agreement beyond what their shares of win, tie and loss would give by chance. None, with a
    reason, where chance alone gives all of it.
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
class Tokens:
    """What one kind of call (live or batch) used. `dollars` is None when a price is unknown."""

    calls: int = 0
    input_tokens: int = 0  # all of the prompt, the cached part included
    cached_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The ledger. `calls` are replies that were paid for; `unusable` ones of them held no verdict."""

    live: Tokens = field(default_factory=Tokens)
    batch: Tokens = field(default_factory=Tokens)
    unusable: int = 0
    failures: int = 0  # attempts that brought no reply
    without_usage: int = 0  # replies whose server did not say what they used: counted at the most they can cost
    lost_dollars: float | None = 0.0  # at most this for calls whose reply never arrived: the server may bill them
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
