"""The study's plan: what is fixed before anyone looks at a result, and its hash.

    name: nvfp4-against-api
    tasks: [fr_gold, analysis_fr]
    limit: 150                                   # or {piaf_fr: 50, analysis_fr: 150}
    margins: {gold: 0.02, judge: 0.10, piaf_fr: 0.03}
    candidate: {model: vllm, model_args: {pretrained: mistralai/Mistral-Small-4-119B-2603-NVFP4}}
    reference: {model: hosted-chat, model_args: {preset: mistral, model: mistral-small-2603}}
    judge: {profile: gpt-4.1, max_usd: 20}

Paths in a plan are relative to the plan's own folder.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from lm_eval_fr.errors import PlanError
from lm_eval_fr.tasklib.definitions import judged_names, tasks_behind

GOLD_MARGIN = 0.02
JUDGE_MARGIN = 0.10
REMEDY = "mend the plan; `lm-eval-fr ab --help` shows a whole one"

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Margin = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class ArmPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arm, in the words of `lm_eval run`."""

    model: str
    model_args: dict[str, Any] = {}
    gen_kwargs: dict[str, Any] = {}
    apply_chat_template: bool | str = False
    system_instruction: str | None = None
    batch_size: int | str | None = None
    flags: tuple[str, ...] = ()  # further flags of `lm_eval run`, as they are typed
    manifest: str | None = None  # what scripts/serve.py wrote about the server
    rerun: bool = False  # a second run of this arm, for the noise floor


class JudgePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    profile: str | tuple[str, ...] = "gpt-4.1"  # several make a panel
    rubric: str = "analyses_fr"
    model: str | None = None
    base_url: str | None = None
    orders: Literal["both", "lazy"] = "both"
    stop: Literal["never", "anytime"] = "never"
    max_usd: Annotated[float, msgspec.Meta(gt=0)] | None = None
    concurrency: Count | None = None
    repeats: Count = 1  # how often a question of a sample is asked in all: the judge's own noise
    labels: str | None = None  # human labels to compare with, a file beside the plan

    @property
    def profiles(self) -> tuple[str, ...]:
        return (self.profile,) if isinstance(self.profile, str) else self.profile


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `lm-eval-fr ab` runs. `margins` are the largest losses accepted, in the metric's unit."""

    name: str
    tasks: tuple[str, ...]
    candidate: ArmPlan
    reference: ArmPlan
    limit: Count | dict[str, Count] | None = None
    seed: int = 1234
    level: Share = 0.95
    margins: dict[str, Margin] = {}
    metrics: dict[str, str] = {}  # task -> the metric to compare, where not the task's first
    filters: dict[str, str] = {}  # task -> the filter to read, where a task has several
    allow: tuple[str, ...] = ()  # mismatches let through, printed in the report
    data_dir: str | None = None
    metadata: dict[str, Any] = {}
    judge: JudgePlan | None = None

    @property
    def hash(self) -> str:
        """sha256 of what decides the result; layout, spelled-out defaults, the judge's budget and pace do not."""
        judge = None if self.judge is None else msgspec.structs.replace(self.judge, max_usd=None, concurrency=None)
        content = msgspec.structs.replace(self, judge=judge)
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()

    def margin(self, task: str) -> float:
        """The margin of one gold task, or of the judge when `task` is "judge"."""
        default = JUDGE_MARGIN if task == "judge" else self.margins.get("gold", GOLD_MARGIN)
        return self.margins.get(task, default)


def arm_hash(plan: Plan, arm: ArmPlan) -> str:
    """sha256 of everything that decides an arm's answers: when it changes, the arm is run again."""
    work = {
        "tasks": plan.tasks,
        "limit": plan.limit,
        "seed": plan.seed,
        "data": plan.data_dir,
        "metadata": plan.metadata,
    }
    settings = {key: value for key, value in msgspec.to_builtins(arm).items() if key != "rerun"}
    return hashlib.sha256(msgspec.json.encode([work, settings], order="sorted")).hexdigest()


