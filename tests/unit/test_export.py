"""Exported scores and verdicts: what `datasets` reads back is what was paired and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import yaml
from click.testing import CliRunner

from lm_eval_fr.analyses import export
from lm_eval_fr.analyses.export import export_runs
from lm_eval_fr.cli import main
from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from tests.fakes.judged import judge_folder, verdicts_on
from tests.fakes.runs import make_run, plain_task

N = 25
CANDIDATE, REFERENCE = [i % 3 / 2 for i in range(N)], [i % 2 / 1 for i in range(N)]


@pytest.fixture
def pairing(tmp_path: Path) -> Pairing:
    titles = [f"article {i // 2}" for i in range(N)]
    runs = []
    for name, scores in (("candidate", CANDIDATE), ("reference", REFERENCE)):
        gold = plain_task("piaf_fr", {"f1": scores, "exact_match": [float(s == 1) for s in scores]}, titles=titles)
        runs.append(make_run(tmp_path / name, gold, plain_task("analysis_fr", 4), model=f"org/{name}"))
    return pair_runs(find_run(runs[0]), find_run(runs[1]))


@pytest.fixture
def judged(pairing: Pairing, tmp_path: Path) -> Path:
    task = next(task for task in pairing.tasks if task.judged)
    return judge_folder(tmp_path / "judge", verdicts_on(task, ("win", "loss", "flip", "invalid")))


def test_scores_come_back_as_they_were_paired(
    pairing: Pairing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS", 10)  # three chunks of one metric
    done = export_runs(pairing, tmp_path / "out")
    rows = parquet.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert done.scores == len(rows) == 2 * N
    assert done.verdicts is None
    f1 = [row for row in rows if row["metric"] == "f1"]
    assert [row["doc_id"] for row in f1] == list(range(N))
    assert np.allclose([row["candidate"] for row in f1], CANDIDATE)
    assert np.allclose([row["difference"] for row in f1], np.subtract(CANDIDATE, REFERENCE))
    task = next(task for task in pairing.tasks if task.task == "piaf_fr")
    assert [row["doc_hash"] for row in f1] == list(task.doc_hashes)
    assert f1[3]["cluster"] == "article 1"
    assert not (tmp_path / "out" / "verdicts.parquet").exists()


def test_verdicts_keep_their_states(pairing: Pairing, judged: Path, tmp_path: Path) -> None:
    done = export_runs(pairing, tmp_path / "out", judge_dir=judged)
    rows = parquet.read_table(tmp_path / "out" / "verdicts.parquet").to_pylist()
    assert done.verdicts == len(rows) == 4
    assert [row["outcome"] for row in rows] == ["win", "loss", "flip", "invalid"]
    assert [row["score"] for row in rows] == [1, -1, 0, None]
    assert rows[0]["reason_candidate_first"] == "raison 0"
    assert rows[2]["candidate_first"] == rows[2]["reference_first"] == "A"


def test_datasets_reads_the_folder(pairing: Pairing, judged: Path, tmp_path: Path) -> None:
    import datasets

    export_runs(pairing, tmp_path / "out", judge_dir=judged)
    for name, rows in (("scores", 2 * N), ("verdicts", 4)):
        found = datasets.load_dataset(str(tmp_path / "out"), name, cache_dir=str(tmp_path / "cache"))
        assert found["train"].num_rows == rows


def test_the_readme_names_the_runs_and_the_tables(pairing: Pairing, tmp_path: Path) -> None:
    export_runs(pairing, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header == {"configs": [{"config_name": "scores", "data_files": "scores.parquet"}]}
    assert "org/candidate" in text and "org/reference" in text


def test_the_command(pairing: Pairing, judged: Path, tmp_path: Path) -> None:
    arguments = ["export", tmp_path / "candidate", tmp_path / "reference", "--judge", judged, "--out", tmp_path / "out"]
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.stderr
    assert "50 scores and 4 verdicts" in done.stdout


def test_a_judged_task_alone_needs_its_verdicts(pairing: Pairing, tmp_path: Path) -> None:
    only = pair_runs(pairing.candidate, pairing.reference, tasks=["analysis_fr"])
    with pytest.raises(InputError, match="no scores to export"):
        export_runs(only, tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_one_line(pairing: Pairing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    arguments = ["export", tmp_path / "candidate", tmp_path / "reference", "--out", tmp_path / "file" / "out"]
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 1
