"""`lm-eval-fr check`: everything that can be known about a study before it spends an hour or a dollar."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from lm_eval_fr.arms.flags import PATHS, ArmCall
from lm_eval_fr.check.arm_check import ArmCheck, check_arm
from lm_eval_fr.check.before_study import check_allowed, check_strata_of
from lm_eval_fr.check.check_findings import ArmEstimate, CheckReport, Finding
from lm_eval_fr.check.decision import Prospects, prospects_of
from lm_eval_fr.check.judge_check import check_judge
from lm_eval_fr.check.planned_documents import CHARS_PER_TOKEN, TaskWork, load_work
from lm_eval_fr.check.prepared_arms import prepare_arm
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.judge.asking.profile import load_profile, profile_names
from lm_eval_fr.judge.asking.protocol import Prices
from lm_eval_fr.judge.estimate import Estimate
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.pairing.agreement import generation_difference
from lm_eval_fr.pairing.sent_settings import by_client
from lm_eval_fr.plan import ArmPlan, Plan, PlanFile, plan_home, read_plan

# Dollars per million tokens, from secondary sources in November 2026.
PRICES = {"mistral-small-2603": Prices(input=0.15, output=0.60)}
Say = Callable[[str], None]


def check_plan(plan_file: str | Path, *, say: Say = lambda message: None) -> CheckReport:
    """Loads the documents, asks each endpoint one question, estimates the rest.

    Writes nothing. Problems become findings. Raises PlanError for a plan that cannot be read.
    """
    plan, file = read_plan(plan_file)
    arms = {"candidate": plan.candidate, "reference": plan.reference}
    findings: list[Finding] = list(_plan(plan, file))
    calls: dict[str, ArmCall] = {}
    checks: dict[str, ArmCheck] = {}
    works: dict[str, Sequence[TaskWork]] = {}
    refused: dict[str, Finding] = {}
    folder = plan_home(file.path)
    with contextlib.chdir(folder):
        for name, arm in arms.items():
            try:
                calls[name], _ = prepare_arm(plan, name, arm, file)
                say(f"{name}: reading the documents")
                works[name] = load_work(calls[name])
            except LmEvalFrError as error:
                refused[name] = Finding.of(error, name)
        findings += _once(refused)
        if works:
            first = next(iter(works.values()))
            findings += _documents(first)
            findings += _refused(lambda: check_strata_of(plan, first, file))
        for name, work in works.items():
            say(f"{name}: asking {calls[name].model} one question")
            checks[name] = check_arm(name, calls[name], work)
            findings += checks[name].findings
        findings += _both(plan, works, calls)
        judge_findings, judge = _judge(plan, folder, works, say)
    estimates = tuple(
        _estimate(name, plan.repeats, arms[name], calls[name], work, checks[name]) for name, work in works.items()
    )
    prospects = prospects_of(plan, next(iter(works.values()))) if works else Prospects()
    return CheckReport(str(plan_file), tuple(dict.fromkeys([*findings, *judge_findings])), estimates, judge, prospects)


def _once(refused: Mapping[str, Finding]) -> list[Finding]:
    """The problems of each arm; a problem of both is one finding."""
    found = {replace(one, where="both arms") for one in refused.values()}
    return [*found] if len(refused) > len(found) else [*refused.values()]


def _plan(plan: Plan, file: PlanFile) -> Iterator[Finding]:
    yield from _refused(lambda: check_allowed(plan, file))
    if not plan.margins:
        what = "the plan has no margins: differences will be shown without a verdict"
        yield Finding(
            "warning", "plan", what, "add the largest losses that you accept: margins: {gold: 3%, judge: 15%}"
        )


def _documents(work: Sequence[TaskWork]) -> Iterator[Finding]:
    for task in work:
        kind = "judged" if task.judged else "scored"
        yield Finding("ok", "tasks", f"{task.name}: {task.documents:,} of {task.available:,} documents, {kind}")


def _refused(check: Callable[[], None]) -> Iterator[Finding]:
    try:
        check()
    except LmEvalFrError as error:
        yield Finding.of(error, "plan")


def _both(plan: Plan, works: dict[str, Sequence[TaskWork]], calls: dict[str, ArmCall]) -> Iterator[Finding]:
    """What would make the two arms do different work, or be the same arm."""
    if len(works) < 2:
        return
    for one, other in zip(works["candidate"], works["reference"], strict=False):
        settings = [
            by_client(work.generation, call.model, call.model_args)
            for work, call in ((one, calls["candidate"]), (other, calls["reference"]))
        ]
        if (difference := generation_difference(*settings)) and "generation" not in plan.allow:
            remedy = "give both the same gen_kwargs, or put `generation` into the plan's `allow`"
            yield Finding("problem", "plan", f"{one.name} would be generated differently: {difference}", remedy)
        if plan.repeats > 1 and not one.judged and settings[0].get("temperature") == 0:
            what = f"{one.name}: answers at temperature 0 vary little, and repeats: {plan.repeats} asks for several"
            remedy = "give both arms gen_kwargs with a temperature above 0, or more documents instead of repeats"
            yield Finding("warning", "plan", what, remedy)
    templated = {name: bool(getattr(call.flags, "apply_chat_template", False)) for name, call in calls.items()}
    if templated["candidate"] != templated["reference"]:
        with_one = next(name for name in templated if templated[name])
        what = f"only the {with_one} is asked through a chat template"
        yield Finding("warning", "plan", what, "add apply_chat_template: true to the other, if it is a chat model")
    settings_of = [(call.model, dict(call.model_args), call.flags.gen_kwargs) for call in calls.values()]
    if settings_of[0] == settings_of[1]:
        what = "candidate and reference are the same arm"
        yield Finding("warning", "plan", what, "for the noise floor, set `rerun: true` in an arm instead")
    if not (plan.candidate.rerun or plan.reference.rerun or plan.repeats > 1):
        what = "no arm is run twice, so the noise floor will be unknown"
        yield Finding("warning", "plan", what, "add `rerun: true` to the cheaper arm")
    if plan.judge is None and (judged := [task.name for task in works["candidate"] if task.judged]):
        yield Finding("warning", "plan", f"{judged[0]} needs a judge, and the plan has none", "add `judge: {...}`")


def _judge(
    plan: Plan, folder: Path, works: dict[str, Sequence[TaskWork]], say: Say
) -> tuple[tuple[Finding, ...], tuple[Estimate, ...]]:
    if plan.judge is None or not works:
        return (), ()
    say(f"judge: asking {', '.join(plan.judge.profiles)} one question")
    try:
        options = JudgeOptions.from_plan(plan, plan.judge, folder)
        return check_judge(options, next(iter(works.values())), rerun=bool(plan.reference.rerun))
    except LmEvalFrError as error:
        return (Finding.of(error, "judge"),), ()


def _estimate(
    arm: str, repeats: int, settings: ArmPlan, call: ArmCall, work: Sequence[TaskWork], check: ArmCheck
) -> ArmEstimate:
    rate = check.chars_per_token or CHARS_PER_TOKEN
    # A rerun answers everything again; judged tasks are not answered several times.
    asked = {task.name: int(settings.rerun) + (1 if task.judged else repeats) for task in work}
    characters = sum(asked[task.name] * len(prompt) for task in work for prompt in task.prompts)
    return ArmEstimate(
        arm=arm,
        documents=sum(task.documents for task in work),
        requests=sum(asked[task.name] * task.documents for task in work),
        input_tokens=round(characters / rate),
        output_tokens=sum(asked[task.name] * task.documents * task.answer_tokens for task in work),
        measured=check.chars_per_token is not None,
        own=not is_hosted(call),
        prices=prices_of(str(call.model_args.get("model") or call.model_args.get("pretrained") or "")),
    )


def is_hosted(call: ArmCall) -> bool:
    """Whether it is someone else's API: by a preset, or by an address outside this machine and its network."""
    if call.model not in PATHS:
        return False
    base_url = call.model_args.get("base_url")
    if not base_url:
        return True
    host = urlsplit(str(base_url)).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".local", ".lan", ".internal"))
    return address.is_global


def prices_of(model: str) -> Prices | None:
    """Of a model that is in a judge's profile or in the table below."""
    known = (load_profile(name) for name in profile_names())
    return next((profile.prices for profile in known if profile.model == model), PRICES.get(model))
