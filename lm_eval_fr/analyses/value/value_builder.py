"""Runs, prices and the definition of a success -> the report's section on value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.analyses.value.costs import NO_TOKEN, ArmCost, TaskCost, arm_cost, refuse_a_guess
from lm_eval_fr.analyses.value.prices import ArmPrice, HourPrice, PriceFlags, arm_prices
from lm_eval_fr.analyses.value.success import Success, parse_success, successes_wanted
from lm_eval_fr.analyses.value.value_model import ArmValue, Sensitivity, TaskValue, ValueRatio, ValueReport
from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import Run
from lm_eval_fr.pairing import PairedTask, Pairing, clusters_over, pair_runs
from lm_eval_fr.plan import LEVEL
from lm_eval_fr.stats import Interval, paired_difference, share_interval, success_rate_per_cost, value_ratio

ALL = "all"
GAPS = (0.0, 0.01, 0.02, 0.05, 0.10, 0.20)
COST_RATIOS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class _Row:
    """One arm on one task, or on all of them together."""

    task: str
    success: str
    clusters: np.ndarray | None
    successes: np.ndarray
    cost: TaskCost


@dataclass(frozen=True)
class _PricedArm:
    """One arm on the documents of its pairing."""

    name: str
    run: Run
    price: ArmPrice
    cost: ArmCost
    rows: tuple[_Row, ...]


def value_runs(
    runs: Sequence[Run],
    flags: PriceFlags,
    *,
    level: float = LEVEL,
    tasks: Collection[str] = (),
    allow: Collection[str] = (),
) -> ValueReport:
    """One run alone, or candidates and, last, the reference. Raises UsageError, InputError or MismatchError."""
    reference, wanted = runs[-1], tasks or None
    pairings = (pair_runs(run, reference, tasks=wanted, allow=allow) for run in (runs[:-1] or runs))
    return value_of_pairings(runs, pairings, flags, level=level)


def value_of_pairings(
    runs: Sequence[Run], pairings: Iterable[Pairing], flags: PriceFlags, *, level: float, names: Sequence[str] = ()
) -> ValueReport:
    """As `value_runs`. pairings: of each candidate. names: the arms' names in the report, the reference last."""
    prices, rules = arm_prices(flags, len(runs)), [parse_success(text) for text in flags.successes]
    alone = len(runs) == 1 or (len(runs) == 2 and runs[0].results_path == runs[1].results_path)
    called = list(names) or _names(runs)
    arms: list[ArmValue] = []
    ratios: list[ValueRatio] = []
    cautions: list[str] = []
    for i, pairing in enumerate(pairings):
        wanted = successes_wanted(rules, pairing)
        reference = _arm(pairing, 1, wanted, prices[-1], called[-1])
        if not alone:
            candidate = _arm(pairing, 0, wanted, prices[i], called[i])
            both = [(arm.name, arm.run, arm.price, arm.cost.tokens) for arm in (candidate, reference)]
            refuse_a_guess(both, estimate=flags.estimate)
            arms.append(_arm_value(candidate, level))
            ratios += [
                _ratio(candidate, reference, *rows, level) for rows in zip(candidate.rows, reference.rows, strict=True)
            ]
            cautions += candidate.cost.cautions
        if alone or i == len(runs) - 2:
            arms.append(_arm_value(reference, level))
            cautions += reference.cost.cautions
    if not rules:
        cautions.append("a success is a primary metric of 0.5 or more; --success sets another rule")
    return ValueReport(
        arms=tuple(arms),
        ratios=tuple(ratios),
        sensitivity=sensitivity(arms[-1].tasks[-1].success_rate) if ratios else None,
        level=level,
        cautions=tuple(dict.fromkeys(cautions)),
    )


def sensitivity(reference_rate: float) -> Sensitivity | None:
    """How the value ratio depends on the least certain inputs. None if the reference never succeeds."""
    if reference_rate <= 0:
        return None
    kept = [(reference_rate - gap) / reference_rate if gap <= reference_rate else None for gap in GAPS]
    rows = tuple(tuple(None if share is None else ratio * share for ratio in COST_RATIOS) for share in kept)
    return Sensitivity(reference_rate=reference_rate, gaps=GAPS, cost_ratios=COST_RATIOS, ratios=rows)


def _names(runs: Sequence[Run]) -> list[str]:
    models = [run.model for run in runs]
    return [
        model if models.count(model) == 1 else f"{model} ({run.path.parent.name or run.path.name})"
        for model, run in zip(models, runs, strict=True)
    ]


def _arm(
    pairing: Pairing, side: int, wanted: Sequence[tuple[PairedTask, Success]], price: ArmPrice, name: str
) -> _PricedArm:
    run = (pairing.candidate, pairing.reference)[side]
    cost = arm_cost(run, side, [task for task, _ in wanted], price, name)
    if not sum(float(task.dollars.sum()) for task in cost.tasks) > 0:
        what = f"{name} used no tokens on these documents, so they cost nothing"
        raise InputError(what, where=run.path, remedy=NO_TOKEN)
    rows = [
        _Row(task.task, str(rule), task.clusters, rule.of((task.candidate, task.reference)[side][rule.metric]), paid)
        for (task, rule), paid in zip(wanted, cost.tasks, strict=True)
    ]
    if len(rows) > 1:
        clusters = clusters_over([task for task, _ in wanted])
        successes = np.concatenate([row.successes for row in rows])
        rows.append(_Row(ALL, "as above", clusters, successes, _together(cost.tasks)))
    return _PricedArm(name, run, price, cost, tuple(rows))


