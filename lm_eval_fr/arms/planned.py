"""The arms of a plan, and the flags of `lm-eval-fr run` that make each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from lm_eval_fr.plan import ArmPlan, Plan


def planned_arms(plan: Plan) -> Iterator[tuple[str, ArmPlan]]:
    """The arms in the order in which they run: folder name and settings."""
    yield "candidate", plan.candidate
    yield "reference", plan.reference
    if plan.candidate.rerun:
        yield "candidate-rerun", plan.candidate
    if plan.reference.rerun:
        yield "reference-rerun", plan.reference


def arm_flags(plan: Plan, arm: ArmPlan) -> list[str]:
    """The flags of `lm-eval-fr run` that make this arm, but for --output_path."""
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
    return [*flags, *arm.flags]
