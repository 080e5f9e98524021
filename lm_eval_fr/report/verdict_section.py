"""The verdict, what must be known before it, and every claim against its margin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Arm, Health, JudgeResult, Measured, Report, Stratum, TaskResult
from lm_eval_fr.report.sections import Claim, Facts, Forest, Items, Part, Section, Word, section


def verdict_section(report: Report) -> Section:
    overall, level = report.overall, w.level_text(report.level)
    ruled_out = f"Ruled out, each at {level} confidence ({w.one_sided(report.level)} risk of error per claim):"
    parts: tuple[Part, ...] = (
        overall.sentence,
        *((ruled_out, Items(overall.ruled_out)) if overall.ruled_out else ()),
        *((overall.not_claimed,) if overall.not_claimed else ()),
        *((overall.coverage,) if overall.coverage else ()),
        Facts(
            (
                ("candidate", _arm(report.candidate)),
                ("reference", _arm(report.reference)),
                ("plan", plan_of(report)),
            )
        ),
    )
    return Section("verdict", w.titled(report), parts, verdict=Word(overall.verdict))


def plan_of(report: Report) -> str:
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


def cautions_section(report: Report) -> Section | None:
    alarms = tuple(caution.text for caution in report.warnings if caution.invalidates)
    others = tuple(caution.text for caution in report.warnings if not caution.invalidates)
    return section("warnings", "Warnings", (Items(alarms, alarm=True), Items(others)))


def tasks_section(report: Report) -> Section | None:
    claims = tuple(_claims(report))
    if not claims:
        return None
    level = w.level_text(report.level)
    header = ("task", "n", "cand. / ref.", "diff.", level, "margin", "verdict")
    legend = "In points (hundredths) unless a metric has a unit of its own; difference = candidate − reference."
    parts = (Forest(claims, header), legend, strata_legend(report))
    return section("tasks", "Every claim against its margin", parts)


def strata_legend(report: Report) -> str:
    strata = [stratum for task in report.tasks for stratum in task.strata]
    claimed = sum(stratum.assessment is not None for stratum in strata)
    if not strata:
        return ""
    if not claimed:
        return (
            "The kinds of documents within a task are a description, not claims: those are made of kinds that a plan "
            "names beforehand, with a margin."
        )
    others = " The other kinds are a description, not claims." if claimed < len(strata) else ""
    named = "is a claim of its own" if claimed == 1 else "are claims of their own, after Holm's correction over all"
    return f"{w.plural(claimed, 'kind')} of documents that the plan named beforehand {named}.{others}"


def _claims(report: Report) -> Iterator[Claim]:
    floors = {floor.task: floor.compared.floor for floor in report.noise.floors} if report.noise else {}
    of_group = {task.task: task for task in report.tasks if task.group}
    for task in report.tasks:
        if not task.group:
            yield _task(task, floors.get(task.task), tuple(of_group[name] for name in task.subtasks))
    if report.judge:
        yield _judge(report.judge, floors.get("judge"))


def _task(t: TaskResult, floor: float | None, subtasks: tuple[TaskResult, ...]) -> Claim:
    notes = [] if t.higher_is_better else ["lower is better"]
    notes += [t.reasons[key] for key in ("verdict", "ci_low") if key in t.reasons]
    low, high = t.paired.interval.low, t.paired.interval.high
    drawn = t.margin is not None and low is not None and high is not None
    inner = [*map(_stratum, t.strata), *(_part(one.task, one) for one in subtasks)]
    return Claim(
        t.task,
        t.metric,
        *_numbers(t),
        margin=w.plain(t.margin, t.scale),
        verdict=t.verdict,
        note="; ".join(dict.fromkeys(notes)),
        at=_share(t.paired.interval.estimate, t.margin) if drawn else None,
        low=_share(low, t.margin) if drawn else None,
        high=_share(high, t.margin) if drawn else None,
        floor=_share(floor, t.margin),
        counts=_flips(t),
        strata=tuple(inner),
    )


def _stratum(one: Stratum) -> Claim:
    margin = w.plain(one.margin, one.scale) if one.margin is not None else ""
    return replace(_part(one.name, one), margin=margin, verdict=one.verdict)


def _part(name: str, measured: Measured) -> Claim:
    return Claim(name, "", *_numbers(measured), margin="", verdict=None, counts=_flips(measured))


def _numbers(m: Measured) -> tuple[str, str, str, str]:
    clusters = m.paired.clusters
    n = w.count(m.n) + (f" in {clusters:,}" if clusters and clusters < m.n else "")
    values = f"{w.plain(m.candidate_mean, m.scale)} / {w.plain(m.reference_mean, m.scale)}"
    return n, values, w.signed(m.difference, m.scale), w.bounds(m.ci, m.scale, sign=True)


def _flips(m: Measured) -> tuple[tuple[str, str], ...]:
    flips = m.paired.flips
    return () if flips is None else ((f"{flips.lost:,} lost", "lost"), (f"{flips.gained:,} gained", "gained"))


def _share(value: float | None, margin: float | None) -> float | None:
    return None if value is None or not margin else value / margin


def _judge(judge: JudgeResult, floor: float | None) -> Claim:
    low, high = judge.net_win_ci or (None, None)
    preference, clusters = judge.preference, judge.preference.net_win.clusters
    return Claim(
        name="judge",
        metric="net win rate",
        n=f"{judge.n:,}" + (f" in {clusters:,}" if clusters and clusters < judge.n else ""),
        values=f"{preference.wins:,} won / {preference.losses:,} lost",
        difference=w.signed(judge.net_win),
        interval=w.bounds(judge.net_win_ci, sign=True),
        margin=w.plain(judge.margin),
        verdict=judge.verdict,
        note="; ".join(dict.fromkeys(judge.reasons[key] for key in ("verdict", "decision") if key in judge.reasons)),
        at=_share(judge.interval.estimate, judge.margin) if low is not None else None,
        low=_share(low, judge.margin),
        high=_share(high, judge.margin),
        floor=_share(floor, judge.margin),
        counts=((f"{preference.losses:,} lost", "loss"), (f"{preference.wins:,} won", "win")),
    )