def _arm_value(arm: _PricedArm, level: float) -> ArmValue:
    return ArmValue(
        name=arm.name,
        model=arm.run.model,
        price=str(arm.price.price),
        tokens=arm.cost.tokens,
        cost_note=arm.cost.note,
        tasks=tuple(_task_value(row, level) for row in arm.rows),
    )


def _task_value(row: _Row, level: float) -> TaskValue:
    successes, cost, clusters = row.successes, row.cost, row.clusters
    rate = share_interval(successes, clusters=clusters, level=level)
    per_dollar = success_rate_per_cost(successes, cost.dollars, clusters=clusters, level=level)
    n, total, dollars = len(successes), float(successes.sum()), float(cost.dollars.sum())
    reasons = {"per_dollar": per_dollar.reason} if per_dollar.reason else {}
    if not total:
        reasons["dollars_per_success"] = "no success"
    return TaskValue(
        task=row.task,
        success=row.success,
        n=n,
        clusters=per_dollar.clusters,
        successes=total,
        success_rate=total / n,
        rate_low=rate.low,
        rate_high=rate.high,
        dollars=dollars,
        dollars_per_answer=dollars / n,
        successes_per_dollar=total / dollars if dollars else 0.0,
        per_dollar_low=per_dollar.low,
        per_dollar_high=per_dollar.high,
        dollars_per_success=dollars / total if total else None,
        per_success_low=_inverse(per_dollar.high),
        per_success_high=_inverse(per_dollar.low),
        input_tokens=float(cost.input.sum()),
        output_tokens=float(cost.output.sum()),
        cached_tokens=float(cost.cached.sum()),
        seconds=None if cost.seconds is None else float(cost.seconds.sum()),
        method=per_dollar.method,
        reasons=reasons,
    )


def _ratio(candidate: _PricedArm, reference: _PricedArm, mine: _Row, other: _Row, level: float) -> ValueRatio:
    arms, clusters = [(row.successes, row.cost.dollars) for row in (mine, other)], mine.clusters
    found = value_ratio(*arms, clusters=clusters, level=level)
    ones = np.ones(len(arms[0][0]))
    by_success = value_ratio((arms[0][0], ones), (arms[1][0], ones), clusters=clusters, level=level)
    gap = paired_difference(arms[0][0], arms[1][0], clusters=clusters, level=level).interval
    rates = [float(successes.mean()) for successes, _ in arms]
    costs = [float(dollars.mean()) for _, dollars in arms]
    cost_ratio = costs[1] / costs[0]
    break_even = _inverse(by_success.estimate)
    return ValueRatio(
        candidate=candidate.name,
        reference=reference.name,
        task=mine.task,
        success=mine.success,
        n=len(ones),
        clusters=found.clusters,
        ratio=found.estimate,
        low=found.low,
        high=found.high,
        cost_ratio=cost_ratio,
        candidate_rate=rates[0],
        reference_rate=rates[1],
        rate_difference=rates[0] - rates[1],
        rate_difference_low=gap.low,
        rate_difference_high=gap.high,
        break_even=break_even,
        break_even_low=_inverse(by_success.high),
        break_even_high=_inverse(by_success.low),
        break_even_speedup=_speedup(break_even, candidate.price, reference.price),
        failure_cost=_failure_cost(rates, costs),
        answers_for_100=100 * cost_ratio,
        candidate_successes_for_100=100 * cost_ratio * rates[0],
        reference_successes_for_100=100 * rates[1],
        method=found.method,
        reasons=_ratio_reasons(found, by_success, rates),
    )


def _ratio_reasons(found: Interval, by_success: Interval, rates: Sequence[float]) -> dict[str, str]:
    reasons = {"ratio": found.reason, "break_even": by_success.reason}
    if rates[0] == 0:
        reasons["break_even"] = "the candidate has no successes, so no price makes it worthwhile"
    return {name: reason for name, reason in reasons.items() if reason}


def _speedup(break_even: float | None, candidate: ArmPrice, reference: ArmPrice) -> float | None:
    """How many times as fast the candidate must be to break even, where both are paid by the hour."""
    mine, other = candidate.price, reference.price
    if break_even is None or not isinstance(mine, HourPrice) or not isinstance(other, HourPrice):
        return None
    return break_even * mine.dollars / other.dollars


def _failure_cost(rates: Sequence[float], costs: Sequence[float]) -> float | None:
    """Dollars F a failed answer at which a success costs the same in both arms, failures included.

    (cost + F (1 - rate)) / rate is equal for both at F; None unless one arm costs more and the other fails more.
    """
    if min(rates) <= 0:
        return None
    dearer = costs[1] / rates[1] - costs[0] / rates[0]
    failing = (1 - rates[0]) / rates[0] - (1 - rates[1]) / rates[1]
    found = dearer / failing if failing else 0.0
    return found if found > 0 and dearer > 0 else None


def _together(tasks: Sequence[TaskCost]) -> TaskCost:
    seconds = [task.seconds for task in tasks if task.seconds is not None]
    names = ("dollars", "input", "output", "cached")
    arrays = {name: np.concatenate([getattr(task, name) for task in tasks]) for name in names}
    return TaskCost(**arrays, seconds=np.concatenate(seconds) if len(seconds) == len(tasks) else None)


def _inverse(value: float | None) -> float | None:
    return 1 / value if value else None
