"""The judge's verdicts and judge.json -> the judge's part of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.task_scores import cumulative
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary, Stopped
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, clusters_of_pairs, count
from lm_eval_fr.judge.verdicts.read_judged import JudgeOutput
from lm_eval_fr.plan import Guarantee
from lm_eval_fr.report.judge_model import JudgedTask, JudgeProfile, JudgeResult, JudgeRubric
from lm_eval_fr.stats import (
    Assessment,
    Difference,
    Interval,
    Planned,
    Preference,
    assess,
    betting_difference,
    decide,
    documents_needed,
    net_win_rate,
)
from lm_eval_fr.stats.judge_claim import JudgeClaim, decide_by_judge, no_claim
from lm_eval_fr.stats.sensitivity import order_decided

NAME = "judge: net win"
OFFLINE = "offline"
STOPPED = "the judge stopped as soon as the margin was decided; this would be valid only without looking before"


def judge_claim(
    judged: JudgeOutput, margin: float | None, options: CompareOptions, forbidden: str | None
) -> JudgeResult:
    """forbidden: the reason why nothing may be claimed, whatever the judge says."""
    verdicts, summary, level, guarantee = judged.verdicts, judged.summary, options.level, options.guarantee
    counts = count(verdicts)
    scored = [verdict for verdict in verdicts if verdict.score is not None]
    scores, clusters = _scores(scored)
    preference = net_win_rate(scores, clusters=clusters, level=level, margin=margin, guarantee=guarantee)
    interval, assessment, held_back = preference.net_win.interval, None, None
    if summary.stopped is not None:
        planned = _planned(summary.stopped, clusters)
        found = betting_difference(scores, clusters=clusters, level=level, margin=margin, planned=planned)
        interval, assessment = found.interval, None if margin is None else _stopped(found, margin)
    elif margin is not None:
        assessment = assess(preference.net_win, margin)
        held_back = _held_back(verdicts, assessment, margin, level, guarantee)
    if held_back and assessment is not None:
        assessment = replace(assessment, verdict="inconclusive", documents_needed=None)
    seen = None if summary.controls_asked is None else summary.controls_asked.seen(level)
    order = order_decided([v.outcome == "flip" for v in scored], scores != 0, clusters=clusters, level=level)
    claim = None if margin is None else decide_by_judge(interval, margin, seen, order)
    if claim is not None and forbidden is not None:
        claim = no_claim(forbidden)
    if claim is not None and assessment is not None and (claim.verdict == "no_verdict" or not held_back):
        assessment, held_back = _claimed(assessment, claim, preference), None
        other = preference.net_win.other_guarantee
        if margin is not None and other is not None and summary.stopped is None:
            assessment = replace(assessment, other_verdict=decide_by_judge(other, margin, seen, order).verdict)
    worst, best = counts.net_win_bounds or (None, None)
    return JudgeResult(
        preference=preference,
        interval=interval,
        assessment=assessment,
        outcomes={str(name): number for name, number in counts.outcomes.items()},
        pairs=counts.n,
        worst_case=worst,
        best_case=best,
        bias=judged.position(level),
        usage=summary.usage,
        seen=seen,
        order=order,
        claim=claim,
        tasks=tuple(_of_task(name, verdicts) for name in dict.fromkeys(v.task for v in verdicts)),
        profile=_profile(summary),
        rubric=JudgeRubric(name=summary.rubric, sha256=summary.rubric_sha256, text=summary.rubric_text),
        controls=summary.controls,
        panel=summary.panel,
        longer=_longer(scored),
        stopped=_stopped_after(summary),
        offline=OFFLINE in summary.profile.split("+"),  # as the only judge or on a panel
        held_back=held_back,
        series=cumulative(scores, clusters, name=NAME, margin=margin, level=level),
        reasons=_reasons(preference, interval, assessment, summary, claim, held_back),
    )


def _claimed(assessment: Assessment, claim: JudgeClaim, preference: Preference) -> Assessment:
    """By the conditions of a judge's claim; the documents needed are those for the margin on the judge's own scale."""
    needed = assessment.documents_needed if claim.verdict == "inconclusive" else None
    reachable = claim.corrected.margin if claim.corrected is not None else None
    if claim.failed == (3,) and reachable is not None and reachable > 0:
        needed = documents_needed(preference.net_win, reachable)
    return replace(assessment, verdict=claim.verdict, documents_needed=needed)


def _scores(verdicts: Sequence[PairVerdict], case: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Scores and cluster labels; with a case (0 the worst, 1 the best) also for pairs without a verdict yet."""
    scores = [verdict.score if case is None else verdict.bounds[case] for verdict in verdicts]
    labels = clusters_of_pairs(verdicts)
    return np.array(scores, dtype=float), None if labels is None else np.array(labels)


