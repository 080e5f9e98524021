"""What the judge said, how far to trust it, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.sections import (
    Bar,
    Cell,
    Chart,
    Facts,
    Figures,
    Fold,
    Line,
    Part,
    Point,
    Quote,
    Section,
    Segment,
    SideBySide,
    Table,
    section,
)
from lm_eval_fr.stats import Proportion, binomial_share
from lm_eval_fr.stats.judge_claim import conditions
from lm_eval_fr.stats.judging import Agreement, CanaryReport, JudgeControls, JudgeNoise, Length, PanelReport, People
from lm_eval_fr.stats.sensitivity import (
    GROSS_MISSES,
    LEAST_NET_WIN,
    MOST_OF_ALL,
    MOST_OF_DECIDED,
    AssaySensitivity,
    OrderDecided,
)

RESULTS = {True: "passed", False: "failed", None: "not known"}
ORDERS = {
    "both": "Each pair was shown in both orders, without names.",
    "lazy": "Each pair was shown without names; the second order was asked only where the first was not a tie.",
}
SIZES = ("word", "sentence", "passage", "gross")  # of planted damage, the smallest first
OUTCOMES = (
    ("win", "candidate preferred", "in both orders"),
    ("tie", "tie, agreed", "a tie in both orders"),
    ("flip", "tie, order-decided", "the preference changed with the order"),
    ("split", "tie, one order only", "a tie in one order, a preference in the other"),
    ("identical", "tie, identical", "the same answer, not asked"),
    ("loss", "reference preferred", "in both orders"),
)


def judge_section(report: Report) -> Section | None:
    judge = report.judge
    if judge is None:
        return None
    rubric = w.printable(judge.rubric.name)
    shown = ORDERS.get(judge.profile.orders, ORDERS["both"])
    lead = (
        f"{shown} A win or a loss is a preference that survives swapping the "
        f"answers; everything else is a tie. Rubric: {rubric}."
    )
    parts: tuple[Part | None, ...] = (
        lead,
        _bar(judge),
        Figures(tuple(_figures(judge, report.level))),
        judge.claim.sentence if judge.claim else None,
        _controls(judge, report.level),
        Facts(tuple(_facts(judge))),
        _tables(judge),
        Facts(tuple(("unknown", f"{names}: {reason}") for names, reason in w.unknowns(_left(judge)))),
        _background(judge, rubric),
    )
    return section("judge", f"Judge {w.printable(judge.model)}", parts, "judge")


def _left(judge: JudgeResult) -> dict[str, str]:
    """Reasons that are not in the judge's row of the forest."""
    return {key: reason for key, reason in judge.reasons.items() if key not in ("verdict", "decision")}


def _tables(judge: JudgeResult) -> SideBySide | None:
    found = (
        _by_task(judge) if len(judge.tasks) > 1 else None,
        _by_damage(judge.seen) if judge.seen else None,
        _by_length(judge.bias.length) if judge.bias.length else None,
    )
    tables = tuple(table for table in found if table is not None)
    return SideBySide(tables) if tables else None


def _background(judge: JudgeResult, rubric: str) -> Fold:
    profile = Facts(tuple((key, w.value(item)) for key, item in asdict(judge.profile).items() if item is not None))
    quote = Quote(f"Rubric {rubric}, sha256 {judge.rubric.sha256}", judge.rubric.text)
    return Fold("Profile and rubric", (profile, quote))


def _bar(judge: JudgeResult) -> Bar | None:
    if not judge.n:
        return None
    # As in the forest: left favours the reference, right the candidate.
    segments = tuple(Segment(*one, judge.outcomes.get(one[0], 0)) for one in reversed(OUTCOMES))
    return Bar(w.headline(judge), ("← reference preferred", "candidate preferred →"), segments)


def _figures(judge: JudgeResult, level: float) -> Iterator[tuple[str, str, str]]:
    p, position, seen = judge.preference, judge.bias.position, judge.seen
    name = w.level_text(level)
    margin = f", margin {w.plain(judge.margin)}" if judge.margin is not None else ""
    interval = w.against(judge.net_win_ci, judge.margin)
    yield "net win rate", f"{w.signed(judge.net_win)} points", f"{name} {interval}{margin}"
    wins = f"{p.wins:,} of {p.decided:,}, {name} {w.bounds(judge.win_share_ci)}"
    found = f"{wins}, exact binomial {w.p_equals(judge.p_value)}" if p.decided else "no pair was decided in both orders"
    yield "wins among decided", w.percent(p.win_share.share), found
    if position:
        flip = position.flip
        found = f"{flip.count:,} of {flip.of:,} ({w.interval(flip.low, flip.high, sign=False)})"
        yield "order-decided", w.percent(flip.share), f"{found} of the pairs asked in both orders"
    if seen and seen.net_win is not None:
        least = "unknown" if seen.ci_low is None else f"{seen.ci_low:.2f}"
        found = f"net win in {seen.n:,} control pairs, at least {least}; 1 is a judge that sees everything"
        yield "sensitivity", f"{seen.net_win:.2f}", found
        return
    good = p.at_least_as_good
    yield "at least as good", w.percent(good.share, 0), f"{good.count:,} of {good.of:,} judged pairs"


