"""One run made on several machines: shards of its documents, put together, and what is refused of them.

Real lm-eval, the model-free baseline, real PIAF questions. docs/scale.md shows the same as commands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lm_eval_fr.arms.harness import run_arm
from lm_eval_fr.cli import main
from lm_eval_fr.errors import InputError, MismatchError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs

Shard = Callable[..., Path]


@pytest.fixture(scope="module")
def machine(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Shard:
    """Runs some documents on a machine of its own: returns its --output_path."""
    made: dict[tuple[int, int], Path] = {}

    def run(first: int, last: int) -> Path:
        if (first, last) not in made:
            made[first, last] = tmp_path_factory.mktemp("machine")
            picked = json.dumps({"piaf_fr": list(range(first, last + 1))})
            _run(documents, made[first, last], "--samples", picked)
        return made[first, last]

    return run


@pytest.fixture(scope="module")
def whole(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same documents on one machine."""
    return _run(documents, tmp_path_factory.mktemp("whole"), "--limit", "24")


def _run(data: Path, out: Path, *flags: str) -> Path:
    model = ("--model", "fr-baseline", "--model_args", "damage=0.3,seed=7")
    run_arm([*model, "--tasks", "piaf_fr", "--data-dir", str(data), "--output_path", str(out), *flags])
    return out


def together(folder: Path, *machines: Path) -> Path:
    """What `cp -r MACHINE/*/. FOLDER/` does."""
    folder.mkdir()
    for place in machines:
        for path in place.glob("*/*_*.json*"):
            shutil.copy(path, folder)
    return folder


def test_shards_put_together_are_the_run(machine: Shard, whole: Path, tmp_path: Path) -> None:
    run = find_run(together(tmp_path / "run", machine(0, 9), machine(10, 17), machine(18, 23)))
    assert "piaf_fr: 3 shards put together, 24 documents" in run.notes
    pairing = pair_runs(run, find_run(whole))
    (task,) = pairing.tasks
    assert task.n == 24
    assert task.candidate["f1"].tolist() == task.reference["f1"].tolist()
    assert len({pair.doc_hash for pair in task.pairs()}) == 24
    assert all(pair.candidate.answer == pair.reference.answer for pair in task.pairs())


@pytest.fixture(scope="module")
def eighths(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of eight machines, `shard-1` to `shard-8`."""
    folder = tmp_path_factory.mktemp("eight")
    for number in range(1, 9):
        _run(documents, folder / f"shard-{number}", "--limit", "24", "--shard", f"{number}/8")
    return folder


def test_eight_shards_compare_exactly_as_the_whole(
    eighths: Path, whole: Path, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    argv = ("--model", "fr-baseline", "--tasks", "piaf_fr", "--data-dir", str(documents), "--output_path", str(other))
    run_arm([*argv, "--limit", "24"])
    counts = [find_run(eighths / f"shard-{number}").tasks["piaf_fr"].n_logged for number in range(1, 9)]
    assert counts == [3] * 8
    ids = [
        pair.doc_id
        for pair in pair_runs(find_run(eighths / "shard-3"), find_run(whole), allow=["documents"]).tasks[0].pairs()
    ]
    assert ids == [2, 10, 18]
    monkeypatch.chdir(eighths)
    shown = []
    for candidate in ("shard-*", str(eighths / "shard-?"), str(whole)):
        done = CliRunner().invoke(main, ["compare", candidate, str(other), "--margin", "2%", "--json", "-"])
        assert done.exit_code == 0, done.stderr
        shown.append(json.loads(done.stdout))
    tasks = [content["tasks"] for content in shown]
    assert tasks[0] == tasks[1] == tasks[2] and tasks[0][0]["n"] == 24
    assert shown[0]["overall"] == shown[2]["overall"]
    assert find_run([eighths / f"shard-{number}" for number in range(1, 9)]).tasks["piaf_fr"].n_logged == 24


@pytest.mark.parametrize("given", ["0/8", "9/8", "3", "1/0", "-1/8", "1/99999999", "a/b", ""])
def test_what_is_no_shard(documents: Path, tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="not of the form K/N"):
        _run(documents, tmp_path, f"--shard={given}")


def test_a_shard_without_documents_is_refused(documents: Path, tmp_path: Path) -> None:
    """lm-eval would take an empty list for all of them."""
    with pytest.raises(UsageError, match="piaf_fr has only 2 documents"):
        _run(documents, tmp_path, "--limit", "2", "--shard", "3/3")


def test_a_pattern_that_matches_nothing(whole: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(tmp_path / "shard-*"), str(whole)])
    assert done.exit_code == 2 and "no such file or folder" in done.stderr


def test_a_document_that_two_machines_answered_is_refused(machine: Shard, tmp_path: Path) -> None:
    folder = together(tmp_path / "run", machine(0, 9), machine(5, 14))
    with pytest.raises(InputError, match=r"document 5 .* two shards share documents"):
        find_run(folder)


def test_a_machine_that_is_missing_is_seen(machine: Shard, whole: Path, tmp_path: Path) -> None:
    run = find_run(together(tmp_path / "run", machine(0, 9), machine(18, 23)))
    with pytest.raises(MismatchError, match="piaf_fr") as caught:
        pair_runs(run, find_run(whole))
    assert caught.value.kind == "documents"
    pairing = pair_runs(run, find_run(whole), allow=["documents"])
    assert pairing.tasks[0].n == 16


def test_the_manifest_of_a_server_travels_with_the_run(documents: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"engine_version": "0.32.0", "start": {"made": "today"}}))
    run = find_run(_run(documents, tmp_path / "out", "--limit", "2", "--manifest", str(manifest)))
    assert run.settings["manifest.engine_version"] == "0.32.0"
    assert "manifest.start" not in run.settings
    manifest.write_text(json.dumps({"model": "org/other"}))
    with pytest.raises(InputError, match="this manifest describes org/other, but the arm asks for fr-baseline"):
        _run(documents, tmp_path / "out", "--limit", "2", "--manifest", str(manifest))
