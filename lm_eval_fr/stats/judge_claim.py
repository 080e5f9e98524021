"""What may be claimed from a judge: its net win against the margin, by the four conditions in `sensitivity`."""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_fr.stats.arrays import check_margin
from lm_eval_fr.stats.estimates import Interval, Verdict
from lm_eval_fr.stats.sensitivity import (
    GROSS_MISSES,
    LEAST_NET_WIN,
    MOST_OF_ALL,
    MOST_OF_DECIDED,
    AssaySensitivity,
    CorrectedMargin,
    OrderDecided,
    corrected_margin,
)
from lm_eval_fr.stats.verdict import decide

NOT_SHOWN = "this judge has not shown that it can see"
NO_CONTROLS = "the judge was asked no controls, so nothing shows that it can see a difference"


@dataclass(frozen=True, slots=True)
class JudgeClaim:
    """failed: the conditions that do not hold, 1 to 4. unknown: those not known yet. sentence: the claim in
    words. reason: why no more is claimed. corrected: condition 3, if there is something to correct."""

    verdict: Verdict
    failed: tuple[int, ...]
    sentence: str
    reason: str | None
    corrected: CorrectedMargin | None
    unknown: tuple[int, ...] = ()


def decide_by_judge(net_win: Interval, margin: float, seen: AssaySensitivity | None, order: OrderDecided) -> JudgeClaim:
    """net_win: the headline net win rate with its interval, uncorrected. seen: None where no controls were asked."""
    check_margin(margin, largest=1.0)
    if seen is None:
        return no_claim(NO_CONTROLS)
    corrected = corrected_margin(net_win, margin, seen)
    holds = conditions(seen, order, corrected)
    failed, unknown = (tuple(n for n, good in enumerate(holds, 1) if good is state) for state in (False, None))
    if missing := [n for n in failed if n != 3]:
        why = f"{NOT_SHOWN} ({'; '.join(_why(n, seen, order) for n in missing)})"
        return no_claim(why, failed, unknown, corrected)
    if (waiting := why_open(seen)) is not None:
        return no_claim(waiting, failed, unknown, corrected)
    if corrected is None or not net_win.defined or not order.pairs:
        return no_claim(net_win.reason or "no pair was judged", failed, unknown)
    own = decide(net_win, margin)
    basis = _basis(seen, margin)
    if own == "non_inferior" and 3 in failed:
        why = (
            f"on the judge's own scale the loss is below {_points(margin)} points; allowing for what the judge "
            "misses, this is not shown"
        )
        return JudgeClaim("inconclusive", failed, f"{basis} {why[0].upper()}{why[1:]}.", why, corrected)
    said = {
        "non_inferior": "Non-inferior: such a loss is ruled out at {} % (one-sided), if the judge sees real "
        "differences as well as the planted ones.",
        "inferior": "Inferior: the loss on the judge's own scale is larger than the margin at {} % (one-sided), and "
        "what the judge misses can only hide part of it.",
        "inconclusive": "Such a loss is neither ruled out nor shown at {} % (one-sided).",
    }[own].format(f"{100 * (1 + net_win.level) / 2:g}")
    return JudgeClaim(own, failed, f"{basis} {said}", None, corrected)


def no_claim(
    why: str,
    failed: tuple[int, ...] = (),
    unknown: tuple[int, ...] = (),
    corrected: CorrectedMargin | None = None,
) -> JudgeClaim:
    """`no_verdict`, whatever the net win says."""
    return JudgeClaim("no_verdict", failed, f"No verdict: {why}.", why, corrected, unknown)


def conditions(
    seen: AssaySensitivity, order: OrderDecided, corrected: CorrectedMargin | None
) -> tuple[bool | None, ...]:
    """Whether each of the four holds; None if not known."""
    if not order.pairs:
        return seen.sees_gross, seen.sees_graded, None, None
    return seen.sees_gross, seen.sees_graded, None if corrected is None else corrected.holds, order.holds


def _basis(seen: AssaySensitivity, margin: float) -> str:
    net, low = seen.net_win or 0.0, seen.ci_low or 0.0
    return (
        f"In {seen.n} control pairs with a known better answer the judge's net win was {net:.2f} (at least {low:.2f}). "
        f"A loss of {_points(margin)} points for careful readers would show here as about {_points(margin * net)}."
    )


def why_blind(seen: AssaySensitivity, *, graded: bool = True) -> str | None:
    """Why the controls allow no claim; None if conditions 1 and 2 hold or wait for replies.

    graded: whether to check 2.
    """
    failed = [1] * (seen.sees_gross is False) + [2] * (graded and seen.sees_graded is False)
    return "; ".join(_why_controls(number, seen) for number in failed) or None


def why_open(seen: AssaySensitivity) -> str | None:
    """What the controls cannot say yet, and what to do; None if no deciding reply is missing."""
    parts = []
    if seen.sees_gross is None:
        asked = seen.questions + seen.questions_left
        parts.append(f"{seen.questions_left} of {asked} questions about gross faults have no reply")
    if seen.sees_graded is None and seen.reason is not None:
        parts.append(seen.reason)
    if not parts:
        return None
    return f"the judge's controls are not finished ({'; '.join(parts)}): run the same command again"


def _why(condition: int, seen: AssaySensitivity, order: OrderDecided) -> str:
    return _why_order(order) if condition == 4 else _why_controls(condition, seen)


def _why_controls(condition: int, seen: AssaySensitivity) -> str:
    if condition == 1 and seen.missed is None:
        return "it was asked no question about gross faults"
    if condition == 1:
        return (
            f"it missed {seen.missed} of {seen.questions} questions about gross faults, and only "
            f"{GROSS_MISSES} are allowed"
        )
    if seen.ci_low is None or seen.net_win is None:
        return seen.reason or f"{seen.n} graded controls are too few"
    return (
        f"its net win in {seen.n} control pairs is {seen.net_win:.2f}, which shows at least {seen.ci_low:.2f}, "
        f"but more than {LEAST_NET_WIN:.2f} is needed"
    )


def _why_order(order: OrderDecided) -> str:
    return (
        f"the order decided {order.count} of {order.decided} pairs with a preference, of {order.pairs} in all: up to "
        f"{_percent(order.of_decided_high)} and {_percent(order.of_all_high)}, and less than "
        f"{_percent(MOST_OF_DECIDED)} or {_percent(MOST_OF_ALL)} is needed"
    )


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.0f} %"


def _points(share: float) -> str:
    return f"{100 * share:.3g}"
