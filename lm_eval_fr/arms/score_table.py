"""An arm's scores as a table when it ends; lm-eval's own table writer takes half a second to import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lm_eval_fr.report.layout import table

_NO_METRIC = ("alias", "name", "sample_len", "sample_count", "bypass")


def score_table(results: Mapping[str, Any], column: str = "results") -> str:
    """One line per metric. results: what lm-eval's evaluation gives; column: "results" or "groups"."""
    rows = [row for task, scores in results[column].items() for row in _rows(task, scores, task in results["configs"])]
    return "\n".join(table(["group" if column == "groups" else "task", "metric", "score", "stderr"], rows, left=(0, 1)))


def _rows(task: str, scores: Mapping[str, Any], is_task: bool) -> Iterator[list[str]]:
    name = task
    for key, value in scores.items():
        metric, _, filter_name = key.partition(",")
        if metric in _NO_METRIC or metric.endswith("_stderr"):
            continue
        error = scores.get(f"{metric}_stderr,{filter_name}")
        shown = metric if filter_name in ("", "none") else f"{metric} ({filter_name})"
        yield [name, shown, _number(value), _number(error) if isinstance(error, float) else "-"]
        name = ""
    if name and is_task:
        yield [name, "none: for the judge", "-", "-"]


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
