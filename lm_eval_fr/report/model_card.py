"""A comparison as part of a model card: `model-index` YAML for the hub's header, and a Markdown table below it.

Values are in points (0 to 100), as is usual on cards; a metric on another scale keeps its own. A recovery
always has its interval, and a verdict its margin. Reads compare.json of this or an earlier version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import read_json_as
from lm_eval_fr.report import words as w
from lm_eval_fr.report.markdown_writer import code, escape, table
from lm_eval_fr.report.model import SCHEMA_VERSION
from lm_eval_fr.report.task_model import Bounds
from lm_eval_fr.stats import Verdict

SOURCE = {
    "name": "lm-eval-fr, paired with the reference",
    "url": "https://github.com/EleutherAI/lm-evaluation-harness",
}
GENERATION = "text-generation"
# The hub's names of our tasks; all others are text generation.
TASK_TYPES: Mapping[str, str] = {
    "piaf_fr": "question-answering",
    "own_qa_fr": "question-answering",
    "massive_scenario_fr": "text-classification",
    "sib200_fr": "text-classification",
    "own_classification_fr": "text-classification",
    "wikiner_fr": "token-classification",
    "own_extraction_fr": "token-classification",
}


class CardArm(msgspec.Struct, frozen=True):
    name: str
    model: str


class CardMetric(msgspec.Struct, frozen=True):
    metric: str
    candidate_mean: float


class CardTask(msgspec.Struct, frozen=True):
    """The keys of `tasks[]` that a card shows."""

    task: str
    metric: str
    kind: str
    n: int
    candidate_mean: float | None
    reference_mean: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    verdict: Verdict | None
    recovery: float | None = None
    recovery_ci: Bounds | None = None
    secondary: tuple[CardMetric, ...] = ()

    @property
    def scale(self) -> float:
        return 1.0 if self.kind == "unbounded" else 100.0


class CardJudged(msgspec.Struct, frozen=True):
    task: str
    wins: int
    ties: int
    losses: int
    net_win: float | None


class CardJudge(msgspec.Struct, frozen=True):
    """The keys of `judge` that a card shows."""

    n: int
    wins: int
    ties: int
    losses: int
    net_win: float | None
    net_win_ci: Bounds | None
    margin: float | None
    verdict: Verdict | None
    tasks: tuple[CardJudged, ...] = ()
    profile: dict[str, Any] = {}

    @property
    def model(self) -> str:
        return str(self.profile.get("model") or self.profile.get("name") or "unnamed")


class CardText(msgspec.Struct, frozen=True):
    text: str


class CardSentence(msgspec.Struct, frozen=True):
    sentence: str


class CardProvenance(msgspec.Struct, frozen=True):
    data: tuple[dict[str, Any], ...] = ()


class CardComparison(msgspec.Struct, frozen=True):
    """What a card needs: the part of compare.json that all versions have."""

    schema_version: int
    candidate: CardArm
    reference: CardArm
    tasks: tuple[CardTask, ...]
    judge: CardJudge | None
    overall: CardSentence
    level: float
    plan_hash: str | None = None
    warnings: tuple[CardText, ...] = ()
    provenance: CardProvenance = CardProvenance()


def read_comparison(path: Path) -> CardComparison:
    """The comparison in a compare.json, or in the folder of a study. Raises InputError."""
    file = path / "compare.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError("no comparison to read", where=file, remedy="write it with `compare --json FILE`")
    found = read_json_as(file, CardComparison, what="a comparison", remedy="give the file that --json wrote")
    if not 1 <= found.schema_version <= SCHEMA_VERSION:
        raise InputError(
            f"schema version {found.schema_version}, and this program reads 1 to {SCHEMA_VERSION}",
            where=file,
            remedy="compare again with this version",
        )
    return found


def render(found: CardComparison) -> str:
    """A complete card: merge its header and its section into the model's own README.md."""
    import yaml

    index = {"model-index": model_index(found)}
    header = yaml.safe_dump(index, allow_unicode=True, sort_keys=False, width=120, default_flow_style=False)
    return f"---\n{header}---\n\n{section(found)}\n"


def model_index(found: CardComparison) -> list[dict[str, Any]]:
    """What `huggingface_hub.ModelCardData` reads under `model-index`; one entry per task, judged tasks included."""
    results = [_task(task, found) for task in found.tasks]
    results += [_judged(one, found.judge, found) for one in found.judge.tasks] if found.judge else []
    return [{"name": w.printable(found.candidate.name), "results": results}]


