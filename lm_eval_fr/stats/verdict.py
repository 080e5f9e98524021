"""Difference and margin -> verdict; verdicts -> one verdict over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import check_margin
from lm_eval_fr.stats.estimates import Assay, Assessment, Difference, Interval, Overall, Verdict
from lm_eval_fr.stats.settle import documents_needed, mde


def decide(interval: Interval, margin: float) -> Verdict:
    """non_inferior if the whole interval is above -margin, inferior if it is below, else inconclusive.

    With a two-sided 95 % interval each claim is tested one-sided at 2.5 %. Without an interval there is no verdict.
    """
    check_margin(margin)
    if interval.low is None or interval.high is None:
        return "no_verdict"
    if interval.low > -margin:
        return "non_inferior"
    return "inferior" if interval.high < -margin else "inconclusive"


def assess(
    difference: Difference,
    margin: float,
    *,
    power: float = 0.8,
    available: int | None = None,
    assay: Assay | None = None,
    reach: float | None = None,
) -> Assessment:
    """One difference against its margin. p-values are those of `difference` if it was computed with this margin.

    available: documents that the data set has. assay: whether a loss of the margin could have shown (`assay_of`);
    where it could not, `non_inferior` becomes `no_verdict`, and if no loss is seen, no number of documents would
    settle it. reach: the largest loss that the metric can have, None where that is not known.
    """
    check_margin(margin, largest=None if difference.kind == "unbounded" else 1.0)
    interval, other = difference.interval, difference.other_guarantee
    verdict, reason = decide(interval, margin), None if interval.defined else interval.reason
    effect, mde_reason = mde(difference, power=power, reach=reach)
    needed = None
    blind = assay is not None and assay.holds is False
    if verdict == "inconclusive":
        for_good = assay is not None and blind and not assay.short_of_documents
        if interval.degradation_detected or not for_good:
            needed = documents_needed(difference, margin, power=power, available=available)
    elif verdict == "non_inferior" and assay is not None and blind:
        verdict, reason = "no_verdict", assay.reason
    same = difference.margin == margin
    return Assessment(
        verdict=verdict,
        margin=margin,
        interval=interval,
        documents_needed=needed,
        mde=effect,
        mde_reason=mde_reason,
        p_non_inferior=difference.p_non_inferior if same else None,
        p_inferior=difference.p_inferior if same else None,
        reason=reason,
        assay=assay,
        guarantee=difference.guarantee,
        other_verdict=None if other is None else decide(other, margin),
    )


def without_verdict(assessment: Assessment, reason: str) -> Assessment:
    """The same, if something other than its interval rules out a claim."""
    return replace(assessment, verdict="no_verdict", reason=reason, documents_needed=None)


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's adjusted p-values (1979, Scandinavian Journal of Statistics 6:65-70).

    None (a claim without a p-value) stays None but counts: the others are corrected over all claims.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        if not 0 <= p <= 1:
            raise UsageError(f"{p} is not a p-value")
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[index] = largest
    return tuple(adjusted)


def overall(assessments: Mapping[str, Assessment]) -> Overall:
    """One verdict over tasks and judge, keyed by the names that the sentence should use.

    non_inferior if every one is: an intersection-union test, which needs no correction (Berger 1982). inferior if at
    least one is after Holm's correction over all of them; an interval below the margin without a p-value counts with
    the largest p that it allows. Else no_verdict if any of them is, else inconclusive.
    """
    if not assessments:
        raise UsageError("no task and no judge: there is nothing to decide")
    levels = {a.interval.level for a in assessments.values()}
    if len(levels) > 1:
        raise UsageError(f"verdicts at different levels: {sorted(levels)}")
    level = levels.pop()
    alpha = (1 - level) / 2
    adjusted = holm([_p_inferior(a, alpha) for a in assessments.values()])
    worse = tuple(
        name
        for (name, a), p in zip(assessments.items(), adjusted, strict=True)
        if a.verdict == "inferior" and (len(assessments) == 1 or (p is not None and p <= alpha))
    )
    undecided = tuple(name for name, a in assessments.items() if a.verdict != "non_inferior" and name not in worse)
    unknown = any(a.verdict == "no_verdict" for a in assessments.values())
    open_verdict: Verdict = "no_verdict" if unknown else "inconclusive"
    verdict: Verdict = "inferior" if worse else open_verdict if undecided else "non_inferior"
    return Overall(
        verdict=verdict,
        level=level,
        undecided=undecided,
        inferior=worse,
        method="intersection-union for non-inferior, Holm for inferior",
    )


def _p_inferior(claim: Assessment, alpha: float) -> float | None:
    if claim.p_inferior is None and claim.verdict == "inferior":
        return alpha  # its interval is the test at this level and says no more
    return claim.p_inferior
