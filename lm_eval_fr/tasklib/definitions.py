"""Where the task and judge definitions are, installed or in the repository, and which tasks and groups they define.

Names are read with a regular expression instead of YAML and lm-eval: shell completion and `--help` wait for this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from lm_eval_fr.errors import LmEvalFrError, UsageError
from lm_eval_fr.io.terminal import columns_of, fold, in_columns

_PACKAGE = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"^(task|group):[ \t]*['\"]?([\w-]+)['\"]?[ \t]*(?:#.*)?$", re.MULTILINE)
_MEMBER = re.compile(r"^[ \t]+-[ \t]+([\w-]+)[ \t]*$", re.MULTILINE)
_INCLUDE = re.compile(r"^include:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_SHOTS = re.compile(r"^num_fewshot:", re.MULTILINE)
_BYPASS = re.compile(r"^[ \t]*- metric:[ \t]*bypass\b", re.MULTILINE)


@cache
def _definitions(name: str) -> Path:
    installed, repository = _PACKAGE / "_definitions" / name, _PACKAGE.parent / name
    if installed.is_dir():
        return installed
    # Another distribution may have installed a folder of that name next to the package: only a repository counts.
    if repository.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return repository
    raise LmEvalFrError(
        f"the package's {name}/ definitions are missing",
        where=installed,
        remedy="reinstall it: pip install --force-reinstall lm-eval-fr",
    )


def tasks_dir() -> Path:
    """The folder for `lm_eval --include_path`."""
    return _definitions("tasks")


def builtin_tasks_dir() -> Path:
    """lm-eval's own task definitions. Raises UsageError where it is not installed."""
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("lm-eval is not installed", remedy="pip install 'lm-eval[api]>=0.4.13'")
    return Path(next(iter(spec.submodule_search_locations))) / "tasks"


def judge_dir() -> Path:
    """The folder that holds profiles/*.yaml and rubrics/*.yaml."""
    return _definitions("judge")


def claims_dir() -> Path:
    """The folder that holds published tables, *.yaml."""
    return _definitions("claims")


@cache
def _texts() -> tuple[dict[str, str], dict[str, str]]:
    """The texts of the files that define each task and each group of ours, by name."""
    tasks: dict[str, str] = {}
    groups: dict[str, str] = {}
    for path in tasks_dir().glob("*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        # A group's file has a `group:` name and, under `task:`, a list: the list's key has no name on its line.
        for key, name in _NAME.findall(text):
            (groups if key == "group" else tasks)[name] = text
    return tasks, groups


def tasks_behind(names: Iterable[str]) -> tuple[str, ...] | None:
    """The tasks behind these names of ours; None if one of them is not ours, or is a pattern."""
    found: list[str] = []
    for name in names:
        behind = (name,) if name in task_names() else tasks_behind(_MEMBER.findall(_texts()[1].get(name, "")))
        if not behind:
            return None
        found += behind
    return tuple(dict.fromkeys(found))


@cache
def judged_names() -> frozenset[str]:
    """Our tasks without a metric, which need a judge."""
    return frozenset(name for name, text in _texts()[0].items() if _BYPASS.search(text))


@cache
def tasks_with_own_shots() -> frozenset[str]:
    """Our tasks whose YAML, or the one that it includes, sets `num_fewshot`: lm-eval accepts no other number."""
    files = {path.name: path for path in tasks_dir().glob("*/*") if path.is_file()}
    found = set()
    for name, text in _texts()[0].items():
        included = _INCLUDE.search(text)
        more = files[included[1]].read_text(encoding="utf-8") if included and included[1] in files else ""
        if _SHOTS.search(f"{text}\n{more}"):
            found.add(name)
    return frozenset(found)


def task_names() -> tuple[str, ...]:
    return tuple(sorted(_texts()[0]))


def group_names() -> tuple[str, ...]:
    return tuple(sorted(_texts()[1]))


def listed_tasks(stream: TextIO) -> str:
    """All tasks and groups: one per line, or in columns on a terminal."""
    names, groups = task_names(), group_names()
    if not stream.isatty():
        return "\n".join([*names, *(f"{name}  (group)" for name in groups)])
    columns = columns_of(stream)
    return "\n".join([*in_columns(names, columns), fold(f"groups: {', '.join(groups)}", columns)])
