"""The key of an arm's answers: whatever can change an answer changes the key."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lm_eval_fr.arms.manifest import identity, read_manifest
from lm_eval_fr.models.presets import PACE

NAMING_ARGUMENTS = ("peft", "delta", "pretrained", "model", "path", "engine")  # where lm-eval looks for a model's name


def arm_key(model: str, model_args: Mapping[str, Any], flags: argparse.Namespace, manifest: Path | None) -> str:
    """sha256 over what decides an answer: model, arguments, generation, template, seeds, engine, checkpoint."""
    content = {
        "model": model,
        "model_args": {name: value for name, value in model_args.items() if name not in PACE},
        "gen_kwargs": flags.gen_kwargs,
        "chat_template": getattr(flags, "apply_chat_template", False),
        "multiturn": getattr(flags, "fewshot_as_multiturn", None),
        "system_instruction": flags.system_instruction,
        "seed": flags.seed,
        "engine": _engine_version(model),
        "checkpoint": [_fingerprint(str(model_args[name])) for name in NAMING_ARGUMENTS if name in model_args],
        "manifest": identity(read_manifest(manifest)) if manifest else None,
    }
    text = json.dumps(content, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _engine_version(model: str) -> str | None:
    distribution = {
        "vllm": "vllm",
        "vllm-vlm": "vllm",
        "hf": "transformers",
        "hf-auto": "transformers",
        "sglang": "sglang",
    }
    try:
        return version(distribution[model]) if model in distribution else None
    except PackageNotFoundError:
        return None


def _fingerprint(name: str) -> list[tuple[str, int, int]] | str:
    """A local checkpoint is identified by its files: rebuilt under the same name, it is another model."""
    folder = Path(name)
    if not folder.is_dir():
        return name
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir()) if file.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
