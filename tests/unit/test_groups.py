"""A group of tasks is one claim over all of its documents, with the score that lm-eval printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.compare import compare
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from tests.fakes.runs import FakeTask, make_run, plain_task

SCORES = {"m_a": [1.0, 0.0, 1.0, 1.0], "m_b": [0.0, 1.0], "m_c": [1.0, 1.0, 0.0]}
BY_DOCUMENTS = 6 / 9
BY_TASKS = (3 / 4 + 1 / 2 + 2 / 3) / 3


def tasks(scores: Mapping[str, list[float]] = SCORES, **options: Any) -> list[FakeTask]:
    return [plain_task(name, {"acc": values, "acc_norm": values}, **options) for name, values in scores.items()]


def blocks(printed: float, **listed: list[str]) -> dict[str, Any]:
    children = listed or {"m": ["m_a", "m_b", "m_c"]}
    scores = {"alias": "m", "name": "m", "sample_len": 9, "acc,none": printed, "acc_stderr,none": 0.1}
    return {"group_subtasks": children, "groups": dict.fromkeys(children, scores)}


def pair(root: Path, mine: float, theirs: float, changed: list[FakeTask] | None = None, **listed: list[str]) -> Pairing:
    runs = []
    for name, printed, of_arm in (("c", mine, changed or tasks()), ("r", theirs, tasks())):
        folder = make_run(root / name, *of_arm, model=f"org/{name}", results=blocks(printed, **listed))
        runs.append(find_run(folder))
    return pair_runs(*runs)


@pytest.mark.parametrize(("printed", "by_task"), [(BY_DOCUMENTS, False), (BY_TASKS, True)])
def test_the_groups_mean_is_the_printed_one_however_it_is_weighted(
    tmp_path: Path, printed: float, by_task: bool
) -> None:
    pairing = pair(tmp_path, printed, printed)
    (group,) = pairing.groups
    assert (group.task, bool(group.weights), group.n, group.metrics) == ("m", by_task, 9, ("acc",))
    assert group.subtasks == ("m_a", "m_b", "m_c")
    assert group.candidate["acc"].mean() == pytest.approx(printed)
    assert (group.printed[0].candidate, group.printed[0].reference) == (printed, printed)
    assert group.answers[0].health.answers == 9 and group.clusters is None


def test_clusters_of_the_tasks_stay_apart(tmp_path: Path) -> None:
    titled = [plain_task(name, {"acc": [1.0, 0.0]}, titles=["Paris", "Paris"]) for name in ("m_a", "m_b")]
    printed = blocks(0.5, m=["m_a", "m_b"])
    runs = [find_run(make_run(tmp_path / arm, *titled, model=arm, results=printed)) for arm in "cr"]
    (group,) = pair_runs(*runs).groups
    assert group.clusters is not None and group.clusters.tolist() == [0, 0, 1, 1]


def test_a_group_of_groups_is_the_outermost_with_the_inner_ones_as_strata(tmp_path: Path) -> None:
    pairing = pair(tmp_path, BY_DOCUMENTS, BY_DOCUMENTS, m=["stem", "m_c"], stem=["m_a", "m_b"])
    (group,) = pairing.groups
    assert group.task == "m" and group.n == 9
    (strata,) = group.strata
    assert (strata.name, strata.labels) == ("group", ("stem", "m_c"))
    assert np.bincount(strata.codes).tolist() == [6, 3]


def test_a_score_that_the_tasks_do_not_give_is_left_out_and_said(tmp_path: Path) -> None:
    pairing = pair(tmp_path, 0.9, BY_DOCUMENTS)
    assert pairing.groups == ()
    assert "m: the group's own score is left out: the acc of its tasks do not give" in pairing.notes[-1]


def test_a_group_needs_all_of_its_tasks(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "c", *tasks(), results=blocks(BY_DOCUMENTS))
    run = find_run(folder, tasks=["m_a", "m_b"])
    assert run.groups == {}
    whole = find_run(folder)
    assert pair_runs(whole, whole, tasks=["m_a", "m_b"]).groups == ()
    make_run(tmp_path / "c", *tasks({"m_a": [0.0] * 4}))
    assert find_run(tmp_path / "c").groups == {}, "a task was run again: the printed score is of other answers"


@pytest.mark.parametrize("listed", [{"m": ["m"]}, {"m": ["n"], "n": ["m", "m_a"]}, {"m": ["m_a", "m_a"]}])
def test_groups_that_hold_themselves_end(tmp_path: Path, listed: dict[str, list[str]]) -> None:
    found = pair(tmp_path, 0.5, 0.5, **listed)
    assert {group.task for group in found.groups} <= {"m"}


def test_the_group_is_the_claim_and_its_tasks_are_not(tmp_path: Path) -> None:
    pairing = pair(tmp_path, BY_DOCUMENTS, BY_DOCUMENTS)
    report = compare(pairing, CompareOptions(margins={"m": 0.5}))
    rows = {task.task: task for task in report.tasks}
    assert list(rows) == ["m", "m_a", "m_b", "m_c"]
    assert rows["m"].subtasks == ("m_a", "m_b", "m_c") and rows["m"].margin == 0.5
    assert rows["m"].candidate_mean == pytest.approx(BY_DOCUMENTS) and rows["m"].n == 9
    assert all(rows[name].group == "m" and rows[name].margin is None for name in SCORES)
    assert rows["m"].p_holm is None


def test_no_group_is_sent_for_documents_that_its_tasks_do_not_have(tmp_path: Path) -> None:
    reference = {name: [1.0] * 20 + [0.0] * 40 for name in ("m_a", "m_b")}
    candidate = {"m_a": [0.0] * 3 + reference["m_a"][3:], "m_b": reference["m_b"]}
    printed = ((20 + 17) / 120, 40 / 120)
    runs = [
        find_run(make_run(tmp_path / arm, *tasks(scores), model=arm, results=blocks(mean, m=["m_a", "m_b"])))
        for arm, scores, mean in zip("cr", (candidate, reference), printed, strict=True)
    ]
    advice = compare(pair_runs(*runs), CompareOptions(margins={"m": 0.05})).overall.advice
    assert advice.startswith("m has 120 documents and would need about "), advice


def test_a_broken_subtask_leaves_the_group_without_a_verdict(tmp_path: Path) -> None:
    changed = tasks()
    changed[1].printed = {"acc": 0.75}
    pairing = pair(tmp_path, BY_DOCUMENTS, BY_DOCUMENTS, changed)
    assert pairing.groups == () and "m_b has no acc of its own" in pairing.notes[-1]
    report = compare(pairing, CompareOptions(margins={"gold": 0.5}))
    assert report.verdict == "no_verdict"


def test_a_group_that_scores_nothing_has_no_verdict_and_its_tasks_say_why(tmp_path: Path) -> None:
    nothing = tasks({name: [0.0] * len(values) for name, values in SCORES.items()})
    runs = [find_run(make_run(tmp_path / arm, *nothing, model=f"org/{arm}", results=blocks(0.0))) for arm in "cr"]
    report = compare(pair_runs(*runs), CompareOptions(margins={"gold": 0.5}))
    assert report.task("m").verdict == report.verdict == "no_verdict"
    warned = [caution.text.split(":")[0] for caution in report.warnings if caution.kind == "nothing_scored"]
    assert warned == list(SCORES)


def test_one_run_as_both_arms_is_said_once_for_its_groups_too(tmp_path: Path) -> None:
    run = find_run(make_run(tmp_path / "run", *tasks(), model="org/m", results=blocks(BY_DOCUMENTS)))
    report = compare(pair_runs(run, run), CompareOptions(margins={"gold": 0.5}))
    kinds = [caution.kind for caution in report.warnings]
    assert report.task("m").verdict == "no_verdict"
    assert kinds.count("same_run") == 1 and "no_scores" not in kinds


def test_a_part_of_a_group_that_counts_its_tasks_alike_counts_them_alike_too(tmp_path: Path) -> None:
    pairing = pair(tmp_path, BY_TASKS, BY_TASKS, m=["stem", "m_c"], stem=["m_a", "m_b"])
    row = compare(pairing, CompareOptions()).task("m")
    means = {stratum.name: stratum.candidate_mean for stratum in row.strata}
    assert means == {"group: stem": pytest.approx((3 / 4 + 1 / 2) / 2), "group: m_c": pytest.approx(2 / 3)}


def test_what_lm_eval_printed_of_a_group_first_is_not_dropped(tmp_path: Path) -> None:
    runs = []
    for arm, perplexity in (("c", 9.0), ("r", 3.0)):
        made = [
            plain_task(
                name,
                {"perplexity": [-1.0] * len(values), "acc": values},
                aggregation={"perplexity": "perplexity"},
                printed={"perplexity": float(np.e)},
                higher_is_better={"perplexity": False},
            )
            for name, values in SCORES.items()
        ]
        found = blocks(BY_DOCUMENTS)
        found["groups"]["m"] = {"perplexity,none": perplexity, **found["groups"]["m"]}
        runs.append(find_run(make_run(tmp_path / arm, *made, model=f"org/{arm}", results=found)))
    pairing = pair_runs(*runs)
    (group,) = pairing.groups
    assert [(one.metric, one.score) for one in group.printed] == [("perplexity", None), ("acc", "acc")]
    report = compare(pairing, CompareOptions(margins={"m": 0.9}))
    assert any(
        "m: perplexity is not compared" in caution.text and "9 for" in caution.text for caution in report.warnings
    )


def test_the_name_of_a_group_selects_its_tasks(tmp_path: Path) -> None:
    listed = {"m": ["stem", "m_c"], "stem": ["m_a", "m_b"]}
    for arm in "cr":
        make_run(tmp_path / arm, *tasks(), model=f"org/{arm}", results=blocks(BY_DOCUMENTS, **listed))
    whole = pair_runs(tmp_path / "c", tmp_path / "r", tasks=["m"])
    assert [task.task for task in whole.tasks] == ["m_a", "m_b", "m_c"] and [one.task for one in whole.groups] == ["m"]
    assert [task.task for task in pair_runs(tmp_path / "c", tmp_path / "r", tasks=["stem"]).tasks] == ["m_a", "m_b"]


def test_the_newest_run_says_which_tasks_a_group_has(tmp_path: Path) -> None:
    for listed in ({"m": ["m_a", "m_c"]}, {"m": ["m_a", "m_b"]}):
        make_run(tmp_path / "c", *tasks(), results=blocks(BY_DOCUMENTS, **listed))
    assert set(find_run(tmp_path / "c", tasks=["m"]).tasks) == {"m_a", "m_b"}
