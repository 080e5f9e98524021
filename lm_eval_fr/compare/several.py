"""Several candidates against one reference: a report each, claims after Holm, a ranking, the recovered share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lm_eval_fr.compare.builder import compare
from lm_eval_fr.compare.candidate_ranking import rank_candidates
from lm_eval_fr.compare.compare_options import DEFAULTS, CompareOptions
from lm_eval_fr.errors import UsageError
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.pairing.reruns import common_rows
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import CandidateClaim, ManyReport, Recovered, Report
from lm_eval_fr.stats import Interval, holm, recovered_share


def compare_many(
    pairings: Sequence[Pairing],
    options: CompareOptions = DEFAULTS,
    *,
    judge_dirs: Sequence[Path | None] = (),
    recovered_from: str | None = None,
) -> ManyReport:
    """Every candidate against the one reference.

    judge_dirs: one for each pairing, or none at all. recovered_from: the name (or path) of the candidate whose loss the
    others should recover, e.g. the one before distillation; without it no recovered share is computed.
    Raises UsageError for fewer than two candidates, two references, or a name that no candidate has.
    """
    if len(pairings) < 2:
        raise UsageError("only one candidate was given", remedy="`compare` takes one")
    references = {pairing.reference.results_path for pairing in pairings}
    if len(references) > 1:
        raise UsageError(
            f"{len(references)} references: {', '.join(sorted(map(str, references)))}",
            remedy="compare every candidate with the same run",
        )
    if judge_dirs and len(judge_dirs) != len(pairings):
        raise UsageError(
            f"{len(judge_dirs)} judge folders for {len(pairings)} candidates", remedy="give one --judge per candidate"
        )
    folders = list(judge_dirs) or [None] * len(pairings)
    reports = [
        compare(pairing, replace(options, judge_dir=folder)) for pairing, folder in zip(pairings, folders, strict=True)
    ]
    level = options.level
    return ManyReport(
        reports=tuple(reports),
        claims=_claims(reports, level),
        ranking=rank_candidates(pairings, reports, level, options.guarantee),
        recovered=tuple(_recovered(pairings, reports, recovered_from, level)) if recovered_from else (),
        level=level,
        notes=(f"Claims about {len(reports)} candidates are {len(reports)} claims, with Holm's correction over them.",),
    )


def _claims(reports: Sequence[Report], level: float) -> tuple[CandidateClaim, ...]:
    """A candidate's p-value is the largest of its claims (intersection-union); Holm is over the candidates."""
    found = [_largest_p(report) for report in reports]
    adjusted = holm([p for p, _ in found])
    claims = []
    for report, (p, reason), p_holm in zip(reports, found, adjusted, strict=True):
        verdict = report.verdict
        stands = verdict == "non_inferior" and p_holm is not None and p_holm <= (1 - level) / 2
        if verdict == "non_inferior" and not stands and reason is None:
            reason = f"{w.p_equals(p_holm)} after Holm is above {w.one_sided(level)}"
        elif verdict != "non_inferior" and reason is None:
            reason = f"the verdict is {w.word(verdict)}"
        claims.append(
            CandidateClaim(
                candidate=report.candidate.name,
                verdict=verdict,
                p_value=p,
                p_holm=p_holm,
                stands=stands,
                reason=None if stands else reason,
            )
        )
    return tuple(claims)


def _largest_p(report: Report) -> tuple[float | None, str | None]:
    claims = {t.task: t.assessment for t in report.tasks if t.assessment and not t.group}
    if report.judge is not None and report.judge.assessment is not None:
        claims["the judge"] = report.judge.assessment
    unknown = [name for name, claim in claims.items() if claim.p_non_inferior is None]
    if unknown or not claims:
        return None, f"no p-value for {', '.join(unknown)}" if unknown else "nothing was claimed"
    return max(claim.p_non_inferior for claim in claims.values() if claim.p_non_inferior is not None), None


def _recovered(pairings: Sequence[Pairing], reports: Sequence[Report], raw: str, level: float) -> Iterator[Recovered]:
    at = _named(pairings, reports, raw)
    base = {task.task: task for task in pairings[at].tasks if task.scored}
    for i, (pairing, report) in enumerate(zip(pairings, reports, strict=True)):
        for task in pairing.tasks if i != at else ():
            if task.scored and task.task in base:
                yield Recovered(
                    candidate=report.candidate.name,
                    raw=reports[at].candidate.name,
                    task=task.task,
                    metric=task.metrics[0],
                    share=_share(task, base[task.task], reports[at].candidate.name, level),
                )


def _named(pairings: Sequence[Pairing], reports: Sequence[Report], raw: str) -> int:
    for i, (pairing, report) in enumerate(zip(pairings, reports, strict=True)):
        path = pairing.candidate.path
        names = {report.candidate.name, report.candidate.model, str(path), path.name}
        if raw in names or Path(raw).resolve() in (path.resolve(), path.parent.resolve()):
            return i
    have = ", ".join(report.candidate.name for report in reports)
    raise UsageError(f"no candidate is called {raw!r}", remedy=f"the candidates are {have}")


def _share(task: PairedTask, base: PairedTask, raw: str, level: float) -> Interval:
    metric = task.metrics[0]
    rows, base_rows = common_rows(task, base)
    unknown = f"{raw} has no {metric}" if metric not in base.metrics else "" if len(rows) else "no document in common"
    if unknown:
        return Interval(None, None, None, level, "none", 0, reason=unknown)
    return recovered_share(
        task.candidate[metric][rows],
        base.candidate[metric][base_rows],
        task.reference[metric][rows],
        clusters=None if task.clusters is None else task.clusters[rows],
        level=level,
    )
