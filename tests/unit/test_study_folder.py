"""What a study's folder remembers: which plans gave results, why an arm is run again, and who runs it now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lm_eval_fr.arms.planned import data_files
from lm_eval_fr.errors import InputError, PlanError, UsageError
from lm_eval_fr.plan import Plan, StudyFolder, earlier_plans, parse_plan, plan_home, was_run
from lm_eval_fr.plan.study_plan import arm_hash

TEXT = """\
name: test
tasks: [piaf_fr]
limit: 150
margins: {gold: 0.02}
data_dir: data
metadata: {data: {own_qa_fr: questions.jsonl}}
candidate: {model: fr-baseline, model_args: {damage: 0.3}}
reference: {model: fr-baseline, rerun: true}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "piaf_fr.jsonl").write_text("{}\n")
    (tmp_path / "data" / "wikiner_fr.jsonl").write_text("{}\n")
    (tmp_path / "questions.jsonl").write_text("{}\n")
    return tmp_path


def plan_of(text: str = TEXT) -> Plan:
    return parse_plan(text, where=Path("plan.yaml"))


def opened(here: Path, text: str = TEXT) -> StudyFolder:
    return StudyFolder(here / "out", plan_of(text), text, data_files(plan_of(text), here), here)


def run_arms(folder: StudyFolder) -> None:
    for name in ("candidate", "reference"):
        (folder.path / name).mkdir(exist_ok=True)
        folder.arm_is_done(name, getattr(folder.plan, name))


def test_a_copy_of_the_plan_reads_its_paths_from_where_the_plan_was(here: Path) -> None:
    with opened(here) as folder:
        copy = folder.path / "plan.yaml"
    assert (plan_home(here / "plan.yaml"), plan_home(copy)) == (here, here)
    moved = here.rename(here.with_name("moved"))
    with pytest.raises(PlanError, match=f"a study's copy of a plan from {here}, which is gone"):
        plan_home(moved / "out" / "plan.yaml")


def test_documents_that_are_gone_are_no_longer_those_of_an_arm(here: Path) -> None:
    with opened(here) as folder:
        run_arms(folder)
        (here / "data" / "piaf_fr.jsonl").unlink()
        now = data_files(folder.plan, here)
        assert not was_run(folder.path / "candidate", folder.plan, folder.plan.candidate, now)


def test_one_process_at_a_time(here: Path) -> None:
    says = r"in use by process \d+ \(wait until it ends, or give another --out\)"
    with opened(here), pytest.raises(UsageError, match=says):
        opened(here)
    opened(here).close()


def test_an_arm_is_run_once(here: Path) -> None:
    with opened(here) as folder:
        assert folder.why_again("candidate", folder.plan.candidate) == ""
        assert not was_run(folder.path / "candidate", folder.plan, folder.plan.candidate, folder.files)
        run_arms(folder)
        assert folder.why_again("candidate", folder.plan.candidate) is None
        assert was_run(folder.path / "candidate", folder.plan, folder.plan.candidate, folder.files)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("margins: {gold: 0.02}", "margins: {gold: 0.05}"), None),
        (("limit: 150", "limit: 300"), "limit: 150 -> 300"),
        (("damage: 0.3", "damage: 0.4"), "candidate.model_args.damage: 0.3 -> 0.4"),
        (("reference: {model: fr-baseline", "reference: {model: fr-baseline, batch_size: 4"), None),
    ],
)
def test_what_changed_is_said(here: Path, change: tuple[str, str], why: str | None) -> None:
    with opened(here) as folder:
        run_arms(folder)
    with opened(here, TEXT.replace(*change)) as folder:
        assert folder.why_again("candidate", folder.plan.candidate) == why


def test_other_documents_in_the_same_file_are_other_work(here: Path) -> None:
    with opened(here) as folder:
        run_arms(folder)
    (here / "data" / "wikiner_fr.jsonl").write_text("other\n")  # of no task of this plan
    with opened(here) as folder:
        assert folder.why_again("candidate", folder.plan.candidate) is None
    (here / "data" / "piaf_fr.jsonl").write_text("other\n")
    (here / "questions.jsonl").write_text("other\n")
    with opened(here) as folder:
        why = folder.why_again("candidate", folder.plan.candidate)
        assert why == "its documents changed: data/piaf_fr.jsonl, questions.jsonl"


def test_a_long_text_of_the_metadata_is_no_file(here: Path) -> None:
    assert "questions.jsonl" in data_files(plan_of(), here)
    plan = plan_of(TEXT.replace("metadata: {", f"metadata: {{instruction: {'mot ' * 100}, "))
    assert data_files(plan, here) == data_files(plan_of(), here)


def test_an_arm_of_the_first_version_stays_done(here: Path) -> None:
    plan = plan_of()
    (here / "out" / "candidate").mkdir(parents=True)
    (here / "out" / "candidate" / "arm.done").write_text(arm_hash(plan, plan.candidate))
    with opened(here) as folder:
        assert folder.why_again("candidate", plan.candidate) is None
    with opened(here, TEXT.replace("limit: 150", "limit: 9")) as folder:
        assert folder.why_again("candidate", folder.plan.candidate) == "its settings changed"


def test_only_plans_whose_results_were_seen_are_earlier_plans(here: Path) -> None:
    opened(here).close()  # stopped before there was a result
    changed = TEXT.replace("gold: 0.02", "gold: 0.05")
    with opened(here, changed) as folder:
        assert earlier_plans(folder.path, folder.plan) == ()
        folder.results_seen()
    with opened(here, changed.replace("150", "300")) as folder:
        (earlier,) = earlier_plans(folder.path, folder.plan)
        assert [str(change) for change in earlier.changes or ()] == ["limit: 150 -> 300"]
        assert not any(change.decides for change in earlier.changes or ())


def test_a_folder_of_the_first_version(here: Path) -> None:
    """It did not note what a plan said, nor whose results were seen: where there is a report, all were."""
    out = here / "out"
    out.mkdir()
    state = {"plans": [{"hash": "ab" * 32, "first_used": "2026-11-01T10:00:00+0000"}]}
    (out / "study.json").write_text(json.dumps(state))
    with opened(here) as folder:
        assert earlier_plans(out, folder.plan) == ()
        (out / "compare.json").write_text("{}")
        (earlier,) = earlier_plans(out, folder.plan)
        assert (earlier.hash, earlier.changes) == ("ab" * 32, None)


@pytest.mark.parametrize("content", ["", "[]", '{"plans": [{"hash": 1}]}', "\x00"])
def test_what_is_not_a_study_s_state(here: Path, content: str) -> None:
    (here / "out").mkdir()
    (here / "out" / "study.json").write_text(content)
    with pytest.raises(InputError, match=r"not (JSON|a study's state)"):
        opened(here)
    (here / "out" / "study.json").unlink()
    opened(here).close()  # and the lock was given back
