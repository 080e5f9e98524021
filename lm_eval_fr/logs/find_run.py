"""Finds what lm-eval wrote for one arm: the newest run of each task, or the shards of one run put together.

A run is the folder of one model: results_<ISO>.json, one samples_<task>_<ISO>.jsonl a task, and from our hosted-chat
model responses_<task>_<ISO>.jsonl.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.files import matching
from lm_eval_fr.logs.read_task import read_task
from lm_eval_fr.logs.results import Results, groups_of, results_in, settings_of
from lm_eval_fr.logs.task_log import GroupLog, TaskLog, without_groups

REPEATS = "repeats"


@dataclass(frozen=True)
class Run:
    """What one arm left behind: the newest run of each task, and notes."""

    path: Path
    results_path: Path
    model: str
    source: str
    model_args: Mapping[str, Any]
    settings: Mapping[str, Any]
    date: float
    seconds: float | None
    tasks: Mapping[str, TaskLog]
    groups: Mapping[str, GroupLog] = field(default_factory=dict)
    fingerprint: str = ""  # equal for a run and its copy
    notes: tuple[str, ...] = ()
    repeats: tuple[Run, ...] = ()  # the second answers to its documents, the third, ...


def find_run(path: Path | str | Sequence[Path | str], *, tasks: Collection[str] | None = None) -> Run:
    """The run in `path`: an --output_path, the folder of one model inside it, or one results file.

    Several paths, or those that a pattern such as `runs/shard-*` names, are shards of one run that were made on
    several machines. `tasks` are the ones that matter: problems of others are ignored. InputError says what
    is wrong with the path or these tasks.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]
    found, names = _results_of(paths, tasks)
    notes: list[str] = []
    logs = {task: read_task(task, [r for r in found if task in r.tasks], notes) for task in sorted(names)}
    notes += _changed_arguments(found, logs)
    newest = found[0]
    repeats = _repeats(newest.path.parent, logs) if len(paths) == 1 else ()
    if newest.about.get("same_answers"):
        notes.append(f"its server repeated its answers, so one counts for all {newest.about.get('repeats')}")
    return Run(
        path=newest.path.parent,
        results_path=newest.path,
        model=newest.model,
        source=newest.source,
        model_args=newest.arguments,
        settings=settings_of(newest),
        date=newest.date,
        seconds=newest.seconds,
        tasks=logs,
        groups={name: group for name, group in groups_of(newest).items() if _whole(group, newest, logs)},
        fingerprint=newest.fingerprint,
        notes=tuple(dict.fromkeys(notes)),
        repeats=repeats,
    )


def _results_of(paths: Sequence[Path], tasks: Collection[str] | None) -> tuple[list[Results], set[str]]:
    """The results of one model that hold any of the tasks, newest first, and which of the tasks they hold."""
    found = [results for given in paths for one in (matching(given) or [given]) for results in results_in(one)]
    found.sort(key=lambda results: (results.iso, results.path), reverse=True)
    models = {results.model for results in found}
    if len(models) > 1:
        raise InputError(
            f"runs of {len(models)} models in one place: {', '.join(sorted(models))}",
            where=paths[0],
            remedy="give every arm its own --output_path, or name one results file here",
        )
    names = held = {task for results in found for task in results.tasks}
    if tasks is not None:
        groups = {name: group for results in reversed(found) for name, group in groups_of(results).items()}
        names = held & without_groups(tasks, groups)
    if not names:
        what, remedy = f"no run of {', '.join(sorted(tasks or ()))}", f"it has {', '.join(sorted(held))}"
        raise InputError(what, where=paths[0], remedy=remedy)
    return [results for results in found if names.intersection(results.tasks)], names


def _repeats(folder: Path, logs: Mapping[str, TaskLog]) -> tuple[Run, ...]:
    """What `run --repeats` left beside the model's folder: further answers of the run that counts, task by task."""
    runs = []
    beside = folder.parent / REPEATS
    numbers = sorted(int(path.name) for path in beside.iterdir() if path.name.isdecimal()) if beside.is_dir() else []
    for place in (beside / str(number) / folder.name for number in numbers):
        found = results_in(place) if any(place.glob("results_*.json")) else []
        names = {
            task
            for results in found
            for task in results.tasks
            if task in logs and logs[task].paths[0].stem.endswith(f"_{results.about.get('repeat_of')}")
        }
        if names:
            runs.append(find_run(place, tasks=names))
    return tuple(runs)


def _whole(group: GroupLog, results: Results, logs: Mapping[str, TaskLog]) -> bool:
    """Whether all of its tasks are there, and are those that its score was printed of."""
    return all(leaf in logs and logs[leaf].paths == (results.samples(leaf),) for leaf in group.leaves)


def _changed_arguments(found: Sequence[Results], logs: Mapping[str, TaskLog]) -> list[str]:
    """A note if the runs that count used different model arguments."""
    read = {file.path for log in logs.values() for file in log.files}
    used = [results for results in found if any(results.samples(task) in read for task in logs)]
    arguments = [results.arguments for results in used]
    changed = {
        key for one in arguments for key in one.keys() | arguments[0].keys() if one.get(key) != arguments[0].get(key)
    }
    return [f"the tasks' runs differ in model arguments: {', '.join(sorted(changed))}"] if changed else []