def _controls(judge: JudgeResult, level: float) -> SideBySide | None:
    seen, order = judge.seen, judge.order
    if seen is None or order is None:
        return None
    return SideBySide((_conditions(judge, seen, order), *([_curve(seen, level)] if seen.n else [])))


def _conditions(judge: JudgeResult, seen: AssaySensitivity, order: OrderDecided) -> Table:
    """What a judge must show before its ties count."""
    claim = judge.claim
    corrected = claim.corrected if claim else None
    missed = "no question answered" if seen.missed is None else f"{seen.missed} of {seen.questions} questions missed"
    least = "unknown" if seen.ci_low is None else f"at least {seen.ci_low:.2f}"
    left = f"{w.plain(corrected.margin)} points" if corrected and corrected.margin is not None else "none"
    needed = "no margin was given" if judge.margin is None else f"at most {w.plain(judge.margin)} points"
    shares = (order.of_decided_high, order.of_all_high)
    of_decided, of_all = ("unknown" if share is None else f"at most {w.percent(share, 0)}" for share in shares)
    rows = (
        ("gross faults", missed, f"at most {GROSS_MISSES}"),
        ("planted faults", least, f"above {LEAST_NET_WIN:.2f}"),
        ("margin that it can establish", left, needed),
        (
            "order-decided: of decided pairs, of all",
            f"{of_decided}, {of_all}",
            f"below {w.percent(MOST_OF_DECIDED, 0)}, or {w.percent(MOST_OF_ALL, 0)}",
        ),
    )
    results = tuple((*row, RESULTS[good]) for row, good in zip(rows, conditions(seen, order, corrected), strict=True))
    if judge.verdict == "inferior":  # what a judge misses can only hide part of a loss
        results = tuple((*row[:3], "not needed") if i == 2 else row for i, row in enumerate(results))
    header = ("what the judge must show", "found", "needed", "result")
    return Table(header, results, left=(0, 1, 2, 3), caption="Controls with a known better answer", names=(0, 1))


def _by_damage(seen: AssaySensitivity) -> Table | None:
    rows = tuple(
        (c.kind, c.grade, w.count(c.n), w.count(c.won), w.count(c.lost), w.count(c.order_decided))
        for c in seen.grades
        if c.grade != "gross" and c.n
    )
    header = ("planted damage", "size", "pairs", "won", "lost", "order-decided")
    return Table(header, rows, left=(0, 1), caption="Graded controls by kind of damage") if rows else None


def _curve(seen: AssaySensitivity, level: float) -> Chart:
    """Won controls by the size of the damage, smallest first."""
    sizes: dict[str, list[int]] = {}
    for one in sorted(seen.grades, key=lambda one: SIZES.index(one.grade) if one.grade in SIZES else -1):
        counted = sizes.setdefault(one.grade, [0, 0])
        counted[0] += one.won
        counted[1] += one.n
    sizes = {grade: counted for grade, counted in sizes.items() if counted[1]}
    points = []
    for x, (won, n) in enumerate(sizes.values()):
        found = binomial_share(won, n, level)
        points.append(Point(f"{won} of {n}", float(x), found.share or 0.0, found.low, found.high))
    line = Line("won", "candidate", tuple(p.x for p in points), tuple(p.y for p in points))
    return Chart(
        "What this judge sees",
        f"Share of the control pairs whose good answer won in both orders, with {w.level_text(level)} intervals.",
        "size of the planted damage",
        "won %",
        (line,),
        tuple(points),
        percent=True,
        y_range=(0.0, 1.14),
        x_names=tuple(sizes),
    )


def _facts(judge: JudgeResult) -> Iterator[tuple[str, Cell]]:
    position, length, repeats = judge.bias.position, judge.bias.length, judge.bias.repeats
    apart = ", ".join(f"{judge.outcomes.get(what, 0):,} {what}" for what in ("invalid", "refused", "unjudged"))
    good = judge.preference.at_least_as_good
    as_good = f"{good.count:,} ({w.percent(good.share, 0)}) at least as good as the reference"
    yield "headline", f"{w.headline(judge)} in {judge.n:,} judged pairs, {as_good}; not counted: {apart}"
    if judge.best_case is not None and judge.worst_case is not None and judge.best_case != judge.worst_case:
        hidden = f"{w.signed(judge.worst_case)} to {w.signed(judge.best_case)}"
        yield "net win", f"{hidden} points, whatever the pairs without a verdict would be"
    yield "method", judge.method
    if position:
        yield "first answer", f"preferred in {share(position.first_answer)}; 50 % without a preference"
    if length:
        means = f"{length.candidate_mean:,.0f} against {length.reference_mean:,.0f} characters"
        longer = f"; the longer answer won {share(length.longer_wins)}" if length.longer_wins.of else ""
        yield "length", f"{means}{longer}"
    if repeats:
        again, other = repeats.changed, repeats.order_changed
        yield (
            "repeats",
            f"asked the same question again, the verdict changed in {w.percent(again.share)}; asked in the "
            f"other order, in {w.percent(other.share)}: the excess of the second over the first is bias, the rest "
            f"is noise",
        )
    yield from _controlled(judge)
    yield "cost", cost(judge)


