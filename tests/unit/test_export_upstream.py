"""The exported folders under lm-evaluation-harness's rules; with LM_EVAL_CHECKOUT=DIR, under its own tests as well."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import InputError
from scripts.export_upstream import PAGES, main, results_table
from tests.fakes.hub import lay_out, write_rows
from tests.unit.test_tasks import DEMO, load
from tests.waiting import LIMIT

INDEX = """# Tasks

| Task Family | Description | Language(s) |
|-------------|-------------|-------------|
| [aclue](aclue/README.md) | Ancient Chinese. | Ancient Chinese |
| [pile](pile/README.md) | Text. | English |
| [xnli](xnli/README.md) | Inference. | English |

## Multimodal Tasks

| Task Family | Description | Modality |
|-------------|-------------|----------|
| [mmmu](mmmu/README.md) | Images. | Image, Text |
"""
# What their pyproject.toml selects and ignores.
THEIR_RULES = ["--select", "B,C419,D,E,F,I,TC,S,SIM,UP,W605", "--config", 'lint.pydocstyle.convention="google"']
THEIR_RUFF = "0.13.2"  # in their .pre-commit-config.yaml
THEIR_EXCEPTIONS = [
    "--ignore",
    "D10,D200,D202,D205,D212,D415,D417,E11,E402,E501,E701,E731,E741,SIM108,SIM105,SIM401,SIM118,S311,S701,S101",
]


def skeleton(root: Path) -> Path:
    folder = root / "lm_eval" / "tasks"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(INDEX, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    folder = skeleton(root)
    assert main([str(root), "--tasks", ",".join(PAGES)]) == 0
    return folder


def local_rows(task: str, shared_data: Path) -> list[dict[str, Any]]:
    """Rows in the hub's fields: real ones, or the demonstration's."""
    if task == "piaf_fr":
        return list(load(task, data_dir=str(shared_data)).eval_docs)
    return [json.loads(line) for line in (DEMO / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()]


def read_locally(folder: Path, task: str, copy: Path, shared_data: Path) -> None:
    """Points an exported YAML at a local copy of its data; nothing else of it changes."""
    path = folder / task / f"{task}.yaml"
    text = path.read_text(encoding="utf-8")
    found = re.search(r"^dataset_name: (.+)$", text, re.MULTILINE)
    split = re.search(r"^test_split: (.+)$", text, re.MULTILINE)
    assert split is not None
    if "dataset_path: json" in text:
        copy.mkdir(parents=True)
        at = write_rows(copy / "rows.jsonl", local_rows(task, shared_data))
        path.write_text(re.sub(r"https://raw\S+", str(at), text), encoding="utf-8")
        return
    at = lay_out(copy, local_rows(task, shared_data), found[1] if found else "default", split[1])["path"]
    path.write_text(re.sub(r"^dataset_path: .+$", f"dataset_path: {at}", text, flags=re.MULTILINE), encoding="utf-8")


def test_nothing_of_ours_is_imported(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir() if path.is_dir()) == sorted(PAGES)
    for task in PAGES:
        code = (exported / task / "utils.py").read_text(encoding="utf-8")
        assert not re.search(r"^\s*(?:import|from) lm_eval_fr", code, re.MULTILINE)
        ast.parse(code)


@pytest.mark.parametrize("task", PAGES)
def test_exported_tasks_load_and_score_as_ours(exported: Path, task: str, tmp_path: Path, shared_data: Path) -> None:
    from lm_eval.tasks import TaskManager

    folder = Path(shutil.copytree(exported, tmp_path / "tasks"))
    read_locally(folder, task, tmp_path / "hub", shared_data)
    theirs = TaskManager(include_path=str(folder / task), include_defaults=False).load([task])["tasks"][task]
    local = str(shared_data) if task == "piaf_fr" else str(DEMO)
    ours = load(task, data_dir=local)
    assert len(theirs.eval_docs) == len(ours.eval_docs) >= 10
    for their_doc, our_doc in zip(list(theirs.eval_docs)[:40], list(ours.eval_docs)[:40], strict=True):
        prompt = theirs.doc_to_text(their_doc)
        assert prompt == ours.doc_to_text(our_doc)  # the same documents in the same order
        assert not prompt[-1].isspace()
        target = theirs.doc_to_target(their_doc)
        assert target == ours.doc_to_target(our_doc)
        for answer in (target, f"« {target} »", "", "l'été à Paris", '["Paris"]'):
            assert theirs.process_results(their_doc, [answer]) == ours.process_results(our_doc, [answer])
    assert theirs.aggregation().keys() == ours.aggregation().keys()
    assert theirs.config.generation_kwargs == ours.config.generation_kwargs


def test_exported_code_passes_their_linter(exported: Path) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", *THEIR_RULES, *THEIR_EXCEPTIONS, str(exported)]
    check = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert check.returncode == 0, check.stdout


def test_readme_follows_the_template_and_answers_the_checklist(exported: Path) -> None:
    for task, page in PAGES.items():
        text = (exported / task / "README.md").read_text(encoding="utf-8")
        headings = re.findall(r"^(#+ .+)$", text, re.MULTILINE)
        assert headings == [
            f"# {task}",
            "## Paper",
            "### Citation",
            "### Groups, Tags, and Tasks",
            "#### Tasks",
            "### Checklist",
            "### Changelog",
        ]
        assert page.paper in text
        assert text.count("* [x]") == 6
        assert "metadata" not in text
        yaml_text = (exported / task / f"{task}.yaml").read_text(encoding="utf-8")
        assert yaml_text.endswith("metadata:\n  version: 1.0\n")
        assert "revision: bda8c063" in yaml_text or "/0bc3143a919eef2f9ec64aa26da8a546086653de/" in yaml_text


def test_piaf_goes_first_and_alone(tmp_path: Path) -> None:
    folder = skeleton(tmp_path)
    assert main([str(tmp_path)]) == 0
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["piaf_fr"]
    assert sorted(path.name for path in (folder / "piaf_fr").iterdir()) == ["README.md", "piaf_fr.yaml", "utils.py"]
    assert len((folder / "piaf_fr" / "utils.py").read_text(encoding="utf-8").splitlines()) < 260


def test_scores_of_a_public_model_stand_in_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = skeleton(tmp_path)
    scores = {"piaf_fr": {"alias": "piaf_fr", "f1,none": 0.71234567, "f1_stderr,none": 0.01, "exact_match,none": 0.5}}
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"results": scores, "model_name": "org/a-model"}), encoding="utf-8")
    assert main([str(tmp_path), "--results", str(results)]) == 0
    text = (folder / "piaf_fr" / "README.md").read_text(encoding="utf-8")
    assert (
        "`org/a-model`, zero-shot:\n\n| metric | value |\n|---|---|\n| f1 | 0.7123 |\n| exact_match | 0.5000 |" in text
    )
    capsys.readouterr()
    assert main([str(tmp_path), "--tasks", "ifeval_fr", "--results", str(results)]) == 2
    assert "no results of ifeval_fr (give a results_*.json that lm-eval wrote)" in capsys.readouterr().err


def test_results_with_examples_say_so_and_how_many_there_are(tmp_path: Path) -> None:
    scores = {"piaf_fr_shots": {"alias": "piaf_fr_shots", "f1,none": 0.2134, "f1_stderr,none": 0.02}}
    counts = {"piaf_fr_shots": {"original": 3835, "effective": 150}}
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"results": scores, "n-samples": counts, "model_name": "served"}), encoding="utf-8")
    shown = results_table(results, ["piaf_fr"], "Gemma 3 270M")["piaf_fr"]
    assert "Gemma 3 270M, a base model, with two solved examples from other articles in the prompt" in shown
    assert "150 of 3,835 documents:" in shown and "| f1 | 0.2134 |" in shown and "stderr" not in shown
    for broken in ("[]", '{"results": []}', '{"results": {"piaf_fr": 1}}'):
        results.write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match="no results of piaf_fr"):
            results_table(results, ["piaf_fr"])


def test_rows_stand_in_their_place_and_once(exported: Path, tmp_path: Path) -> None:
    lines = (exported / "README.md").read_text(encoding="utf-8").split("\n")
    families = [line.split("]")[0].lstrip("| [") for line in lines if line.startswith("| [")]
    assert families == ["aclue", "ifeval_fr", "piaf_fr", "pile", "xnli", "mmmu"]
    before = (exported / "README.md").read_text(encoding="utf-8")
    assert main([str(exported.parents[1])]) == 0
    assert (exported / "README.md").read_text(encoding="utf-8") == before
    assert [line for line in INDEX.split("\n") if line not in lines] == []


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no lm_eval/tasks/README.md" in capsys.readouterr().err
    skeleton(tmp_path)
    assert main([str(tmp_path), "--tasks", "sib200_fr"]) == 2  # afrobench/sib has it, French too
    assert "sib200_fr is not a task to contribute (these are: piaf_fr" in capsys.readouterr().err


def upstream_sources(folder: Path) -> Path:
    """A checkout named by LM_EVAL_CHECKOUT, or else the sources of the released package."""
    root = folder / "checkout"
    if given := os.environ.get("LM_EVAL_CHECKOUT"):
        shutil.copytree(given, root, ignore=shutil.ignore_patterns(".git", ".venv"))
        return root
    wanted = ["lm_eval==0.4.13", "--no-deps", "--no-binary", "lm_eval", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *wanted], check=True, timeout=300)
    (archive,) = folder.glob("lm_eval-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (folder / archive.name.removesuffix(".tar.gz")).rename(root)
    # The release leaves out the helper that reads the list of changed files.
    (root / "tests" / "__init__.py").touch()
    (root / "tests" / "utils.py").write_text(f"def new_tasks():\n    return {sorted(PAGES)!r}\n")
    return root


@pytest.mark.engines
def test_their_own_tests_pass_in_a_checkout(tmp_path: Path, shared_data: Path) -> None:
    root = upstream_sources(tmp_path)
    assert main([str(root), "--tasks", ",".join(PAGES)]) == 0
    changed = []
    for task in PAGES:
        read_locally(root / "lm_eval" / "tasks", task, tmp_path / "hub" / task, shared_data)
        changed.append(f"lm_eval/tasks/{task}/{task}.yaml")
    listed = root / ".github" / "outputs" / "tasks_all_changed_and_modified_files.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text(" ".join(changed))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_tasks.py",
        "-k",
        "TestNewTasks",
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    tests = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=220)
    assert tests.returncode == 0, tests.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", tests.stdout)[0]) >= 12 * len(PAGES)
    pinned = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        f"ruff=={THEIR_RUFF}",
        "--target",
        str(tmp_path / "ruff"),
    ]
    subprocess.run(pinned, check=True, timeout=120)
    ruff = [str(tmp_path / "ruff" / "bin" / "ruff")]
    folders = [str(root / "lm_eval" / "tasks" / task) for task in PAGES]
    for action in (["check"], ["format", "--check"]):
        done = subprocess.run([*ruff, *action, *folders], cwd=root, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
