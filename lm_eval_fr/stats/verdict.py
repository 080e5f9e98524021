"""Difference and margin -> verdict; verdicts -> one verdict and the sentence that states it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy import stats

from ..errors import UsageError
from .arrays import check_margin
from .betting import CAUTION
from .differences import FEW_CLUSTERS
from .estimates import Assessment, Difference, DocumentsNeeded, Interval, Overall, Spread, Verdict
from .planning import attained, guarded_documents, smallest

CLAIMED_NOT = (
    "Not claimed: that the arms are equal, or that it holds for other tasks, prompts or settings than those compared."
)


def decide(interval: Interval, margin: float) -> Verdict:
    """non_inferior if the whole interval is above -margin, inferior if it is below, else inconclusive.

    With a two-sided 95 % interval each claim is tested one-sided at 2.5 %. An interval that is undefined decides
    nothing.
    """
    check_margin(margin)
    if interval.low is None or interval.high is None:
        return "inconclusive"
    if interval.low > -margin:
        return "non_inferior"
    return "inferior" if interval.high < -margin else "inconclusive"


def degradation_detected(interval: Interval) -> bool | None:
    """Whether the candidate is worse at all, however little; None where the interval is undefined."""
    return None if interval.high is None else interval.high < 0


def assess(difference: Difference, margin: float, *, power: float = 0.8) -> Assessment:
    """One difference against its margin. p-values are those of `difference` if it was computed with this margin."""
    check_margin(margin, largest=None if difference.kind == "unbounded" else 1.0)
    interval = difference.interval
    verdict = decide(interval, margin)
    effect, reason = mde(difference, power=power)
    same = difference.margin == margin
    return Assessment(
        verdict=verdict,
        margin=margin,
        interval=interval,
        degradation_detected=degradation_detected(interval),
        documents_needed=documents_needed(difference, margin, power=power) if verdict == "inconclusive" else None,
        mde=effect,
        mde_reason=reason,
        p_non_inferior=difference.p_non_inferior if same else None,
        p_inferior=difference.p_inferior if same else None,
    )


def mde(difference: Difference, *, power: float = 0.8) -> tuple[float | None, str | None]:
    """The smallest true difference that such data would have shown with probability `power`, or why not.

    (t + z_power) standard errors; Bloom 1995, Evaluation Review 19:547-556.
    """
    error, level = difference.standard_error, difference.interval.level
    if error is None:
        return None, difference.interval.reason or "no standard error"
    if error == 0:
        return None, "no variance: what could have been detected is unknown"
    units = difference.clusters or difference.n
    reach = float(stats.t.ppf((1 + level) / 2, units - 1)) + float(stats.norm.ppf(power))
    return reach * error, None


def documents_needed(difference: Difference, margin: float, *, power: float = 0.8) -> DocumentsNeeded:
    """Documents in all with which the verdict would be settled, if difference and spread stay as observed."""
    estimate, error = difference.interval.estimate, difference.standard_error
    if estimate is None or error is None or not difference.interval.defined:
        return DocumentsNeeded(None, None, None, power, difference.interval.reason or "no interval")
    room = estimate + margin
    towards: Verdict = "non_inferior" if room > 0 else "inferior"
    if abs(room) < 1e-3 * margin:
        return DocumentsNeeded(None, None, estimate, power, "the difference is the margin: no number settles it")
    alpha = (1 - difference.interval.level) / 2
    size = difference.n / difference.clusters if difference.clusters else 1.0
    sd = error * math.sqrt(difference.n)
    counted = difference.kind == "binary" and difference.clusters is None and difference.flips is not None
    guarded = counted or difference.kind == "bounded" or (size > 1 and difference.kind != "unbounded")
    spread = Spread("score" if guarded else "judge", sd, "as observed", size)
    if counted and difference.flips is not None:  # Tango's interval has a width even where nothing flipped
        flipped = (difference.flips.lost + difference.flips.gained) / difference.n
        spread = Spread("exact_match", math.sqrt(flipped), "as observed")
    mean, threshold = (estimate, -margin) if room > 0 else (-estimate, margin)
    documents = smallest(lambda n: attained(n, spread, mean, threshold, alpha) >= power)
    if guarded:
        documents = guarded_documents(documents, spread, mean, threshold, alpha, power)
    if documents is not None and difference.interval.method.startswith("betting"):
        few = difference.clusters is not None
        documents = max(
            documents, math.ceil(FEW_CLUSTERS * size) if few else betting_documents(mean, threshold, sd, alpha)
        )
    if documents is None:
        return DocumentsNeeded(None, towards, estimate, power, "more than can be had")
    return DocumentsNeeded(max(documents, difference.n + 1), towards, estimate, power)


def betting_documents(mean: float, threshold: float, sd: float, alpha: float) -> int:
    """Documents until the bettor's capital is expected to reach 1 / alpha, at the best constant bet allowed."""
    room, cap = mean - threshold, CAUTION / (1 + threshold)
    bet = min(cap, room / max(sd * sd + room * room, 1e-12))
    growth = math.log1p(bet * room) - bet * bet * sd * sd / 2
    return math.ceil(math.log(1 / alpha) / max(growth, 1e-9))


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's adjusted p-values (1979, Scandinavian Journal of Statistics 6:65-70); None stays None, uncounted."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    for p, _ in known:
        if not 0 <= p <= 1:
            raise UsageError(f"{p} is not a p-value")
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[index] = largest
    return tuple(adjusted)


