"""A measured throughput: the JSON of GuideLLM or `vllm bench`, or the run's own time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import read_json
from lm_eval_fr.logs import Run

REMEDY = "give the JSON of `guidellm benchmark`, `vllm bench serve --save-result` or `vllm bench throughput`"


@dataclass(frozen=True, slots=True)
class Throughput:
    """tokens_per_second counts input and output. mix: output tokens per input token in the measurement."""

    tokens_per_second: float
    mix: float | None
    note: str


def read_throughput(path: Path) -> Throughput:
    """Raises InputError for a file that neither tool wrote."""
    content = read_json(path, remedy=REMEDY)
    if not isinstance(content, dict):
        raise InputError("not a throughput measurement", where=path, remedy=REMEDY)
    if isinstance(content.get("benchmarks"), list):
        return _guidellm(content["benchmarks"], path)
    if "total_token_throughput" in content:
        return _vllm_serve(content, path)
    if "tokens_per_second" in content:
        rate = _positive(content["tokens_per_second"], "tokens_per_second", path)
        return Throughput(rate, None, f"{rate:,.0f} tokens a second by `vllm bench throughput` ({path.name})")
    raise InputError("not a throughput measurement", where=path, remedy=REMEDY)


def _vllm_serve(content: Mapping[str, Any], path: Path) -> Throughput:
    rate = _positive(content["total_token_throughput"], "total_token_throughput", path)
    totals = [content.get(name) for name in ("total_input_tokens", "total_output_tokens")]
    return Throughput(rate, _mix(*totals), f"{rate:,.0f} tokens a second by `vllm bench serve` ({path.name})")


def _guidellm(benchmarks: list[Any], path: Path) -> Throughput:
    """The fastest run of a sweep: what the hardware can do."""
    found = []
    for one in benchmarks:
        metrics = one.get("metrics") if isinstance(one, dict) else None
        if isinstance(metrics, dict):
            rate = _mean(metrics, "tokens_per_second")
            if rate:
                counts = [_mean(metrics, name) for name in ("prompt_token_count", "output_token_count")]
                found.append((rate, _mix(*counts)))
    if not found:
        raise InputError(
            "none of its benchmarks reports tokens per second of successful requests", where=path, remedy=REMEDY
        )
    rate, mix = max(found, key=lambda one: one[0])
    which = f", the fastest of {len(found)}" if len(found) > 1 else ""
    return Throughput(rate, mix, f"{rate:,.0f} tokens a second by GuideLLM ({path.name}{which})")


def _mean(metrics: Mapping[str, Any], name: str) -> float | None:
    """GuideLLM keeps a distribution by the requests' status; only the successful ones count."""
    by_status = metrics.get(name)
    found = by_status.get("successful") if isinstance(by_status, dict) else None
    value = found.get("mean") if isinstance(found, dict) else None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value > 0 else None


def _mix(given: Any, made: Any) -> float | None:
    known = all(isinstance(value, (int, float)) and value > 0 for value in (given, made))
    return made / given if known else None


def _positive(value: Any, name: str, path: Path) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name} is {value!r}: nothing was measured", where=path, remedy=REMEDY)
    return float(value)


def run_seconds(run: Run) -> float:
    """The run's own time, if it covers all of its answers. Raises InputError if it does not."""
    remedy = "use a measured throughput instead: --throughput FILE"
    if run.seconds is None or run.seconds <= 0:
        raise InputError("the run does not record how long it took", where=run.results_path, remedy=remedy)
    stamp = run.results_path.stem.rpartition("_")[2]
    for log in run.tasks.values():
        for path in log.paths:
            if path.stem.rpartition("_")[2] != stamp:
                what = f"its tasks come from several runs ({log.task} from {path.name}), so it has no single duration"
                raise InputError(what, where=run.results_path, remedy=remedy)
    about = run.results_path.with_name(f"arm_{stamp}.json")
    if about.is_file():
        written = read_json(about, remedy="remove it")
        if kept := written.get("answers_kept") if isinstance(written, dict) else None:
            what = f"{kept} of its answers came from its cache, so the run's time does not cover them"
            raise InputError(what, where=about, remedy=remedy)
    return run.seconds
