"""A pairing and the options of the comparison -> the report. `ab`, `compare` and the Python API all call this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lm_eval_fr.analyses.claims import check_claims
from lm_eval_fr.analyses.claims_section import claims_section
from lm_eval_fr.analyses.fidelity.fidelity_section import fidelity_section
from lm_eval_fr.analyses.parts import value_part, voting_part
from lm_eval_fr.analyses.voting.voting_builder import VoteOptions
from lm_eval_fr.compare.answer_costs import answers_of, longer_answers
from lm_eval_fr.compare.cautions import cautions
from lm_eval_fr.compare.compare_options import DEFAULTS, CompareOptions
from lm_eval_fr.compare.comparison import Comparison
from lm_eval_fr.compare.coverage import coverage_of
from lm_eval_fr.compare.instruction_counts import instructions_of
from lm_eval_fr.compare.judged_claim import judge_claim
from lm_eval_fr.compare.language_tax import language_taxes
from lm_eval_fr.compare.losses import losses_of, rank, worst
from lm_eval_fr.compare.margins import GOLD, Margins
from lm_eval_fr.compare.mean_claim import mean_claim
from lm_eval_fr.compare.noise_floor import noise_of
from lm_eval_fr.compare.provenance import arms_of, provenance_of, settings_of
from lm_eval_fr.compare.sentence import conclude
from lm_eval_fr.compare.strata import check_strata
from lm_eval_fr.compare.task_rows import compare_tasks
from lm_eval_fr.judge.verdicts.read_judged import read_judged
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.report.arm_model import Arm
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Extra, Report

GATE_CODES: Mapping[str | None, int] = {"non_inferior": 0, "inferior": 1}
UNDECIDED = 3


def compare(pairing: Pairing, options: CompareOptions = DEFAULTS) -> Comparison:
    """The full report on two runs.

    Raises UsageError for margins or prices that match nothing here, InputError for a judge's folder of other runs.
    """
    margins = Margins(options.margins)
    margins.check([*pairing.groups, *pairing.tasks], parallel=bool(options.parallel), mean=options.overall_mean)
    check_strata(options.strata, [*pairing.groups, *pairing.tasks])
    judged = None if options.judge_dir is None else read_judged(options.judge_dir, pairing)
    tasks = compare_tasks(pairing, margins, options)
    judge = None if judged is None else judge_claim(judged, margins.judge, options, forbidden=pairing.same_run)
    answers = {task.task: answers_of(task, options) for task in pairing.tasks}
    instructions = {task.task: instructions_of(task) for task in pairing.tasks}
    tasks = tuple(
        replace(task, answers=answers.get(task.task), instructions=instructions.get(task.task, ())) for task in tasks
    )
    if judge is not None:
        judge = replace(judge, tasks=tuple(replace(one, answers=answers.get(one.task)) for one in judge.tasks))
    available = {task.task: task.sides[1].log.files[0].original for task in pairing.tasks}
    for group in (task for task in tasks if task.subtasks):
        counts = [available.get(name) for name in group.subtasks]
        available[group.task] = None if None in counts else sum(filter(None, counts))
    overall = conclude(tasks, judge, options, available)
    noise = noise_of(pairing, tasks, judge, options)
    arms = arms_of(pairing)
    ranked = tuple(rank(pairing.tasks, judged.verdicts if judged else ()))
    return Comparison(
        candidate=arms[0],
        reference=arms[1],
        plan_hash=options.plan_hash,
        settings=settings_of(pairing),
        tasks=tasks,
        judge=judge,
        noise=noise,
        overall_mean=mean_claim(pairing, tasks, margins, options),
        overall=replace(overall, coverage=coverage_of(pairing.tasks, overall.verdict)),
        level=options.level,
        warnings=(
            *cautions(pairing, tasks, judge, judged.summary if judged else None, noise, options),
            *longer_answers(answers),
        ),
        language_tax=tuple(language_taxes(pairing, options)),
        notes=pairing.notes,
        samples=tuple(worst(ranked)),
        losses=tuple(losses_of(ranked)),
        extras=tuple(_extras(pairing, judge, arms, options)),
        provenance=provenance_of(pairing, options),
        pairing=pairing,
        ranked=ranked,
    )


def gate_code(report: Report) -> int:
    """0 non-inferior, 1 inferior, 3 anything else."""
    return GATE_CODES.get(report.verdict, UNDECIDED)


def _extras(
    pairing: Pairing, judge: JudgeResult | None, arms: tuple[Arm, Arm], options: CompareOptions
) -> Iterator[Extra]:
    """The sections that were asked for, or that the runs provide besides scores."""
    names = (arms[0].name, arms[1].name)
    if options.prices.prices:
        yield value_part(pairing, options.prices, level=options.level, names=names)
    votes = VoteOptions(
        cost_ratio=options.cost_ratio,
        prices=options.prices,
        margin=options.margins.get(GOLD),
        margins=options.margins,
        level=options.level,
        seed=options.seed,
        allow=options.allow,
    )
    voting = voting_part(pairing, votes, names)
    if voting is not None:
        yield voting
    if options.claims is not None:
        held = check_claims(options.claims, pairing.tasks, judge, level=options.level)
        yield Extra(key="claims", data=held, section=claims_section(held))
    if options.fidelity is not None:
        yield Extra(key="fidelity", data=options.fidelity, section=fidelity_section(options.fidelity))
