"""What a dollar buys, in words, tables and a chart."""

from __future__ import annotations

from lm_eval_fr.analyses.value.value_model import Sensitivity, ValueRatio, ValueReport
from lm_eval_fr.report import words as w
from lm_eval_fr.report.layout import shorten
from lm_eval_fr.report.sections import Chart, Line, Part, Point, Section, Table
from lm_eval_fr.report.words import significant as number


def value_section(value: ValueReport) -> Section:
    # The last ratio of a candidate is that of all tasks together.
    parts: list[Part] = [sentence(ratio, value.level) for ratio in _headlines(value)]
    parts += [_costs(value), _values(value)]
    parts += [f"{w.printable(arm.name)}: {arm.price}; {arm.cost_note}." for arm in value.arms]
    if value.ratios:
        parts.append(_ratio_table(value))
    if value.sensitivity is not None:
        parts += [_sensitivity_table(value.sensitivity), _chart(value, value.sensitivity)]
    parts += [f"Note: {caution}." for caution in value.cautions]
    return Section("value", "What a dollar buys", tuple(parts))


def _costs(value: ValueReport) -> Table:
    header = ("arm", "task", "success", "n", "rate %", w.level_text(value.level), "$ / 1,000 answers")
    rows = tuple(
        (
            w.printable(arm.name),
            task.task,
            task.success,
            w.count(task.n),
            w.plain(task.success_rate),
            w.interval(task.rate_low, task.rate_high, sign=False),
            number(1000 * task.dollars_per_answer),
        )
        for arm in value.arms
        for task in arm.tasks
    )
    return Table(header, rows, left=(0, 1, 2), names=(0, 1, 2))


def _values(value: ValueReport) -> Table:
    level = w.level_text(value.level)
    header = ("arm", "task", "successes / $", level, "$ / 1,000 successes", level)
    rows = tuple(
        (
            w.printable(arm.name),
            task.task,
            number(task.successes_per_dollar),
            ends(task.per_dollar_low, task.per_dollar_high),
            number(_thousand(task.dollars_per_success)),
            ends(_thousand(task.per_success_low), _thousand(task.per_success_high)),
        )
        for arm in value.arms
        for task in arm.tasks
    )
    return Table(header, rows, left=(0, 1), names=(0, 1))


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1000 * value


def _ratio_table(value: ValueReport) -> Table:
    level = w.level_text(value.level)
    header = ("candidate", "task", "value ratio", level, "cost ratio", "break-even", level)
    rows = tuple(
        (
            w.printable(one.candidate),
            one.task,
            number(one.ratio),
            ends(one.low, one.high),
            number(one.cost_ratio),
            number(one.break_even),
            ends(one.break_even_low, one.break_even_high),
        )
        for one in value.ratios
    )
    caption = (
        f"Value ratio: successes per dollar over those of {w.printable(value.ratios[-1].reference)}, paired. "
        "Cost ratio: what a reference answer costs, in candidate answers; at the break-even both buy the same."
    )
    return Table(header, rows, left=(0, 1), caption=caption, names=(0, 1))


def _headlines(value: ValueReport) -> list[ValueRatio]:
    last = {one.candidate: one for one in value.ratios}
    return list(last.values())


def sentence(one: ValueRatio, level: float) -> str:
    """The ratio in words that stand alone."""
    name, other = w.printable(one.candidate), w.printable(one.reference)
    text = (
        f"For the price of 100 answers of {other}, {number(one.reference_successes_for_100)} of them successes, {name} "
        f"gives {number(one.answers_for_100)} answers with {number(one.candidate_successes_for_100)} successes"
    )
    if one.ratio is None:
        return f"{text}; no ratio: {one.reasons.get('ratio', 'undefined')}."
    if one.low is None or one.high is None:
        return f"{text}: {number(one.ratio)} times as many; no interval: {one.reasons.get('ratio', 'undefined')}."
    verdict = (
        "the candidate buys more" if one.low > 1 else "it buys less" if one.high < 1 else "which buys more is undecided"
    )
    text = f"{text}: {number(one.ratio)} times as many ({w.level_text(level)} {ends(one.low, one.high)}), {verdict}."
    if one.break_even_speedup is not None:
        text += f" It would have to be {number(one.break_even_speedup)} times as fast to break even."
    elif one.break_even is not None:
        text += (
            f" It breaks even when a reference answer costs {number(one.break_even)} times as much as one of its own."
        )
    if one.failure_cost is not None:
        text += (
            f" More answers to one question are not more questions answered: where a failed answer "
            f"costs more than ${number(one.failure_cost)} to notice and fix, the reference is the better buy."
        )
    return text


def _sensitivity_table(one: Sensitivity) -> Table:
    header = ("rate lower by", *(f"{ratio:g} times" for ratio in one.cost_ratios))
    rows = tuple(
        (w.points(gap), *(number(ratio) for ratio in row)) for gap, row in zip(one.gaps, one.ratios, strict=True)
    )
    caption = (
        f"Value ratio if the candidate's rate is this much below the reference's {w.plain(one.reference_rate)} % and a "
        "reference answer costs this many candidate answers (with one hourly price: the speed-up)."
    )
    return Table(header, rows, caption=caption)


def _chart(value: ValueReport, one: Sensitivity) -> Chart:
    """One line per cost ratio over the loss of quality, in points, with the measured point."""
    measured = [ratio for ratio in _headlines(value) if ratio.ratio is not None]
    losses = [-100 * ratio.rate_difference for ratio in measured]
    first, last = min([0.0, *losses]), min(max([100 * one.gaps[-1], *losses]), 100 * one.reference_rate)
    lines = tuple(
        Line(
            f"cost ratio {cost:g}",
            "plain",
            (first, last),
            (cost * (1 - first / 100 / one.reference_rate), cost * (1 - last / 100 / one.reference_rate)),
        )
        for cost in one.cost_ratios
    )
    marks = tuple(
        Point(shorten(w.printable(ratio.candidate), 28), loss, ratio.ratio, ratio.low, ratio.high)
        for ratio, loss in zip(measured, losses, strict=True)
        if ratio.ratio is not None
    )
    return Chart(
        "Value against quality and cost",
        "Above 1 the candidate buys more. Each line is a cost ratio; the points are what was measured.",
        f"points by which the rate is below the reference's {w.plain(one.reference_rate)} %",
        "value ratio",
        lines,
        marks,
        level=1.0,
    )


def ends(low: float | None, high: float | None) -> str:
    return w.UNKNOWN if low is None or high is None else f"[{number(low)}, {number(high)}]"
