"""action.yml: its comparing step, run by bash as a runner would, on runs as the arms left them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.e2e import forked
from tests.fakes.runs import make_run, plain_task
from tests.waiting import LIMIT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
INPUT = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """`better` and `worse` beside `reference`."""
    shift = {"better": 0.0, "worse": -0.5, "reference": 0.0}
    for name, by in shift.items():
        scores = [max(0.0, 0.5 + (i % 7) / 14 + by) for i in range(200)]
        make_run(tmp_path / "runs" / name, plain_task("piaf_fr", {"f1": scores}), model=f"org/{name}")
    return tmp_path


def step(name: str) -> dict[str, Any]:
    return next(step for step in ACTION["runs"]["steps"] if step.get("id") == name)


def run(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The `compare` step with these inputs; the others as the action has them by default."""
    given = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()} | inputs
    env = {name: INPUT.sub(lambda found: given[found[1]], value) for name, value in step("compare")["env"].items()}
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    forked.install(bin_folder / "lm-eval-fr", ["-m", "lm_eval_fr"])
    (bin_folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (bin_folder / "python").chmod(0o755)
    env |= {"PATH": f"{bin_folder}:/usr/bin:/bin"}
    env |= {"GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "GITHUB_OUTPUT": str(folder / "output")}
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step("compare")["run"]],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


@pytest.mark.parametrize(
    ("candidate", "margins", "more", "code", "verdict"),
    [
        ("better", "2%\npiaf_fr=0.05", {}, 0, "non_inferior"),
        ("worse", "2%", {}, 1, "inferior"),
        ("worse", "2%", {"options": "--level\n0.9"}, 1, "inferior"),
    ],
)
def test_the_verdict_is_the_job_s(
    runs: Path, candidate: str, margins: str, more: dict[str, str], code: int, verdict: str
) -> None:
    done = run(runs, candidate=f"runs/{candidate}", reference="runs/reference", margins=margins, **more)
    assert done.returncode == code, done.stderr
    assert (runs / "output").read_text() == f"verdict={verdict}\n"
    assert "piaf_fr" in (runs / "summary.md").read_text(encoding="utf-8")
    report = runs / "lm-eval-fr-report"
    assert {path.name for path in report.iterdir()} == {"report.html", "report.md", "compare.json", "junit.xml"}


def test_what_cannot_be_compared_fails_the_job(runs: Path) -> None:
    done = run(runs, candidate="runs/nowhere", reference="runs/reference", margins="2%")
    assert done.returncode == 2 and "no such file or folder" in done.stderr
    assert not (runs / "output").exists()


def test_a_margin_is_no_shell(runs: Path) -> None:
    """Inputs reach the script through its environment: a text that a pull request brought stays a text."""
    done = run(runs, candidate="runs/better", reference="runs/reference", margins="2%; touch hacked")
    assert done.returncode == 2
    assert not (runs / "hacked").exists()


def test_every_input_is_described_and_used() -> None:
    used = set(INPUT.findall((ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])
    assert all(spec["description"] for spec in ACTION["inputs"].values())
    assert not any("${{" in step.get("run", "") for step in ACTION["runs"]["steps"])
