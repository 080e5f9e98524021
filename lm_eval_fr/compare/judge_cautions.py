"""What a reader must know of the judge before its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.outcome import UNDECIDED
from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Caution
from lm_eval_fr.stats.sensitivity import less_length, less_order

SHUTDOWN_DAYS = 60
UNDECIDED_SHARE = 0.01
LEAN_SHOWN = 0.01  # of net win: how much a preference must change it to be worth a warning
LEANS = 0.05  # p of a preference for one position


def judge_cautions(judge: JudgeResult | None, summary: JudgeSummary | None, today: date | None) -> Iterator[Caution]:
    if judge is None or summary is None:
        return
    if judge.offline:
        text = (
            "The judge is the offline stand-in: a formula that counts words and understands nothing. Its verdicts "
            "show how the report works, not which arm is better."
        )
        yield Caution(kind="offline_judge", text=text)
    without = {outcome: judge.outcomes.get(outcome, 0) for outcome in UNDECIDED}
    if judge.pairs and sum(without.values()) / judge.pairs >= UNDECIDED_SHARE:
        kinds = ", ".join(f"{number:,} {outcome}" for outcome, number in without.items() if number)
        text = (
            f"{sum(without.values()):,} of {judge.pairs:,} pairs have no verdict ({kinds}): whatever they "
            f"would be, the net win rate is between {w.signed(judge.worst_case)} and {w.signed(judge.best_case)} "
            f"points."
        )
        yield Caution(kind="undecided", text=text)
    if not summary.finished:
        yield Caution(kind="unfinished", text=f"The judge has not finished: {summary.left or 'rerun it'}.")
    yield from _leans(judge)
    yield from _shutdown(summary, today)
    for text in summary.warnings:
        if "shut" not in text:  # from the day of judging; today's is above
            yield Caution(kind="judge", text=f"Judge: {text.rstrip('.')}.")


def _shutdown(summary: JudgeSummary, today: date | None) -> Iterator[Caution]:
    if summary.shutdown is None or today is None:
        return
    left = (date.fromisoformat(summary.shutdown) - today).days
    if left <= SHUTDOWN_DAYS:
        when = f"is shut down on {summary.shutdown}" if left >= 0 else f"was shut down on {summary.shutdown}"
        change = f" Its successor here is --profile {summary.successor}." if summary.successor else ""
        text = f"The judge {summary.model} {when}: these verdicts cannot be repeated after that.{change}"
        yield Caution(kind="shutdown", text=text)


def _leans(judge: JudgeResult) -> Iterator[Caution]:
    """What the judge's preference for length, or for a position, is worth in the headline."""
    net, seen = judge.net_win, judge.seen
    if net is None:
        return
    longer, shorter = judge.longer
    without = None if seen is None else less_length(net, seen, longer, shorter, judge.n)
    if seen is not None and without is not None and abs(without - net) >= LEAN_SHOWN:
        effect = seen.longer_effect or 0.0
        taste = "longer" if effect > 0 else "shorter"
        text = (
            f"The judge prefers the {taste} answer: its length alone was worth {w.plain(abs(effect))} points of net "
            f"win on the controls, and the candidate's answer is the longer one in {longer:,} of {judge.n:,} pairs "
            f"and the shorter in {shorter:,}. Without that, its net win is {w.signed(without)} points, "
            f"not {w.signed(net)}."
        )
        yield Caution(kind="judge_length", text=text)
    lean = None if judge.bias.position is None else judge.bias.position.flips_to_first.p_value
    corrected = None if judge.order is None else less_order(net, judge.order)
    if lean is None or lean >= LEANS or judge.order is None or corrected is None:
        return
    if abs(corrected - net) >= LEAN_SHOWN:
        text = (
            f"The judge prefers one position: of {judge.order.decided:,} pairs with a preference, the order decided "
            f"{judge.order.count:,}. If it sees no difference in those, the net win for careful readers is about "
            f"{w.signed(corrected)} points, not {w.signed(net)}."
        )
        yield Caution(kind="judge_order", text=text)
