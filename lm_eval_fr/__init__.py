"""Did a change of serving cost quality on French work? Paired lm-evaluation-harness runs, a blind judge, a verdict.

    import lm_eval_fr as fr
    report = fr.compare("runs/nvfp4", "runs/api", judge="runs/judge", margins={"gold": "2%", "judge": "10%"})
    report.verdict, report.task("piaf_fr").difference

Importing this package does not import torch, transformers, datasets, lm_eval, numpy or pandas: each name
below is imported on first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lm_eval_fr.analyses.fidelity.fidelity_command import fidelity
    from lm_eval_fr.analyses.fidelity.fidelity_model import Fidelity
    from lm_eval_fr.analyses.frames import pairs_frame, verdicts_frame
    from lm_eval_fr.analyses.power import power
    from lm_eval_fr.analyses.value.prices import PriceFlags
    from lm_eval_fr.check.check_findings import CheckReport
    from lm_eval_fr.check.plan_check import check_plan
    from lm_eval_fr.compare.compare_paths import compare, compare_many
    from lm_eval_fr.compare.comparison import Comparison
    from lm_eval_fr.errors import (
        ArmError,
        InputError,
        JournalError,
        JudgeError,
        LmEvalFrError,
        MismatchError,
        PlanError,
        Unfinished,
        UsageError,
    )
    from lm_eval_fr.judge.judge_command import judge
    from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
    from lm_eval_fr.plan import Plan, load_plan
    from lm_eval_fr.report.judge_model import JudgeResult
    from lm_eval_fr.report.model import ManyReport, Report
    from lm_eval_fr.report.task_model import TaskResult
    from lm_eval_fr.study import StudyResult, run_study

__version__ = "0.1.0"

__all__ = [
    "ArmError",
    "CheckReport",
    "Comparison",
    "Fidelity",
    "InputError",
    "JournalError",
    "JudgeError",
    "JudgeResult",
    "JudgeSummary",
    "LmEvalFrError",
    "ManyReport",
    "MismatchError",
    "Plan",
    "PlanError",
    "PriceFlags",
    "Report",
    "StudyResult",
    "TaskResult",
    "Unfinished",
    "UsageError",
    "check_plan",
    "compare",
    "compare_many",
    "fidelity",
    "judge",
    "load_plan",
    "pairs_frame",
    "power",
    "run_study",
    "verdicts_frame",
]

_HOMES = {
    "analyses.fidelity.fidelity_command": ("fidelity",),
    "analyses.fidelity.fidelity_model": ("Fidelity",),
    "analyses.frames": ("pairs_frame", "verdicts_frame"),
    "analyses.power": ("power",),
    "analyses.value.prices": ("PriceFlags",),
    "check.check_findings": ("CheckReport",),
    "check.plan_check": ("check_plan",),
    "compare.compare_paths": ("compare", "compare_many"),
    "compare.comparison": ("Comparison",),
    "errors": (
        *("ArmError", "InputError", "JournalError", "JudgeError", "LmEvalFrError", "MismatchError", "PlanError"),
        *("Unfinished", "UsageError"),
    ),
    "judge.judge_command": ("judge",),
    "judge.verdicts.judge_summary": ("JudgeSummary",),
    "plan": ("Plan", "load_plan"),
    "report.judge_model": ("JudgeResult",),
    "report.model": ("ManyReport", "Report"),
    "report.task_model": ("TaskResult",),
    "study": ("StudyResult", "run_study"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in ("compare", "judge"):  # `import lm_eval_fr.compare.builder as b` looks for modules below this name
        value.__name__ = f"{__name__}.{name}"
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """`compare` and `judge` are functions here and folders inside: importing the folder must not hide the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
