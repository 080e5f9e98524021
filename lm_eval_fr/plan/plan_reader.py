"""Reads a plan from YAML: every mistake is one line with its place and the nearest correct word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from lm_eval_fr.errors import PlanError, UsageError, nearest
from lm_eval_fr.io.reading import parse_yaml, read_text
from lm_eval_fr.plan.study_folder import PLAN
from lm_eval_fr.plan.study_plan import ArmPlan, ArmPrices, Guarantee, JudgePlan, Plan
from lm_eval_fr.tasklib.definitions import judged_names, task_names, tasks_behind

REMEDY = "correct the plan; `lm-eval-fr ab --help` shows a complete one"
SHARES = "a share is written 0.02 or 2%"
LONGEST_NAME = 100
MOST_RERUNS = 100
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]|^\.|^\s|\s$")
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
_TYPES = {  # msgspec's words
    "array": "a list",
    "object": "a mapping of names to values",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
}
_PARTS: Mapping[str, Any] = {"candidate": ArmPlan, "reference": ArmPlan, "judge": JudgePlan}


def parse_share(value: Any) -> float:
    """0.02, "0.02" or "2%". Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(SHARES)
    text = str(value).strip()
    try:
        number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ValueError(SHARES) from None
    if not math.isfinite(number):
        raise ValueError(SHARES)
    return number


def as_share(name: str, value: Any) -> float:
    """An argument's value by `parse_share`. Raises UsageError that names the argument."""
    try:
        return parse_share(value)
    except ValueError as error:
        raise UsageError(f"{name}: {value!r} is not a number", remedy=str(error)) from None


def as_guarantee(value: str) -> Guarantee:
    """One of the two words. Raises UsageError."""
    known = get_args(Guarantee)
    if value not in known:
        raise UsageError(f"guarantee: {value!r}", remedy=nearest(value, known) or f"give {' or '.join(known)}")
    return cast(Guarantee, value)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan's text, and the file that names it in errors."""

    path: Path
    text: str

    def error(self, key: str | None, what: str, remedy: str) -> PlanError:
        """With the line of the key, if there is one."""
        return PlanError(what, where=self.path, line=line_of(key, self.text) if key else None, remedy=remedy)


def load_plan(path: str | Path) -> Plan:
    """Reads a plan from YAML. Raises PlanError, with the line where it is known."""
    return read_plan(path)[0]


def read_plan(path: str | Path) -> tuple[Plan, PlanFile]:
    """The plan with its file, for errors that are found later. Raises PlanError."""
    path = Path(path)
    if path.is_dir():
        inside = path / PLAN
        remedy = f"give {inside}; `lm-eval-fr compare {path}` reads a finished study"
        remedy = remedy if inside.is_file() else "give the path of a YAML file"
        raise PlanError("a folder, not a plan", where=path, remedy=remedy)
    text = read_text(path, remedy="give the path of a YAML file", error=PlanError)
    return parse_plan(text, where=path), PlanFile(path, text)


def parse_plan(text: str, *, where: Path) -> Plan:
    """The plan in `text`; `where` names it in errors. Raises PlanError."""
    content, file = parse_yaml(text, where=where, remedy=REMEDY, error=PlanError), PlanFile(where, text)
    if not isinstance(content, Mapping):
        raise PlanError("a plan is a mapping of names to values", where=where, line=1, remedy=REMEDY)
    _read_shares(content, file)
    try:
        plan = msgspec.convert(content, Plan)
    except msgspec.ValidationError as error:
        raise _explain(str(error), content, file) from None
    if found := next(_mistakes(plan), None):
        raise file.error(*found)
    return plan


def line_of(key: str, text: str) -> int | None:
    """The first line of a YAML text that has this key."""
    pattern = re.compile(rf"(?:^|[\s{{,]){re.escape(key)}\s*:")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)), None)


def _read_shares(content: Any, file: PlanFile) -> None:
    """Numbers of `2%`, where a share may stand."""
    margins = content.get("margins")
    for place in (content, margins) if isinstance(margins, dict) else (content,):
        for key in ["level"] if place is content else list(place):
            if isinstance(value := place.get(key), str):
                try:
                    place[key] = parse_share(value)
                except ValueError as error:
                    raise file.error(str(key), f"{key}: {value!r} is not a number", str(error)) from None


