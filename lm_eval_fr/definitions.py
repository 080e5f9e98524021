"""Where the task and judge definitions are, installed or in the repository, and which tasks and groups they define.

Names are read with a regular expression instead of YAML and lm-eval: a shell completion or a `--help` waits for this.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from lm_eval_fr.errors import LmEvalFrError

_PACKAGE = Path(__file__).resolve().parent
_NAME = re.compile(r"^(task|group):[ \t]*['\"]?([\w-]+)['\"]?[ \t]*(?:#.*)?$", re.MULTILINE)


@cache
def _definitions(name: str) -> Path:
    installed, repository = _PACKAGE / "_definitions" / name, _PACKAGE.parent / name
    if installed.is_dir():
        return installed
    # Beside an installed package another distribution may have put a folder of that name: only a repository will do.
    if repository.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return repository
    raise LmEvalFrError(
        f"the package's {name}/ definitions are not there",
        where=installed,
        remedy="reinstall it: pip install --force-reinstall lm-eval-fr",
    )


def tasks_dir() -> Path:
    """The folder for `lm_eval --include_path`."""
    return _definitions("tasks")


def judge_dir() -> Path:
    """The folder that holds profiles/*.yaml and rubrics/*.yaml."""
    return _definitions("judge")


def claims_dir() -> Path:
    """The folder that holds published tables, *.yaml."""
    return _definitions("claims")


@cache
def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    tasks: set[str] = set()
    groups: set[str] = set()
    for path in tasks_dir().glob("*/*.yaml"):
        # A group's file has a `group:` name and, under `task:`, a list: the list's key has no name on its line.
        for key, name in _NAME.findall(path.read_text(encoding="utf-8")):
            (groups if key == "group" else tasks).add(name)
    return tuple(sorted(tasks)), tuple(sorted(groups))


def task_names() -> tuple[str, ...]:
    return _names()[0]


def group_names() -> tuple[str, ...]:
    return _names()[1]
