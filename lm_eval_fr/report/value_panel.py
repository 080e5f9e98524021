"""What a dollar buys, in words, tables and a chart."""

from __future__ import annotations

from lm_eval_fr.report import words as w
from lm_eval_fr.report.panels import Block, Chart, Line, Mark, Panel, Table
from lm_eval_fr.report.value_model import Sensitivity, ValueRatio, ValueReport

SHOWN_GAPS = (0.0, 0.02, 0.05, 0.10, 0.20)


def value_panel(value: ValueReport) -> Panel:
    blocks: list[Block] = [
        _arms(value),
        *(f"{w.printable(arm.name)}: {arm.price}; {arm.cost_note}." for arm in value.arms),
    ]
    if value.ratios:
        blocks.append(_ratio_table(value))
        # The last ratio of a candidate is that of all tasks together.
        blocks += [sentence(ratio, value.level) for ratio in _headlines(value)]
    if value.sensitivity is not None:
        blocks += [_sensitivity_table(value.sensitivity), _chart(value, value.sensitivity)]
    blocks += [f"Note: {caution}." for caution in value.cautions]
    return Panel("value", "What a dollar buys", tuple(blocks))


def _arms(value: ValueReport) -> Table:
    level = w.level_text(value.level)
    header = (
        "arm",
        "task",
        "success",
        "n",
        "rate %",
        "$ / 1,000 answers",
        "successes / $",
        level,
        "$ / success",
        level,
    )
    rows = tuple(
        (
            w.printable(arm.name),
            task.task,
            task.success,
            w.count(task.n),
            w.plain(task.success_rate),
            number(1000 * task.dollars_per_answer),
            number(task.successes_per_dollar),
            ends(task.per_dollar_low, task.per_dollar_high),
            number(task.dollars_per_success),
            ends(task.per_success_low, task.per_success_high),
        )
        for arm in value.arms
        for task in arm.tasks
    )
    return Table(header, rows, left=(0, 1, 2), names=(0, 1, 2))


def _ratio_table(value: ValueReport) -> Table:
    level = w.level_text(value.level)
    header = ("candidate / reference", "task", "value ratio", level, "cost ratio", "break-even at", level)
    rows = tuple(
        (
            f"{w.printable(one.candidate)} / {w.printable(one.reference)}",
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
        "Value ratio: the candidate's successes per dollar over the reference's, paired. Cost ratio: what a reference "
        "answer costs, in candidate answers; at the break-even both buy the same."
    )
    return Table(header, rows, left=(0, 1), caption=caption, names=(0, 1))


def _headlines(value: ValueReport) -> list[ValueRatio]:
    last = {one.candidate: one for one in value.ratios}
    return list(last.values())


def sentence(one: ValueRatio, level: float) -> str:
    """What the ratio comes to, in words that stand alone."""
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
            f" Further answers to one question are not further questions answered: where a failed answer costs more "
            f"than ${number(one.failure_cost)} to notice and mend, the reference is the better buy."
        )
    return text


def _sensitivity_table(one: Sensitivity) -> Table:
    header = ("rate lower by", *(f"cost ratio {ratio:g}" for ratio in one.cost_ratios))
    rows = tuple(
        (f"{100 * gap:g} points", *(number(ratio) for ratio in row))
        for gap, row in zip(one.gaps, one.ratios, strict=True)
    )
    caption = (
        f"Value ratio if the candidate's rate is so much below the reference's {w.plain(one.reference_rate)} % and a "
        "reference answer costs so many candidate answers (with one price an hour: the speed-up)."
    )
    return Table(header, rows, caption=caption)


def _chart(value: ValueReport, one: Sensitivity) -> Chart:
    lines = tuple(
        Line(
            f"{100 * gap:g} points lower" if gap else "same rate",
            "plain",
            one.cost_ratios,
            tuple(ratio * (one.reference_rate - gap) / one.reference_rate for ratio in one.cost_ratios),
        )
        for gap in one.gaps
        if gap in SHOWN_GAPS and gap <= one.reference_rate
    )
    low, high = one.cost_ratios[0], one.cost_ratios[-1]
    marks = tuple(
        Mark(ratio.candidate, ratio.cost_ratio, ratio.ratio, ratio.low, ratio.high)
        for ratio in _headlines(value)
        if ratio.ratio is not None and low <= ratio.cost_ratio <= high
    )
    outside = [ratio for ratio in _headlines(value) if not low <= ratio.cost_ratio <= high]
    said = "The points are what was measured. " if marks else ""
    if outside:
        said += (
            f"Off the scale: {', '.join(f'{r.candidate} at a cost ratio of {number(r.cost_ratio)}' for r in outside)}."
        )
    return Chart(
        "Value against cost and quality",
        f"Each line is a loss of quality; above 1 the candidate buys more. {said}".strip(),
        "cost ratio: a reference answer in candidate answers",
        "value ratio",
        lines,
        marks,
        level=1.0,
    )


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return w.UNKNOWN
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return (
        f"{value:.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.3g}"
    )


def ends(low: float | None, high: float | None) -> str:
    return w.UNKNOWN if low is None or high is None else f"[{number(low)}, {number(high)}]"
