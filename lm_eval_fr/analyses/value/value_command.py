"""`lm-eval-fr value`: runs, prices and what a success is, in; successes per dollar, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm_eval_fr.analyses.part_output import emit
from lm_eval_fr.analyses.value.costs import ArmPrice
from lm_eval_fr.analyses.value.prices import HOW, HourPrice, parse_price
from lm_eval_fr.analyses.value.success import parse_success
from lm_eval_fr.analyses.value.throughput import read_throughput
from lm_eval_fr.analyses.value.value_builder import ValueOptions, value_of_pairings, value_runs
from lm_eval_fr.analyses.value.value_model import ValueReport
from lm_eval_fr.analyses.value.value_section import value_section
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.plan import LEVEL
from lm_eval_fr.report.destinations import NOWHERE, Destinations, Show
from lm_eval_fr.report.model import Extra


@dataclass(frozen=True)
class PriceFlags:
    """What the flags say of prices. Each is one for all arms, or one per arm in order."""

    prices: Sequence[str] = ()
    throughputs: Sequence[Path] = ()
    tokenizers: Sequence[str] = ()
    successes: Sequence[str] = ()
    estimate: bool = False


NO_PRICES = PriceFlags()


def value_command(
    runs: Sequence[Path],
    flags: PriceFlags,
    *,
    show: Show,
    say: Show,
    colour: bool = False,
    to: Destinations = NOWHERE,
    level: float = LEVEL,
    tasks: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> None:
    """runs: one alone, or candidates and, last, the reference. Raises UsageError, InputError or MismatchError."""
    to.check()
    options = options_of(flags, len(runs), level=level, tasks=tasks, allow=allow)
    value = value_runs([find_run(run) for run in runs], options)
    title = " against ".join(arm.name for arm in value.arms)
    emit(_part(value), to, title=title, show=show, say=say, colour=colour)


def value_part(pairing: Pairing, flags: PriceFlags, *, level: float, names: Sequence[str]) -> Extra:
    """What a dollar buys, for a comparison's report."""
    return _part(value_of_pairings([pairing], options_of(flags, 2, level=level), names=names))


def _part(value: ValueReport) -> Extra:
    return Extra(key="value", data=value, section=value_section(value))


def options_of(
    flags: PriceFlags, arms: int, *, level: float, tasks: Sequence[str] = (), allow: Sequence[str] = ()
) -> ValueOptions:
    successes = tuple(parse_success(text) for text in flags.successes)
    return ValueOptions(arm_prices(flags, arms), successes, level, flags.estimate, allow, tasks)


def arm_prices(flags: PriceFlags, arms: int) -> list[ArmPrice]:
    """One per arm. Raises UsageError for flags that exclude each other and for a price that is missing or 0."""
    if not flags.prices:
        raise UsageError("--price is missing: what does an answer cost?", remedy=HOW)
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
