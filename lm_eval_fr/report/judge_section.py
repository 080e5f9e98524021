"""What the judge said, how far to trust it, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.report import control_words as controls
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import JudgeResult, Report
from lm_eval_fr.report.sections import Bar, Cell, Facts, Fold, Part, Quote, Section, Segment, Table, Word
from lm_eval_fr.stats import Proportion
from lm_eval_fr.stats.judging import Length

ORDERS = {
    "both": "Each pair was shown in both orders, without names.",
    "lazy": "Each pair was shown without names; the second order was asked only where the first was not a tie.",
}
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
    name, rubric = w.printable(judge.model), judge.rubric.get("name") or "unnamed"
    sha = judge.rubric.get("sha256")
    quotes = [Quote(f"Rubric {rubric}, sha256 {sha}", str(judge.rubric["text"]))] if judge.rubric.get("text") else []
    profile = tuple((key, w.value(item)) for key, item in judge.profile.items())
    parts: tuple[Part | None, ...] = (
        f"{ORDERS.get(judge.orders, ORDERS['both'])} A win or a loss is a preference that survives the exchange; "
        f"everything else is a tie. Rubric: {w.printable(rubric)}.",
        _bar(judge),
        Facts(tuple(_headline(judge, report.level))),
        Facts(tuple(_trust(judge))),
        _by_length(judge.bias.length) if judge.bias.length else None,
        _by_task(judge) if len(judge.tasks) > 1 else None,
        Facts(tuple(("unknown", f"{names}: {reason}") for names, reason in w.unknowns(judge.reasons))),
        Fold("Profile and rubric", (Facts(profile), *quotes)),
    )
    kept = tuple(part for part in parts if part is not None and part != Facts(()))
    return Section("judge", f"Judge {name}", kept, "judge")


def _bar(judge: JudgeResult) -> Bar | None:
    if not judge.n:
        return None
    segments = tuple(Segment(*one, judge.outcomes.get(one[0], 0)) for one in OUTCOMES)
    return Bar(w.headline(judge), ("← candidate preferred", "reference preferred →"), segments)


def _headline(judge: JudgeResult, level: float) -> Iterator[tuple[str, Cell]]:
    p = judge.preference
    apart = ", ".join(f"{judge.outcomes.get(what, 0):,} {what}" for what in ("invalid", "refused", "unjudged"))
    yield "verdict", Word(judge.verdict)
    yield "headline", f"{w.headline(judge)} in {judge.n:,} judged pairs; not counted: {apart}"
    text = f"{w.signed(judge.net_win)} points, {w.level_text(level)} {w.bounds(judge.net_win_ci, sign=True)}, "
    text += f"margin {w.plain(judge.margin)}"
    if judge.best_case is not None and judge.worst_case is not None and judge.best_case != judge.worst_case:
        text += (
            f"; {w.signed(judge.worst_case)} to {w.signed(judge.best_case)} whatever the pairs without a verdict hide"
        )
    yield "net win rate", f"{text} ({judge.method})"
    share = w.percent(p.win_share.share)
    yield (
        "win share",
        f"{share} of {p.decided:,} decided pairs, {w.bounds(judge.win_share_ci)}, exact binomial "
        f"{w.p_equals(judge.p_value)}",
    )
    good = p.at_least_as_good
    yield "at least as good", f"{good.count:,} of {good.of:,} judged pairs ({w.percent(good.share, 0)})"


def _trust(judge: JudgeResult) -> Iterator[tuple[str, Cell]]:
    position, length, repeats = judge.bias.position, judge.bias.length, judge.bias.repeats
    if position:
        yield "order-decided", f"{share(position.flip)} of the pairs asked in both orders"
        yield "first answer", f"preferred in {share(position.first_answer)}; without a lean it is 50 %"
    if length:
        means = f"{length.candidate_mean:,.0f} against {length.reference_mean:,.0f} characters"
        yield "length", f"{means}; the longer answer won {share(length.longer_wins)}"
    if repeats:
        again, other = repeats.changed, repeats.order_changed
        yield (
            "repeats",
            f"asked the same question again, the verdict changed in {w.percent(again.share)}; asked in the other "
            f"order, in {w.percent(other.share)}: what the second exceeds the first by is bias, the rest is noise",
        )
    yield from controls.sentences(judge)
    yield "cost", cost(judge)


def share(part: Proportion) -> str:
    inside = f"{w.percent(part.share)}, {w.interval(part.low, part.high, sign=False)}"
    return f"{part.count:,} of {part.of:,} ({inside})"


def cost(judge: JudgeResult) -> str:
    """Calls, tokens and dollars in one line; an unknown price stays unknown."""
    usage = judge.usage
    if judge.offline and not usage.input_tokens:  # on a panel the stand-in sits beside judges that are paid
        return "none: offline stand-in judge"
    tokens = f"{usage.input_tokens:,} tokens in ({usage.cached_tokens:,} cached), {usage.output_tokens:,} out"
    return f"{usage.calls:,} calls, {tokens}, {w.money(usage.dollars)}"


def _by_length(length: Length) -> Table | None:
    rows = tuple(
        (_ratio(b.low, b.high), w.count(b.n), w.count(b.wins), w.count(b.ties), w.count(b.losses)) for b in length.bins
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
