"""What a dollar buys: the report's section on value. Dollars and shares are not rounded; unknown is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TokenSource = Literal["usage", "tokenizer", "estimate", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskValue:
    """One arm on one task (or on all of them together). dollars are for all `n` documents, repeats included."""

    task: str
    success: str
    n: int
    clusters: int | None
    successes: float
    success_rate: float
    rate_low: float | None
    rate_high: float | None
    dollars: float
    dollars_per_answer: float
    successes_per_dollar: float
    per_dollar_low: float | None
    per_dollar_high: float | None
    dollars_per_success: float | None
    per_success_low: float | None
    per_success_high: float | None
    input_tokens: float | None
    output_tokens: float | None
    cached_tokens: float | None
    seconds: float | None
    method: str
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmValue:
    """price: as given, in words. tokens: where their number comes from. cost_note: how the cost was computed."""

    name: str
    model: str
    price: str
    tokens: TokenSource
    cost_note: str
    tasks: tuple[TaskValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRatio:
    """A candidate's successes per dollar against the reference's, on the same documents.

    cost_ratio: what a reference answer costs, in candidate answers (with one hourly price: the speed-up).
    break_even: the cost ratio at which both buy the same. failure_cost: dollars that a failed answer may cost before
    the reference is the better buy; None if no such price exists. The three `for_100` say what the price of a hundred
    reference answers buys.
    """

    candidate: str
    reference: str
    task: str
    success: str
    n: int
    clusters: int | None
    ratio: float | None
    low: float | None
    high: float | None
    cost_ratio: float
    candidate_rate: float
    reference_rate: float
    rate_difference: float
    rate_difference_low: float | None
    rate_difference_high: float | None
    break_even: float | None
    break_even_low: float | None
    break_even_high: float | None
    break_even_speedup: float | None
    failure_cost: float | None
    answers_for_100: float
    candidate_successes_for_100: float
    reference_successes_for_100: float
    method: str
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """ratios[i][j]: the value ratio if the candidate is right gaps[i] less often than the reference and a reference
    answer costs cost_ratios[j] candidate answers; the reference's rate is the measured one. None: a negative rate.
    """

    reference_rate: float
    gaps: tuple[float, ...]
    cost_ratios: tuple[float, ...]
    ratios: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueReport:
    """The reference is the last arm. sensitivity belongs to the last ratio's reference."""

    arms: tuple[ArmValue, ...]
    ratios: tuple[ValueRatio, ...]
    sensitivity: Sensitivity | None
    level: float
    cautions: tuple[str, ...] = ()