def _held_back(
    verdicts: Sequence[PairVerdict], assessment: Assessment, margin: float, level: float, guarantee: Guarantee
) -> str | None:
    """Pairs not judged yet may turn out either way: a verdict stands only if their worst and best cases agree."""
    missing = sum(verdict.outcome == "unjudged" for verdict in verdicts)
    if not missing or assessment.verdict == "inconclusive":
        return None
    known = [verdict for verdict in verdicts if verdict.outcome == "unjudged" or verdict.score is not None]
    for case in (0, 1):
        scores, clusters = _scores(known, case)
        rate = net_win_rate(scores, clusters=clusters, level=level, margin=margin, guarantee=guarantee)
        found = assess(rate.net_win, margin)
        if found.verdict != assessment.verdict:
            return f"{missing:,} pairs are not judged yet and may change the verdict"
    return None


def _stopped(found: Difference, margin: float) -> Assessment:
    """After stopping early, only the band is valid, which holds at any stopping time, not the usual interval."""
    return Assessment(
        verdict=decide(found.interval, margin),
        margin=margin,
        interval=found.interval,
        mde_reason=STOPPED,
        p_non_inferior=found.p_non_inferior,
        p_inferior=found.p_inferior,
    )


def _stopped_after(summary: JudgeSummary) -> str | None:
    stopped = summary.stopped
    return f"stopped after {stopped.pairs:,} of {stopped.pairs_planned:,} pairs" if stopped else None


def _planned(stopped: Stopped, clusters: np.ndarray | None) -> Planned:
    """The units that the judge would have judged without stopping."""
    seen = 1 if clusters is None else int(np.unique(clusters, return_counts=True)[1].max())
    mean = stopped.pairs_planned / stopped.units_planned
    return Planned(stopped.units_planned, mean, max(stopped.largest_unit or 0, seen, mean))


def _reasons(
    preference: Preference,
    interval: Interval,
    assessment: Assessment | None,
    summary: JudgeSummary,
    claim: JudgeClaim | None,
    held_back: str | None,
) -> dict[str, str]:
    """Why each null is null."""
    reasons = {}
    if not preference.n:
        reasons["net_win"] = reasons["verdict"] = "no pair was judged"
    elif not interval.defined:
        reasons["verdict"] = interval.reason or "no interval"
    elif assessment is None:
        reasons["verdict"] = "no margin was given"
    if claim is not None and claim.reason is not None:
        reasons["verdict"] = claim.reason
    if not preference.decided:
        reasons["win_share"] = "no pair was decided in both orders"
    if summary.stopped is not None:
        reasons["win_share_ci"] = reasons["p_value"] = STOPPED
    if assessment and assessment.mde is None and assessment.mde_reason:
        reasons["mde"] = assessment.mde_reason
    if summary.usage.dollars is None and summary.profile != OFFLINE:
        reasons["dollars"] = summary.usage.unknown or "the profile has no prices"
    if held_back:
        reasons["documents_needed"] = reasons["decision"] = held_back
    return reasons


def _of_task(name: str, verdicts: Sequence[PairVerdict]) -> JudgedTask:
    counts = count(verdict for verdict in verdicts if verdict.task == name)
    n, net_win = counts.judged, counts.net_win
    return JudgedTask(task=name, n=n, wins=counts.wins, ties=counts.ties, losses=counts.losses, net_win=net_win)


def _longer(scored: Sequence[PairVerdict]) -> tuple[int, int]:
    known = [(v.candidate_chars, v.reference_chars) for v in scored]
    lengths = [(c, r) for c, r in known if c is not None and r is not None]
    return sum(c > r for c, r in lengths), sum(c < r for c, r in lengths)


def _profile(summary: JudgeSummary) -> JudgeProfile:
    return JudgeProfile(
        name=summary.profile,
        model=summary.model,
        shutdown=summary.shutdown,
        orders=summary.orders,
        stop=summary.stop,
        command=summary.command or None,
    )
