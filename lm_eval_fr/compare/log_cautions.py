"""What the logs of two arms show that a reader must know: scores that cannot be compared, answers that ended
differently,
one run given twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.pairing import Imbalance, Paired, PairedTask, Pairing, Printed, imbalances
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Caution

CHANCE = 0.05  # p-values below it: such an imbalance is rarely chance
SHARE = 0.01  # share of the answers that ended some way, from which it is reported
MANY = 20  # identical answers to fewer documents prove nothing
_ENDED = {
    "failed": "were never obtained",
    "empty": "are empty",
    "truncated": "look cut off",
    "filtered": "were refused or cut by a content filter",
    "reasoning": "contain reasoning",
    "interrupted": "ended for a reason other than a stop or the length",
}
_SERVED = "the arms were not served alike, which may explain part of the difference"
_EITHER = (
    "the models themselves stop differently, or the arms were served differently (stop strings, limits, template); "
    "read some of these answers"
)


def log_cautions(pairing: Pairing) -> Iterator[Caution]:
    same = pairing.same_run
    if same is not None:
        yield Caution(kind="same_run", text=f"{same[0].upper()}{same[1:]}: nothing is compared.")
    else:
        yield from _same_answers(pairing)
        for one in (*pairing.groups, *pairing.tasks):
            yield from _without_scores(one)
    yield from _template(pairing)
    for task in pairing.tasks:
        yield from _ended_otherwise(task)
        yield from _imbalances(task)
        yield from _copies(task)


def _template(pairing: Pairing) -> Iterator[Caution]:
    """The task's text is the same in both arms, but a chat model does worse without its template."""
    runs = {"candidate": pairing.candidate, "reference": pairing.reference}
    asked = [role for role, run in runs.items() if run.settings.get("chat_template_applied") or "chat" in run.source]
    if len(asked) == 1:
        bare = next(role for role in runs if role not in asked)
        text = (
            f"Only the {asked[0]} used a chat template: the {bare} got the bare text. If it is a "
            "chat model, that may explain part of the difference."
        )
        yield Caution(kind="template", text=text)


def _same_answers(pairing: Pairing) -> Iterator[Caution]:
    """Two servers whose answers never differ are most likely one server."""
    same = [task for task in pairing.tasks if task.n >= MANY and task.identical.all()]
    if not same or (len(same) < len(pairing.tasks) and all(task.generates for task in same)):
        return
    where = "everywhere" if len(same) == len(pairing.tasks) else f"on {', '.join(task.task for task in same)}"
    text = (
        f"Both arms gave the same answers {where}, to {sum(task.n for task in same):,} documents, byte for byte. Two "
        "servers rarely do: perhaps one server or one cache answered for both, or one folder was copied."
    )
    yield Caution(kind="same_answers", text=text)


def _without_scores(task: Paired) -> Iterator[Caution]:
    """A number that lm-eval printed is reported even if it cannot be paired."""
    if task.no_verdict is not None:
        printed = "; ".join(_shown(one) for one in task.printed if one.known)
        numbers = f" lm-eval printed {printed}." if printed else ""
        yield Caution(kind="no_scores", text=f"No verdict on {task.task}: {task.no_verdict}.{numbers}")
        return
    for one in task.printed:
        if not one.known:
            continue
        if one.reason is not None:
            text = f"{task.task}: {one.metric} is not compared document by document ({one.reason}). lm-eval printed "
            yield Caution(kind="printed_only", text=f"{text}{_shown(one)}.")
        elif one.score != one.metric and one.score in task.metrics[:1]:
            text = (
                f"{task.task}: compared by {one.score}, which {one.metric} is made of. lm-eval printed {_shown(one)}."
            )
            yield Caution(kind="printed_only", text=text)


def _shown(one: Printed) -> str:
    direction = {True: ", higher is better", False: ", lower is better", None: ""}[one.higher_is_better]
    values = [f"{value:.6g}" if value is not None else "none" for value in (one.candidate, one.reference)]
    return f"{one.metric} {values[0]} for the candidate, {values[1]} for the reference{direction}"


def _ended_otherwise(task: PairedTask) -> Iterator[Caution]:
    for role, answers in zip(("candidate", "reference"), task.answers, strict=True):
        counts = {"filtered": answers.filtered.sum(), "interrupted": answers.interrupted.sum()}
        said = [f"{count:,} {_ENDED[state]}" for state, count in counts.items() if count >= SHARE * task.n and count]
        if said:
            text = f"{task.task}: of the {role}'s {task.n:,} answers, {' and '.join(said)}."
            yield Caution(kind="health", text=text)


def _imbalances(task: PairedTask) -> Iterator[Caution]:
    for found in imbalances(*task.answers):
        one_arm_only = found.state == "reasoning" and not min(found.candidate, found.reference)
        if found.p_value < CHANCE or one_arm_only:
            yield Caution(kind="imbalance", text=f"{task.task}: {_imbalance(found, task.n)}")


def _imbalance(found: Imbalance, n: int) -> str:
    return (
        f"{found.candidate:,} of the candidate's answers and {found.reference:,} of the reference's {n:,} "
        f"{_ENDED[found.state]} ({w.p_equals(found.p_value)}, exact McNemar test): "
        f"{_EITHER if found.state in ('empty', 'truncated') else _SERVED}."
    )


def _copies(task: PairedTask) -> Iterator[Caution]:
    if task.copies:
        text = (
            f"{task.task}: {task.copies:,} of its {task.n:,} documents ask the same as another one. Copies of "
            f"a document count as one: there are {task.n - task.copies:,}."
        )
        yield Caution(kind="copies", text=text)
