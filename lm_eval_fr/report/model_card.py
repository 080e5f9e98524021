"""The report as a part of a model card: `model-index` YAML for the hub's header, and a Markdown table below it.

Values are in points (0 to 100), as cards have them; a metric on another scale keeps its own. A recovery never stands
without its interval, nor a verdict without its margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.report import words as w
from lm_eval_fr.report.json_writer import from_json
from lm_eval_fr.report.markdown_writer import code, escape, table
from lm_eval_fr.report.model import JudgeResult, Report, TaskResult

SOURCE = "lm-eval-fr, paired with the reference"
GENERATION = "text-generation"
# The hub's names of our tasks; what is not here is text generation.
TASK_TYPES: Mapping[str, str] = {
    "piaf_fr": "question-answering",
    "own_qa_fr": "question-answering",
    "massive_scenario_fr": "text-classification",
    "sib200_fr": "text-classification",
    "own_classification_fr": "text-classification",
    "wikiner_fr": "token-classification",
    "own_extraction_fr": "token-classification",
}


def read_comparison(path: Path) -> Report:
    """The report in a compare.json, or in the folder of a study. Raises InputError."""
    file = path / "compare.json" if path.is_dir() else path
    try:
        return from_json(file.read_bytes(), where=file)
    except OSError as error:
        raise InputError(
            f"no comparison to read: {error.strerror}", where=file, remedy="`compare --json FILE` writes it"
        ) from None


def render(report: Report) -> str:
    """A card that is whole by itself: merge its header and its section into the model's own README.md."""
    import yaml

    header = yaml.safe_dump(
        {"model-index": model_index(report)}, allow_unicode=True, sort_keys=False, width=120, default_flow_style=False
    )
    return f"---\n{header}---\n\n{section(report)}\n"


def model_index(report: Report) -> list[dict[str, Any]]:
    """What `huggingface_hub.ModelCardData` reads under `model-index`; one entry a task, one for each judged task."""
    results = [_task(task, report) for task in report.tasks]
    results += [_judged(name, report.judge, report) for name in _judged_tasks(report.judge)] if report.judge else []
    return [{"name": w.printable(report.candidate.name), "results": results}]


def section(report: Report) -> str:
    reference = escape(report.reference.model)
    level = w.level_text(report.level)
    lines = [f"## Quality against {reference}", escape(report.overall.sentence)]
    rows = [_row(task) for task in report.tasks]
    if rows:
        header = ["task", "metric", "n", "this model", "reference", "recovery %", level, "margin", "verdict"]
        lines.append(table(header, rows, left=(0, 1, 8)))
    if report.judge:
        lines.append(_judge_line(report.judge, level))
    if report.warnings:
        lines.append("\n".join(f"- {escape(caution.text)}" for caution in report.warnings))
    plan = f"Margins fixed in plan {code(report.plan_hash[:16])}. " if report.plan_hash else ""
    scope = (
        "Recovery is this model / reference, with its paired interval; the verdict holds the difference to the margin."
    )
    lines.append(f"{plan}{scope}")
    return "\n\n".join(lines)


def _row(task: TaskResult) -> list[str]:
    return [
        escape(task.task),
        escape(task.metric),
        w.count(task.n),
        w.plain(task.candidate_mean, task.scale),
        w.plain(task.reference_mean, task.scale),
        w.plain(task.recovery),
        w.bounds(task.recovery_ci),
        w.plain(task.margin, task.scale),
        w.word(task.verdict),
    ]


def _judge_line(judge: JudgeResult, level: str) -> str:
    model = escape(judge.profile.get("model") or judge.profile.get("name") or "unnamed")
    return (
        f"Judged blind in both orders by {model}: {w.headline(judge)} in {judge.n:,} pairs, net win rate "
        f"{w.signed(judge.net_win)} points {escape(w.bounds(judge.net_win_ci, sign=True))} at {level}, margin "
        f"{w.plain(judge.margin)}: {w.word(judge.verdict)}."
    )


def _task(task: TaskResult, report: Report) -> dict[str, Any]:
    metrics: list[dict[str, Any]] = [
        {"type": task.metric, "name": task.metric, "value": _points(task.candidate_mean, task.scale)}
    ]
    metrics += [
        {"type": extra.metric, "name": extra.metric, "value": _points(extra.candidate_mean, task.scale)}
        for extra in task.secondary
    ]
    if task.recovery is not None:
        interval = f"{w.level_text(report.level)} interval {w.bounds(task.recovery_ci)}"
        name = f"recovery of {task.metric} against {report.reference.model} in %, {interval}"
        metrics.append({"type": "recovery", "name": name, "value": _points(task.recovery), "args": _held(task, report)})
    return _entry(task.task, report, metrics)


def _held(task: TaskResult, report: Report) -> dict[str, Any]:
    """The numbers behind a recovery, for machines."""
    return {
        "reference": report.reference.model,
        "level": report.level,
        "interval": [_points(end) for end in task.recovery_ci] if task.recovery_ci else None,
        "difference": _points(task.difference, task.scale),
        "difference_interval": [_points(task.ci_low, task.scale), _points(task.ci_high, task.scale)],
        "margin": _points(task.margin, task.scale),
        "verdict": task.verdict,
        "documents": task.n,
    }


def _judged_tasks(judge: JudgeResult) -> Iterator[str]:
    yield from (task.task for task in judge.tasks)


def _judged(name: str, judge: JudgeResult, report: Report) -> dict[str, Any]:
    """A judged task's own net win; the interval and the verdict are those of all judged tasks together."""
    own = next(task for task in judge.tasks if task.task == name)
    model = judge.profile.get("model") or judge.profile.get("name")
    args = {
        "reference": report.reference.model,
        "judge": model,
        "wins": own.wins,
        "ties": own.ties,
        "losses": own.losses,
        "all_judged_tasks": {
            "net_win": _points(judge.net_win),
            "interval": [_points(end) for end in judge.net_win_ci] if judge.net_win_ci else None,
            "level": report.level,
            "margin": _points(judge.margin),
            "verdict": judge.verdict,
        },
    }
    metric = {"type": "net_win_rate", "name": f"net win rate against {report.reference.model}, judge {model}"}
    return _entry(name, report, [{**metric, "value": _points(own.net_win), "args": args}])


def _entry(task: str, report: Report, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    data = next((row for row in report.provenance.data if row.get("task") == task), {})
    # "org/set at revision", as the report states it; own data has no name on the hub.
    path, _, revision = str(data.get("dataset") or task).partition(" at ")
    dataset = {"type": path, "name": task, "revision": revision or None}
    return {
        "task": {"type": TASK_TYPES.get(task.removesuffix("_vote"), GENERATION)},
        "dataset": {key: value for key, value in dataset.items() if value is not None},
        "metrics": [metric for metric in metrics if metric["value"] is not None],
        "source": {"name": SOURCE, "url": "https://github.com/EleutherAI/lm-evaluation-harness"},
    }


def _points(value: float | None, scale: float = 100.0) -> float | None:
    return None if value is None else round(value * scale, 2)
