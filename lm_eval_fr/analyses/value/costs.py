"""The dollars of each document: tokens times price, or the price of an hour times the time that they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.analyses.value.prices import HourPrice, Price, TokenPrice
from lm_eval_fr.analyses.value.throughput import Throughput, run_seconds
from lm_eval_fr.analyses.value.tokens import Tokens, Used, tokens_of
from lm_eval_fr.analyses.value.value_model import TokenSource
from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import Run, TaskLog
from lm_eval_fr.pairing import PairedTask

OTHER_WORK = 2.0  # how far the measured mix of input and output may be from the run's before it is said
MILLION = 1e6
NO_TOKEN = "did every answer fail? see its responses_*.jsonl"


@dataclass(frozen=True)
class ArmPrice:
    """What one arm costs. throughput: measured apart from the run. tokenizer: to count with."""

    price: Price
    throughput: Throughput | None = None
    tokenizer: str | None = None


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
            f"tokens of {name} come from {' and '.join(sorted(sources))}, by task",
            where=run.path,
            remedy="price its tasks one at a time: --task",
        )
    tokens = next(iter(counted.values()))
    cautions = [f"{name}: {tokens.note}"] if tokens.source != "usage" else []
    per_second: float | None = None
    if isinstance(arm.price, TokenPrice):
        note = tokens.note
        if arm.price.cached is None and any(
            used.cached for one in counted.values() for used in one.by_document.values()
        ):
            cautions.append(f"{name}: cached tokens are billed as input: no price for them was given")
    else:
        per_second, note, more = _tokens_per_second(run, arm, counted, name)
        cautions += more
    found = tuple(_task_cost(task, side, counted[task.task], arm.price, per_second) for task in tasks)
    return ArmCost(found, tokens.source, note, tuple(cautions))


def dollars_per_answer(
    run: Run, logs: Sequence[TaskLog], arm: ArmPrice, name: str
) -> tuple[float, TokenSource, list[str]]:
    """One response to one document of these tasks, in the mean; where the tokens come from; what to know about it.

    Raises InputError where the arm's answers cost nothing.
    """
    counted = {log.task: tokens_of(run, log, arm.tokenizer) for log in logs}
    tokens = next((one for one in counted.values() if one.source != "usage"), counted[logs[0].task])
    used = [one for found in counted.values() for one in found.by_document.values()]
    cautions = [f"{name}: {tokens.note}"] if tokens.source != "usage" else []
    if isinstance(arm.price, TokenPrice):
        columns = np.array([(one.input, one.output, one.cached) for one in used]).reshape(-1, 3)
        dollars = float(_price_of(columns.T, arm.price).sum())
    else:
        per_second, _, more = _tokens_per_second(run, arm, counted, name)
        dollars = sum(one.total for one in used) / per_second / 3600 * arm.price.dollars
        cautions += more
    answers = sum(one.responses for one in used)
    if not dollars > 0 or not answers:
        raise InputError(f"the answers of {name} cost nothing", where=logs[0].paths[0], remedy=NO_TOKEN)
    return dollars / answers, tokens.source, cautions


def _price_of(columns: np.ndarray, price: TokenPrice) -> np.ndarray:
    """Dollars of rows of (input, output, cached) tokens, along the first axis."""
    given, made, cached = columns
    reused = price.input if price.cached is None else price.cached
    dollars: np.ndarray = ((given - cached) * price.input + cached * reused + made * price.output) / MILLION
    return dollars


def _tokens_per_second(run: Run, arm: ArmPrice, counted: dict[str, Tokens], name: str) -> tuple[float, str, list[str]]:
    """How fast the arm works through tokens, how that is known, and what to know about it."""
    if arm.throughput is not None:
        mine = [
            sum(getattr(used, kind) for one in counted.values() for used in one.by_document.values())
            for kind in ("input", "output")
        ]
        mix, other = mine[1] / max(mine[0], 1e-9), arm.throughput.mix
        if other is None or 1 / OTHER_WORK <= mix / other <= OTHER_WORK:
            return arm.throughput.tokens_per_second, arm.throughput.note, []
        caution = (
            f"{name}: the throughput was measured on other work, {other:.2g} output tokens an input token against "
            f"{mix:.2g} here: measure it on prompts like these"
        )
        return arm.throughput.tokens_per_second, arm.throughput.note, [caution]
    seconds = run_seconds(run)
    everything = sum(
        used.total for log in run.tasks.values() for used in _all_of(run, log, counted, arm).by_document.values()
    )
    note = f"the run's own {seconds:,.0f} s, divided in proportion to tokens"
    caution = f"{name}: the run's time includes start-up and pauses; --throughput FILE uses a measured throughput"
    return everything / seconds, note, [caution]


def _all_of(run: Run, log: TaskLog, counted: dict[str, Tokens], arm: ArmPrice) -> Tokens:
    return counted.get(log.task) or tokens_of(run, log, arm.tokenizer)


def _task_cost(task: PairedTask, side: int, tokens: Tokens, price: Price, tokens_per_second: float | None) -> TaskCost:
    known = tokens.by_document
    used = [known.get(doc_hash) for doc_hash in task.doc_hashes]
    lacking = next((i for i, one in enumerate(used) if one is None), None)
    if lacking is not None:
        sample = task.sides[side].sample(lacking)
        raise InputError(
            f"no usage is on record for document {sample.doc_id} of {task.task}",
            where=sample.path,
            line=sample.line,
            remedy="rerun the arm (its answers are kept), or remove its responses_*.jsonl to have the tokens counted",
        )
    columns = np.array([(one.input, one.output, one.cached) for one in used if isinstance(one, Used)]).reshape(-1, 3)
    given, made, cached = columns.T
    if isinstance(price, HourPrice):
        assert tokens_per_second is not None
        seconds = (given + made) / tokens_per_second
        return TaskCost(seconds / 3600 * price.dollars, given, made, cached, seconds)
    return TaskCost(_price_of(columns.T, price), given, made, cached, None)
