"""What is known about the server behind an arm: written by scripts/serve.py, added to the run by `--manifest`.

A manifest is one JSON object. Ours has the fields of `Manifest`; one written by hand for another engine may have any.
`start` holds what differs between two starts of the same server without changing its answers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.reading import read_json

START = "start"


@dataclass(frozen=True, kw_only=True)
class Canary:
    """One question asked before any work. prompt_tokens: as the server counted; None where it does not say."""

    question: str
    answer: str
    finish_reason: str | None
    prompt_tokens: int | None


@dataclass(frozen=True, kw_only=True)
class Start:
    """One start of a server. made: when, in ISO 8601. log: the file that it writes to."""

    made: str
    base_url: str
    log: str
    canary: Canary


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A served model; None for what is not known.

    model: as the engine names its weights. quantization: how the weights are stored, "none" if unquantised.
    engine_quantization: what the engine was told to round them to while loading. max_model_len: tokens per
    request as the server runs now.
    """

    engine: str | None = None
    engine_version: str | None = None
    model: str | None = None
    served_name: str = ""
    revision: str | None = None
    quantization: str | None = None
    engine_quantization: str | None = None
    dtype: str | None = None
    kv_cache_dtype: str | None = None
    max_model_len: int | None = None
    chat_template_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest(ModelFacts):
    """weight_only: whether the engine reported four-bit weights with unquantised activations.

    text_prompts: whether a prompt rendered by the client is read as the template meant it; None if not asked.
    reasoning: how the canary's reply showed that the model reasons; None if it did not.
    """

    kernels: tuple[str, ...] = ()
    weight_only: bool = False
    tokenizer_mode: str | None = None
    text_prompts: bool | None = None
    reasoning: str | None = None
    device: str | None = None
    flags: tuple[str, ...] = ()
    start: Start | None = None


def write_manifest(manifest: Manifest, path: Path) -> None:
    write_atomic(path, json.dumps(dataclasses.asdict(manifest), indent=1, ensure_ascii=False) + "\n")


def read_manifest(path: Path, model: str | None = None) -> dict[str, Any]:
    """A manifest as its fields. model: what the arm asks for, which must match the manifest.

    Raises InputError.
    """
    content = read_json(path, remedy="scripts/serve.py writes it")
    if not isinstance(content, dict):
        raise InputError("a manifest is one JSON object", where=path, remedy="scripts/serve.py writes it")
    known = {str(content[name]) for name in ("served_name", "model") if content.get(name)}
    if model is not None and known and model not in known:
        what = f"this manifest describes {' or '.join(sorted(known))}, but the arm asks for {model}"
        raise InputError(what, where=path, remedy="give the manifest of the server that the arm uses")
    return content


def identity(manifest: Mapping[str, Any]) -> str:
    """sha256 of what decides the answers: unchanged when the same server is started again."""
    lasting = {name: value for name, value in manifest.items() if name != START}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


_CONFIG = re.compile(r"Initializing a V1 LLM engine \(v(?P<version>[^)]+)\) with config: (?P<config>.*)")
_KERNELS = (
    re.compile(r"Using (?P<name>\w+) for (?P<use>\w+ GEMM|mixed-precision linear|CompressedTensors\w+)"),
    re.compile(r"Using '?(?P<name>\w+)'? (?P<use>\w+ MoE) backend"),
    re.compile(r"Using (?P<name>\w+) (?P<use>attention) backend"),
)
_WEIGHT_ONLY = "Weight-only FP4 compression will be used"


def read_engine_log(lines: Iterable[str]) -> Manifest:
    """What vLLM's start-up log says about the engine. Later lines of the same kind add kernels, never replace."""
    version, settings = None, ""
    kernels: dict[str, None] = {}
    weight_only = False
    for line in lines:
        if found := _CONFIG.search(line):
            version, settings = found["version"], found["config"]
        weight_only |= _WEIGHT_ONLY in line
        for pattern in _KERNELS:
            if found := pattern.search(line):
                kernels[f"{found['use']}: {found['name']}"] = None
    length = _setting("max_seq_len", settings)
    return Manifest(
        engine_version=version,
        engine_quantization=_setting("quantization", settings),
        kernels=tuple(kernels),
        weight_only=weight_only,
        kv_cache_dtype=_setting("kv_cache_dtype", settings),
        dtype=_setting("dtype", settings),
        tokenizer_mode=_setting("tokenizer_mode", settings),
        max_model_len=int(length) if length and length.isdecimal() else None,
        revision=_setting("revision", settings),
    )


def _setting(name: str, settings: str) -> str | None:
    found = re.search(rf"(?:^|[ (,]){name}=([^,)\s]+)", settings)
    value = found[1].strip("'\"").removeprefix("torch.") if found else None
    return None if value in (None, "None") else value
