"""The plan's judge: its profile, its key, one question, and what the whole judging will cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from lm_eval_fr.check.check_findings import Finding
from lm_eval_fr.check.planned_documents import CHARS_PER_TOKEN, TaskWork
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.io.http import CallFailed, Http
from lm_eval_fr.io.loops import run_async
from lm_eval_fr.judge.asking.controls import Controls, controls_for, gross_items
from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.profile import load_rubric, shutdown_warning
from lm_eval_fr.judge.asking.protocol import Profile
from lm_eval_fr.judge.asking.worklist import Item, PlannedItems, Questioner
from lm_eval_fr.judge.estimate import Estimate, estimate_items
from lm_eval_fr.judge.live.client import blocked, chat, in_our_words, server_of
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import profiles
from lm_eval_fr.judge.verdicts.control_results import enough
from lm_eval_fr.judge.verdicts.ledger import cost_at_most

TYPICAL = 0.6  # share of the longest answer that a task allows
FILLER = "Le texte expose les faits dans l'ordre, puis en tire les conséquences. "


def check_judge(
    options: JudgeOptions, work: Sequence[TaskWork], *, rerun: bool = False
) -> tuple[tuple[Finding, ...], tuple[Estimate, ...]]:
    """Asks each judge one question whose better answer is known, and estimates what the plan's pairs will cost.

    rerun: whether the reference is also judged against itself.
    """
    findings: list[Finding] = []
    estimates: list[Estimate] = []
    judged = [task for task in work if task.judged]
    if not judged:
        what = "the plan has a judge but no task that needs one"
        return (Finding("warning", "judge", what, "add analysis_fr or own_analysis_fr, or leave the judge out"),), ()
    try:
        for profile in profiles(options):
            findings += _check_profile(profile, options)
            pairs = PlannedItems(list(_typical(judged)))
            again, controls = pairs if rerun else (), controls_for(pairs, options.controls)
            findings += _check_controls(controls)
            estimates.append(estimate_items(pairs, profile, options, rerun=again, controls=controls))
            findings += _check_budget(profile, options, estimates[-1])
    except LmEvalFrError as error:
        findings.append(Finding.of(error, "judge"))
    return tuple(findings), tuple(estimates)


def _check_profile(profile: Profile, options: JudgeOptions) -> Iterator[Finding]:
    if warning := shutdown_warning(profile, date.today()):
        yield Finding("warning", "judge", warning)
    item = gross_items()[0]
    body = Questioner(profile, load_rubric(options.rubric), b"check").question(item, "candidate_first").body
    if profile.dialect == "offline":
        from lm_eval_fr.judge.asking.offline import answer_offline

        raw = answer_offline(body)
    else:
        raw = run_async(_send(profile, body))
    read = read_reply(raw)
    if read.verdict is None:
        what = f"{profile.model} gives no verdict: {read.problem or 'unreadable'}"
        advice = "choose a judge that follows a JSON schema, or a profile with a higher output limit"
        yield Finding("problem", "judge", what, advice)
        return
    prefers = f"{profile.name} ({profile.model}) prefers"
    if read.verdict == "A":
        yield Finding("ok", "judge", f"{prefers} the full answer in one control")
        return
    other = "neither" if read.verdict == "tie" else "the empty or damaged one"
    what = f"{prefers} not the full answer but {other} in one control"
    yield Finding("warning", "judge", what, "check that it understands French")


async def _send(profile: Profile, body: dict[str, Any]) -> bytes:
    try:
        async with Http(server_of(profile), timeout=profile.timeout) as http:
            answer = await chat(http, profile)(body)
        problem = answer.problem()
    except CallFailed as failed:
        problem = failed.problem
    if problem is not None:
        raise blocked(in_our_words(problem, profile), profile)
    return answer.body


def _typical(work: Sequence[TaskWork]) -> Iterator[Item]:
    """The plan's pairs, with answers of a typical length standing in for the real ones."""
    for task in work:
        size = int(TYPICAL * task.answer_tokens * CHARS_PER_TOKEN)
        answer = (FILLER * (size // len(FILLER) + 1))[:size]
        articles = task.clusters or [None] * task.documents
        for number, (prompt, article) in enumerate(zip(task.prompts, articles, strict=True)):
            yield Item(task.name, number, str(number), article, -1, None, prompt, f"{answer}1", f"{answer}2")


def _check_controls(controls: Controls) -> Iterator[Finding]:
    """What the documents alone allow; the real answers may allow fewer."""
    if controls.graded.shortage is None:
        return
    made = len(controls.graded.items)
    what = controls.graded.shortage
    if not enough(made):
        what += "; so few cannot show enough of any judge, and no claim will be made"
    yield Finding("warning", "controls", what, "plan for more documents")


def _check_budget(profile: Profile, options: JudgeOptions, estimate: Estimate) -> Iterator[Finding]:
    if options.max_usd is None:
        return
    if estimate.dollars is None or cost_at_most({}, profile) is None:
        remedy = "give `prices` and an output limit in a copy of the profile"
        yield Finding("problem", "judge", f"max_usd: {options.max_usd:g} cannot be kept without prices", remedy)
    elif estimate.dollars.expected > options.max_usd:
        what = f"about ${estimate.dollars.expected:.2f} is needed, and max_usd is {options.max_usd:g}"
        yield Finding("warning", "judge", what, "raise it, or set orders: lazy, or the study will stop unfinished")
