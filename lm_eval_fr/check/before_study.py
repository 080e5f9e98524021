"""What `ab` checks before the first answer is generated or paid for: whatever a later stage would refuse."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from lm_eval_fr.arms.preflight import checkpoint_of
from lm_eval_fr.check.decision import Prospects, prospects_of
from lm_eval_fr.check.planned_documents import TaskWork, load_work
from lm_eval_fr.check.prepared_arms import check_engine, prepare_arm
from lm_eval_fr.errors import nearest
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import check_ready
from lm_eval_fr.pairing import KINDS
from lm_eval_fr.plan import ArmPlan, Plan, PlanFile
from lm_eval_fr.tasklib.definitions import judged_names, tasks_behind


def before_study(plan: Plan, folder: Path, file: PlanFile, arms: Mapping[str, ArmPlan]) -> Prospects:
    """Raises an error for the plan, its arms, their documents or the judge; says what can be decided.

    folder: where the plan's paths start from. arms: those that have yet to run. No request is made.
    """
    check_allowed(plan, file)
    tasks = tasks_behind(plan.tasks)
    if plan.judge is not None and (tasks is None or not judged_names().isdisjoint(tasks)):
        check_ready(JudgeOptions.from_plan(plan, plan.judge, folder))
    with contextlib.chdir(folder):
        prepared = [prepare_arm(plan, name, arm, file) for name, arm in arms.items()]
        for call, _ in prepared:
            check_engine(call)
            checkpoint_of(call)
        ours = next((call for call, source in prepared if source.ours_only), None)
        if ours is None:
            return Prospects()
        work = load_work(ours)
        check_strata_of(plan, work, file)
        return prospects_of(plan, work)


def check_strata_of(plan: Plan, work: Sequence[TaskWork], file: PlanFile) -> None:
    """PlanError for a stratum that none of the task's documents has."""
    for task in work:
        known = [known for name, labels in task.strata.items() for known in (name, *sorted(set(labels)))]
        for wanted in plan.strata.get(task.name, ()):
            if wanted not in known and task.kinds_known:
                remedy = nearest(wanted, known) or (f"it has {', '.join(known)}" if known else "it has none")
                raise file.error("strata", f"{task.name} has no stratum {wanted!r}", remedy)


def check_allowed(plan: Plan, file: PlanFile) -> None:
    """PlanError for a word in `allow` that is not a mismatch."""
    if unknown := next((word for word in plan.allow if word not in KINDS), None):
        remedy = nearest(unknown, KINDS) or f"allow takes {', '.join(KINDS)}"
        raise file.error("allow", f"there is no mismatch called {unknown!r}", remedy)
