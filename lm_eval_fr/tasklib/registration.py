"""`lm-eval-fr register`: lets plain `lm_eval --tasks piaf_fr` find our tasks, until `unregister` undoes it.

lm-eval 0.4.13 has no entry points: it finds the YAML files under its own `tasks/` folder and those that --include_path
names. `register` adds one folder there, `tasks/lm_eval_fr/`, with one small file per task that includes ours by its
path. No file of lm-eval's is changed, no code runs at start-up, and removing the folder undoes everything.
"""

from __future__ import annotations

from pathlib import Path

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.tasklib.definitions import builtin_tasks_dir, tasks_dir

FOLDER = "lm_eval_fr"
FIRST_LINE = "# Written by `lm-eval-fr register`; `lm-eval-fr unregister` removes this folder."


def register() -> str:
    """Adds our folder to lm-eval or updates it, and says so.

    Raises InputError if a folder of that name is not ours.
    """
    folder = _folder()
    wanted = {path.name: _stub(path) for path in sorted(tasks_dir().glob("*/*.yaml"))}
    found = _ours(folder)
    outdated = [name for name in found if name not in wanted]
    missing = [name for name, text in wanted.items() if found.get(name) != text]
    remedy = 'instead, use: lm_eval --include_path "$(lm-eval-fr tasks --path)"'
    try:
        folder.mkdir(exist_ok=True)
        for name in outdated:
            (folder / name).unlink()
    except OSError as error:
        raise UsageError(f"cannot write into lm-eval: {error.strerror}", where=folder, remedy=remedy) from None
    for name in missing:
        write_atomic(folder / name, wanted[name], remedy=remedy)
    done = f"{len(missing)} of {len(wanted)} files written" if missing or outdated else "already registered"
    return (
        f"{done}: {folder}\n"
        f"`lm_eval --tasks piaf_fr --model vllm ...` now finds the tasks of {tasks_dir()}.\n"
        "Nothing else in lm-eval was changed; `lm-eval-fr unregister` removes the folder."
    )


def unregister() -> str:
    """Removes what `register` added, and says so.

    Raises InputError, and removes nothing, if something else is in the folder.
    """
    folder = _folder()
    if not folder.exists():
        return f"not registered: there is no {folder}"
    names = _ours(folder)
    try:
        for name in names:
            (folder / name).unlink()
        folder.rmdir()
    except OSError as error:
        raise UsageError(f"cannot remove it: {error.strerror}", where=folder, remedy="remove the folder") from None
    return f"removed: {folder} ({len(names)} files)"


def _folder() -> Path:
    """The folder inside the lm-eval that this Python imports, installed or editable."""
    tasks = builtin_tasks_dir()
    if not tasks.is_dir():
        raise InputError("this lm-eval has no tasks folder", where=tasks, remedy="reinstall it: pip install lm-eval")
    return tasks / FOLDER


def _stub(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"{FIRST_LINE}\ninclude: '{quoted}'\n"


def _ours(folder: Path) -> dict[str, str]:
    """File names and texts. Raises InputError for anything that `register` did not write."""
    found: dict[str, str] = {}
    if not folder.exists():
        return found
    if folder.is_symlink() or not folder.is_dir():
        raise InputError("not the folder that `register` makes", where=folder, remedy="check it, and remove it by hand")
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__" and not any(path.iterdir()):
            path.rmdir()
            continue
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        lines = text.splitlines()
        if len(lines) != 2 or lines[0] != FIRST_LINE or not lines[1].startswith("include: "):
            remedy = "keep it elsewhere or remove it by hand, then run this again"
            raise InputError("`lm-eval-fr register` did not write this file", where=path, remedy=remedy)
        found[path.name] = text
    return found