def overall(assessments: Mapping[str, Assessment]) -> Overall:
    """One verdict over tasks and judge, keyed by the names that the sentence should use.

    non_inferior where every one is: an intersection-union test, which needs no correction (Berger 1982).
    inferior where at least one is after Holm's correction over all of them. Else no_verdict where one of them is, else
    inconclusive.
    """
    if not assessments:
        raise UsageError("no task and no judge: there is nothing to decide")
    levels = {a.interval.level for a in assessments.values()}
    if len(levels) > 1:
        raise UsageError(f"verdicts at different levels: {sorted(levels)}")
    level = levels.pop()
    adjusted = dict(zip(assessments, holm([a.p_inferior for a in assessments.values()]), strict=True))
    worse = tuple(
        name
        for name, a in assessments.items()
        if a.verdict == "inferior" and (len(assessments) == 1 or (adjusted[name] or 0.0) <= (1 - level) / 2)
    )
    undecided = tuple(name for name, a in assessments.items() if a.verdict != "non_inferior" and name not in worse)
    unknown = any(a.verdict == "no_verdict" for a in assessments.values())
    open_verdict: Verdict = "no_verdict" if unknown else "inconclusive"
    verdict: Verdict = "inferior" if worse else open_verdict if undecided else "non_inferior"
    return Overall(
        verdict=verdict,
        level=level,
        sentence=sentence(assessments, verdict, worse, undecided, level),
        undecided=undecided,
        inferior=worse,
        method="intersection-union for non-inferior, Holm for inferior",
    )


def sentence(
    assessments: Mapping[str, Assessment],
    verdict: Verdict,
    worse: Sequence[str],
    undecided: Sequence[str],
    level: float,
) -> str:
    """What is ruled out, at which level, and what is not claimed."""
    certain = f"at {100 * level:g} % confidence"
    if verdict == "non_inferior":
        parts = [f"{name} loses less than {a.margin:g} (at most {worst_loss(a)})" for name, a in assessments.items()]
        return f"Non-inferior, {certain}: {'; '.join(parts)}. {CLAIMED_NOT}"
    if verdict == "inferior":
        parts = [
            f"{name} loses more than {assessments[name].margin:g} (at least {least_loss(assessments[name])})"
            for name in worse
        ]
        return f"Inferior, {certain}: {'; '.join(parts)}. {CLAIMED_NOT}"
    parts = [not_ruled_out(name, assessments[name]) for name in undecided]
    return (
        f"Inconclusive, {certain}: {'; '.join(parts)}. "
        "This is neither evidence of a loss nor of its absence; more documents are needed."
    )


def worst_loss(assessment: Assessment) -> str:
    low = assessment.interval.low
    return "unknown" if low is None else f"{max(-low, 0.0):.4f}"


def least_loss(assessment: Assessment) -> str:
    high = assessment.interval.high
    return "unknown" if high is None else f"{-high:.4f}"


def not_ruled_out(name: str, assessment: Assessment) -> str:
    interval = assessment.interval
    if interval.low is None:
        return f"nothing can be said of {name} ({interval.reason})"
    if assessment.verdict == "inferior":
        return f"{name} on its own loses more than {assessment.margin:g}, but not after Holm's correction"
    return f"on {name} a loss of up to {-interval.low:.4f} cannot be ruled out, and the margin is {assessment.margin:g}"
