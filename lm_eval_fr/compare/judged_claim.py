"""The judge's verdicts and judge.json -> the report's judge panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lm_eval_fr.compare.series import cumulative
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, count
from lm_eval_fr.judge.verdicts.position import position_report
from lm_eval_fr.report.model import (
    Bounds,
    JudgedTask,
    JudgeResult,
    Length,
    LengthBin,
    Position,
    Repeats,
    Series,
    Share,
)
from lm_eval_fr.stats import (
    Assessment,
    Interval,
    Preference,
    Proportion,
    assess,
    betting_interval,
    betting_p_value,
    decide,
    degradation_detected,
    net_win_rate,
)
from lm_eval_fr.stats.judging import PositionReport

NAME = "judge: net win"
OFFLINE = "offline"
STOPPED = "the judge stopped as soon as the margin was decided: this would hold only had it not looked before"


@dataclass(frozen=True)
class JudgedPairs:
    """The judge's panel, and what the verdict over all is made of. assessment is None where no pair was judged.

    held_back: why a verdict that the judged pairs alone would give is not given.
    """

    result: JudgeResult
    assessment: Assessment | None
    series: Series | None
    held_back: str | None = None


def judge_result(verdicts: Sequence[PairVerdict], summary: JudgeSummary, *, margin: float, level: float) -> JudgedPairs:
    """verdicts: aligned, in the plan's order."""
    counts = count(verdicts)
    scored = [verdict for verdict in verdicts if verdict.score is not None]
    scores = np.array([verdict.score for verdict in scored], dtype=float)
    clusters = _labels(scored)
    preference = net_win_rate(scores, clusters=clusters, level=level, margin=margin)
    stopped = summary.stopped is not None
    assessment = _stopped(scores, clusters, summary, margin, level) if stopped else assess(preference.net_win, margin)
    held_back = None if stopped else _held_back(verdicts, assessment, margin, level)
    if held_back:
        assessment = replace(assessment, verdict="inconclusive", documents_needed=None)
    interval = assessment.interval
    needed = assessment.documents_needed
    position, bounds = position_report(verdicts, level), counts.net_win_bounds
    usage = _usage(summary)
    result = JudgeResult(
        n=counts.judged,
        wins=counts.wins,
        ties=counts.ties,
        losses=counts.losses,
        outcomes={str(name): number for name, number in counts.outcomes.items()},
        decided=counts.decided,
        win_share=preference.win_share.share,
        win_share_ci=None if stopped else _bounds(preference.win_share),
        p_value=None if stopped else preference.win_share.p_value,
        net_win=counts.net_win,
        net_win_ci=_bounds(interval),
        at_least_as_good=counts.at_least_as_good,
        position=_position(position),
        usage=usage,
        verdict=assessment.verdict if interval.defined else None,
        margin=margin,
        pairs=counts.n,
        clusters=preference.net_win.clusters,
        method=_method(interval, summary),
        best_case=None if bounds is None else bounds[1],
        worst_case=None if bounds is None else bounds[0],
        degradation_detected=assessment.degradation_detected,
        p_non_inferior=assessment.p_non_inferior,
        documents_needed=None if needed is None else needed.documents,
        mde=assessment.mde,
        length=_length(position),
        repeats=_repeats(position),
        tasks=tuple(_of_task(name, verdicts) for name in dict.fromkeys(v.task for v in verdicts)),
        profile=_profile(summary),
        rubric={"name": summary.rubric, "sha256": summary.rubric_sha256, "text": summary.rubric_text},
        controls=summary.controls,
        panel=summary.panel,
        orders=summary.orders,
        stopped_early=stopped,
        offline=is_offline(summary),
        reasons=_reasons(preference, assessment, usage, summary)
        | ({"documents_needed": held_back, "decision": held_back} if held_back else {}),
    )
    series = cumulative(scores, clusters, name=NAME, margin=margin, level=level)
    return JudgedPairs(result, assessment if counts.judged else None, series, held_back)


def _held_back(verdicts: Sequence[PairVerdict], assessment: Assessment, margin: float, level: float) -> str | None:
    """Pairs not judged yet may hold anything: a verdict stands only if their worst and their best case give it too."""
    missing = sum(verdict.outcome == "unjudged" for verdict in verdicts)
    if not missing or assessment.verdict == "inconclusive":
        return None
    known = [verdict for verdict in verdicts if verdict.outcome == "unjudged" or verdict.score is not None]
    clusters = _labels(known)
    for case in (0, 1):
        scores = np.array([verdict.bounds[case] for verdict in known], dtype=float)
        found = assess(net_win_rate(scores, clusters=clusters, level=level, margin=margin).net_win, margin)
        if found.verdict != assessment.verdict:
            return f"{missing:,} pairs are not judged yet, and what they hold may change the verdict"
    return None


