"""compare.json: the report under the names that docs/compare_json.md lists, floats not rounded, unknown as null."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from lm_eval_fr.report.method_sections import method_of
from lm_eval_fr.report.model import (
    SCHEMA_VERSION,
    Answers,
    Cost,
    JudgeResult,
    LanguageTax,
    ManyReport,
    Measured,
    Noise,
    Recovered,
    Report,
    Series,
    Stratum,
    TaskResult,
    ends,
    verdict_of,
)
from lm_eval_fr.stats import Proportion
from lm_eval_fr.stats.judging import PositionReport

Content = dict[str, Any]
PLURAL = {"document": "documents", "cluster": "clusters"}


def to_json(report: Report | ManyReport) -> str:
    """Indented, in a fixed order of keys. Raises ValueError on a number that JSON cannot hold."""
    return _text(to_dict(report) if isinstance(report, Report) else _many(report), "report")


def part_to_json(name: str, part: object) -> str:
    """One part of a report under the key that it has in compare.json."""
    return _text({"schema_version": SCHEMA_VERSION, name: msgspec.to_builtins(part)}, name)


def _text(content: Content, name: str) -> str:
    _refuse_nan(content, name)
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def _refuse_nan(content: Any, path: str) -> None:
    """NaN would silently become null, which means unknown; here it means a defect."""
    if isinstance(content, float):
        if not math.isfinite(content):
            raise ValueError(f"{path} is {content}")
    elif isinstance(content, dict):
        for key, item in content.items():
            _refuse_nan(item, f"{path}.{key}")
    elif isinstance(content, list | tuple):
        for i, item in enumerate(content):
            _refuse_nan(item, f"{path}[{i}]")


def to_dict(report: Report) -> Content:
    extras = {extra.key: msgspec.to_builtins(extra.data) for extra in report.extras}
    overall = report.overall
    return {
        "schema_version": SCHEMA_VERSION,
        "candidate": msgspec.to_builtins(report.candidate),
        "reference": msgspec.to_builtins(report.reference),
        "plan_hash": report.plan_hash,
        "settings": msgspec.to_builtins(report.settings),
        "tasks": [_task(task) for task in report.tasks],
        "judge": None if report.judge is None else _judge(report.judge),
        "noise": None if report.noise is None else _noise(report.noise),
        "overall": {
            "verdict": overall.verdict,
            "sentence": overall.sentence,
            "advice": overall.advice,
            "ruled_out": list(overall.ruled_out),
            "not_claimed": overall.not_claimed,
        },
        "level": report.level,
        "warnings": msgspec.to_builtins(report.warnings),
        "cumulative": [_series(series) for series in report.cumulative],
        "language_tax": [_tax(tax) for tax in report.language_tax],
        "notes": list(report.notes),
        "samples": msgspec.to_builtins(report.samples),
        **{key: extras.get(key) for key in ("value", "voting", "claims", "fidelity")},
        "provenance": msgspec.to_builtins(report.provenance),
    }


def _measured(m: Measured) -> Content:
    paired, flips = m.paired, m.paired.flips
    return {
        "n": m.n,
        "clusters": paired.clusters,
        "candidate_mean": m.candidate_mean,
        "reference_mean": m.reference_mean,
        "difference": m.difference,
        "ci_low": m.ci_low,
        "ci_high": m.ci_high,
        "flips": None if flips is None else {"lost": flips.lost, "gained": flips.gained, "threshold": 0.5},
    }


def _task(t: TaskResult) -> Content:
    paired, assessment = t.paired, t.assessment
    measured = _measured(t)
    flips = measured.pop("flips")
    return {
        "task": t.task,
        "metric": t.metric,
        "kind": paired.kind,
        **measured,
        "margin": t.margin,
        "verdict": t.verdict,
        "degradation_detected": t.degradation_detected,
        "p_value": paired.p_value,
        "recovery": t.recovery.estimate if t.recovery else None,
        "recovery_ci": t.recovery_ci,
        "flips": flips,
        "mde": assessment.mde if assessment else None,
        "documents_needed": t.documents_needed,
        "method": method_of(t),
        "higher_is_better": t.higher_is_better,
        "p_non_inferior": assessment.p_non_inferior if assessment else None,
        "p_holm": t.p_holm,
        "identical": t.identical,
        "icc": paired.icc,
        "design_effect": paired.design_effect,
        "sd": paired.sd,
        "guard_documents": t.guard_documents,
        "candidate_health": msgspec.to_builtins(t.candidate_health),
        "reference_health": msgspec.to_builtins(t.reference_health),
        "secondary": msgspec.to_builtins(t.secondary),
        "group": t.group,
        "subtasks": list(t.subtasks),
        "strata": [_stratum(stratum) for stratum in t.strata],
        "assay": msgspec.to_builtins(t.assay),
        "answers": None if t.answers is None else _answers(t.answers),
        "allowed": list(t.allowed),
        "reasons": dict(t.reasons),
    }


def _stratum(stratum: Stratum) -> Content:
    return {"name": stratum.name, **_measured(stratum)}


def _answers(answers: Answers) -> Content:
    return {name: _cost(getattr(answers, name)) for name in ("tokens", "truncated", "seconds")}


def _cost(cost: Cost | None) -> Content | None:
    if cost is None:
        return None
    ratio = cost.ratio
    found = {"ratio": ratio.estimate, "ci_low": ratio.low, "ci_high": ratio.high} if ratio else {"ratio": None}
    return {"candidate": cost.candidate, "reference": cost.reference, **found}


def _judge(judge: JudgeResult) -> Content:
    preference, assessment, usage, bias = judge.preference, judge.assessment, judge.usage, _bias(judge.bias)
    return {
        "n": judge.n,
        "wins": preference.wins,
        "ties": preference.ties,
        "losses": preference.losses,
        "outcomes": dict(judge.outcomes),
        "decided": preference.decided,
        "win_share": preference.win_share.share,
        "win_share_ci": judge.win_share_ci,
        "p_value": judge.p_value,
        "net_win": judge.net_win,
        "net_win_ci": judge.net_win_ci,
        "at_least_as_good": preference.at_least_as_good.share,
        "position": bias.pop("position"),
        "usage": {
            "calls": usage.calls,
            "input_tokens": usage.input_tokens,
            "cached_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
            **msgspec.to_builtins(usage),
        },
        "verdict": judge.verdict,
        "margin": judge.margin,
        "pairs": judge.pairs,
        "clusters": preference.net_win.clusters,
        "method": judge.method,
        "best_case": judge.best_case,
        "worst_case": judge.worst_case,
        "degradation_detected": assessment.degradation_detected if assessment else None,
        "p_non_inferior": assessment.p_non_inferior if assessment else None,
        "documents_needed": judge.documents_needed,
        "mde": assessment.mde if assessment else None,
        **bias,
        "tasks": msgspec.to_builtins(judge.tasks),
        "profile": msgspec.to_builtins(judge.profile),
        "rubric": msgspec.to_builtins(judge.rubric),
        "controls": msgspec.to_builtins(judge.controls),
        "panel": msgspec.to_builtins(judge.panel),
        "orders": judge.orders,
        "stopped_early": judge.stopped is not None,
        "offline": judge.offline,
        "reasons": dict(judge.reasons),
    }


def _bias(bias: PositionReport) -> Content:
    """What `stats.judging` found, its shares without p and level, and the bounds of the difference in length."""
    position, length, repeats = _plain(bias.position), _plain(bias.length), _plain(bias.repeats)
    if bias.length is not None:
        del length["difference"]
        length["difference_ci"] = ends(bias.length.difference)
    return {"position": position, "length": length, "repeats": repeats}


def _plain(found: Any) -> Any:
    if isinstance(found, Proportion):
        return {name: getattr(found, name) for name in ("count", "of", "share", "low", "high", "method")}
    if isinstance(found, tuple):
        return [_plain(item) for item in found]
    names = getattr(found, "__slots__", ())
    return {name: _plain(getattr(found, name)) for name in names} if names else found


def _noise(noise: Noise) -> Content:
    reruns = []
    for rerun in noise.reruns:
        moved = rerun.moved.movement if rerun.moved else None
        reruns.append(
            {
                "arm": rerun.arm,
                "task": rerun.task,
                "metric": rerun.metric,
                "n": rerun.n,
                "shift": moved.estimate if moved else None,
                "ci_low": moved.low if moved else None,
                "ci_high": moved.high if moved else None,
                "churn": rerun.churn,
                "method": moved.method if moved else "",
            }
        )
    floors = [
        {"task": f.task, "floor": f.compared.floor, "exceeded": f.compared.exceeds, "sentence": f.sentence}
        for f in noise.floors
    ]
    return {"reruns": reruns, "floors": floors, "sentence": noise.sentence}


def _series(series: Series) -> Content:
    band = series.band
    return {
        "name": series.name,
        "unit": PLURAL[band.unit],
        "at": band.documents.tolist(),
        "estimate": band.mean.tolist(),
        "low": band.low.tolist(),
        "high": band.high.tolist(),
        "margin": series.margin,
        "sign_changes": band.sign_changes,
        "method": band.method,
    }


def _tax(tax: LanguageTax) -> Content:
    interval = tax.paired.interval
    return {
        "task": tax.task,
        "parallel": tax.parallel,
        "n": tax.paired.n,
        "difference": interval.estimate,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "margin": tax.assessment.margin if tax.assessment else None,
        "verdict": verdict_of(tax.assessment),
        "method": interval.method,
    }


def _many(many: ManyReport) -> Content:
    return {
        "schema_version": SCHEMA_VERSION,
        "reports": [to_dict(report) for report in many.reports],
        "claims": msgspec.to_builtins(many.claims),
        "recovered": [_recovered(one) for one in many.recovered],
        "level": many.level,
        "notes": list(many.notes),
    }


def _recovered(one: Recovered) -> Content:
    shown = {name: getattr(one, name) for name in ("candidate", "raw", "task", "metric")}
    share = one.share
    return {**shown, "share": share.estimate, "ci": ends(share), "method": share.method, "reason": share.reason}
