from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from lm_eval_fr.tasklib import definitions
from tests.waiting import LIMIT

ROOT = Path(__file__).resolve().parents[2]


def test_names_are_those_of_the_yaml_files() -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    tasks, groups = [], []
    for path in definitions.tasks_dir().rglob("*.yaml"):
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
        if "group" in config:
            groups.append(config["group"])
        else:
            tasks.append(config["task"])
            assert path.stem == config["task"]
    assert definitions.task_names() == tuple(sorted(tasks))
    assert definitions.group_names() == tuple(sorted(groups)) == ("fr_all", "fr_gold", "fr_quality", "fr_sensitive")


def test_the_repository_is_used_where_nothing_is_installed() -> None:
    assert definitions.tasks_dir() == ROOT / "tasks"
    assert (definitions.judge_dir() / "profiles").is_dir()


def test_names_need_neither_lm_eval_nor_yaml() -> None:
    code = (
        "import sys, lm_eval_fr.tasklib.definitions as d; d.task_names(); "
        "print([m for m in ('lm_eval', 'yaml', 'datasets', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT)
    assert out.stdout.strip() == "[]"


def test_groups_and_judged_tasks_are_those_of_the_yaml_files() -> None:
    gold = ("piaf_fr", "massive_scenario_fr", "sib200_fr", "wikiner_fr")
    assert definitions.tasks_behind(["fr_quality", "piaf_fr"]) == (*gold, "analysis_fr")
    assert definitions.tasks_behind(["fr_gold", "gsm8k"]) is None
    assert definitions.judged_names() == {"analysis_fr", "own_analysis_fr"}