def _stopped(
    scores: np.ndarray, clusters: np.ndarray | None, summary: JudgeSummary, margin: float, level: float
) -> Assessment:
    """After stopping early only what holds at any stopping time may be said: the band, never the usual interval."""
    assert summary.stopped is not None
    planned = summary.stopped.units_planned
    interval = betting_interval(scores, clusters=clusters, level=level, n_max=planned)
    p_value = partial(betting_p_value, scores, margin, clusters=clusters, level=level, n_max=planned)
    return Assessment(
        verdict=decide(interval, margin),
        margin=margin,
        interval=interval,
        degradation_detected=degradation_detected(interval),
        documents_needed=None,
        mde=None,
        mde_reason=STOPPED,
        p_non_inferior=p_value(),
        p_inferior=p_value(inferior=True),
    )


def _reasons(
    preference: Preference, assessment: Assessment, usage: Mapping[str, Any], summary: JudgeSummary
) -> dict[str, str]:
    """Why each null is null."""
    reasons = {}
    if not preference.n:
        reasons["net_win"] = reasons["verdict"] = "no pair was judged"
    elif not assessment.interval.defined:
        reasons["verdict"] = assessment.interval.reason or "no interval"
    if not preference.decided:
        reasons["win_share"] = "no pair was decided in both orders"
    if summary.stopped is not None:
        reasons["win_share_ci"] = reasons["p_value"] = STOPPED
    if assessment.mde is None and assessment.mde_reason:
        reasons["mde"] = assessment.mde_reason
    if usage["dollars"] is None and summary.profile != OFFLINE:
        reasons["dollars"] = usage.get("unknown") or "the profile has no prices"
    return reasons


def _labels(verdicts: Sequence[PairVerdict]) -> np.ndarray | None:
    """A label a pair; a pair without a cluster is one of its own."""
    if not verdicts or all(verdict.cluster is None for verdict in verdicts):
        return None
    return np.array([verdict.cluster or f"{verdict.task}/{verdict.doc_hash}" for verdict in verdicts])


def _of_task(name: str, verdicts: Sequence[PairVerdict]) -> JudgedTask:
    counts = count(verdict for verdict in verdicts if verdict.task == name)
    return JudgedTask(
        task=name,
        n=counts.judged,
        wins=counts.wins,
        ties=counts.ties,
        losses=counts.losses,
        net_win=counts.net_win,
    )


def is_offline(summary: JudgeSummary) -> bool:
    """Whether the stand-in judged, or sat on the panel."""
    return OFFLINE in summary.profile.split("+")


def _usage(summary: JudgeSummary) -> dict[str, Any]:
    """What these verdicts cost, whenever it was paid, and how it splits into live and batch."""
    usage = summary.usage
    return {
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        **asdict(usage),
    }


def _profile(summary: JudgeSummary) -> Mapping[str, Any]:
    return {
        "name": summary.profile,
        "model": summary.model,
        "shutdown": summary.shutdown,
        "orders": summary.orders,
        "stop": summary.stop,
        "command": summary.command or None,
    }


def _bounds(found: Interval | Proportion) -> Bounds | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def _method(interval: Interval, summary: JudgeSummary) -> str:
    because = f" ({interval.reason})" if interval.defined and interval.reason else ""
    stopped = summary.stopped
    early = f", stopped after {stopped.pairs:,} of {stopped.pairs_planned:,} pairs" if stopped else ""
    return f"{interval.method}{because}{early}"


def _share(found: Proportion) -> Share:
    return Share(count=found.count, of=found.of, share=found.share, low=found.low, high=found.high, method=found.method)


def _position(report: PositionReport) -> Position | None:
    found = report.position
    if found is None:
        return None
    return Position(
        both_orders=found.both_orders,
        first_answer=_share(found.first_answer),
        flip=_share(found.flip),
        split=_share(found.split),
        consistent=_share(found.consistent),
        flips_to_first=_share(found.flips_to_first),
    )


def _length(report: PositionReport) -> Length | None:
    found = report.length
    if found is None:
        return None
    return Length(
        candidate_mean=found.candidate_mean,
        reference_mean=found.reference_mean,
        difference_ci=_bounds(found.difference),
        longer_wins=_share(found.longer_wins),
        bins=tuple(
            LengthBin(
                low=b.low, high=b.high, n=b.n, wins=b.wins, ties=b.ties, losses=b.losses, win_share=_share(b.win_share)
            )
            for b in found.bins
        ),
    )


def _repeats(report: PositionReport) -> Repeats | None:
    found = report.repeats
    if found is None:
        return None
    return Repeats(questions=found.questions, changed=_share(found.changed), order_changed=_share(found.order_changed))
