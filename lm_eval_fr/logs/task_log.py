"""One task of a run: what its results file says about it, and which files have its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lm_eval_fr.logs.logged_prompts import Rendering
from lm_eval_fr.logs.reply_records import Replied, read_replies

Shape = Literal["number", "list", "other"]


@dataclass(frozen=True)
class Metric:
    """A metric that the samples hold. aggregation: lm-eval's name, None for a function of the task's own.

    higher_is_better: of the aggregate, None where lm-eval does not say. shape: what the first samples hold of it.
    """

    name: str
    aggregation: str | None
    higher_is_better: bool | None
    shape: Shape


@dataclass(frozen=True)
class SampleFile:
    """One samples file and what its results file says of it."""

    path: Path
    task_hash: str | None
    documents: int | None  # that were evaluated, None where lm-eval does not say
    original: int | None  # of the whole evaluation split
    printed: Mapping[str, float]  # "<metric>,<filter>" -> the aggregate that lm-eval printed

    @property
    def responses(self) -> Path:
        return self.path.with_name("responses_" + self.path.name.removeprefix("samples_"))


@dataclass(frozen=True)
class TaskLog:
    """One task of a run. It has several files if the documents were split over machines."""

    task: str
    files: tuple[SampleFile, ...]
    version: Any
    generation: Mapping[str, Any]
    config: Mapping[str, Any]
    filters: tuple[str, ...]
    metrics: tuple[Metric, ...]  # the task's first one first
    generates: bool  # text, not log-likelihoods
    judged: bool  # a text without a metric: needs a judge
    cluster_field: str | None
    strata_fields: tuple[str, ...]
    n_logged: int
    source: str  # lm-eval's name for the kind of model: vllm, local-completions, ...
    model_args: Mapping[str, Any]
    sent: Mapping[str, Any]  # what the arm's record says of it (arms/sent.py), {} where it has none
    rendering: Rendering = field(default_factory=Rendering)
    lm_eval_version: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self.files)

    @cached_property
    def replies(self) -> Mapping[str, Replied]:
        """What the arm recorded of its replies, by doc_hash; {} if nothing. Read once."""
        return read_replies((file.responses for file in self.files), self.sent.get("max_tokens"))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the task's definition says about itself, {} if nothing."""
        found = self.config.get("metadata")
        return found if isinstance(found, Mapping) else {}

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self.metrics)

    def printed(self, metric: str, filter: str) -> float | None:
        """The aggregate that lm-eval printed; None where it printed none, or one for each of several shards."""
        return self.files[0].printed.get(f"{metric},{filter}") if len(self.files) == 1 else None


@dataclass(frozen=True)
class GroupLog:
    """A group of tasks, of which lm-eval printed scores. children: of the group itself, tasks and groups.

    leaves: all tasks in it. inner: the leaves of each child that is a group. printed: "<metric>,<filter>" -> score.
    """

    name: str
    children: tuple[str, ...]
    leaves: tuple[str, ...]
    inner: Mapping[str, tuple[str, ...]]
    printed: Mapping[str, float]


def without_groups(names: Iterable[str], groups: Mapping[str, GroupLog]) -> set[str]:
    """The tasks of these names; the name of a group stands for all of its tasks."""
    return {task for name in names for task in (groups[name].leaves if name in groups else (name,))}


class FilterOrder:
    """Which filter a line is of. lm-eval before 0.4.7 does not say: it wrote one block of lines a filter, in order.

    So a document's first line is of the first filter, its second of the second, also where several processes wrote.
    """

    def __init__(self, filters: tuple[str, ...]) -> None:
        self._filters = filters
        self._times: dict[int, int] = {}

    def of(self, doc_id: int) -> str | None:
        """None if there is one line more of this document than filters."""
        time = self._times[doc_id] = self._times.get(doc_id, -1) + 1
        return self._filters[time] if time < len(self._filters) else None
