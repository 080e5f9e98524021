"""The wheel: what travels in it, and that it works where the repository is not."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import click
import pytest

from tests.waiting import LIMIT

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT))
    (built,) = out.glob("*.whl")
    return built


def run(*command: str, limit: float = LIMIT, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_definitions_and_the_demo_travel_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "lm_eval_fr/_definitions/tasks/piaf/piaf_fr.yaml",
        "lm_eval_fr/_definitions/tasks/piaf/utils.py",
        "lm_eval_fr/_definitions/judge/profiles/gpt-4.1.yaml",
        "lm_eval_fr/_definitions/judge/rubrics/analyses_fr.yaml",
        "lm_eval_fr/_definitions/claims/mistral_small_4_nvfp4.yaml",
        "lm_eval_fr/demo/plan.yaml",
        "lm_eval_fr/demo/data/piaf_fr.json",
        "lm_eval_fr/report/page/report.css",
        "lm_eval_fr/py.typed",
    ):
        assert name in names, name
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lm_eval_fr"}
    assert not [name for name in names if name.startswith(("tests/", "lm_eval_fr/tests")) or name.endswith(".pyc")]


@pytest.mark.slow
def test_the_wheel_runs_the_demo_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    """The package comes from the wheel; only its dependencies are lent by this environment."""
    python = fresh_environment(tmp_path / "env")
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    # A path in a .pth file is searched, its own .pth files (the editable install's among them) are not read.
    (site / "dependencies.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    check_installed(python, tmp_path)


@pytest.mark.engines
def test_pip_installs_the_wheel_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    python = fresh_environment(tmp_path / "env", with_pip=True)
    run(str(python), "-m", "pip", "install", "--quiet", str(wheel), limit=600)
    installed = run(str(python), "-m", "pip", "list").lower()
    assert "torch" not in installed, "the base install must need no torch"
    check_installed(python, tmp_path)


def fresh_environment(folder: Path, *, with_pip: bool = False) -> Path:
    venv.create(folder, with_pip=with_pip)
    return folder / "bin" / "python"


def check_installed(python: Path, folder: Path) -> None:
    where = run(str(python), "-c", "import lm_eval_fr; print(lm_eval_fr.__file__)", cwd=folder).strip()
    assert Path(where).is_relative_to(folder), where
    tasks = run(str(python), "-m", "lm_eval_fr", "tasks", "--path", cwd=folder).strip()
    assert Path(tasks).is_relative_to(folder) and (Path(tasks) / "piaf" / "piaf_fr.yaml").is_file()
    report = run(str(python), "-m", "lm_eval_fr", "demo", "--out", "demo", cwd=folder)
    assert report.startswith("INFERIOR"), "the demo's candidate is damaged, and the report must say so"
    assert (folder / "demo" / "report.html").is_file() and (folder / "demo" / "compare.json").is_file()
