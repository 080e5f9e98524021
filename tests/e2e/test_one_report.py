"""`ab`, and `compare` on the folders that it wrote, say the same: one builder makes both reports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lm_eval_fr.compare import compare
from lm_eval_fr.compare.compare_options import pair_study, study_options
from lm_eval_fr.demo import plan_path
from lm_eval_fr.plan import load_plan
from tests.e2e import forked

OWN = ("plan_hash", "provenance")
"""What `compare` without the plan cannot know, and the clock."""
FLAGS = re.IGNORECASE | re.MULTILINE
MARGINS = {"gold": 0.05, "judge": 0.10, "sib200_fr": 0.2}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two baselines on built-in texts, with prices, a rerun, votes and the offline judge."""
    folder = tmp_path_factory.mktemp("one-report")
    arm = {"model": "fr-baseline", "prices": {"input": 0.1, "output": 0.4}}
    plan = {
        "name": "one-report",
        "tasks": ["sib200_fr", "sib200_fr_vote", "analysis_fr"],
        "limit": 8,
        "margins": MARGINS,
        "data_dir": str(plan_path().parent / "data"),
        "candidate": {**arm, "model_args": {"damage": 0.5, "seed": 7}},
        "reference": {**arm, "rerun": True},
        "judge": {"profile": "offline", "trust_judge": True},  # eight pairs show too little of it
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    lm_eval_fr("ab", folder / "plan.yaml", "--out", folder / "out")
    return folder / "out"


def lm_eval_fr(*arguments: object) -> str:
    done = forked.run(["-m", "lm_eval_fr", *map(str, arguments)])
    assert done.returncode == 0, done.stderr
    return done.stdout


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, key by key."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from differences(one.get(key, "absent"), other.get(key, "absent"), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, both in enumerate(zip(one, other, strict=True)):
            yield from differences(*both, f"{path}[{i}]")
    elif one != other:
        yield f"{path}: {one!r} and {other!r}"


def without_own(content: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in content.items() if key not in OWN}


def test_compare_on_the_study_s_folders_says_what_ab_said(study: Path) -> None:
    first = json.loads((study / "compare.json").read_text(encoding="utf-8"))
    flags = [f"--margin={name}={margin}" for name, margin in MARGINS.items()]
    flags += ["--judge", study / "judge", "--reference-rerun", study / "reference-rerun", "--price", "0.1/0.4"]
    again = json.loads(lm_eval_fr("compare", study / "candidate", study / "reference", *flags, "--json", "-"))
    assert list(differences(without_own(first), without_own(again))) == []
    assert first["value"] and first["voting"] and first["judge"] and first["noise"]


def test_the_plan_and_its_folder_make_the_same_report_again(study: Path) -> None:
    first = json.loads((study / "compare.json").read_text(encoding="utf-8"))
    plan = load_plan(study / "plan.yaml")
    pairing = pair_study(plan, study)
    report = compare(pairing, study_options(plan, study, pairing, "lm-eval-fr ab"))
    again = json.loads(report.to_json())
    assert list(differences(without_own(first), without_own(again))) == []
    assert again["plan_hash"] == first["plan_hash"]
    typed = json.loads(lm_eval_fr("compare", study, "--json", "-"))
    assert list(differences(without_own(first), without_own(typed))) == []
    for name, content in (("report.txt", report.to_text()), ("report.md", report.to_markdown())):
        before = (study / name).read_text(encoding="utf-8")
        assert re.split("provenance$", before, flags=FLAGS)[0] == re.split("provenance$", content, flags=FLAGS)[0]


def test_the_page_holds_every_pair_and_is_whole(study: Path) -> None:
    page = (study / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script") == 2
    assert "All 24 pairs." in page
