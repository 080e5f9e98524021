"""The dollars of each document: tokens times price, or the hourly price times the time that they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.analyses.value.prices import ArmPrice, HourPrice, Price
from lm_eval_fr.analyses.value.throughput import run_seconds
from lm_eval_fr.analyses.value.tokens import TokenCounts, Used, tokens_of
from lm_eval_fr.analyses.value.value_model import TokenSource
from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import Run, TaskLog
from lm_eval_fr.pairing import PairedTask

OTHER_WORK = 2.0  # how far the measured mix of input and output may be from the run's before the report says so
MILLION = 1e6
NO_TOKEN = "did every answer fail? see its responses_*.jsonl"


@dataclass(frozen=True)
class TaskCost:
    """Arrays, one row per document in the pairing's order. seconds is None where tokens are priced."""

    dollars: np.ndarray
    input: np.ndarray
    output: np.ndarray
    cached: np.ndarray
    seconds: np.ndarray | None


@dataclass(frozen=True)
class ArmCost:
    tasks: tuple[TaskCost, ...]
    tokens: TokenSource
    note: str
    cautions: tuple[str, ...]


def arm_cost(run: Run, side: int, tasks: Sequence[PairedTask], arm: ArmPrice, name: str) -> ArmCost:
    """One arm's cost of each document of `tasks`. side: 0 the candidate's, 1 the reference's in these pairs."""
    counted = {task.task: tokens_of(run, task.sides[side].log, arm.tokenizer) for task in tasks}
    sources = {tokens.source for tokens in counted.values()}
    if len(sources) > 1:
        raise InputError(
            f"the tokens of {name} come from {' and '.join(sorted(sources))}, by task",
            where=run.path,
            remedy="price its tasks one at a time: --task",
        )
    tokens = next(iter(counted.values()))
    per_second, note, cautions = _rate(run, arm, counted, tokens, name)
    cached = any(used.cached for one in counted.values() for used in one.by_document.values())
    if cached and not isinstance(arm.price, HourPrice) and arm.price.cached is None:
        cautions.append(f"{name}: cached tokens are billed as input: no price for them was given")
    found = tuple(_cost_of(_used_in(task, side, counted[task.task]), arm.price, per_second) for task in tasks)
    return ArmCost(found, tokens.source, note, tuple(cautions))


def dollars_per_answer(
    run: Run, logs: Sequence[TaskLog], arm: ArmPrice, name: str
) -> tuple[float, TokenSource, list[str]]:
    """The mean cost of one response to one document of these tasks, where the tokens come from, and notes.

    Raises InputError where the arm's answers cost nothing.
    """
    counted = {log.task: tokens_of(run, log, arm.tokenizer) for log in logs}
    tokens = next((one for one in counted.values() if one.source != "usage"), counted[logs[0].task])
    per_second, _, cautions = _rate(run, arm, counted, tokens, name)
    used = [one for found in counted.values() for one in found.by_document.values()]
    dollars, answers = float(_cost_of(used, arm.price, per_second).dollars.sum()), sum(one.responses for one in used)
    if not dollars > 0 or not answers:
        raise InputError(f"the answers of {name} cost nothing", where=logs[0].paths[0], remedy=NO_TOKEN)
    return dollars / answers, tokens.source, cautions


def refuse_a_guess(arms: Sequence[tuple[str, Run, ArmPrice, TokenSource]], *, estimate: bool) -> None:
    """Refuses to compare dollars from an estimated number of tokens with those from a counted one.

    arms: name, run, price and where the tokens come from. estimate: the user accepts it.
    """
    guessed = next(((name, run) for name, run, price, tokens in arms if tokens == "estimate" and price.by_tokens), None)
    if guessed is not None and not estimate and any(tokens != "estimate" for *_, tokens in arms):
        raise InputError(
            f"{guessed[0]} records no usage and its tokenizer is not on this machine, while the other arm's "
            "tokens were counted",
            where=guessed[1].path,
            remedy="--tokenizer NAME counts them, --estimate accepts an estimate, --price 2.50/h needs neither",
        )


def _rate(
    run: Run, arm: ArmPrice, counted: dict[str, TokenCounts], tokens: TokenCounts, name: str
) -> tuple[float, str, list[str]]:
    """Tokens per second (0 if tokens are priced), where the cost comes from, and notes.

    tokens: those of the task whose source is named.
    """
    cautions = [f"{name}: {tokens.note}"] if tokens.source != "usage" else []
    if not isinstance(arm.price, HourPrice):
        return 0.0, tokens.note, cautions
    if arm.throughput is None:
        seconds = run_seconds(run)
        logs = {log.task: counted.get(log.task) or tokens_of(run, log, arm.tokenizer) for log in run.tasks.values()}
        note = f"the run's own {seconds:,.0f} s, divided in proportion to tokens"
        cautions.append(
            f"{name}: the run's time includes start-up and pauses; --throughput FILE uses a measured throughput"
        )
        return sum(used.total for one in logs.values() for used in one.by_document.values()) / seconds, note, cautions
    used_here = [used for one in counted.values() for used in one.by_document.values()]
    mix, other = sum(u.output for u in used_here) / max(sum(u.input for u in used_here), 1e-9), arm.throughput.mix
    if other is not None and not 1 / OTHER_WORK <= mix / other <= OTHER_WORK:
        cautions.append(
            f"{name}: the throughput was measured on other work: {other:.2g} output tokens an input token against "
            f"{mix:.2g} here: measure it on prompts like these"
        )
    return arm.throughput.tokens_per_second, arm.throughput.note, cautions


def _used_in(task: PairedTask, side: int, tokens: TokenCounts) -> list[Used]:
    found = []
    for row, doc_hash in enumerate(task.doc_hashes):
        used = tokens.by_document.get(doc_hash)
        if used is None:
            sample = task.sides[side].sample(row)
            what = f"no usage is recorded for document {sample.doc_id} of {task.task}"
            remedy = "rerun the arm (its answers are kept), or remove its responses_*.jsonl to have the tokens counted"
            raise InputError(what, where=sample.path, line=sample.line, remedy=remedy)
        found.append(used)
    return found


def _cost_of(used: Sequence[Used], price: Price, per_second: float) -> TaskCost:
    given, made, cached = np.array([(one.input, one.output, one.cached) for one in used]).reshape(-1, 3).T
    if isinstance(price, HourPrice):
        seconds = (given + made) / per_second
        return TaskCost(seconds / 3600 * price.dollars, given, made, cached, seconds)
    reused = price.input if price.cached is None else price.cached
    dollars = ((given - cached) * price.input + cached * reused + made * price.output) / MILLION
    return TaskCost(dollars, given, made, cached, None)
