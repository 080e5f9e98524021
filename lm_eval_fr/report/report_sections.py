"""A report, or several, as sections in the order of every format."""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.report import words as w
from lm_eval_fr.report.answer_sections import answers_section, language_tax_section, lost_section
from lm_eval_fr.report.judge_section import judge_section
from lm_eval_fr.report.method_sections import (
    evidence_section,
    noise_section,
    notes_section,
    order_section,
    provenance_section,
    settings_section,
)
from lm_eval_fr.report.model import ManyReport, Report
from lm_eval_fr.report.sections import Cell, Section, Table, Word, section
from lm_eval_fr.report.verdict_section import alarms_section, tasks_section, verdict_section, warnings_section


def sections_of(report: Report) -> list[Section]:
    found = (
        verdict_section(report),
        alarms_section(report),
        tasks_section(report),
        warnings_section(report),
        lost_section(report),
        answers_section(report),
        language_tax_section(report),
        *(extra.section for extra in report.extras),
        judge_section(report),
        evidence_section(report),
        noise_section(report.noise),
        order_section(report),
        settings_section(report),
        notes_section(report.notes),
        provenance_section(report),
    )
    return [one for one in found if one is not None]


def sections_of_many(many: ManyReport) -> list[Section]:
    """One table, the claims after Holm, the recovered shares, then each candidate's own verdict."""
    found = [_candidates(many), _claims(many), _ranking(many), _recovered(many)]
    for report in many.reports:
        found += [verdict_section(report), alarms_section(report), warnings_section(report)]
    return [one for one in found if one is not None]


def _candidates(many: ManyReport) -> Section | None:
    header = ("candidate", "task", "n", "difference", w.level_text(many.level), "recovery %", "margin", "verdict")
    rows = tuple(row for report in many.reports for row in _rows(report))
    title = f"Candidates against {w.printable(many.reports[0].reference.name)}"
    return section("candidates", title, (Table(header, rows, left=(0, 1, 7), names=(0, 1)), "In points."))


def _claims(many: ManyReport) -> Section | None:
    header = ("candidate", "verdict", "p", "p after Holm", "claim")
    rows = tuple(
        (
            c.candidate,
            Word(c.verdict),
            w.p_value(c.p_value),
            w.p_value(c.p_holm),
            "stands" if c.stands else f"does not stand{f': {c.reason}' if c.reason else ''}",
        )
        for c in many.claims
    )
    title = f"Claims of non-inferiority on everything, Holm over {len(many.claims)}"
    return section("claims", title, (Table(header, rows, left=(0, 1, 4), names=(0, 4)), *many.notes))


def _recovered(many: ManyReport) -> Section | None:
    rows = tuple(
        (
            f"{r.candidate} over {r.raw}",
            f"{r.task} {r.metric}",
            w.percent(r.share.estimate) if r.share.estimate is not None else f"unknown: {r.share.reason}",
            w.interval(r.share.low, r.share.high, sign=False),
        )
        for r in many.recovered
    )
    header, caption = ("candidate", "task", "share", w.level_text(many.level)), "(candidate − raw) / (reference − raw)"
    table = Table(header, rows, left=(0, 1, 2), caption=caption, names=(0, 2))
    return section("recovered", "Recovered share of what was lost", (table,) if rows else ())


def _ranking(many: ManyReport) -> Section | None:
    level = w.level_text(many.level)
    header = ("", "candidate", "difference", level, "behind", level, "p, Holm", "the best is")
    rows = tuple(
        (
            str(one.place),
            one.candidate,
            w.signed(one.against_reference.interval.estimate),
            w.interval(one.against_reference.interval.low, one.against_reference.interval.high),
            w.UNKNOWN if one.behind is None else w.plain(one.behind[0]),
            w.UNKNOWN if one.behind is None else w.interval(*one.behind[1:]),
            w.p_value(one.p_holm),
            w.UNKNOWN if one.told_apart is None else "better" if one.told_apart else "not told apart",
        )
        for one in many.ranking
    )
    legend = (
        "By the mean over tasks of the difference from the reference, each task counting the same. These "
        "data choose the best candidate, so p is after Holm's correction over all pairs of candidates. The "
        "ranking is not a verdict; the claims above are."
    )
    return section("ranking", "Ranking", (Table(header, rows, left=(0, 1, 7), names=(1,)), legend) if rows else ())


def _rows(report: Report) -> Iterator[tuple[Cell, ...]]:
    for t in report.tasks:
        interval = w.against(t.ci, t.margin, t.scale, higher_is_better=t.higher_is_better)
        numbers = (w.count(t.n), w.signed(t.difference, t.scale), interval)
        recovery = w.plain(t.recovery.estimate if t.recovery else None)
        yield (report.candidate.name, t.task, *numbers, recovery, w.plain(t.margin, t.scale), Word(t.verdict))
    if j := report.judge:
        numbers = (w.count(j.n), w.signed(j.net_win), w.against(j.net_win_ci, j.margin))
        yield (report.candidate.name, "judge: net win", *numbers, w.UNKNOWN, w.plain(j.margin), Word(j.verdict))
