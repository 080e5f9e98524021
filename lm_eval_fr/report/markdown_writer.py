"""The report as GitHub-flavoured Markdown, for a pull request or a CI job summary; well under 1 MB for any run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lm_eval_fr.report import control_words as controls
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import JudgeResult, ManyReport, Noise, Report, Share, TaskResult
from lm_eval_fr.report.optional_sections import panels_of
from lm_eval_fr.report.sections import Panel, Table
from lm_eval_fr.report.text_writer import cost

MARKS = {"non_inferior": "✅", "inferior": "❌", "inconclusive": "❔", None: "❔"}
# An underscore inside a word is no emphasis; a bullet, a heading or a numbered item only begins a line.
_SPECIAL = re.compile(r"[\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^(?:[#+=-]+|\d+[.)])(?=\s|$)")


def escape(text: object) -> str:
    """Text from a run as inert Markdown: no HTML, image, emphasis, table cell, heading or mention can come of it."""
    inert = _SPECIAL.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", w.printable(text))
    return inert.replace("@", "@\N{ZERO WIDTH NON-JOINER}")


def code(text: object) -> str:
    """As inline code, fenced longer than any run of backticks inside; a bar would end the table cell."""
    inside = w.printable(text).replace("|", "\N{BROKEN BAR}")
    fence = "`" * (max((len(run) for run in re.findall("`+", inside)), default=0) + 1)
    space = " " if inside.startswith("`") or inside.endswith("`") else ""
    return f"{fence}{space}{inside}{space}{fence}" if inside else ""


def render(report: Report) -> str:
    blocks = [
        _verdict(report),
        _warnings(report),
        _tasks(report),
        _judge(report.judge, report) if report.judge else "",
        _noise(report.noise) if report.noise else "",
        *(panel_text(panel) for panel in panels_of(report)),
        _details(report),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Cells are Markdown already."""
    rule = [":---" if i in left else "---:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def panel_text(panel: Panel) -> str:
    """A chart is what its table says: it is left to the HTML."""
    parts = [f"### {panel.title}"]
    for block in panel.blocks:
        if isinstance(block, str):
            parts.append(escape(block))
        elif isinstance(block, Table):
            rows = [[escape(cell) for cell in row] for row in block.rows]
            shown = table([escape(cell) for cell in block.header], rows, left=block.left)
            parts.append(f"{escape(block.caption)}\n\n{shown}" if block.caption else shown)
    return "\n\n".join(parts)


def verdict(name: str | None) -> str:
    return f"{MARKS[name]} {w.word(name)}"


def _verdict(report: Report) -> str:
    overall = report.overall
    lines = [f"## {MARKS[overall.verdict]} {w.word(overall.verdict).capitalize()}: {escape(w.titled(report))}"]
    lines.append(f"**{escape(overall.sentence)}**")
    if overall.ruled_out:
        lines.append("\n".join(f"- {escape(claim)}" for claim in overall.ruled_out))
    if overall.not_claimed:
        lines.append(escape(overall.not_claimed))
    return "\n\n".join(lines)


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    return "> [!WARNING]\n" + "\n".join(f"> - {escape(caution.text)}" for caution in report.warnings)


def _tasks(report: Report) -> str:
    if not report.tasks:
        return ""
    level = w.level_text(report.level)
    header = ["task", "metric", "n", "clusters", "candidate", "reference", "difference", level, "margin", "verdict"]
    header += ["recovery %", "lost / gained"]
    rows = [_task_row(t) for t in report.tasks]
    return "### Tasks\n\nIn points; difference = candidate − reference.\n\n" + table(header, rows, left=(0, 1, 9))


def _task_row(t: TaskResult) -> list[str]:
    flips = f"{t.flips.lost:,} / {t.flips.gained:,}" if t.flips else w.UNKNOWN
    recovery = w.plain(t.recovery) + (f" {w.bounds(t.recovery_ci)}" if t.recovery_ci else "")
    return [
        escape(t.task),
        escape(t.metric) + ("" if t.higher_is_better else " (lower is better)"),
        w.count(t.n),
        w.count(t.clusters),
        w.plain(t.candidate_mean, t.scale),
        w.plain(t.reference_mean, t.scale),
        w.signed(t.difference, t.scale),
        w.interval(t.ci_low, t.ci_high, t.scale),
        w.plain(t.margin, t.scale),
        verdict(t.verdict),
        recovery,
        flips,
    ]


def _share(share: Share) -> str:
    inside = f"{w.percent(share.share)}, {w.interval(share.low, share.high, sign=False)}"
    return f"{share.count:,} of {share.of:,} ({inside})"


def _judge(judge: JudgeResult, report: Report) -> str:
    model = judge.profile.get("model") or judge.profile.get("name") or "unnamed"
    ties = ", ".join(f"{number:,} {what}" for what, number in w.tie_parts(judge.outcomes))
    facts = [
        ("verdict", f"{verdict(judge.verdict)}, net win rate against a margin of {w.plain(judge.margin)} points"),
        ("judged pairs", f"{judge.n:,}: {w.headline(judge)}"),
        ("ties", ties),
        (
            "beside the headline",
            f"{judge.outcomes.get('invalid', 0):,} invalid, {judge.outcomes.get('unjudged', 0):,} unjudged",
        ),
        ("net win", f"{w.signed(judge.net_win)} points, {w.bounds(judge.net_win_ci, sign=True)}"),
        (
            "wins among decided",
            f"{w.percent(judge.win_share)} of {judge.decided:,}, {w.bounds(judge.win_share_ci)}, "
            f"exact binomial {w.p_equals(judge.p_value)}",
        ),
        ("at least as good", w.percent(judge.at_least_as_good, 0)),
    ]
    if judge.position:
        facts.append(("first answer preferred", _share(judge.position.first_answer)))
        facts.append(("order decided", _share(judge.position.flip)))
    if judge.length:
        facts.append(("longer answer won", _share(judge.length.longer_wins)))
    facts.append(("cost", cost(judge)))
    facts += controls.sentences(judge)
    facts += [("unknown", f"{names}: {reason}") for names, reason in w.unknowns(judge.reasons)]
    rows = [[escape(label), escape(text)] for label, text in facts]
    title = f"### Judge {code(model)}, rubric {code(judge.rubric.get('name') or 'unnamed')}"
    return f"{title}\n\n{table(['', w.level_text(report.level) + ' intervals'], rows, left=(0, 1))}"


def _noise(noise: Noise) -> str:
    header = ["task", "arm", "n", "shift", "interval", "answers changed"]
    rows = [
        [
            escape(r.task),
            r.arm,
            w.count(r.n),
            w.signed(r.shift),
            w.interval(r.ci_low, r.ci_high),
            w.percent(r.churn),
        ]
        for r in noise.reruns
    ]
    lines = [escape(floor.sentence) for floor in noise.floors] + [escape(noise.sentence)]
    body = table(header, rows, left=(0, 1)) + "\n\n" if rows else ""
    return "### Noise floor\n\n" + body + "\n".join(f"- {line}" for line in lines if line)


def _details(report: Report) -> str:
    evidence = [
        [
            escape(t.task),
            w.p_value(t.p_value),
            w.p_value(t.p_non_inferior),
            w.plain(t.mde, t.scale),
            w.count(t.documents_needed),
            escape(t.method),
        ]
        for t in report.tasks
    ]
    header = ["task", "p, no difference", "p, loss = margin", "MDE", "documents needed", "method"]
    blocks = [table(header, evidence, left=(0, 5))] if evidence else []
    settings = [
        [escape(s.name), code(w.shorten(w.value(s.candidate), 200)), code(w.shorten(w.value(s.reference), 200))]
        for s in report.settings
        if s.differs
    ]
    if settings:
        blocks.append(
            "Settings that differ:\n\n" + table(["setting", "candidate", "reference"], settings, left=(0, 1, 2))
        )
    blocks.append(f"Plan: {code('sha256 ' + report.plan_hash) if report.plan_hash else 'none'}")
    if report.notes:
        blocks.append("\n".join(f"- {escape(note)}" for note in report.notes))
    if report.provenance.command:
        blocks.append(f"Made by {code(report.provenance.command)}")
    inside = "\n\n".join(blocks)
    return f"<details><summary>Evidence, settings, provenance</summary>\n\n{inside}\n\n</details>"


def render_many(many: ManyReport) -> str:
    """Several candidates: one table and the claims after Holm, then each report's own verdict."""
    header = ["candidate", "task", "n", "difference", w.level_text(many.level), "recovery %", "margin", "verdict"]
    rows = []
    for report in many.reports:
        name = escape(report.candidate.name)
        for t in report.tasks:
            interval = w.interval(t.ci_low, t.ci_high, t.scale)
            numbers = [w.count(t.n), w.signed(t.difference, t.scale), interval, w.plain(t.recovery)]
            rows.append([name, escape(t.task), *numbers, w.plain(t.margin, t.scale), verdict(t.verdict)])
        if report.judge:
            j = report.judge
            numbers = [w.count(j.n), w.signed(j.net_win), w.bounds(j.net_win_ci, sign=True), w.UNKNOWN]
            rows.append([name, "judge: net win", *numbers, w.plain(j.margin), verdict(j.verdict)])
    claims = [
        [
            escape(c.candidate),
            verdict(c.verdict),
            w.p_value(c.p_value),
            w.p_value(c.p_holm),
            "stands" if c.stands else f"does not stand{f': {escape(c.reason)}' if c.reason else ''}",
        ]
        for c in many.claims
    ]
    blocks = [
        f"## Candidates against {escape(many.reports[0].reference.name)}",
        table(header, rows, left=(0, 1, 7)),
        f"### Claims of non-inferiority on everything, Holm over {len(many.claims)}",
        table(["candidate", "verdict", "p", "p after Holm", "claim"], claims, left=(0, 1, 4)),
    ]
    if many.recovered:
        shares = [
            [
                f"{escape(r.candidate)} over {escape(r.raw)}",
                escape(f"{r.task} {r.metric}"),
                w.percent(r.share) if r.share is not None else f"unknown: {escape(r.reason)}",
                w.bounds(r.ci),
            ]
            for r in many.recovered
        ]
        blocks.append("### Recovered share of what was lost")
        blocks.append(table(["candidate", "task", "share", w.level_text(many.level)], shares, left=(0, 1)))
    for report in many.reports:
        blocks += [_verdict(report).replace("## ", "### ", 1), _warnings(report)]
    return "\n\n".join(block for block in blocks if block) + "\n"
