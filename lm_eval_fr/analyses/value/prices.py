"""Prices as the user writes them, one per arm."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm_eval_fr.analyses.value.throughput import Throughput, read_throughput
from lm_eval_fr.errors import UsageError

HOW = "0.15/0.60 or 0.15/0.60/0.015 are dollars per million tokens (input/output/cached), 2.50/h dollars per hour"
_HOUR = re.compile(r"\$?([^/\s]+)\s*/\s*(?:h|hour)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Dollars per million tokens. cached: for input found in the server's cache; None: billed as input."""

    input: float
    output: float
    cached: float | None = None

    def __str__(self) -> str:
        cached = "cached as input" if self.cached is None else f"${self.cached:g} cached"
        return f"${self.input:g} in, ${self.output:g} out, {cached}, per million tokens"


@dataclass(frozen=True, slots=True)
class HourPrice:
    dollars: float

    def __str__(self) -> str:
        return f"${self.dollars:g} per hour"


Price = TokenPrice | HourPrice


@dataclass(frozen=True)
class ArmPrice:
    """What one arm costs. throughput: measured separately. tokenizer: to count with."""

    price: Price
    throughput: Throughput | None = None
    tokenizer: str | None = None

    @property
    def by_tokens(self) -> bool:
        """Whether the dollars depend on the number of tokens; otherwise tokens only divide the run's own time."""
        return isinstance(self.price, TokenPrice) or self.throughput is not None


@dataclass(frozen=True)
class PriceFlags:
    """What the flags say about prices. Each is one for all arms, or one per arm in order.

    successes: what a success is. estimate: take an estimated number of tokens of one arm against a counted one of
    another.
    """

    prices: Sequence[str] = ()
    throughputs: Sequence[Path] = ()
    tokenizers: Sequence[str] = ()
    successes: Sequence[str] = ()
    estimate: bool = False


NO_PRICES = PriceFlags()


def parse_price(text: str) -> Price:
    """Raises UsageError for anything that is not a price, and for a price of 0."""
    if hour := _HOUR.fullmatch(text.strip()):
        return HourPrice(_number(hour[1], text))
    parts = [part.strip().removeprefix("$") for part in text.split("/")]
    if len(parts) not in (2, 3):
        raise UsageError(f"--price {text}: not a price per token or per hour", remedy=HOW)
    cached = _number(parts[2], text, least=0.0) if len(parts) == 3 else None
    return TokenPrice(_number(parts[0], text), _number(parts[1], text), cached)


def _number(text: str, whole: str, least: float | None = None) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--price {whole}: {text!r} is not a number", remedy=HOW) from None
    if not math.isfinite(value) or value < 0 or (value == 0 and least is None):
        remedy = "for a model on your own hardware, give an hourly price: --price 2.50/h"
        raise UsageError(f"--price {whole}: a price of {value:g} would make every ratio infinite", remedy=remedy)
    return value


def arm_prices(flags: PriceFlags, arms: int) -> list[ArmPrice]:
    """One per arm. Raises UsageError for flags that exclude each other and for a price that is missing or 0."""
    if not flags.prices:
        raise UsageError("--price is missing", remedy=HOW)
    prices = [parse_price(text) for text in _each(flags.prices, arms, "--price")]
    paths = [Path(text) for text in _each([str(path) for path in flags.throughputs], arms, "--throughput")]
    tokenizers = _each(flags.tokenizers, arms, "--tokenizer")
    if paths and not any(isinstance(price, HourPrice) for price in prices):
        raise UsageError("prices per token need no throughput", where="--throughput", remedy="--price 2.50/h")
    measured = {path: read_throughput(path) for path in dict.fromkeys(paths)}
    return [
        ArmPrice(
            price,
            measured[paths[i]] if paths and isinstance(price, HourPrice) else None,
            tokenizers[i] if tokenizers else None,
        )
        for i, price in enumerate(prices)
    ]


def _each(given: Sequence[str], arms: int, flag: str) -> list[str]:
    if len(given) in (0, arms):
        return list(given)
    if len(given) == 1:
        return list(given) * arms
    raise UsageError(
        f"{len(given)} for {arms} arms", where=flag, remedy="give one for all arms, or one per arm in order"
    )
