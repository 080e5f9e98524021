"""The model-card snippet: what the hub's own reader makes of it, and what must never be missing from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub.repocard_data import ModelCardData, model_index_to_eval_results

from lm_eval_fr.cli import main
from lm_eval_fr.io.reading import convert
from lm_eval_fr.report import model_card
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.model import Provenance, Report
from lm_eval_fr.report.model_card import CardComparison
from tests.fakes.cards import HOSTILE
from tests.fakes.reports import a_difference, a_report, a_task, as_json


def comparison(report: Report) -> CardComparison:
    return convert(as_json(report), CardComparison, what="a comparison", where="compare.json")


def model_index(report: Report) -> list[dict[str, Any]]:
    return model_card.model_index(comparison(report))


def render(report: Report) -> str:
    return model_card.render(comparison(report))


def section(report: Report) -> str:
    return model_card.section(comparison(report))


def metrics_of(report: Report, task: str) -> list[dict[str, Any]]:
    entry = next(result for result in model_index(report)[0]["results"] if result["dataset"]["name"] == task)
    return entry["metrics"]


def header_of(card: str) -> dict[str, Any]:
    _, header, _ = card.split("---\n", 2)
    return yaml.safe_load(header)


def test_the_hub_reads_the_header() -> None:
    report = a_report()
    name, results = model_index_to_eval_results(header_of(render(report))["model-index"])
    assert name == report.candidate.name
    data = ModelCardData(model_name=name, eval_results=results)  # refuses what the hub would refuse
    assert {result.dataset_name for result in data.eval_results or ()} >= {task.task for task in report.tasks}
    piaf = [result for result in results if result.dataset_name == "piaf_fr"]
    assert {result.task_type for result in piaf} == {"question-answering"}
    assert next(result.metric_value for result in piaf if result.metric_type == "f1") == 71.52


def test_a_recovery_never_stands_without_its_interval_and_verdict() -> None:
    found = next(metric for metric in metrics_of(a_report(), "piaf_fr") if metric["type"] == "recovery")
    assert found["value"] == 99.28
    assert "[98.2, 100.4]" in found["name"]
    assert found["args"]["interval"] == [98.2, 100.4]
    assert found["args"]["verdict"] == "non_inferior" and found["args"]["margin"] == 2.0


def test_an_unknown_recovery_is_left_out() -> None:
    report = a_report(tasks=(a_task(recovery=None, reasons={"recovery": "lower is better"}),))
    assert [metric["type"] for metric in metrics_of(report, "piaf_fr")] == ["f1", "exact_match", "gold_recall"]


def test_a_metric_with_a_unit_of_its_own_keeps_it() -> None:
    task = a_task(metric="bleu", paired=a_difference((31.25, 32.0), (-1.0, 0.2), kind="unbounded"), secondary=False)
    assert metrics_of(a_report(tasks=(task,)), "piaf_fr")[0]["value"] == 31.25


def test_a_data_set_of_the_hub_is_named_with_its_revision() -> None:
    data = ({"task": "piaf_fr", "dataset": "AgentPublic/piaf at bda8c0"},)
    report = a_report(provenance=Provenance(data=data))
    entry = model_index(report)[0]["results"][0]
    assert entry["dataset"] == {"type": "AgentPublic/piaf", "name": "piaf_fr", "revision": "bda8c0"}


def test_the_section_has_verdict_margin_warnings_and_plan() -> None:
    report = a_report()
    shown = section(report)
    for word in (report.overall.sentence[:20], "[98.2, 100.4]", "non-inferior", "net win rate", "gpt-4.1", "margin"):
        assert word in shown
    assert report.plan_hash is not None
    assert report.plan_hash[:16] in shown
    assert len([line for line in shown.splitlines() if line.startswith("- ")]) == len(report.warnings)
    unplanned = section(replace(report, plan_hash=None, judge=None, warnings=()))
    assert "fixed before" not in unplanned and "net win" not in unplanned


@pytest.mark.parametrize("evil", HOSTILE)
def test_names_of_models_stay_names(evil: str) -> None:
    report, evil = a_report(), evil.replace("\ud800", "\ufffd")  # as every reader of a file makes it
    report = replace(
        report,
        candidate=replace(report.candidate, name=evil, model=evil),
        reference=replace(report.reference, name=evil, model=evil),
    )
    card = render(report)
    name, results = model_index_to_eval_results(header_of(card)["model-index"])
    assert "\n" not in name and results
    assert re.search(r"(?<!\\)<script", card.split("---\n", 2)[2]) is None


def test_the_command_reads_a_file_or_a_study(tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_text(to_json(a_report()), encoding="utf-8")
    shown = [CliRunner().invoke(main, ["card", str(path)]) for path in (tmp_path, tmp_path / "compare.json")]
    assert [done.exit_code for done in shown] == [0, 0]
    assert shown[0].stdout == shown[1].stdout == render(a_report())


def test_another_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for path, word in ((tmp_path / "other.json", "not a comparison"), (tmp_path / "empty", "no comparison to read")):
        done = CliRunner().invoke(main, ["card", str(path)])
        assert done.exit_code == 2
        assert word in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_comparison_of_the_first_version_is_still_read(tmp_path: Path) -> None:
    """Version 1 had no `no_verdict`, no groups, and its verdict was null where nothing could be said."""
    old = as_json(a_report()) | {"schema_version": 1}
    later = ("group", "subtasks", "strata", "assay", "answers", "guard_documents")
    old["tasks"] = [{key: item for key, item in task.items() if key not in later} for task in old["tasks"]]
    del old["language_tax"], old["overall"]["advice"]
    (tmp_path / "compare.json").write_text(json.dumps(old), encoding="utf-8")
    done = CliRunner().invoke(main, ["card", str(tmp_path)])
    assert done.exit_code == 0 and done.stdout == render(a_report())
    (tmp_path / "compare.json").write_text(json.dumps(old | {"schema_version": 99}), encoding="utf-8")
    refused = CliRunner().invoke(main, ["card", str(tmp_path)])
    assert refused.exit_code == 2 and "schema version 99" in refused.stderr
