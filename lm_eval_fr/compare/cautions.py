"""What a reader must know before the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.judge_cautions import judge_cautions
from lm_eval_fr.compare.log_cautions import log_cautions
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.pairing import PairedTask, Pairing
from lm_eval_fr.plan import EarlierPlan
from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Caution, Noise
from lm_eval_fr.report.task_model import TaskResult
from lm_eval_fr.stats.guard import FEW_CLUSTERS

UNHEALTHY = 0.01
# Sources that run the weights in this process, so what they load is recorded; all others rely on a server's word.
LOCAL_SOURCES = ("vllm", "hf", "huggingface", "sglang", "gguf", "fr-baseline", "dummy")


def cautions(
    pairing: Pairing,
    results: Sequence[TaskResult],
    judge: JudgeResult | None,
    summary: JudgeSummary | None,
    noise: Noise | None,
    options: CompareOptions,
) -> tuple[Caution, ...]:
    found = [
        *_plans(options.earlier_plans),
        *_nothing_scored(pairing.tasks, results),
        *(Caution(kind="mismatch", text=f"Allowed by --allow: {one}.") for t in pairing.tasks for one in t.allowed),
        *log_cautions(pairing),
        *judge_cautions(judge, summary, options.today),
        *_unjudged(pairing.tasks, judge),
        *_precision(pairing),
        *_served(pairing),
        *_noise(noise),
        *_health(pairing.tasks),
        *_few(results),
        *_without_margin(results, options.margins),
    ]
    return tuple({caution.text: caution for caution in found}.values())


def _plans(earlier: Sequence[EarlierPlan]) -> Iterator[Caution]:
    for other in earlier:
        if other.changes is None:
            said = f"Another plan ({other.hash[:12]}) gave results in this folder before"
            yield Caution(kind="plan_changed", text=f"{said}: a margin changed after looking proves nothing.")
        elif other.changes:
            listed = ", ".join(map(str, other.changes))
            said = f"The plan was changed after results were seen in this folder ({listed})"
            if any(change.decides for change in other.changes):
                text = f"{said}: a rule that is changed after looking proves nothing."
            else:
                text = f"{said}: margins and methods are the same, but looking first makes false claims more likely."
            yield Caution(kind="plan_changed", text=text)


def _nothing_scored(tasks: Sequence[PairedTask], results: Sequence[TaskResult]) -> Iterator[Caution]:
    """Two arms that score nothing (a broken filter, say) are equal, and with enough documents non-inferior."""
    of_task = {task.task: task for task in tasks}
    for t in results:
        task = of_task.get(t.task)  # None: a group; the warnings are about its tasks
        if task is None or not t.higher_is_better or (t.candidate_mean, t.reference_mean) != (0, 0):
            continue
        others = [name for name in task.sides[1].log.filters if name != task.filter]
        choose = f" (choose another with --filter {t.task}=NAME: {', '.join(others)})" if others else ""
        reader = "the score" if task.filter == "none" else f"the filter {task.filter}"
        text = (
            f"{t.task}: no answer of either arm scores above 0 on {t.metric}, so equal scores "
            f"mean nothing. Either {reader} finds no answer{choose}, or the task is too hard for both."
        )
        yield Caution(kind="nothing_scored", text=text)


def _unjudged(tasks: Sequence[PairedTask], judge: JudgeResult | None) -> Iterator[Caution]:
    judged = [task.task for task in tasks if task.judged]
    if judged and judge is None:
        names = ", ".join(judged)
        yield Caution(kind="not_judged", text=f"No verdict on {names}: these tasks need a judge, and there was none.")


def _precision(pairing: Pairing) -> Iterator[Caution]:
    for role, run in (("reference", pairing.reference), ("candidate", pairing.candidate)):
        if run.source.lower().startswith(LOCAL_SOURCES) or _is_disclosed(run.settings):
            continue
        text = (
            f"The precision behind the {role} ({run.model}, through {run.source}) is undisclosed: the difference "
            "is between two services, not only between quantisations."
        )
        yield Caution(kind="precision", text=text)


def _is_disclosed(settings: Mapping[str, Any]) -> bool:
    """By a manifest that states it; a hand-written one for another engine may use any word."""
    manifest = {name.removeprefix("manifest."): value for name, value in settings.items() if "manifest." in name}
    words = ("quantization", "engine_quantization", "dtype")
    known = any(manifest.get(name) is not None for name in words)
    return known or (bool(manifest) and not set(words) & set(manifest))


def _served(pairing: Pairing) -> Iterator[Caution]:
    """What scripts/serve.py noticed about an arm's server."""
    runs = {"candidate": pairing.candidate, "reference": pairing.reference}
    for role, run in runs.items():
        if run.settings.get("manifest.weight_only") and "W4A4" in str(run.settings.get("manifest.quantization")):
            text = (
                f"The {role}'s checkpoint has four-bit activations but its GPU cannot compute with them: it "
                "ran with only its weights rounded (W4A16), and that is what was measured."
            )
            yield Caution(kind="served", text=text)
    reasons = {role: bool(run.settings.get("manifest.reasoning")) for role, run in runs.items()}
    if any(reasons.values()):
        who = " and ".join(role for role, holds in reasons.items() if holds)
        text = f"The server of the {who} reasons before it answers: turn reasoning off in both arms, or on in both."
        yield Caution(kind="served", text=text)


def _noise(noise: Noise | None) -> Iterator[Caution]:
    if noise is None:
        text = (
            "No arm was run twice, so the noise floor is unknown: reruns of one server move scores by "
            "0.35 points on average and 3.2 at most."
        )
        yield Caution(kind="noise_floor", text=text)
    elif noise.sentence:
        yield Caution(kind="noise_floor", text=noise.sentence)


def _health(tasks: Sequence[PairedTask]) -> Iterator[Caution]:
    for task in tasks:
        for role, answers in zip(("candidate", "reference"), task.answers, strict=True):
            health = answers.health
            if not health.answers:
                continue
            lost = " never obtained" + ("" if task.judged else " and scored 0")
            parts = ((health.failed, lost), (health.empty, " empty"), (health.truncated, " apparently cut off"))
            said = [
                f"{number:,} {'was' if number == 1 else 'were'}{what}"
                for number, what in parts
                if number / health.answers >= UNHEALTHY
            ]
            if said:
                text = f"{task.task}: of the {role}'s {health.answers:,} answers, {', '.join(said)}."
                yield Caution(kind="health", text=text)


def _few(results: Sequence[TaskResult]) -> Iterator[Caution]:
    for t in results:
        clusters = t.paired.clusters
        if clusters is not None and clusters < FEW_CLUSTERS:
            text = (
                f"{t.task}: {w.plural(clusters, 'cluster')} only. Documents of one article may be similar, "
                "and so few articles cannot show how much: the interval is conservative, and wide."
            )
            yield Caution(kind="few_clusters", text=text)


def _without_margin(results: Sequence[TaskResult], margins: Mapping[str, float]) -> Iterator[Caution]:
    """If no margin was given at all, the verdict's own sentence says so."""
    for t in results:
        if t.margin is None and margins and not t.group:
            text = f"{t.task} is not part of the verdict: {t.reasons['verdict']}."
            yield Caution(kind="no_margin", text=text)
