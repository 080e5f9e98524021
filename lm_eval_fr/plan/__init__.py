"""The study's plan: its content, how it is read from YAML, and what its folder records."""

from lm_eval_fr.plan.plan_reader import (
    PlanFile,
    as_guarantee,
    as_share,
    line_of,
    load_plan,
    parse_plan,
    parse_share,
    read_plan,
)
from lm_eval_fr.plan.study_folder import PLAN, StudyFolder, earlier_plans, is_study, plan_home, was_run
from lm_eval_fr.plan.study_plan import (
    LEVEL,
    SEED,
    ArmPlan,
    ArmPrices,
    EarlierPlan,
    Guarantee,
    JudgePlan,
    Plan,
)

__all__ = [
    "LEVEL",
    "PLAN",
    "SEED",
    "ArmPlan",
    "ArmPrices",
    "EarlierPlan",
    "Guarantee",
    "JudgePlan",
    "Plan",
    "PlanFile",
    "StudyFolder",
    "as_guarantee",
    "as_share",
    "earlier_plans",
    "is_study",
    "line_of",
    "load_plan",
    "parse_plan",
    "parse_share",
    "plan_home",
    "read_plan",
    "was_run",
]