def section(found: CardComparison) -> str:
    level = w.level_text(found.level)
    lines = [f"## Quality against {escape(found.reference.model)}", escape(found.overall.sentence)]
    if rows := [_row(task) for task in found.tasks]:
        header = ["task", "metric", "n", "this model", "reference", "recovery %", level, "margin", "verdict"]
        lines.append(table(header, rows, left=(0, 1, 8)))
    if found.judge:
        lines.append(_judge_line(found.judge, level))
    if found.warnings:
        lines.append("\n".join(f"- {escape(caution.text)}" for caution in found.warnings))
    plan = f"Margins fixed in plan {code(found.plan_hash[:16])}. " if found.plan_hash else ""
    scope = (
        "Recovery is this model / reference with its paired interval; the verdict tests the difference against the "
        "margin."
    )
    lines.append(f"{plan}{scope}")
    return "\n\n".join(lines)


def _row(task: CardTask) -> list[str]:
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


def _judge_line(judge: CardJudge, level: str) -> str:
    counts = w.counted(judge.wins, judge.ties, judge.losses)
    return (
        f"Judged blind by {escape(judge.model)}: {counts} in {judge.n:,} pairs, net win rate {w.signed(judge.net_win)} "
        f"points {escape(w.bounds(judge.net_win_ci, sign=True))} at {level}, margin {w.plain(judge.margin)}: "
        f"{w.word(judge.verdict)}."
    )


def _task(task: CardTask, found: CardComparison) -> dict[str, Any]:
    values = [(task.metric, task.candidate_mean), *((one.metric, one.candidate_mean) for one in task.secondary)]
    metrics: list[dict[str, Any]] = [
        {"type": metric, "name": metric, "value": _points(value, task.scale)} for metric, value in values
    ]
    if task.recovery is not None:
        interval = f"{w.level_text(found.level)} interval {w.bounds(task.recovery_ci)}"
        name = f"recovery of {task.metric} against {found.reference.model} in %, {interval}"
        metrics.append({"type": "recovery", "name": name, "value": _points(task.recovery), "args": _args(task, found)})
    return _entry(task.task, found, metrics)


def _args(task: CardTask, found: CardComparison) -> dict[str, Any]:
    """The numbers behind a recovery, for machines."""
    return {
        "reference": found.reference.model,
        "level": found.level,
        "interval": [_points(end) for end in task.recovery_ci] if task.recovery_ci else None,
        "difference": _points(task.difference, task.scale),
        "difference_interval": [_points(task.ci_low, task.scale), _points(task.ci_high, task.scale)],
        "margin": _points(task.margin, task.scale),
        "verdict": task.verdict,
        "documents": task.n,
    }


def _judged(one: CardJudged, judge: CardJudge, found: CardComparison) -> dict[str, Any]:
    """A judged task's own net win; the interval and the verdict are those of all judged tasks together."""
    args = {
        "reference": found.reference.model,
        "judge": judge.model,
        "wins": one.wins,
        "ties": one.ties,
        "losses": one.losses,
        "all_judged_tasks": {
            "net_win": _points(judge.net_win),
            "interval": [_points(end) for end in judge.net_win_ci] if judge.net_win_ci else None,
            "level": found.level,
            "margin": _points(judge.margin),
            "verdict": judge.verdict,
        },
    }
    name = f"net win rate against {found.reference.model}, judge {judge.model}"
    metric = {"type": "net_win_rate", "name": name, "value": _points(one.net_win), "args": args}
    return _entry(one.task, found, [metric])


def _entry(task: str, found: CardComparison, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    data = next((row for row in found.provenance.data if row.get("task") == task), {})
    # "org/set at revision", as the report states it; own data has no name on the hub.
    path, _, revision = str(data.get("dataset") or task).partition(" at ")
    dataset = {"type": path, "name": task, "revision": revision or None}
    return {
        "task": {"type": TASK_TYPES.get(task.removesuffix("_vote"), GENERATION)},
        "dataset": {key: value for key, value in dataset.items() if value is not None},
        "metrics": [metric for metric in metrics if metric["value"] is not None],
        "source": dict(SOURCE),
    }


def _points(value: float | None, scale: float = 100.0) -> float | None:
    return None if value is None else round(value * scale, 2)
