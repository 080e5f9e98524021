"""Several answers per document, end to end: asked, kept, averaged; a server that does not vary is found out early."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lm_eval_fr.arms.harness import run_arm
from lm_eval_fr.compare.compare_paths import compare
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.study import run_study
from tests.fakes.server import Call, FakeOpenAI

DEMO = Path(__file__).resolve().parent.parent.parent / "lm_eval_fr" / "demo" / "data"
Start = Callable[..., FakeOpenAI]


def flags(server: FakeOpenAI, out: Path, *more: str, tasks: str = "piaf_fr", limit: int = 24) -> list[str]:
    given = f"model=fake-model,base_url={server.url}/chat/completions,num_concurrent=4"
    return [
        *("--model", "local-chat-completions", "--model_args", given, "--tasks", tasks, "--data-dir", str(DEMO)),
        *("--output_path", str(out), "--limit", str(limit), *more),
    ]


def varied(seed: int) -> Callable[[Call], str]:
    draw = random.Random(seed)
    return lambda call: draw.choice(["Paris", "Lyon", "en 1900", call.user.rsplit(maxsplit=9)[-1]])


def test_each_document_is_answered_as_often_as_asked(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(varied(1))
    outcome = run_arm(flags(server, tmp_path, "--repeats", "3"))
    assert (outcome.asked, server.count) == (72, 72)
    assert set(Counter(call.user for call in server.calls).values()) == {3}
    assert Counter(call.body["seed"] for call in server.calls) == {1234: 24, 1235: 24, 1236: 24}
    run = find_run(tmp_path)
    assert [again.path.parent.name for again in run.repeats] == ["2", "3"]
    assert run.repeats == find_run(tmp_path / "fake-model").repeats
    again = run_arm(flags(server, tmp_path, "--repeats", "3"))
    assert (again.kept, again.asked, server.count) == (72, 0, 72)
    fewer = run_arm(flags(server, tmp_path, "--repeats", "2"))
    assert (fewer.kept, len(find_run(tmp_path).repeats)) == (48, 1)  # the third answers belong to the earlier run
    run_arm(flags(server, tmp_path, "--limit", "30"))
    assert find_run(tmp_path).repeats == ()


def test_the_score_is_the_mean_over_all_answers(fake_server: Start, tmp_path: Path) -> None:
    for seed, arm in enumerate(("candidate", "reference")):
        run_arm(flags(fake_server(varied(seed)), tmp_path / arm, "--repeats", "3"))
    run_arm(flags(fake_server(varied(9)), tmp_path / "more"))
    pairing = pair_runs(
        tmp_path / "candidate", tmp_path / "reference", candidate_reruns=[tmp_path / "more"], allow=["reruns"]
    )
    (task,) = pairing.tasks
    folders = {
        "candidate": ["candidate", "candidate/repeats/2", "candidate/repeats/3", "more"],
        "reference": ["reference", "reference/repeats/2", "reference/repeats/3"],
    }
    for name, scores in (("candidate", task.candidate), ("reference", task.reference)):
        by_hash: dict[str, list[float]] = {}
        for folder in folders[name]:
            (path,) = (tmp_path / folder).glob("fake-model/samples_piaf_fr_*.jsonl")
            for line in path.read_text(encoding="utf-8").splitlines():
                sample = json.loads(line)
                by_hash.setdefault(sample["doc_hash"], []).append(sample["f1"])
        assert {len(found) for found in by_hash.values()} == {len(folders[name])}
        assert scores["f1"].tolist() == pytest.approx([float(np.mean(by_hash[h])) for h in task.doc_hashes])
    assert "candidate: 4 answers per document" in " ".join(pairing.notes)

    report = compare(
        tmp_path / "candidate", tmp_path / "reference", candidate_rerun=[tmp_path / "more"], allow=["reruns"]
    )
    content = report.to_dict()
    found = content["tasks"][0]["repeats"]
    assert (found["candidate"], found["reference"], found["reason"]) == (4, 3, None)
    assert 0 < found["unstable"] <= 1
    assert 0 < found["unstable_documents"] <= 1
    assert content["tasks"][0]["difference"] == pytest.approx(
        float(task.candidate["f1"].mean() - task.reference["f1"].mean())
    )
    assert [(row["arm"], row["runs"]) for row in content["noise"]["reruns"]] == [("candidate", 3), ("reference", 2)]
    assert "4 and 3 answers per document" in report.to_text()


def test_a_server_that_does_not_vary_is_found_out_before_the_rest_is_paid(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(lambda call: f"Réponse {len(call.user)}")
    said: list[str] = []
    run_arm(flags(server, tmp_path, "--repeats", "5", limit=40), say=said.append)
    assert server.count == 40 + 10
    assert "the answers were the same again on 10 of 10 documents" in said[-1]
    assert "one answer counts for all 5" in said[-1]
    run = find_run(tmp_path)
    assert run.repeats == ()
    assert "its server repeated its answers, so one counts for all 5" in run.notes


def test_only_scored_answers_are_repeated(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(varied(2))
    run_arm(flags(server, tmp_path, "--repeats", "2", tasks="piaf_fr,analysis_fr", limit=6))
    assert server.count == 6 * 3
    assert set(find_run(tmp_path).repeats[0].tasks) == {"piaf_fr"}
    said: list[str] = []
    run_arm(flags(server, tmp_path / "judged", "--repeats", "2", tasks="analysis_fr", limit=6), say=said.append)
    assert "no task here scores a text answer" in said[-1]
    assert server.count == 6 * 4


def test_what_cannot_be_repeated_is_refused(
    fake_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fake_server("Paris")
    with pytest.raises(UsageError, match="nothing would be asked"):
        run_arm(flags(server, tmp_path, "--repeats", "0"))
    batch = ["--model", "batch-chat", "--model_args", "model=m,write=asked.jsonl", "--tasks", "piaf_fr"]
    with pytest.raises(UsageError, match="batch-chat") as refused:
        run_arm([*batch, "--repeats", "2"])
    assert "--candidate-rerun" in (refused.value.remedy or "")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="several processes"):
        run_arm(flags(server, tmp_path, "--repeats", "2"))
    assert server.count == 0


def test_an_engine_in_this_process_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.models.dummy import DummyLM

    loaded = []
    original = DummyLM.__init__
    monkeypatch.setattr(DummyLM, "__init__", lambda self, *a, **k: (loaded.append(1), original(self, *a, **k))[1])
    argv = ["--model", "dummy", "--tasks", "piaf_fr", "--data-dir", str(DEMO), "--output_path", str(tmp_path)]
    said: list[str] = []
    run_arm([*argv, "--limit", "12", "--repeats", "3"], say=said.append)
    assert loaded == [1]
    assert "do not vary" in said[-1]  # the dummy always says "lol"


def plan_file(folder: Path, **keys: Any) -> Path:
    arm = {"model": "fr-baseline", "model_args": {"damage": 0.4, "seed": 10}}
    plan = {
        "name": "study",
        "tasks": ["piaf_fr"],
        "limit": 30,
        "data_dir": str(DEMO),
        "margins": {"gold": 0.2},
        "candidate": arm,
        "reference": {"model": "fr-baseline", "rerun": True},
        **keys,
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return path


@pytest.mark.usefixtures("forked_arms")
def test_a_study_with_repeats_resumes_with_more_and_with_fewer(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = run_study(plan_file(tmp_path, repeats=3), out=out, quiet=True).report.to_dict()
    # The damaged arm varies with its seed; the other gives the same answers again, and its rerun too.
    assert (found["tasks"][0]["repeats"]["candidate"], found["tasks"][0]["repeats"]["reference"]) == (3, 2)
    assert found["noise"]["reruns"][1]["shift"] == 0.0
    first = {path.parent.parent.name for path in (out / "candidate" / "repeats").glob("*/*/results_*.json")}
    assert first == {"2", "3"}
    fewer = run_study(plan_file(tmp_path, repeats=2), out=out, quiet=True).report.to_dict()
    assert fewer["tasks"][0]["repeats"]["candidate"] == 2
    assert not list(out.glob("candidate.*"))  # nothing was run anew
    assert any(warning["kind"] == "plan_changed" for warning in fewer["warnings"])
    once = run_study(plan_file(tmp_path), out=out, quiet=True).report.to_dict()
    assert once["tasks"][0]["repeats"]["candidate"] == 1