def _mistakes(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """(key, what is wrong, remedy) for mistakes that types cannot express."""
    if not plan.name or len(plan.name) > LONGEST_NAME or _UNSAFE.search(plan.name):
        what = f"{plan.name[:LONGEST_NAME]!r} is not a valid folder name"
        yield "name", what, "letters, digits, - and _, without / or a leading dot"
    if not plan.tasks:
        yield "tasks", "no tasks", "name at least one, e.g. [fr_gold]"
    if isinstance(plan.limit, dict) and (strangers := sorted(set(plan.limit) - set(plan.tasks))):
        remedy = "limit takes a number, or task names exactly as `tasks` lists them"
        yield "limit", f"limit names {strangers[0]!r}, which is not in tasks", remedy
    for arm in ("candidate", "reference"):
        if int(getattr(plan, arm).rerun) > MOST_RERUNS:
            yield "rerun", f"{arm}: more than {MOST_RERUNS} reruns", "one or two show the noise floor"
        prices: ArmPrices | None = getattr(plan, arm).prices
        if prices is not None and (prices.hour is None) == (prices.input is None or prices.output is None):
            yield "prices", f"{arm}: prices are either input and output, or hour", "prices: {input: 0.15, output: 0.60}"
    yield from _margins(plan)
    yield from _task_names(plan)


def _margins(plan: Plan) -> Iterator[tuple[str, str, str]]:
    if plan.overall_mean and not {"gold", "overall_mean"} & plan.margins.keys():
        yield "overall_mean", "overall_mean needs a margin", "margins: {gold: 2%} or {overall_mean: 2%}"
    ours = tasks_behind(plan.tasks) or ()
    for name, margin in plan.margins.items():
        if not (math.isfinite(margin) and margin > 0):
            remedy = "a margin is the largest loss accepted, above 0: 0.02 or 2%"
            yield name, f"the margin of {name} is {margin:g}", remedy
        elif margin >= 1 and name in ("gold", "judge", "overall_mean", *ours):
            remedy = f"{margin:g} points are {margin / 100:g} or {margin:g}%"
            yield name, f"the margin of {name} is {margin:g}, which is the whole scale: every loss would pass", remedy


def _task_names(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Otherwise wrong task names would only be found after both arms have run."""
    tasks = tasks_behind(plan.tasks)
    if tasks is None:
        return  # lm-eval's own: what their names stand for is only known after they have run
    gold = [task for task in tasks if task not in judged_names()]
    if plan.overall_mean and len(gold) < 2:
        yield "overall_mean", f"a mean over {len(gold)} scored tasks", "leave overall_mean out, or add a task"
    further = {"gold": True, "judge": True, "language_tax": plan.parallel, "overall_mean": plan.overall_mean}
    for part, names, known in (
        ("margins", plan.margins, [*gold, *(name for name, there in further.items() if there)]),
        ("metrics", plan.metrics, gold),
        ("filters", plan.filters, gold),
        ("strata", plan.strata, gold),
        ("parallel", [*plan.parallel, *plan.parallel.values()], gold),
    ):
        for name in names:
            if name in known:
                continue
            remedy = nearest(name, known) or f"known here: {', '.join(known)}"
            if name in task_names():
                remedy = f"add {name} to tasks, or leave it out"
            if name in tasks:
                remedy = f"{name} is judged: its margin is the judge's" if part == "margins" else "leave it out"
            yield name, f"{part} names {name!r}, which is not a scored task of this plan", remedy


def _explain(message: str, content: Any, file: PlanFile) -> PlanError:
    """msgspec's message, with the line of the key that it names and the nearest known key."""
    if unknown := re.search(r"unknown field `(\w+)`(?: - at `\$?\.?([\w.\[\]]*)`)?", message):
        key, place = unknown[1], unknown[2] or ""
        known, inside = _fields_at(place), f" in {place!r}" if place else ""
        remedy = nearest(key, known) or f"known keys: {', '.join(known)}"
        return file.error(key, f"unknown key {key!r}{inside}", remedy)
    if missing := re.search(r"missing required field `(\w+)`", message):
        found = re.search(r"at `\$\.(\w+)", message)
        line = line_of(found[1], file.text) if found else 1
        return PlanError(f"{missing[1]!r} is missing", where=file.path, line=line, remedy=REMEDY)
    named = re.search(r"at `\$\.([\w.]+)", message)
    key = named[1].rsplit(".", 1)[-1] if named else ""
    if named and (types := re.match(r"Expected `([\w |]+)`, got `(\w+)`", message)):
        wanted, got = (
            " or ".join(_TYPES[one] for one in part.split(" | ") if one in _TYPES) for part in types.groups()
        )
        remedy = _as_it_should_be(key, content.get(key), types[1]) if key == named[1] else REMEDY
        return file.error(key, f"{named[1]} must be {wanted}, not {got}", remedy)
    if named and (bound := re.match(r"Expected `(\w+)` (>=|<=|>|<) ([\d.]+)", message)):
        wanted = f"{_TYPES.get(bound[1], bound[1])} {_BOUNDS[bound[2]]} {bound[3].removesuffix('.0')}"
        return file.error(key, f"{named[1]} must be {wanted}", REMEDY)
    return file.error(key, message.replace("`$.", "`"), REMEDY)


def _as_it_should_be(key: str, value: Any, wanted: str) -> str:
    """What was probably meant by a single value instead of a list or a mapping."""
    if isinstance(value, str | int | float) and wanted == "array":
        return f"{key}: [{value}]"
    if key == "margins" and isinstance(value, str | int | float):
        return f"margins: {{gold: {value}}}"
    return REMEDY


def _fields_at(place: str) -> tuple[str, ...]:
    *_, last = place.split(".")
    part = ArmPrices if last == "prices" else _PARTS.get(place.split(".")[0], Plan)
    return tuple(field.name for field in msgspec.structs.fields(part))
