"""The report as plain text of at most `columns` columns: what a terminal shows and a decision memo quotes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from lm_eval_fr.report import control_words as controls
from lm_eval_fr.report import words as w
from lm_eval_fr.report.layout import fit, wrap
from lm_eval_fr.report.model import Arm, JudgeResult, ManyReport, Noise, Report, Share, TaskResult
from lm_eval_fr.report.optional_sections import panels_of
from lm_eval_fr.report.sections import Panel, text_lines

COLOURS = {"non_inferior": "32", "inferior": "31", "inconclusive": "33", None: "33"}
Paint = Callable[[str, str], str]


def wants_colour(stream: TextIO) -> bool:
    """Colours only on a terminal whose user did not refuse them (NO_COLOR, TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def render(report: Report, *, columns: int = 100, colour: bool = False) -> str:
    def paint(code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if colour else text

    blocks = [
        _verdict(report, columns, paint),
        _arms(report, columns),
        _warnings(report, columns, paint),
        _tasks(report, columns, paint),
        _evidence(report, columns, paint),
        _judge(report.judge, report, columns, paint) if report.judge else [],
        _noise(report.noise, columns, paint) if report.noise else [],
        _cumulative(report, columns, paint),
        *([paint("1", panel.title.upper()), *text_lines(panel, columns)] for panel in panels_of(report)),
        _notes(report, columns, paint),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_panel(panel: Panel, *, columns: int = 100, colour: bool = False) -> str:
    title = f"\033[1m{panel.title.upper()}\033[0m" if colour else panel.title.upper()
    return "\n".join([title, *text_lines(panel, columns)])


def _verdict(report: Report, columns: int, paint: Paint) -> list[str]:
    overall = report.overall
    label = w.word(overall.verdict).upper()
    title = w.shorten(w.titled(report), columns - len(label) - 2)
    lines = [f"{paint('1;' + COLOURS[overall.verdict], label)}  {title}"]
    lines += wrap(w.printable(overall.sentence), columns)
    if overall.ruled_out:
        lines.append(f"  Ruled out, each at {w.level_text(report.level)}:")
    for claim in overall.ruled_out:
        lines += wrap(w.printable(claim), columns, indent="    ", first="  - ")
    if overall.not_claimed:
        lines += wrap(w.printable(overall.not_claimed), columns)
    return lines


def _arms(report: Report, columns: int) -> list[str]:
    lines = []
    for role, arm in (("candidate", report.candidate), ("reference", report.reference)):
        lines += wrap(f"{role:<11}{_arm(arm)}", columns, indent=" " * 11, first="")
    plan = f"sha256 {report.plan_hash}" if report.plan_hash else "none: margins were not fixed in a plan file"
    return [*lines, f"{'plan':<11}{plan}"]


def _arm(arm: Arm) -> str:
    name = f"{arm.name}: {arm.model}" if arm.name != arm.model else arm.model
    parts = [f"{name} ({arm.source})", *([arm.date] if arm.date else [])]
    if arm.health:
        h = arm.health
        parts.append(
            f"{w.plural(h.answers, 'answer')}: {h.empty} empty, {h.truncated} truncated-looking, {h.failed} failed"
        )
    return w.printable(", ".join(parts))


def _warnings(report: Report, columns: int, paint: Paint) -> list[str]:
    if not report.warnings:
        return []
    lines = [paint("1;33", "WARNINGS")]
    for caution in report.warnings:
        lines += wrap(w.printable(caution.text), columns, indent="    ", first="  ! ")
    return lines


def _tasks(report: Report, columns: int, paint: Paint) -> list[str]:
    if not report.tasks:
        return []
    header = ["task", "n", "clusters", "cand.", "ref.", "diff.", w.level_text(report.level), "margin", "verdict"]
    rows = [
        [
            t.task,
            w.count(t.n),
            w.count(t.clusters),
            w.plain(t.candidate_mean, t.scale),
            w.plain(t.reference_mean, t.scale),
            w.signed(t.difference, t.scale),
            w.interval(t.ci_low, t.ci_high, t.scale),
            w.plain(t.margin, t.scale),
            w.word(t.verdict),
        ]
        for t in report.tasks
    ]
    title = "TASKS, in points; diff. = candidate - reference, with its interval"
    return [paint("1", title), *fit(header, rows, columns, left=(0, 8))]


def _evidence(report: Report, columns: int, paint: Paint) -> list[str]:
    if not report.tasks:
        return []
    header = ["task", "metric", "recovery %", w.level_text(report.level), "lost", "gained", "p", "MDE", "needs n"]
    rows = [
        [
            t.task,
            t.metric,
            w.plain(t.recovery),
            w.bounds(t.recovery_ci),
            w.count(t.flips.lost if t.flips else None),
            w.count(t.flips.gained if t.flips else None),
            w.p_value(t.p_value),
            w.plain(t.mde, t.scale),
            w.count(t.documents_needed),
        ]
        for t in report.tasks
    ]
    lines = [paint("1", "EVIDENCE"), *fit(header, rows, columns, left=(0, 1), names=(0, 1))]
    for t in report.tasks:
        lines += wrap(f"{t.task}: {_method(t)}", columns, indent="    ", first="  ")
    legend = (
        "recovery = candidate / reference; lost, gained = documents right only in the reference, only in the "
        "candidate (graded metrics: changed by more than 0.5); p = two-sided, for no difference; for a loss of the "
        "margin = the same if the true loss were as large as the margin, which is ruled out where it is below "
        f"{w.one_sided(report.level)}; MDE = smallest loss that would be detected with 80 % power; needs n = documents "
        "until the margin can be decided"
    )
    return lines + wrap(legend, columns)


def _method(t: TaskResult) -> str:
    parts = [t.method, *([] if t.higher_is_better else ["lower is better"])]
    if t.icc is not None and t.design_effect is not None:
        parts.append(f"ICC {t.icc:.2f}, design effect {t.design_effect:.2f}")
    if t.degradation_detected:
        parts.append("a loss is detected (the interval lies below 0)")
    if t.p_non_inferior is not None:
        holm = f", {w.p_equals(t.p_holm)} after Holm over tasks" if t.p_holm is not None else ""
        parts.append(f"for a loss of the margin {w.p_equals(t.p_non_inferior)}{holm}")
    parts += [f"no {names}: {reason}" for names, reason in w.unknowns(t.reasons)]
    return w.printable("; ".join(parts))


def _share(share: Share) -> str:
    return (
        f"{share.count:,} of {share.of:,} ({w.percent(share.share)}, {w.interval(share.low, share.high, sign=False)})"
    )


def _judge(judge: JudgeResult, report: Report, columns: int, paint: Paint) -> list[str]:
    name = w.printable(judge.profile.get("model") or judge.profile.get("name") or "unnamed")
    rubric = w.printable(judge.rubric.get("name") or "unnamed")
    ties = ", ".join(f"{number:,} {what}" for what, number in w.tie_parts(judge.outcomes))
    apart = ", ".join(f"{judge.outcomes.get(what, 0):,} {what}" for what in ("invalid", "unjudged"))
    facts = [
        ("verdict", f"{w.word(judge.verdict)} (net win rate against a margin of {w.plain(judge.margin)} points)"),
        ("headline", f"{w.headline(judge)} in {judge.n:,} judged pairs"),
        ("ties", f"{ties}; beside the headline: {apart}"),
        ("net win", _net_win(judge, report.level)),
        (
            "win share",
            f"{w.percent(judge.win_share)} of {judge.decided:,} decided, {w.bounds(judge.win_share_ci)}, "
            f"exact binomial {w.p_equals(judge.p_value)}",
        ),
        (
            "as good",
            f"{judge.wins + judge.ties:,} of {judge.n:,} ({w.percent(judge.at_least_as_good, 0)}) at least as good "
            "as the reference",
        ),
    ]
    if judge.position:
        p = judge.position
        facts.append(
            ("position", f"first answer preferred in {_share(p.first_answer)}; order decided {_share(p.flip)}")
        )
    if judge.length:
        size = judge.length
        facts.append(
            (
                "length",
                f"{size.candidate_mean:,.0f} against {size.reference_mean:,.0f} characters; the longer answer won "
                f"{_share(size.longer_wins)}",
            )
        )
    facts.append(("cost", cost(judge)))
    facts += controls.sentences(judge)
    facts += [("unknown", f"{names}: {reason}") for names, reason in w.unknowns(judge.reasons)]
    lines = [paint("1", f"JUDGE {name}, rubric {rubric}, each pair in both orders")]
    for label, text in facts:
        lines += wrap(w.printable(text), columns, indent=" " * 13, first=f"  {w.printable(label):<10} ")
    return lines


def _net_win(judge: JudgeResult, level: float) -> str:
    text = f"{w.signed(judge.net_win)} points, {w.bounds(judge.net_win_ci, sign=True)} at {w.level_text(level)}"
    if judge.best_case is not None and judge.worst_case is not None and judge.best_case != judge.worst_case:
        text += f"; {w.signed(judge.worst_case)} to {w.signed(judge.best_case)} whatever the undecided pairs hide"
    return f"{text} ({judge.method})" if judge.method else text


def cost(judge: JudgeResult) -> str:
    """Calls, tokens and dollars in one line; an unknown price stays unknown."""
    usage = judge.usage
    if judge.offline and not usage.get("input_tokens"):  # on a panel the stand-in sits beside judges that are paid
        return "none: offline stand-in judge"
    if not usage:
        return "unknown: the judge left no ledger"
    tokens = (
        f"{w.count(usage.get('input_tokens'))} tokens in ({w.count(usage.get('cached_tokens'))} cached), "
        f"{w.count(usage.get('output_tokens'))} out"
    )
    return f"{w.count(usage.get('calls'))} calls, {tokens}, {w.money(usage.get('dollars'))}"


def _noise(noise: Noise, columns: int, paint: Paint) -> list[str]:
    lines = [paint("1", "NOISE FLOOR: the same arm, run twice")]
    header = ["task", "arm", "n", "shift", "interval", "answers changed"]
    rows = [
        [
            r.task,
            r.arm,
            w.count(r.n),
            w.signed(r.shift),
            w.interval(r.ci_low, r.ci_high),
            w.percent(r.churn),
        ]
        for r in noise.reruns
    ]
    lines += fit(header, rows, columns, left=(0, 1)) if rows else []
    for floor in noise.floors:
        lines += wrap(w.printable(floor.sentence), columns, indent="    ", first="  ")
    return lines + wrap(w.printable(noise.sentence), columns)


def _cumulative(report: Report, columns: int, paint: Paint) -> list[str]:
    if not report.cumulative:
        return []
    lines = [paint("1", "IN THE PLAN'S ORDER: first quarter, half, all; band valid at every point at once")]
    header = ["", "1/4", "1/2", "all", "band at the end", "sign changes"]
    rows = []
    for series in report.cumulative:
        last = series.at[-1]
        quarter, half = (_value_at(series.at, series.estimate, last * part) for part in (0.25, 0.5))
        rows.append(
            [
                series.name,
                w.signed(quarter),
                w.signed(half),
                w.signed(series.estimate[-1]),
                w.interval(series.low[-1], series.high[-1]),
                w.count(series.sign_changes),
            ]
        )
    return lines + fit(header, rows, columns, left=(0,))


def _value_at(at: Sequence[int], values: Sequence[float], target: float) -> float:
    return next(value for position, value in zip(at, values, strict=True) if position >= target)


def _notes(report: Report, columns: int, paint: Paint) -> list[str]:
    if not report.notes:
        return []
    return [paint("1", "NOTES"), *(line for note in report.notes for line in wrap(w.printable(note), columns))]


def render_many(many: ManyReport, *, columns: int = 100, colour: bool = False) -> str:
    """Several candidates: one table, the claims after Holm, the recovered shares, then each report's own verdict."""

    def paint(code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if colour else text

    return "\n\n".join("\n".join(block) for block in _many(many, columns, paint) if block) + "\n"


def _many(many: ManyReport, columns: int, paint: Paint) -> Iterator[list[str]]:
    reference = w.printable(many.reports[0].reference.name)
    header = ["candidate", "task", "n", "diff.", w.level_text(many.level), "recovery %", "margin", "verdict"]
    rows = []
    for report in many.reports:
        name = w.printable(report.candidate.name)
        for t in report.tasks:
            interval = w.interval(t.ci_low, t.ci_high, t.scale)
            numbers = [w.count(t.n), w.signed(t.difference, t.scale), interval, w.plain(t.recovery)]
            rows.append([name, t.task, *numbers, w.plain(t.margin, t.scale), w.word(t.verdict)])
        if report.judge:
            j = report.judge
            numbers = [w.count(j.n), w.signed(j.net_win), w.bounds(j.net_win_ci, sign=True), w.UNKNOWN]
            rows.append([name, "judge: net win", *numbers, w.plain(j.margin), w.word(j.verdict)])
    yield [
        paint("1", f"CANDIDATES AGAINST {reference}, in points"),
        *fit(header, rows, columns, left=(0, 1, 7), names=(0, 1)),
    ]
    lines = [paint("1", f"CLAIMS of non-inferiority on everything, Holm over {len(many.claims)}")]
    for claim in many.claims:
        word = "stands" if claim.stands else "does not stand"
        why = f" ({claim.reason})" if claim.reason else ""
        lines += wrap(
            f"{w.printable(claim.candidate)}: {w.word(claim.verdict)}, {w.p_equals(claim.p_value)}, after Holm "
            f"{w.p_equals(claim.p_holm)}: {word}{why}",
            columns,
            indent="    ",
            first="  ",
        )
    yield lines
    if many.recovered:
        lines = [paint("1", "RECOVERED SHARE of what was lost: (candidate - raw) / (reference - raw)")]
        for r in many.recovered:
            text = f"{r.candidate} over {r.raw} on {r.task} {r.metric}: "
            text += f"{w.percent(r.share)} {w.bounds(r.ci)}" if r.share is not None else f"unknown: {r.reason}"
            lines += wrap(w.printable(text), columns, indent="    ", first="  ")
        yield lines
    for report in many.reports:
        yield _verdict(report, columns, paint) + _warnings(report, columns, paint)
