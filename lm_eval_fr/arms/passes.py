"""Several answers to each document: the arm runs again into OUT/repeats/2, 3, ... with other seeds.

An engine in this process is loaded once. A server that gives the same answers a second time would give
them every time; a few documents show that before the others are paid for.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lm_eval_fr.arms.flags import OUR_MODELS, PATHS, ArmCall
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.logs.find_run import REPEATS
from lm_eval_fr.models.presets import CLIENT_SEED

SEEDS = (0, 1234, 1234, 1234)  # lm-eval's seeds: Python, numpy, torch and the few-shot examples
FEWEST, MOST = 8, 32  # documents whose second answers are compared with the first, if there are as many

Place = tuple[str, str, int, int]


class SameAnswers(Exception):
    """The server repeats its answers. documents: how many were compared."""

    def __init__(self, documents: int) -> None:
        super().__init__(f"{documents} answers are the same")
        self.documents = documents


class FirstAnswers:
    """The first answers of an arm, to compare the next ones with."""

    def __init__(self) -> None:
        self._known: dict[Place, Any] = {}

    def note(self, method: str, requests: Sequence[Any], answers: Sequence[Any]) -> None:
        for request, answer in zip(requests, answers, strict=True):
            self._known.setdefault(_place(method, request), answer)

    def probe(self, method: str, requests: Sequence[Any]) -> list[int]:
        """Which of these requests to ask first, spread over all of them; none while there are no first answers."""
        rows = [row for row, request in enumerate(requests) if self._known.get(_place(method, request))]
        size = min(len(rows), max(FEWEST, min(MOST, len(rows) // 4)))
        return [rows[len(rows) * i // size] for i in range(size)]

    def compare(self, method: str, requests: Sequence[Any], answers: Sequence[Any], rows: Sequence[int]) -> None:
        """Raises SameAnswers if these rows have answers and each repeats the first one."""
        there = [row for row in rows if answers[row]]
        if there and all(answers[row] == self._known[_place(method, requests[row])] for row in there):
            raise SameAnswers(len(there))


def _place(method: str, request: Any) -> Place:
    return method, str(request.task_name), int(request.doc_id), int(request.idx)


def keeps_its_model(call: ArmCall) -> bool:
    """Whether the model is an engine in this process rather than a client of a server."""
    return call.model not in PATHS and call.model not in OUR_MODELS


class OneModel:
    """Replaces lm-eval's `get_model`: what was loaded for the first answers gives the next ones too."""

    def __init__(self, find: Any) -> None:
        self._find, self._name, self._lm = find, "", None

    def __call__(self, name: str) -> OneModel:
        self._name = name
        return self

    def create_from_arg_obj(self, *given: Any) -> Any:
        if self._lm is None:
            self._lm = self._find(self._name).create_from_arg_obj(*given)
        return self._lm


def later_passes(call: ArmCall) -> Iterator[ArmCall]:
    """The calls for the second, third, ... answers: made before lm-eval gets the flags, because it changes them."""
    for number in range(2, call.repeats + 1):
        flags = copy.deepcopy(call.flags)
        flags.seed = [*(flags.seed or SEEDS)]
        flags.seed[2] = None if flags.seed[2] is None else flags.seed[2] + number - 1
        flags.model_args = _seeded(call, number)
        if flags.gen_kwargs and isinstance(flags.gen_kwargs.get("seed"), int):
            flags.gen_kwargs["seed"] += number - 1
        output = call.output / REPEATS / str(number)
        flags.output_path = str(output)
        yield replace(call, flags=flags, model_args=flags.model_args, output=output, notes=())


def _seeded(call: ArmCall, number: int) -> dict[str, Any]:
    """Another seed if the model takes one; a hosted API without one draws its own."""
    arguments = dict(call.model_args)
    default = {"hosted-chat": None, "fr-baseline": 0}.get(call.model, CLIENT_SEED if call.model in PATHS else None)
    seed = arguments.get("seed", default)
    if seed is not None and not keeps_its_model(call):
        arguments["seed"] = int(seed) + number - 1
    return arguments


def of_tasks(call: ArmCall, results: Path) -> ArmCall | None:
    """The call for those tasks in `results` that have scored text answers.

    A judge reads only one answer, and a likelihood never varies. None if no task is left.
    """
    configs: Mapping[str, Any] = json.loads(results.read_text(encoding="utf-8"))["configs"]
    scored = [name for name, config in configs.items() if _is_scored_text(config)]
    if len(scored) == len(configs):
        return call
    if not scored:
        return None
    flags = copy.copy(call.flags)
    flags.tasks = scored
    if flags.samples is not None:
        flags.samples = {name: rows for name, rows in flags.samples.items() if name in scored}
    return replace(call, flags=flags, tasks=tuple(scored))


def _is_scored_text(config: Mapping[str, Any]) -> bool:
    metrics = [metric.get("metric") for metric in config.get("metric_list") or ()]
    return config.get("output_type") == "generate_until" and metrics != ["bypass"]


def note_in(record: Path, facts: Mapping[str, Any]) -> None:
    """Adds to arm_STAMP.json."""
    content = json.loads(record.read_text(encoding="utf-8"))
    write_atomic(record, json.dumps({**content, **facts}, indent=1, ensure_ascii=False))
