"""An arm of a plan as it will be called: mistakes are reported with the plan's line, before anything runs."""

from __future__ import annotations

import re
from importlib.util import find_spec

from lm_eval_fr.arms.endpoint import endpoint_of
from lm_eval_fr.arms.flags import OUR_MODELS, PATHS, ArmCall, parse_call
from lm_eval_fr.arms.harness import register_models
from lm_eval_fr.arms.model_arguments import check_arguments
from lm_eval_fr.arms.planned import arm_flags
from lm_eval_fr.arms.requested_tasks import TaskSource, locate_tasks
from lm_eval_fr.errors import HERE, ArmError, LmEvalFrError, PlanError, UsageError
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.plan import ArmPlan, Plan, PlanFile, line_of

_ENGINES = {"vllm": "vllm", "hf": "transformers", "sglang": "sglang"}
_EXTRAS = {"vllm": "vllm", "transformers": "hf"}
_FLAG = re.compile(r"--([\w-]+)")
IN_THE_PLAN = "a relative path starts in the plan's folder"
_OF_THE_PLAN = {"tasks": "tasks", "data-dir": "data_dir", "samples": "limit", "limit": "limit", "metadata": "metadata"}


def prepare_arm(plan: Plan, name: str, arm: ArmPlan, file: PlanFile) -> tuple[ArmCall, TaskSource]:
    """The arm's call, checked as far as possible without a request; run it in the plan's folder.

    Raises PlanError with the line that is wrong, ArmError for a missing key.
    """
    try:
        call = parse_call([*arm_flags(plan, name, arm), "--output_path", "unused"], Redactor.from_environment())
        source = locate_tasks(call.tasks, call.flags.include_path)
        if call.model in PATHS or call.model in OUR_MODELS:
            register_models()
            check_arguments(call.model, call.model_args)
        endpoint_of(call)
    except UsageError as error:
        raise _located(error, name, file) from None
    return call, source


def check_engine(call: ArmCall) -> None:
    """Raises ArmError where the engine that runs the model is not installed here."""
    engine = _ENGINES.get(call.model.split("-")[0])
    if engine is not None and find_spec(engine) is None:
        extra = _EXTRAS.get(engine)
        remedy = f"pip install 'lm-eval-fr[{extra}]' on the machine that runs it" if extra else f"pip install {engine}"
        raise ArmError(f"--model {call.model} needs {engine}, which is not installed here", remedy=remedy)


def _located(error: LmEvalFrError, arm: str, file: PlanFile) -> PlanError:
    flag = _FLAG.search(f"{error.where or ''} {error.what}")
    place = f"{error.where}: " if error.where else ""
    what, remedy = _FLAG.sub(_in_the_plan, f"{place}{error.what}"), error.remedy
    if flag is not None and (key := _OF_THE_PLAN.get(flag[1])):  # of both arms
        return file.error(key, what, IN_THE_PLAN if remedy == HERE else remedy)
    line = _line_in(arm, flag[1] if flag else "", file.text)
    return PlanError(f"{arm}: {what}", where=file.path, line=line, remedy=remedy)


def _in_the_plan(flag: re.Match[str]) -> str:
    """The flag under its name in the plan; flags in an arm's `flags` keep their names."""
    return _OF_THE_PLAN.get(flag[1], flag[1] if flag[1] in ArmPlan.__struct_fields__ else flag[0])


def _line_in(arm: str, key: str, text: str) -> int | None:
    """The line of the key in the arm's part of the plan, or the line where that part begins."""
    start = line_of(arm, text)
    if start is None:
        return None
    found = line_of(key, "\n".join(text.splitlines()[start - 1 :])) if key else None
    return start if found is None else start - 1 + found
