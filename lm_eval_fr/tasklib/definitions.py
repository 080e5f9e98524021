"""Where the task and judge definitions are, installed or in the repository, and which tasks and groups they define.

Names are read with a regular expression instead of YAML and lm-eval: a shell completion or a `--help` waits for this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lm_eval_fr.errors import LmEvalFrError, UsageError

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
    # Beside an installed package another distribution may have put a folder of that name: only a repository will do.
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
def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    tasks: set[str] = set()
    groups: set[str] = set()
    for path in tasks_dir().glob("*/*.yaml"):
        # A group's file has a `group:` name and, under `task:`, a list: the list's key has no name on its line.
        for key, name in _NAME.findall(path.read_text(encoding="utf-8")):
            (groups if key == "group" else tasks).add(name)
    return tuple(sorted(tasks)), tuple(sorted(groups))


@cache
def _members() -> dict[str, tuple[str, ...]]:
    """Per group, what its file lists."""
    members = {}
    for path in tasks_dir().glob("*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        if group := next((name for key, name in _NAME.findall(text) if key == "group"), None):
            members[group] = tuple(_MEMBER.findall(text))
    return members


def tasks_behind(names: Iterable[str]) -> tuple[str, ...] | None:
    """The tasks that these names of ours stand for; None when one of them is not ours, or is a pattern."""
    found: list[str] = []
    for name in names:
        behind = (name,) if name in task_names() else tasks_behind(_members().get(name, ()))
        if not behind:
            return None
        found += behind
    return tuple(dict.fromkeys(found))


@cache
def judged_names() -> frozenset[str]:
    """Our tasks without a metric, which only a judge can tell apart."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in tasks_dir().glob("*/*.yaml")}
    return frozenset(name for name in task_names() if _BYPASS.search(texts.get(name, "")))


@cache
def tasks_with_own_shots() -> frozenset[str]:
    """Our tasks whose YAML, or the one that it includes, sets `num_fewshot`: lm-eval takes no other number."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in tasks_dir().glob("*/*") if path.is_file()}
    found = set()
    for text in texts.values():
        included = _INCLUDE.search(text)
        whole = f"{text}\n{texts.get(included[1], '') if included else ''}"
        if _SHOTS.search(whole):
            found |= {name for key, name in _NAME.findall(text) if key == "task"}
    return frozenset(found)


def task_names() -> tuple[str, ...]:
    return _names()[0]


def group_names() -> tuple[str, ...]:
    return _names()[1]
