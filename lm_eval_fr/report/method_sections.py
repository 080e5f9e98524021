"""How the numbers were obtained: evidence, noise, the plan's order, settings, provenance."""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval_fr.report import words as w
from lm_eval_fr.report.layout import shorten
from lm_eval_fr.report.model import Noise, Report
from lm_eval_fr.report.sections import (
    Chart,
    Code,
    Facts,
    Fold,
    Items,
    Line,
    Part,
    Quote,
    Section,
    SideBySide,
    Table,
    section,
)
from lm_eval_fr.report.task_model import Series, TaskResult
from lm_eval_fr.report.verdict_section import health_of
from lm_eval_fr.stats import Components

WIDEST_SETTING = 200


def evidence_section(report: Report) -> Section | None:
    if not report.tasks:
        return None
    level = w.level_text(report.level)
    header = ("task", "metric", "recovery %", level, "lost", "gained", "p", "MDE", "needs n")
    rows = tuple(_evidence(t) for t in report.tasks)
    legend = (
        "recovery = candidate / reference; lost, gained = documents right only in the reference, only in the candidate "
        "(graded metrics: changed by more than 0.5); p = two-sided, for no difference; for a loss of the margin = "
        "the same if the true loss were as large as the margin, which is ruled out if this p is below "
        f"{w.one_sided(report.level)}; MDE = smallest loss that would be detected with 80 % power; needs n = "
        "documents needed to decide the margin"
    )
    details = Items(tuple(f"{t.task}: {_method(t)}" for t in report.tasks))
    table = Table(header, rows, left=(0, 1), names=(0, 1))
    fold = Fold("Method, answers and further metrics of each task", (details,), everywhere=True)
    return section("evidence", "Evidence", (table, legend, fold), "method")


def _evidence(t: TaskResult) -> tuple[str, ...]:
    flips = t.paired.flips
    return (
        t.task,
        t.metric,
        w.plain(t.recovery.estimate if t.recovery else None),
        w.bounds(t.recovery_ci),
        w.count(flips.lost if flips else None),
        w.count(flips.gained if flips else None),
        w.p_value(t.paired.p_value),
        w.plain(t.assessment.mde if t.assessment else None, t.scale),
        w.count(t.documents_needed),
    )


def method_of(t: TaskResult) -> str:
    """The method of the interval, and of p if it differs."""
    interval, p_method = t.paired.interval, t.paired.p_method
    because = f" ({interval.reason})" if interval.defined and interval.reason else ""
    return f"{interval.method}{because}" + (f"; p by {p_method}" if p_method not in ("none", interval.method) else "")


def _method(t: TaskResult) -> str:
    paired, parts = t.paired, [method_of(t), *([] if t.higher_is_better else ["lower is better"])]
    if paired.icc is not None and paired.design_effect is not None:
        parts.append(f"ICC {paired.icc:.2f}, design effect {paired.design_effect:.2f}")
    parts += [] if t.repeats is None else [_repeats(t.repeats)]
    if t.degradation_detected:
        parts.append("a loss is detected (the interval lies below 0)")
    if t.assessment and t.assessment.p_non_inferior is not None:
        holm = f", {w.p_equals(t.p_holm)} after Holm over tasks" if t.p_holm is not None else ""
        parts.append(f"for a loss of the margin {w.p_equals(t.assessment.p_non_inferior)}{holm}")
    parts += [f"no {names}: {reason}" for names, reason in w.unknowns(t.reasons)]
    healths = ("candidate", t.candidate_health), ("reference", t.reference_health)
    parts += [f"{who}: {health_of(h)}" for who, h in healths if h]
    parts += [
        f"not part of the verdict: {s.metric} {w.plain(s.candidate_mean, t.scale)} against "
        f"{w.plain(s.reference_mean, t.scale)} ({w.signed(s.difference, t.scale)})"
        for s in t.secondary
    ]
    return "; ".join(parts)


def _repeats(found: Components) -> str:
    """How many answers, and how much of their spread is within documents."""
    counts = dict.fromkeys((found.candidate_answers, found.reference_answers))
    several = f"{' and '.join(map(str, counts))} answers per document"
    if found.unstable is None:
        return f"{several} ({found.reason or 'they never differ in score'})"
    return (
        f"{several}: {w.percent(found.unstable)} of a single answer's variance is within documents; "
        f"{w.percent(found.unstable_documents)} of the documents do not always score the same"
    )


def noise_section(noise: Noise | None) -> Section | None:
    if noise is None:
        return None
    header = ("task", "arm", "extra runs", "n", "shift", "interval", "answers changed")
    rows = tuple(
        (
            r.task,
            r.arm,
            w.count(r.runs),
            w.count(r.n),
            w.signed(r.moved.estimate, r.scale) if r.moved else w.UNKNOWN,
            w.interval(r.moved.low, r.moved.high, r.scale) if r.moved else w.UNKNOWN,
            w.percent(r.churn),
        )
        for r in noise.reruns
    )
    parts: list[Part | None] = [Table(header, rows, left=(0, 1)) if rows else None]
    parts += [Items(tuple(floor.sentence for floor in noise.floors)), noise.sentence]
    return section("noise", "Noise floor: the same arm, run again", parts, "method")