def load_plan(path: Path) -> Plan:
    """Reads a plan from YAML. Raises PlanError, with the line where it is known."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise PlanError(f"cannot read the plan: {reason}", where=path, remedy="give the path of a YAML file") from None
    return parse_plan(text, where=path)


def parse_plan(text: str, *, where: Path) -> Plan:
    """The plan in `text`; `where` names it in errors. Raises PlanError."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or "not readable"
        raise PlanError(f"not YAML: {problem}", where=where, line=line, remedy=REMEDY) from None
    if not isinstance(content, Mapping):
        raise PlanError("a plan is a mapping of names to values", where=where, line=1, remedy=REMEDY)
    try:
        plan = msgspec.convert(content, Plan)
    except msgspec.ValidationError as error:
        raise _explain(str(error), text, where) from None
    _check_consistency(plan, text, where)
    return plan


def _check_consistency(plan: Plan, text: str, where: Path) -> None:
    if not plan.tasks:
        raise PlanError(
            "no tasks", where=where, line=_line_of("tasks", text), remedy="name at least one, e.g. [fr_gold]"
        )
    if isinstance(plan.limit, dict) and (strangers := sorted(set(plan.limit) - set(plan.tasks))):
        raise PlanError(
            f"limit names {strangers[0]!r}, which tasks does not",
            where=where,
            line=_line_of("limit", text),
            remedy="limit takes a number, or task names exactly as `tasks` lists them",
        )
    _check_names(plan, text, where)


def _check_names(plan: Plan, text: str, where: Path) -> None:
    """Margins and metrics of tasks that will not be there would be found wrong only when both arms have run."""
    tasks = tasks_behind(plan.tasks)
    if tasks is None:
        return  # lm-eval's own: what their names stand for is known when they have run
    gold = [task for task in tasks if task not in judged_names()]
    for part, names, known in (
        ("margins", plan.margins, [*gold, "gold", "judge"]),
        ("metrics", plan.metrics, gold),
    ):
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                if name in tasks:
                    remedy = f"{name} is judged: its margin is the judge's" if part == "margins" else "leave it out"
                what = f"{part} names {name!r}, which is no scored task of this plan"
                raise PlanError(what, where=where, line=_line_of(name, text), remedy=remedy)


def _explain(message: str, text: str, where: Path) -> PlanError:
    """msgspec's message, with the line of the key that it names and the nearest known key."""
    if unknown := re.search(r"unknown field `(\w+)`(?: - at `\$?\.?([\w.\[\]]*)`)?", message):
        key, place = unknown[1], unknown[2] or ""
        known = _fields_at(place)
        near = difflib.get_close_matches(key, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        inside = f" in {place!r}" if place else ""
        return PlanError(f"unknown key {key!r}{inside}", where=where, line=_line_of(key, text), remedy=remedy)
    if missing := re.search(r"missing required field `(\w+)`", message):
        place = re.search(r"at `\$\.(\w+)", message)
        line = _line_of(place[1], text) if place else 1
        return PlanError(f"{missing[1]!r} is missing", where=where, line=line, remedy=REMEDY)
    named = re.search(r"at `\$\.([\w.]+)", message)
    line = _line_of(named[1].rsplit(".", 1)[-1], text) if named else None
    return PlanError(message.replace("`$.", "`"), where=where, line=line, remedy=REMEDY)


def _fields_at(place: str) -> tuple[str, ...]:
    parts: dict[str, Any] = {"candidate": ArmPlan, "reference": ArmPlan, "judge": JudgePlan}
    part = parts.get(place.split(".")[0], Plan)
    return tuple(field.name for field in msgspec.structs.fields(part))


def _line_of(key: str, text: str) -> int | None:
    pattern = re.compile(rf"(?:^|[\s{{,]){re.escape(key)}\s*:")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)), None)
