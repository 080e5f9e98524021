"""The verdict, what must be known before it, and every claim against its margin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from lm_eval_fr.report import words as w
from lm_eval_fr.report.arm_model import Arm, Health
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.sections import Claim, Facts, Fold, Forest, Items, Part, Section, Span, Table, Word, section
from lm_eval_fr.report.task_model import Bounds, Claimed, MeanClaim, Measured, Stratum, TaskResult
from lm_eval_fr.stats import (
    ASSUMPTIONS,
    ONE_MAY_LOSE_MORE,
    Assessment,
    Difference,
    Guarantee,
    Interval,
    Verdict,
)


def verdict_section(report: Report) -> Section:
    overall, level = report.overall, w.level_text(report.level)
    ruled_out = f"Ruled out, each at {level} confidence ({w.one_sided(report.level)} risk of error per claim):"
    scope: tuple[Part, ...] = (
        *((ruled_out, Items(overall.ruled_out)) if overall.ruled_out else ()),
        *((overall.not_claimed,) if overall.not_claimed else ()),
        Facts(
            (
                ("candidate", _arm(report.candidate)),
                ("reference", _arm(report.reference)),
                ("plan", _plan(report)),
            )
        ),
    )
    advice = f"Next: {overall.advice}" if overall.advice else ""
    mean = report.overall_mean.sentence if report.overall_mean else ""
    said = [text for text in (overall.sentence, mean, advice, overall.coverage, *guarantee_lines(report)) if text]
    parts: tuple[Part, ...] = (
        *said,
        Fold("What is ruled out, what is not claimed, and the arms", scope, everywhere=True),
    )
    return Section("verdict", w.titled(report), parts, verdict=Word(overall.verdict))


def guarantee_lines(report: Report) -> Iterator[str]:
    """What the verdicts assume about unseen losses, and what they would be otherwise.

    Empty if no claim has clusters: both guarantees are then the same.
    """
    others = list(_others(report))
    chosen: Guarantee | None = next((name for _, name in others), None)
    if chosen is None:
        return
    other: Guarantee = "worst-case" if chosen == "default" else "default"
    yield f"Taken for granted ({chosen} guarantee): {ASSUMPTIONS[chosen]}."
    yield f"If instead {ASSUMPTIONS[other]} ({other}): {'; '.join(said for said, _ in others)}."


def _others(report: Report) -> Iterator[tuple[str, Guarantee]]:
    """For each claim (or each difference, if nothing is claimed), the result under the other guarantee."""
    found: list[tuple[str, Difference, Assessment | None, Verdict | None, Bounds | None, float]] = [
        (t.task, t.paired, t.assessment, t.verdict, t.other_ci, t.scale) for t in report.tasks if not t.group
    ]
    if (m := report.overall_mean) is not None:
        found.append(("the mean over tasks", m.paired, m.assessment, m.verdict, m.other_ci, m.scale))
    if (j := report.judge) is not None:
        found.append(("the judge", j.preference.net_win, j.assessment, j.verdict, j.other_ci, 100.0))
    for name, paired, assessment, verdict, bounds, scale in found:
        if bounds is None:
            continue
        said = f"{name} {w.against(bounds, assessment.margin if assessment else None, scale)}"
        if assessment is not None and assessment.other_verdict is not None and verdict != "no_verdict":
            same = " still" if assessment.other_verdict == verdict else ""
            said += f",{same} {w.word(assessment.other_verdict)}"
        yield said, paired.guarantee


def _plan(report: Report) -> str:
    if report.plan_hash is None:
        return "none: the margins were not fixed in a plan file"
    changed = any(caution.kind == "plan_changed" for caution in report.warnings)
    fixed = "the plan was changed after results were seen" if changed else "the margins were fixed in this plan"
    return f"sha256 {report.plan_hash}: {fixed}"


def _arm(arm: Arm) -> str:
    name = f"{arm.name}: {arm.model}" if arm.name != arm.model else arm.model
    parts = [f"{name} ({arm.source})", *([arm.date] if arm.date else [])]
    return ", ".join([*parts, *([health_of(arm.health)] if arm.health else [])])


def health_of(h: Health) -> str:
    return f"{w.plural(h.answers, 'answer')}: {h.empty:,} empty, {h.truncated:,} cut off, {h.failed:,} failed"


def alarms_section(report: Report) -> Section | None:
    """What invalidates the verdict."""
    return section("alarms", "Read this first", (Items(cautions(report, alarming=True), alarm=True),))


def warnings_section(report: Report) -> Section | None:
    """What qualifies it."""
    items = cautions(report, alarming=False)
    return section("warnings", w.plural(len(items), "caution").capitalize(), (Items(items),))


def cautions(report: Report, *, alarming: bool) -> tuple[str, ...]:
    return tuple(caution.text for caution in report.warnings if caution.invalidates is alarming)


def tasks_section(report: Report) -> Section | None:
    forest = forest_of(report)
    if not forest.claims:
        return None
    legend = "In points (hundredths) unless a metric has its own unit; difference = candidate − reference."
    title = "Every claim against its margin" if forest.in_margins else "Every difference with its interval"
    return section("tasks", title, (forest, legend, strata_legend(report), *map(_instructions, report.tasks)))


def _instructions(task: TaskResult) -> Fold | None:
    """How many instructions of each kind were kept, the kinds that lost most first."""
    kinds = task.instructions
    if not kinds:
        return None
    total, lost = sum(one.n for one in kinds), sum(one.lost for one in kinds)
    gained = sum(one.gained for one in kinds)
    caption = (
        f"{task.task}: {total:,} instructions of {w.plural(len(kinds), 'kind')}, {lost:,} lost and {gained:,} gained. "
        "Descriptive, not claims."
    )
    header = ("kind", "n", "candidate", "reference", "lost", "gained")
    rows = tuple(
        (one.kind, *map(w.count, (one.n, one.candidate, one.reference, one.lost, one.gained))) for one in kinds
    )
    return Fold(f"{task.task}: instructions kept, by kind", (Table(header, rows, caption=caption),), everywhere=True)


def strata_legend(report: Report) -> str:
    strata = [stratum for task in report.tasks for stratum in task.strata]
    claimed = sum(stratum.assessment is not None for stratum in strata)
    if not strata:
        return ""
    if not claimed:
        return (
            "The kinds of documents within a task are descriptive, not claims; only kinds that a plan "
            "names beforehand, with a margin, are claims."
        )
    others = " The other kinds are descriptive, not claims." if claimed < len(strata) else ""
    named = "is a separate claim" if claimed == 1 else "are separate claims, after Holm's correction over all"
    return f"{w.plural(claimed, 'kind')} of documents that the plan named beforehand {named}.{others}"


def forest_of(report: Report) -> Forest:
    margins = [task.margin for task in report.tasks] + ([report.judge.margin] if report.judge else [])
    in_margins = any(margin is not None for margin in margins)
    header = ("task", "n", "cand. / ref.", "diff.", w.level_text(report.level), "margin", "verdict")
    return Forest(tuple(_claims(report, in_margins)), header, in_margins)


def _claims(report: Report, in_margins: bool) -> Iterator[Claim]:
    floors = {floor.task: floor.compared.floor for floor in report.noise.floors} if report.noise else {}
    of_group = {task.task: task for task in report.tasks if task.group}
    for task in report.tasks:
        if not task.group:
            subtasks = [(name, of_group[name]) for name in task.subtasks if name in of_group]
            inner = [*((stratum.name, stratum) for stratum in task.strata), *subtasks]
            yield _task(task, floors.get(task.task), inner, in_margins)
    if report.overall_mean:
        yield _mean(report.overall_mean, in_margins)
    if report.judge:
        yield _judge(report.judge, floors.get("judge"), in_margins)


def _mean(mean: MeanClaim, in_margins: bool) -> Claim:
    name, unit = f"mean over {len(mean.tasks)} tasks", mean.margin if in_margins else 1.0
    return _claim(mean, mean, unit, name, "unweighted", note=ONE_MAY_LOSE_MORE)


def _task(t: TaskResult, floor: float | None, inner: list[tuple[str, Measured]], in_margins: bool) -> Claim:
    notes = [] if t.higher_is_better else ["lower is better"]
    notes += [t.reasons[key] for key in ("verdict", "ci_low") if key in t.reasons]
    unit = t.margin if in_margins else None if t.paired.kind == "unbounded" else 1.0
    return _claim(
        t,
        t,
        unit,
        t.task,
        t.metric,
        note="; ".join(dict.fromkeys(notes)),
        floor=_share(floor, unit),
        counts=_flips(t, t.task),
        strata=tuple(_part("" if t.subtasks else t.task, name, measured, unit) for name, measured in inner),
    )


def _part(task: str, name: str, m: Measured, unit: float | None) -> Claim:
    """On the scale of its claim; with a verdict if the plan named it beforehand."""
    claim = m if isinstance(m, Stratum) and m.margin is not None else None
    counts = _flips(m, m.task) if isinstance(m, TaskResult) else _flips(m, task, name)
    return _claim(m, claim, unit, name, counts=counts)


def _claim(m: Measured, claimed: Claimed | None, unit: float | None, name: str, metric: str = "", **more: Any) -> Claim:
    """claimed: None for a description. unit: the value of 1 on the drawing's scale."""
    margin = claimed.margin if claimed else None
    return Claim(
        name,
        metric,
        _documents(m.n, m.paired.clusters),
        f"{w.plain(m.candidate_mean, m.scale)} / {w.plain(m.reference_mean, m.scale)}",
        w.signed(m.difference, m.scale),
        w.against(m.ci, margin, m.scale, higher_is_better=m.higher_is_better),
        margin=w.plain(margin, m.scale) if claimed else "",
        verdict=claimed.verdict if claimed else None,
        span=_span(m.paired.interval, unit),
        **more,
    )