def share(part: Proportion) -> str:
    inside = f"{w.percent(part.share)}, {w.interval(part.low, part.high, sign=False)}"
    return f"{part.count:,} of {part.of:,} ({inside})"


def cost(judge: JudgeResult) -> str:
    """Calls, tokens and dollars in one line; an unknown price stays unknown."""
    usage = judge.usage
    if judge.offline and not usage.input_tokens:  # on a panel the stand-in may be next to paid judges
        return "none: offline stand-in judge"
    tokens = f"{usage.input_tokens:,} tokens in ({usage.cached_tokens:,} cached), {usage.output_tokens:,} out"
    dollars = "price unknown" if usage.dollars is None else w.money(usage.dollars)
    return f"{usage.calls:,} calls, {tokens}, {dollars}"


def _by_length(length: Length) -> Table | None:
    rows = tuple(
        (_ratio(b.low, b.high), w.count(b.n), w.count(b.wins), w.count(b.ties), w.count(b.losses))
        for b in length.bins
        if b.n
    )
    header = ("candidate / reference length", "pairs", "win", "tie", "loss")
    return Table(header, rows, caption="Outcomes by the ratio of the answers' lengths") if rows else None


def _ratio(low: float, high: float | None) -> str:
    return f"over {low:.2g}" if high is None else f"{low:.2g} to {high:.2g}" if low else f"under {high:.2g}"


def _by_task(judge: JudgeResult) -> Table:
    rows = tuple(
        (t.task, w.count(t.n), w.count(t.wins), w.count(t.ties), w.count(t.losses), w.signed(t.net_win))
        for t in judge.tasks
    )
    return Table(("task", "pairs", "win", "tie", "loss", "net win"), rows, caption="By task")


def _controlled(judge: JudgeResult) -> Iterator[tuple[str, str]]:
    """(what was checked, what was found). The controls of a panel's judges have their names."""
    yield from _asked(judge.controls)
    for name, controls in judge.panel.controls.items():
        yield from _asked(controls, f", {name}")
    yield from _panel(judge.panel)


def _asked(controls: JudgeControls, who: str = "") -> Iterator[tuple[str, str]]:
    if controls.canaries is not None:
        yield f"gross controls{who}", _gross(controls.canaries)
    if controls.noise is not None:
        yield f"noise{who}", _noise(controls.noise)
    if controls.people is not None:
        yield f"people{who}", _people(controls.people)


def _gross(found: CanaryReport) -> str:
    text = f"the real answer won {found.won} of {found.judged} against an empty, cut or off-topic one"
    if found.hostile_gain is None:
        return text
    return f"{text}; an instruction to the judge inside an answer gains {w.signed(found.hostile_gain)} points"


def _noise(found: JudgeNoise) -> str:
    net, winner = found.net_win, found.winner
    moved = f"{w.signed(net.estimate)} points {w.interval(net.low, net.high)} between two runs of one arm"
    verdict = f"it found a winner, the {winner}, where there is none" if winner else "no winner, as it should be"
    return f"{moved} ({found.n} pairs): {verdict}"


def _people(found: People) -> str:
    text = f"agrees with people {_agreement(found)}"
    if found.net_win is None or found.net_win.net_win.estimate is None:
        return text
    net = found.net_win.net_win
    interval = w.interval(net.low, net.high)
    return f"{text}; their own net win is {w.signed(net.estimate)} points {interval} by PPI++: {found.whose}"


def _agreement(found: Agreement) -> str:
    raw = found.raw
    text = f"on {raw.count} of {raw.of} pairs ({w.percent(raw.share, 0)}, {w.interval(raw.low, raw.high, sign=False)}"
    return f"{text})" if found.kappa is None else f"{text}; Cohen's kappa {found.kappa:.2f})"


def _panel(panel: PanelReport) -> Iterator[tuple[str, str]]:
    if panel.unanimous is not None:
        yield "panel", f"unanimous on {panel.unanimous.count} of {panel.unanimous.of} pairs"
    for found in panel.agreement:
        yield "panel", f"{found.first} and {found.second} agree {_agreement(found)}"