def order_section(report: Report) -> Section | None:
    if not report.cumulative:
        return None
    header = ("estimate", "1/4", "1/2", "all", "final band", "sign changes")
    rows = tuple(_quarters(series) for series in report.cumulative)
    lead = (
        "The estimate after the first documents, in the plan's order. The band contains the true value at "
        "every look at once, so stopping at any point keeps the level; a lead whose band still contains 0 is noise."
    )
    charts = tuple(_curve(series, report.level) for series in report.cumulative)
    return section("order", "In the plan's order", (lead, Table(header, rows), SideBySide(charts)), "method")


def _quarters(series: Series) -> tuple[str, ...]:
    band = series.band
    last = int(band.documents[-1])
    means = [float(band.mean[int((band.documents >= last * part).argmax())]) for part in (0.25, 0.5)]
    ends = w.interval(float(band.low[-1]), float(band.high[-1]))
    return (series.name, *map(w.signed, (*means, float(band.mean[-1]))), ends, w.count(band.sign_changes))


def _curve(series: Series, level: float) -> Chart:
    band, margin = series.band, series.margin or 0.0
    at, mean = band.documents.tolist(), band.mean.tolist()
    # The first estimates vary widely and their bands are as wide as the metric: they may leave the plot.
    settled = next(i for i, k in enumerate(at) if k >= min(at[-1], max(10, at[-1] // 20)))
    reach = max(*map(abs, mean[settled:]), abs(band.low[-1]), abs(band.high[-1]), margin * 1.4, 1e-6) * 1.08
    line = Line(series.name, "plain", tuple(at), tuple(mean), tuple(zip(band.low, band.high, strict=True)))
    whole = ", whole clusters at a time" if band.unit == "cluster" else ""
    return Chart(
        series.name,
        _said(series, level),
        f"documents{whole}",
        "difference, points",
        (line,),
        level=0.0,
        limit=-series.margin if series.margin else None,
        percent=True,
        whole_x=True,
        y_range=(-reach, reach),
    )


def _said(series: Series, level: float) -> str:
    band = series.band
    changes = {0: "never changed sign", 1: "changed sign once"}.get(
        band.sign_changes, f"changed sign {band.sign_changes:,} times"
    )
    low, high = float(band.low[-1]), float(band.high[-1])
    where = "still contains 0" if low <= 0 <= high else "lies above 0" if low > 0 else "lies below 0"
    return (
        f"After all {int(band.documents[-1]):,} documents: {w.signed(float(band.mean[-1]))} points; on the way it "
        f"{changes}. The {w.level_text(level)} band {w.interval(low, high)} {where}."
    )


def settings_section(report: Report) -> Section | None:
    differing = [s for s in report.settings if s.differs]
    differing.sort(key=lambda s: s.expected)
    rows = [_setting(s.name, s.candidate, s.reference, "expected" if s.expected else "differs") for s in differing]
    equal = tuple((s.name, w.value(s.candidate)) for s in report.settings if not s.differs)
    arms = (report.candidate, report.reference)
    about = [_setting(name, getattr(arms[0], name), getattr(arms[1], name), "") for name in ("name", "date", "path")]
    header = ("setting", "candidate", "reference", "note")
    parts: list[Part | None] = [
        Table(header, tuple(rows), left=(0, 1, 2, 3), names=(1, 2)) if rows else "No setting differs."
    ]
    parts += [
        Fold("The arms", (Table(header, tuple(about), left=(0, 1, 2, 3)),)),
        Fold(f"{w.plural(len(equal), 'setting')} that {'is' if len(equal) == 1 else 'are'} equal", (Facts(equal),)),
    ]
    return section("settings", "Settings that differ", parts, "method")


def _setting(name: str, candidate: object, reference: object, note: str) -> tuple[str | Code, ...]:
    values = [Code(shorten(w.value(item), WIDEST_SETTING)) for item in (candidate, reference)]
    return (name, *values, note)


def provenance_section(report: Report) -> Section | None:
    made = report.provenance
    data = tuple(
        (str(row.get("task")), "; ".join(f"{key}: {w.value(item)}" for key, item in row.items() if key != "task"))
        for row in made.data
    )
    facts = [*made.versions.items(), ("made", made.created), ("seed", None if made.seed is None else str(made.seed))]
    known = tuple((name, item) for name, item in facts if item)
    plan = [Fold("Plan", (Quote(f"sha256 {report.plan_hash}", made.plan),))] if made.plan else []
    command = Facts((("made by", Code(made.command)),)) if made.command else None
    parts = (command, Fold("Data", (Facts(data),)) if data else None, Fold("Versions", (Facts(known),)), *plan)
    return section("provenance", "Provenance", parts, "method")


def notes_section(notes: Sequence[str]) -> Section | None:
    return section("notes", "Notes", (Items(tuple(notes)),), "method")