def _documents(n: int, clusters: int | None) -> str:
    return w.count(n) + (f" in {clusters:,}" if clusters and clusters < n else "")


def _flips(m: Measured, task: str, part: str = "") -> tuple[tuple[str, str], ...]:
    flips = m.paired.flips
    if flips is None:
        return ()
    # The strata of a group are its tasks, by which samples cannot be filtered.
    lost, gained = (samples_filter(task=task, part=part, show=show) if task else "" for show in ("lost", "gained"))
    return (f"{flips.lost:,} lost", lost), (f"{flips.gained:,} gained", gained)


def samples_filter(**wanted: str) -> str:
    """The name in the page's address."""
    return urlencode({name: value for name, value in wanted.items() if value}, quote_via=quote, safe="/,:")


def _span(interval: Interval, unit: float | None) -> Span | None:
    ends = (interval.estimate, interval.low, interval.high)
    shares = [value / unit for value in ends if value is not None and unit]
    return Span(*shares) if len(shares) == len(ends) else None


def _share(value: float | None, unit: float | None) -> float | None:
    return None if value is None or not unit else value / unit


def _judge(judge: JudgeResult, floor: float | None, in_margins: bool) -> Claim:
    preference = judge.preference
    unit = judge.margin if in_margins else 1.0
    return Claim(
        "judge",
        "net win rate",
        _documents(judge.n, preference.net_win.clusters),
        f"{preference.wins:,} won / {preference.losses:,} lost",
        w.signed(judge.net_win),
        w.against(judge.net_win_ci, judge.margin),
        margin=w.plain(judge.margin),
        verdict=judge.verdict,
        note="; ".join(dict.fromkeys(judge.reasons[key] for key in ("verdict", "decision") if key in judge.reasons)),
        span=_span(judge.interval, unit),
        floor=_share(floor, unit),
        counts=((f"{preference.losses:,} lost", "show=loss"), (f"{preference.wins:,} won", "show=win")),
    )
