"""The bare `lm_eval --tasks piaf_fr`, by an explicit act that leaves no trace when undone."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.tasklib import definitions, registration
from lm_eval_fr.tasklib.definitions import builtin_tasks_dir
from tests.fakes.server import FakeOpenAI
from tests.waiting import LIMIT

pytest.importorskip("lm_eval")
DEMO = Path(__file__).resolve().parent.parent.parent / "lm_eval_fr" / "demo" / "data"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the installed lm-eval with a handful of its tasks, first on the path: as an editable checkout is."""
    import lm_eval

    source = Path(lm_eval.__file__).parent
    target = tmp_path / "checkout" / "lm_eval"
    shutil.copytree(source, target, ignore=lambda folder, names: _few(source, Path(folder), names))
    monkeypatch.setattr(definitions, "find_spec", lambda name: _Spec(target))
    yield target


class _Spec:
    def __init__(self, folder: Path) -> None:
        self.submodule_search_locations = [str(folder)]


def _few(source: Path, folder: Path, names: list[str]) -> list[str]:
    if folder != source / "tasks":
        return ["__pycache__"]
    return [name for name in names if (folder / name).is_dir() and name != "arc"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_lm_eval(checkout: Path, out: Path, url: str) -> subprocess.CompletedProcess[str]:
    arguments = f"model=fake-model,base_url={url}/completions,tokenizer_backend=none,tokenized_requests=False"
    command = [sys.executable, "-B", "-m", "lm_eval", "run", "--model", "local-completions", "--model_args", arguments]
    command += ["--tasks", "piaf_fr,analysis_fr", "--limit", "3", "--output_path", str(out), "--log_samples"]
    command += ["--metadata", f"data_dir={DEMO}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=checkout.parent)


def test_registered_then_without_a_trace(checkout: Path, tmp_path: Path) -> None:
    before = snapshot(checkout)
    said, folder = registration.register(), builtin_tasks_dir() / registration.FOLDER
    names = {path.name for path in folder.iterdir()}
    assert {"piaf_fr.yaml", "fr_quality.yaml"} <= names
    assert said.startswith(f"{len(names)} of {len(names)} files written: {folder}\n")
    assert registration.register().startswith(f"already registered: {folder}\n")
    with FakeOpenAI("Paris") as server:
        ran = run_lm_eval(checkout, tmp_path / "out", server.url)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = next((tmp_path / "out").rglob("samples_piaf_fr_*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["resps"] for line in lines] == [[["Paris"]]] * 3
    assert registration.unregister() == f"removed: {folder} ({len(names)} files)"
    assert snapshot(checkout) == before
    assert not folder.exists()
    assert registration.unregister().startswith("not registered")


def test_what_others_put_there_is_left_alone(checkout: Path) -> None:
    registration.register()
    folder = builtin_tasks_dir() / registration.FOLDER
    mine = folder / "mine.yaml"
    mine.write_text("task: mine\n")
    for act in (registration.unregister, registration.register):
        with pytest.raises(InputError, match=r"mine.yaml: .*did not write this file"):
            act()
    assert mine.exists() and (folder / "piaf_fr.yaml").exists()
    mine.unlink()
    (folder / "piaf_fr.yaml").write_text(f"{registration.FIRST_LINE}\ninclude: '/elsewhere/piaf_fr.yaml'\n")
    assert registration.register().startswith("1 of ")  # the package has moved: brought up to date
    registration.unregister()


def test_a_disk_that_is_full_leaves_no_half_of_a_file(checkout: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(UsageError, match="--include_path"):
            registration.register()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "files written" in registration.register()
    registration.unregister()


def test_an_lm_eval_that_cannot_be_written(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write everywhere
    with pytest.raises(UsageError, match=r"Permission denied .*--include_path"):
        registration.register()
