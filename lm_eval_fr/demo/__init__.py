"""A small French corpus written for this project, the plan that `lm-eval-fr demo` runs on it, and a real one."""

from __future__ import annotations

from pathlib import Path

from lm_eval_fr.errors import UsageError


def plan_path() -> Path:
    """The demo's plan: two built-in arms, one of them damaged on purpose, and the offline judge."""
    return Path(__file__).parent / "plan.yaml"


def example_plan() -> Path:
    """The plan of the README: four bits on this machine against an API."""
    return Path(__file__).parent / "example_plan.yaml"


def copy_texts(folder: Path) -> None:
    """Copies the corpus, for your own plans with `data_dir: FOLDER`. Raises UsageError if the folder exists."""
    import shutil

    try:
        shutil.copytree(plan_path().parent / "data", folder)
    except FileExistsError:
        raise UsageError("exists already", where=folder, remedy="give a folder that does not") from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=folder, remedy="give another folder") from None
