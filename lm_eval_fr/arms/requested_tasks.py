"""Where the requested tasks are: ours, the user's folder, or among lm-eval's 14,000 (half a minute to index)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm_eval_fr.errors import HERE, UsageError, nearest
from lm_eval_fr.tasklib.definitions import (
    builtin_tasks_dir,
    group_names,
    task_names,
    tasks_behind,
    tasks_dir,
    tasks_with_own_shots,
)

DECLARED = re.compile(rb"^(?:task|group|tag):[ \t]*[\"']?([^\s\"'#\[]+)", re.MULTILINE)
PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class TaskSource:
    """Folders that lm-eval has to index, and whether its own tasks are needed too."""

    folders: tuple[str, ...]
    builtins: bool
    ours_only: bool


def locate_tasks(requested: Sequence[str], include_path: str | None) -> TaskSource:
    """Finds each requested name, glob, YAML file or folder. Raises UsageError for an unknown name."""
    ours = (*task_names(), *group_names())
    folders = [str(tasks_dir())]
    if include_path:
        if not Path(include_path).is_dir():
            raise UsageError(f"--include_path {include_path}: no such folder", remedy=HERE)
        folders.append(include_path)
    foreign = [name for name in requested if not (fnmatch.filter(ours, name) or _on_disk(name))]
    theirs = _look_up(foreign, Path(include_path)) if include_path and foreign else set()
    builtin = [name for name in foreign if name not in theirs]
    if builtin:
        near = _declared(Path(include_path)) if include_path else set()
        _refuse_unknown(builtin, sorted({*ours, *near}))
    ours_only = all(fnmatch.filter(ours, name) for name in requested)
    return TaskSource(tuple(folders), bool(builtin), ours_only)


def check_shots(requested: Sequence[str], num_fewshot: int | None) -> None:
    """Raises UsageError where lm-eval would silently ignore --num_fewshot: a task's YAML sets it."""
    if not num_fewshot:
        return
    named = [name for word in requested for name in ours_behind(word)]
    if fixed := next((name for name in named if name in tasks_with_own_shots()), None):
        shots = f"{fixed}_shots"
        advice = f"--tasks {shots} puts two solved examples before each document"
        remedy = advice if shots in task_names() else "leave --num_fewshot out"
        what = f"--num_fewshot {num_fewshot}: {fixed} sets its own number, and lm-eval would ignore yours"
        raise UsageError(what, remedy=remedy)


def ours_behind(word: str) -> Sequence[str]:
    """Our tasks that a name or a pattern stands for."""
    words = fnmatch.filter((*task_names(), *group_names()), word)
    return [task for name in words for task in tasks_behind([name]) or ()]


def _on_disk(name: str) -> bool:
    path = Path(name)
    return path.is_dir() or (path.suffix in (".yaml", ".yml") and (path.is_file() or bool(PATTERN.search(name))))


def _refuse_unknown(names: Sequence[str], ours: Sequence[str]) -> None:
    """A word in none of lm-eval's files cannot be one of its tasks: this takes a second instead of half a minute."""
    folder = builtin_tasks_dir()
    found = _look_up(names, folder)
    for name in names:
        if Path(name).suffix in (".yaml", ".yml"):
            raise UsageError(f"--tasks {name}: no such file")
        if name not in found:
            remedy = nearest(name, ours) or nearest(name, sorted(_declared(folder)))
            raise UsageError(f"--tasks {name}: no such task", remedy=remedy or "`lm-eval-fr tasks` lists ours")


def _look_up(names: Sequence[str], folder: Path) -> set[str]:
    """Those of `names` that the folder's files may define: the word is in one of them, or it is a glob."""
    found = {name for name in names if PATTERN.search(name)}
    words = {name: re.compile(rb"(?<![\w.-])" + re.escape(name.encode()) + rb"(?![\w.-])") for name in names}
    for file in folder.rglob("*.yaml"):
        if found == set(names):
            break
        content = file.read_bytes()
        found |= {name for name, word in words.items() if name not in found and word.search(content)}
    return found


def _declared(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in folder.rglob("*.yaml"):
        names |= {match.decode("utf-8", "replace") for match in DECLARED.findall(file.read_bytes())}
    return names
