"""compare.json: the report under the names in docs/compare_json.md, floats not rounded, unknown as null.

Statistics are nested in the report and flat in the file: a line below names the keys of one object in their order, each
with the path to its value where that is not the key itself.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import msgspec

from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.method_sections import method_of
from lm_eval_fr.report.model import SCHEMA_VERSION, ManyReport, Noise, Report
from lm_eval_fr.report.task_model import AnswerCosts, Bounds, MeanClaim, Measured, Series, TaskResult, ends, verdict_of
from lm_eval_fr.stats import Assessment, Difference, Proportion
from lm_eval_fr.stats.judging import JudgeControls, PositionReport

Content = dict[str, Any]
UNITS = {"document": "documents", "cluster": "clusters"}

REPORT = "candidate reference plan_hash"
SETTING = "name candidate reference differs expected"
OVERALL = "verdict sentence advice ruled_out not_claimed coverage"
END = "level warnings"
MEASURED = "n clusters=paired.clusters candidate_mean reference_mean difference ci_low ci_high"
VERDICT = "margin verdict degradation_detected p_value=paired.p_value recovery=recovery.estimate recovery_ci"
EVIDENCE = """higher_is_better p_non_inferior=assessment.p_non_inferior p_holm identical icc=paired.icc
    design_effect=paired.design_effect sd=paired.sd guard_documents=paired.guard_documents candidate_health
    reference_health secondary group subtasks"""
COST = "candidate reference ratio=ratio.estimate ci_low=ratio.low ci_high=ratio.high source"
HEADLINE = """n wins=preference.wins ties=preference.ties losses=preference.losses outcomes
    decided=preference.decided win_share=preference.win_share.share win_share_ci p_value net_win net_win_ci
    at_least_as_good=preference.at_least_as_good.share"""
USAGE = "calls input_tokens cached_tokens output_tokens"
CLAIM = """verdict margin pairs clusters=preference.net_win.clusters method best_case worst_case
    degradation_detected=assessment.degradation_detected p_non_inferior=assessment.p_non_inferior documents_needed
    mde=assessment.mde"""
SEEN = """planned n won lost order_decided net_win ci_low level method questions questions_left missed grades
    longer_effect longer_ci unjudged reason"""
CORRECTED = "corrected_margin=corrected.margin conditions_failed=failed conditions_unknown=unknown sentence"
ABOUT = "profile rubric"
JUDGED_TASK = "task n wins ties losses net_win"
SHARE = "count of share low high method"
RERUN = """arm task metric n shift=moved.estimate ci_low=moved.low ci_high=moved.high churn runs"""
TAX = """task parallel n=paired.n difference=paired.interval.estimate ci_low=paired.interval.low
    ci_high=paired.interval.high margin=assessment.margin method=paired.interval.method"""
INSTRUCTIONS = "kind n candidate reference lost gained"
STRATUM = "preregistered margin verdict p_non_inferior=assessment.p_non_inferior p_holm"
REPEATS = """candidate=candidate_answers reference=reference_answers between within_candidate within_reference unstable
    unstable_documents reason"""
MEAN = """tasks left_out n=paired.n clusters=paired.clusters difference ci_low ci_high margin verdict
    p_non_inferior=assessment.p_non_inferior p_inferior=assessment.p_inferior method=paired.interval.method
    guard_documents=paired.guard_documents assay reason=assessment.reason sentence"""
LOST = "task lost read kinds confusions"
PLACE = """place candidate difference=against_reference.interval.estimate ci_low=against_reference.interval.low
    ci_high=against_reference.interval.high n=against_reference.n behind p_holm told_apart"""
RECOVERED = "candidate raw task metric share=share.estimate method=share.method reason=share.reason"


def to_json(report: Report | ManyReport) -> str:
    """Indented, with keys in a fixed order. Raises ValueError for a number that JSON cannot represent."""
    return _text(to_dict(report) if isinstance(report, Report) else _many(report), "report")


def part_to_json(name: str, part: object) -> str:
    """One section of a report under its key in compare.json."""
    return _text({"schema_version": SCHEMA_VERSION, name: msgspec.to_builtins(part)}, name)


def to_dict(report: Report) -> Content:
    extras = {extra.key: msgspec.to_builtins(extra.data) for extra in report.extras}
    return {
        "schema_version": SCHEMA_VERSION,
        **_keys(report, REPORT),
        "settings": [_keys(one, SETTING) for one in report.settings],
        "tasks": [_task(task) for task in report.tasks],
        "judge": None if report.judge is None else _judge(report.judge),
        "noise": None if report.noise is None else _noise(report.noise),
        "overall": _keys(report.overall, OVERALL),
        "overall_mean": None if report.overall_mean is None else _mean(report.overall_mean),
        **_keys(report, END),
        "cumulative": [_series(series) for series in report.cumulative],
        "language_tax": [_keys(tax, TAX) | {"verdict": verdict_of(tax.assessment)} for tax in report.language_tax],
        **_keys(report, "notes samples"),
        "lost": [_keys(one, LOST) | {"kinds": dict(one.kinds)} for one in report.losses],
        **{key: extras.get(key) for key in ("value", "voting", "claims", "fidelity")},
        **_keys(report, "provenance"),
    }


def _text(content: Content, name: str) -> str:
    _refuse_nan(content, name)
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def _refuse_nan(content: Any, path: str) -> None:
    """NaN would silently become null, which means unknown; here it would be a defect."""
    if isinstance(content, float):
        if not math.isfinite(content):
            raise ValueError(f"{path} is {content}")
    elif isinstance(content, dict):
        for key, item in content.items():
            _refuse_nan(item, f"{path}.{key}")
    elif isinstance(content, list | tuple):
        for i, item in enumerate(content):
            _refuse_nan(item, f"{path}[{i}]")


def _keys(found: object, names: str) -> Content:
    """The named values of an object, plain; null if an object on the path is None."""
    content = {}
    for name in names.split():
        key, _, path = name.partition("=")
        value: Any = found
        for step in (path or key).split("."):
            value = None if value is None else getattr(value, step)
        content[key] = _plain(value)
    return content


def _plain(found: Any) -> Any:
    """Shares without their p-values and levels; everything else as it is."""
    if isinstance(found, Proportion):
        return _keys(found, SHARE)
    if isinstance(found, tuple):
        return [_plain(item) for item in found]
    if dataclasses.is_dataclass(found):
        return {field.name: _plain(getattr(found, field.name)) for field in dataclasses.fields(found)}
    return msgspec.to_builtins(found)


def _mean(mean: MeanClaim) -> Content:
    other = _other(mean.paired, mean.other_ci, mean.assessment)
    return _keys(mean, MEAN) | {"left_out": dict(mean.left_out), "other_guarantee": other}


def _other(paired: Difference, bounds: Bounds | None, assessment: Assessment | None) -> Content | None:
    """The result under the other guarantee; null if both are the same."""
    if bounds is None:
        return None
    name = "worst-case" if paired.guarantee == "default" else "default"
    verdict = None if assessment is None or assessment.verdict == "no_verdict" else assessment.other_verdict
    return {"guarantee": name, "ci_low": bounds[0], "ci_high": bounds[1], "verdict": verdict}


def _flips(m: Measured) -> Content | None:
    flips = m.paired.flips
    return None if flips is None else {"lost": flips.lost, "gained": flips.gained, "threshold": 0.5}


def _task(t: TaskResult) -> Content:
    return {
        **_keys(t, "task metric kind=paired.kind"),
        **_keys(t, MEASURED),
        **_keys(t, VERDICT),
        "flips": _flips(t),
        **_keys(t, "mde=assessment.mde documents_needed"),
        "method": method_of(t),
        **_keys(t, EVIDENCE),
        "strata": [_keys(one, f"name {MEASURED}") | {"flips": _flips(one)} | _keys(one, STRATUM) for one in t.strata],
        "instructions": [_keys(one, INSTRUCTIONS) for one in t.instructions],
        **_keys(t, "assay"),
        "guarantee": t.paired.guarantee,
        "other_guarantee": _other(t.paired, t.other_ci, t.assessment),
        "answers": _answers(t.answers),
        "repeats": None if t.repeats is None else _keys(t.repeats, REPEATS),
        **_keys(t, "allowed reasons"),
    }


def _answers(found: AnswerCosts | None) -> Content | None:
    if found is None:
        return None
    costs = {name: getattr(found, name) for name in ("tokens", "reasoning", "truncated", "seconds")}
    return {name: None if cost is None else _keys(cost, COST) for name, cost in costs.items()}


def _judge(judge: JudgeResult) -> Content:
    bias, claim = _bias(judge.bias), {} if judge.claim is None else _keys(judge.claim, CORRECTED)
    return {
        **_keys(judge, HEADLINE),
        "position": bias.pop("position"),
        "usage": {**_keys(judge.usage, USAGE), **_plain(judge.usage)},
        **_keys(judge, CLAIM),
        "guarantee": judge.preference.net_win.guarantee,
        "other_guarantee": _other(judge.preference.net_win, judge.other_ci, judge.assessment),
        **bias,
        "sensitivity": None if judge.seen is None else _keys(judge.seen, SEEN) | claim,
        "order_decided": _plain(judge.order),
        "tasks": [_keys(one, JUDGED_TASK) | {"answers": _answers(one.answers)} for one in judge.tasks],
        **_keys(judge, ABOUT),
        "controls": _controls(judge),
        "panel": msgspec.to_builtins(judge.panel) if judge.panel.judges else {},
        "orders": judge.profile.orders,
        "stopped_early": judge.stopped is not None,
        **_keys(judge, "offline reasons"),
    }


def _controls(judge: JudgeResult) -> Content:
    """The controls that were asked; a panel's are under its judges' names."""
    by_name = {name: _asked(controls) for name, controls in judge.panel.controls.items()}
    return by_name or _asked(judge.controls)


def _asked(controls: JudgeControls) -> Content:
    return {name: found for name, found in msgspec.to_builtins(controls).items() if found is not None}


def _bias(bias: PositionReport) -> Content:
    content: Content = _plain(bias)
    if bias.length is not None:
        del content["length"]["difference"]
        content["length"]["difference_ci"] = ends(bias.length.difference)
    del content["warnings"], content["level"]
    return content


def _noise(noise: Noise) -> Content:
    reruns = [_keys(rerun, RERUN) | {"method": rerun.moved.method if rerun.moved else None} for rerun in noise.reruns]
    floors = [_keys(one, "task floor=compared.floor exceeded=compared.exceeds sentence") for one in noise.floors]
    return {"reruns": reruns, "floors": floors, "sentence": noise.sentence}


def _series(series: Series) -> Content:
    band = series.band
    arrays = {"at": band.documents, "estimate": band.mean, "low": band.low, "high": band.high}
    return {
        "name": series.name,
        "unit": UNITS[band.unit],
        **{key: array.tolist() for key, array in arrays.items()},
        "margin": series.margin,
        **_keys(band, "sign_changes method"),
    }


def _many(many: ManyReport) -> Content:
    return {
        "schema_version": SCHEMA_VERSION,
        "reports": [to_dict(report) for report in many.reports],
        **_keys(many, "claims"),
        "ranking": [_keys(one, PLACE) for one in many.ranking],
        "recovered": [_keys(one, RECOVERED) | {"ci": ends(one.share)} for one in many.recovered],
        **_keys(many, "level notes"),
    }
