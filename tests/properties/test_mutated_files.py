"""A file that somebody gives us is read or refused in one line, whatever it holds at any place: never a traceback.

Seeded, with as many mutations as take a few seconds.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.arms.flags import parse_call
from lm_eval_fr.arms.planned import arm_flags, data_files, planned_arms
from lm_eval_fr.errors import LmEvalFrError
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.judge.verdicts.outcome import PairVerdict, count, read_verdicts, write_verdicts
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.plan import earlier_plans, parse_plan
from tests.fakes.runs import make_run, plain_task, write_responses

VALUES: list[Any] = [None, True, 0, -1, 1.5, 1e308, 10**30, "", "é", "x" * 300, "\ud800", [], {}, [1], {"a": 1}, [None]]
VALUES += [[[[]]], "1", {"": {}}, "nan", "\n", "/", "0.02"]
PLAN = {
    "name": "essai",
    "tasks": ["piaf_fr", "analysis_fr"],
    "limit": {"piaf_fr": 5},
    "margins": {"gold": 0.02, "judge": "10%"},
    "metadata": {"data": {"own_qa_fr": "questions.jsonl"}},
    "metrics": {"piaf_fr": "f1"},
    "strata": {"piaf_fr": ["length"]},
    "candidate": {"model": "fr-baseline", "model_args": {"damage": 0.3}, "gen_kwargs": {"top_p": 1}, "flags": []},
    "reference": {"model": "fr-baseline", "rerun": True, "prices": {"input": 1, "output": 2}},
    "judge": {"profile": ["offline"], "labels": "labels.jsonl", "repeats": 2},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(value: Any, draw: random.Random) -> Any:
    value = copy.deepcopy(value)
    *path, last = draw.choice(list(places(value)))
    holder = value
    for key in path:
        holder = holder[key]
    if draw.random() < 0.2:
        del holder[last]
    elif isinstance(holder, dict) and draw.random() < 0.1:
        holder["unknown"] = draw.choice(VALUES)
    else:
        holder[last] = draw.choice(VALUES)
    return value


def refused(use: Callable[[], object]) -> bool:
    try:
        use()
    except LmEvalFrError as error:
        assert error.exit_code == 2 and "\n" not in str(error)
        return True
    return False


def of_a_plan(value: Any, folder: Path) -> None:
    """All that `ab` makes of a plan before it runs anything."""
    plan = parse_plan(json.dumps(value), where=folder / "plan.yaml")
    for name, arm in planned_arms(plan):
        parse_call(arm_flags(plan, name, arm), Redactor(()))
    data_files(plan, folder)
    plan_before = parse_plan(json.dumps(PLAN), where=folder / "plan.yaml")
    state = {"plans": [{"hash": plan_before.hash, "first_used": "", "content": plan.content, "seen": True}]}
    (folder / "study.json").write_text(json.dumps(state))
    assert all(str(change) for earlier in earlier_plans(folder, plan) for change in earlier.changes or ())


def test_plans(tmp_path: Path) -> None:
    assert not refused(lambda: of_a_plan(PLAN, tmp_path))
    draw = random.Random(11)
    found = [refused(lambda: of_a_plan(mutated(PLAN, draw), tmp_path)) for _ in range(150)]
    assert 15 < sum(found) < 150


def test_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    write_verdicts(path, [PairVerdict("t", i, f"{i}" * 8, "win", "A", "B") for i in range(4)])
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    draw = random.Random(12)

    def use() -> None:
        path.write_text("\n".join(map(json.dumps, mutated(rows, draw))))
        assert count(read_verdicts(path)).n <= len(rows)

    found = [refused(use) for _ in range(150)]
    assert 15 < sum(found) < 150


@pytest.mark.parametrize("pattern", ["results_*", "arm_*", "responses_*"])
def test_what_lies_beside_the_samples(pattern: str, tmp_path: Path) -> None:
    candidate, reference = (make_run(tmp_path / arm, plain_task("t", {"f1": [0.0, 1.0]})) for arm in "cr")
    stamp = next(candidate.glob("results_*")).stem.removeprefix("results_")
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 0, "reasoning_tokens": None}
    hashes = [json.loads(line)["doc_hash"] for line in next(candidate.glob("samples_*")).read_text().splitlines()]
    rows = [{"doc_hash": h, "finish_reason": "stop", "usage": usage, "error": None, "seconds": 0.5} for h in hashes]
    sent = {"max_tokens": 64, "stop": ["</s>"], "stop_applied_here": [], "temperature": 0.0, "other": {}, "repeats": 1}
    record = {"sent": {"t": sent}, "manifest": {"engine": "vllm"}, "checkpoint": None, "repeat_of": None}
    (candidate / f"arm_{stamp}.json").write_text(json.dumps(record))
    write_responses(candidate, "t", rows, stamp)
    path = next(candidate.glob(pattern))
    whole = path.read_text(encoding="utf-8")
    lines = pattern == "responses_*"
    value = [json.loads(line) for line in whole.splitlines()] if lines else json.loads(whole)
    draw = random.Random(13)
    before = pair_runs(find_run(candidate), find_run(reference)).tasks[0].candidate["f1"].tolist()

    def use() -> None:
        changed = mutated(value, draw)
        path.write_text("\n".join(map(json.dumps, changed)) if lines else json.dumps(changed))
        tasks = pair_runs(find_run(candidate), find_run(reference)).tasks
        assert all(task.no_verdict or task.candidate.get("f1", before[:1]) is not None for task in tasks)

    refusals = [refused(use) for _ in range(40)]
    assert any(refusals) and not all(refusals)
