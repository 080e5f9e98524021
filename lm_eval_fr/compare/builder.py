"""A pairing, the judge's folder and the margins -> the report's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from lm_eval_fr.compare.cautions import cautions
from lm_eval_fr.compare.judged_claim import JudgedPairs, judge_result
from lm_eval_fr.compare.margins import Margins
from lm_eval_fr.compare.noise_floor import noise_of
from lm_eval_fr.compare.provenance import arms_of, data_of, settings_of, versions
from lm_eval_fr.compare.ranking import rank, worst
from lm_eval_fr.compare.sentence import Claim, claim_of, judge_claim, overall_of
from lm_eval_fr.compare.task_rows import ComparedTask, compare_task
from lm_eval_fr.judge.verdicts.read_judged import read_judged
from lm_eval_fr.logs import Run
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.report.model import Provenance, Report, TaskResult
from lm_eval_fr.stats import holm

LEVEL = 0.95
SEED = 1234
GATE_CODES = {"non_inferior": 0, "inferior": 1}
INCONCLUSIVE = 3


def compare(
    pairing: Pairing,
    *,
    judge_dir: Path | None = None,
    margins: Mapping[str, float] | None = None,
    level: float = LEVEL,
    seed: int = SEED,
    candidate_rerun: Run | None = None,
    reference_rerun: Run | None = None,
    plan_hash: str | None = None,
    plan_text: str | None = None,
    command: str | None = None,
    created: str | None = None,
    today: date | None = None,
    earlier_plans: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Report:
    """Everything that can be said of two runs.

    judge_dir: the folder that the judge wrote. margins: task (or "gold" for all, "judge" for the net win rate) to the
    largest loss accepted; 0.02 and 0.10 where nothing is said. created and today are the caller's clock.
    earlier_plans: hashes of other plans whose results were seen before.
    Raises UsageError for margins that fit nothing here, InputError for a judge's folder of other runs.
    """
    wanted = Margins(margins or {})
    wanted.check(pairing.tasks)
    judged = None if judge_dir is None else read_judged(judge_dir, pairing)
    compared = [compare_task(task, wanted, level=level, seed=seed) for task in pairing.tasks if task.scored and task.n]
    pairs = None if judged is None else judge_result(judged.verdicts, judged.summary, margin=wanted.judge, level=level)
    results = _with_holm(compared)
    judge, summary = (pairs.result if pairs else None), (judged.summary if judged else None)
    noise = noise_of(
        pairing,
        results,
        judge,
        candidate_rerun=candidate_rerun,
        reference_rerun=reference_rerun,
        level=level,
        seed=seed,
    )
    candidate, reference = arms_of(pairing)
    return Report(
        candidate=candidate,
        reference=reference,
        plan_hash=plan_hash,
        settings=settings_of(pairing),
        tasks=results,
        judge=judge,
        noise=noise,
        overall=overall_of(_claims(compared, pairs), level),
        level=level,
        warnings=cautions(pairing, results, judge, summary, noise, today=today, earlier_plans=earlier_plans),
        cumulative=tuple(s for s in [*(c.series for c in compared), pairs.series if pairs else None] if s),
        notes=(*notes, *pairing.notes),
        samples=tuple(worst(rank(pairing.tasks, judged.verdicts if judged else ()))),
        provenance=Provenance(
            created=created,
            command=command,
            versions=versions(),
            data=data_of(pairing.tasks),
            plan=plan_text,
            seed=seed,
        ),
    )


def gate_code(report: Report) -> int:
    """0 non-inferior, 1 inferior, 3 anything else."""
    return GATE_CODES.get(report.overall.verdict or "", INCONCLUSIVE)


def _claims(compared: Sequence[ComparedTask], pairs: JudgedPairs | None) -> dict[str, Claim]:
    claims = {c.result.task: claim_of(c.result, c.assessment) for c in compared if c.assessment is not None}
    if pairs is not None and pairs.assessment is not None:
        claims["judge"] = judge_claim(pairs.assessment, pairs.held_back)
    return claims


def _with_holm(compared: Sequence[ComparedTask]) -> tuple[TaskResult, ...]:
    """Claims about single tasks are several claims: their p-values after Holm stand beside the plain ones."""
    adjusted = holm([c.result.p_non_inferior for c in compared])
    several = sum(c.result.p_non_inferior is not None for c in compared) > 1
    return tuple(replace(c.result, p_holm=p) if several else c.result for c, p in zip(compared, adjusted, strict=True))
