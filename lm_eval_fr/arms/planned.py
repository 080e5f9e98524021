"""The arms of a plan, and the flags of `lm-eval-fr run` for each of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval_fr.plan import ArmPlan, Plan
from lm_eval_fr.tasklib.definitions import tasks_behind

SUFFIXES = (".jsonl", ".json", ".parquet", ".tsv", ".csv", ".txt")


def planned_arms(plan: Plan) -> Iterator[tuple[str, ArmPlan]]:
    """The arms in the order of running: folder name and settings."""
    arms = ("candidate", plan.candidate), ("reference", plan.reference)
    yield from arms
    for name, arm in arms:
        yield from ((rerun, arm) for rerun in rerun_folders(name, arm))


def rerun_folders(name: str, arm: ArmPlan) -> list[str]:
    return [f"{name}-rerun" + (f"-{number}" if number > 1 else "") for number in range(1, int(arm.rerun) + 1)]


def data_files(plan: Plan, folder: Path) -> dict[str, str]:
    """The plan's own files that its arms read their documents from, with their sha256; `folder` is the plan's.

    A file in `data_dir` belongs to the plan if its name contains the first word of one of its tasks.
    """
    found = [path for text in _texts(plan.metadata) if _is_file(path := folder / text)]
    if plan.data_dir is not None:
        words = {task.split("_")[0] for task in tasks_behind(plan.tasks) or plan.tasks}
        base = folder / plan.data_dir
        found += [path for path in base.rglob("*") if path.is_file() and _is_of(words, path.relative_to(base))]
    return {os.path.relpath(path, folder): _sha256(path) for path in sorted(found)}


def _texts(value: Any) -> Iterator[str]:
    """Every text in the metadata that may be a path."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str) and value:
        yield value


def _is_file(path: Path) -> bool:
    """Whether it is a file or folder; a text too long for a path is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_of(words: set[str], path: Path) -> bool:
    return path.suffix in SUFFIXES and any(word in str(path).lower() for word in words)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def arm_flags(plan: Plan, name: str, arm: ArmPlan) -> list[str]:
    """The flags of `lm-eval-fr run` for this arm, except --output_path. name: of its folder."""
    flags = ["--model", arm.model, "--tasks", ",".join(plan.tasks), "--seed", str(plan.seed)]
    for flag, values in (
        ("--model_args", arm.model_args),
        ("--gen_kwargs", arm.gen_kwargs),
        ("--metadata", plan.metadata),
    ):
        if values:
            flags += [flag, json.dumps(values, ensure_ascii=False)]
    if isinstance(plan.limit, dict):
        flags += ["--samples", json.dumps({task: list(range(count)) for task, count in plan.limit.items()})]
    elif plan.limit is not None:
        flags += ["--limit", str(plan.limit)]
    if arm.apply_chat_template:
        flags += [
            "--apply_chat_template",
            *([arm.apply_chat_template] if isinstance(arm.apply_chat_template, str) else []),
        ]
    for flag, value in (
        ("--system_instruction", arm.system_instruction),
        ("--batch_size", arm.batch_size),
        ("--manifest", arm.manifest),
        ("--data-dir", plan.data_dir),
    ):
        if value is not None:
            flags += [flag, str(value)]
    if (repeats := plan.answers(name)) > 1:
        flags += ["--repeats", str(repeats)]
    return [*flags, *arm.flags]
