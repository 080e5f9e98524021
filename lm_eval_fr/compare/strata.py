"""A task's documents by kind: descriptive, and claims if the plan named them beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lm_eval_fr.compare.task_scores import ScoredPairs
from lm_eval_fr.errors import UsageError, nearest
from lm_eval_fr.pairing import Paired
from lm_eval_fr.report.task_model import Stratum, TaskResult
from lm_eval_fr.stats import Assessment, Verdict, assess, holm

WHERE = "strata of the plan"


def check_strata(preregistered: Mapping[str, Sequence[str]], tasks: Sequence[Paired]) -> None:
    """UsageError for strata of a task that was not compared, or that the task does not have."""
    scored = {task.task: task for task in tasks if not task.judged}
    for name, wanted in preregistered.items():
        task = scored.get(name)
        if task is None:
            remedy = nearest(name, scored) or f"scored tasks here: {', '.join(scored)}"
            raise UsageError(f"no scored task {name} in this comparison", where=WHERE, remedy=remedy)
        known = [known for strata in task.strata for known in (strata.name, *strata.labels)]
        if unknown := next((one for one in wanted if one not in known), None):
            remedy = nearest(unknown, known) or (f"it has {', '.join(known)}" if known else "it has none")
            raise UsageError(f"{name} has no stratum {unknown!r}", where=WHERE, remedy=remedy)


def strata_of(
    task: Paired, scores: ScoredPairs, level: float, margin: float | None, preregistered: Sequence[str]
) -> Iterator[Stratum]:
    """preregistered: names of strata, or of a field that has them; these are tested against the task's margin."""
    for strata in task.strata:
        for code, label in enumerate(strata.labels):
            claimed = strata.name in preregistered or label in preregistered
            against = margin if claimed else None
            paired = scores.rows(strata.codes == code).difference(level=level, margin=against)
            yield Stratum(
                name=strata.called(code),
                paired=paired,
                higher_is_better=scores.higher_is_better,
                preregistered=claimed,
                assessment=None if against is None else assess(paired, against),
            )


def with_strata_holm(tasks: Sequence[TaskResult]) -> tuple[TaskResult, ...]:
    """The preregistered strata of all tasks are one family under Holm's correction.

    If nothing may be claimed about a task, nothing may be claimed about its strata.
    """
    claims = [stratum.assessment for task in tasks for stratum in task.strata if stratum.assessment]
    better = iter(holm([claim.p_non_inferior for claim in claims]))
    worse = iter(holm([claim.p_inferior for claim in claims]))

    def corrected(stratum: Stratum, of_task: Verdict | None) -> Stratum:
        claim = stratum.assessment
        return stratum if claim is None else _corrected(stratum, claim, next(better), next(worse), of_task)

    return tuple(
        replace(task, strata=tuple(corrected(stratum, task.verdict) for stratum in task.strata)) for task in tasks
    )


def _corrected(
    stratum: Stratum, found: Assessment, better: float | None, worse: float | None, of_task: Verdict | None
) -> Stratum:
    alpha = (1 - found.interval.level) / 2
    stands = {"non_inferior": better, "inferior": worse}.get(found.verdict)
    return replace(stratum, p_holm=better, assessment=_decided(found, stands, alpha, of_task))


def _decided(found: Assessment, p_holm: float | None, alpha: float, of_task: Verdict | None) -> Assessment:
    if of_task == "no_verdict":
        return replace(found, verdict="no_verdict", documents_needed=None)
    if found.verdict in ("non_inferior", "inferior") and (p_holm is None or p_holm > alpha):
        return replace(found, verdict="inconclusive")
    return found
