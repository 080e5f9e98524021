"""Every kind of metric and aggregation of lm-eval, scored by lm-eval itself on a scripted model: what it becomes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import PairedTask, pair_runs

N = 12
UTILS = f"""
import datasets
import numpy as np

def load(**kwargs):
    docs = [{{"q": f"question {{i}}", "a": f"réponse numéro {{i}}", "gold": i % 2, "n": i}} for i in range({N})]
    return {{"test": datasets.Dataset.from_list(docs)}}

def value(results):
    return len(results[0]) / 40

def mid(doc, results):
    return {{"mid": value(results)}}

def some(doc, results):
    return {{"some": value(results) if doc["n"] % 3 else float("nan")}}

def parts(doc, results):
    return {{"parts": [results[0] == doc["a"]] * (1 + doc["n"] % 3)}}

def lengths(doc, results):
    short = doc["n"] < 6
    return {{"short": value(results) if short else -1, "long": -1 if short else value(results)}}

def late(doc, results):
    found = {{"always": 1.0}}
    return found if doc["n"] < 9 else {{**found, "late": value(results)}}

def weighed(doc, results):
    return {{"weighed": (value(results) * (doc["n"] % 3), doc["n"] % 3)}}

def quotient(items):
    sums, terms = zip(*items)
    return sum(sums) / sum(terms)

def macro(items):
    golds, answers = zip(*items)
    return sum(gold == answer for gold, answer in items) / len(items) - 0.01

def single(doc, results):
    return {{"single": np.float32(value(results))}}

def share(items):
    flat = [item for part in items for item in part]
    return sum(flat) / len(flat)

def marked(items):
    found = [item for item in items if item != -1]
    return sum(found) / len(found) if found else -1
"""
HEAD = "custom_dataset: !function utils.load\ntest_split: test\nmetadata: {version: 1.0}\n"
TEXT = 'doc_to_text: "{{q}} ?"\ndoc_to_target: "{{a}}"\n'
GENERATE = f'output_type: generate_until\n{TEXT}generation_kwargs: {{until: ["</s>"], max_gen_toks: 16}}\n'
CHOICE = 'output_type: multiple_choice\ndoc_to_text: "{{q}}"\ndoc_to_target: gold\ndoc_to_choice: ["oui", "non"]\n'


def metrics(*names: str, aggregation: str = "") -> str:
    return "metric_list:\n" + "".join(
        f"  - metric: {name}\n"
        + (f"    aggregation: {aggregation}\n    higher_is_better: true\n" if aggregation else "")
        for name in names
    )


def own(function: str) -> str:
    return f"process_results: !function utils.{function}\n"


TASKS = {
    "exact": (GENERATE + metrics("exact_match"), "exact_match"),
    "lambada": (f"output_type: loglikelihood\n{TEXT}" + metrics("perplexity", "acc"), "log_likelihood"),
    "words": (
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{a}}"\n'
        + metrics("word_perplexity", "byte_perplexity", "bits_per_byte"),
        "log_likelihood_per_word",
    ),
    "choice": (CHOICE + metrics("acc", "acc_norm", "mcc", "f1"), "acc"),
    "brier": (CHOICE + metrics("brier_score"), "brier_score"),
    "matthews": (CHOICE + metrics("mcc"), None),
    "bleu": (GENERATE + metrics("bleu", "chrf", "ter"), None),
    "middle": (GENERATE + own("mid") + metrics("mid", aggregation="median"), "mid_mean"),
    "some": (GENERATE + own("some") + metrics("some", aggregation="nanmean"), "some"),
    "parts": (GENERATE + own("parts") + metrics("parts", aggregation="!function utils.share"), "parts"),
    "lengths": (GENERATE + own("lengths") + metrics("short", "long", aggregation="!function utils.marked"), "score"),
    "late": (GENERATE + own("late") + metrics("late", "always", aggregation="mean"), "late"),
    "weighed": (GENERATE + own("weighed") + metrics("weighed", aggregation="!function utils.quotient"), "weighed"),
    "macro": (CHOICE + metrics("f1", aggregation="!function utils.macro"), None),
    "single": (GENERATE + own("single") + metrics("single", aggregation="mean"), "single"),
    "quadratic": (CHOICE + metrics("brier_score", aggregation="brier_score"), "brier_score"),
    "bits": (
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{a}}"\n'
        + metrics("bits_per_byte", aggregation="bits_per_byte"),
        "bits_per_byte",
    ),
    "likely": (f"output_type: loglikelihood\n{TEXT}" + metrics("perplexity", aggregation="mean"), "perplexity"),
    "none": (CHOICE + metrics("bypass"), None),
    "open": (GENERATE + metrics("bypass"), None),
}


def model(worse: float) -> Any:
    from lm_eval.api.model import LM

    class Scripted(LM):
        def generate_until(self, requests: list[Any]) -> list[str]:
            return [r.doc["a"] if r.doc["n"] % 5 or not worse else f"faux {r.doc['n']}" for r in requests]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return [(-1 - worse - (r.doc["n"] * 7 % 5) * len(r.args[1]) / 9, not worse) for r in requests]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            return [-2.0 * len(r.args[0]) - worse for r in requests]

    return Scripted()


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PairedTask]:
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    root = tmp_path_factory.mktemp("kinds")
    definitions = root / "tasks"
    definitions.mkdir()
    (definitions / "utils.py").write_text(UTILS)
    for name, (text, _) in TASKS.items():
        (definitions / f"{name}.yaml").write_text(f"task: {name}\n{HEAD}{text}")
    manager = TaskManager(include_path=str(definitions), include_defaults=False)
    for arm, worse in (("c", 0.5), ("r", 0.0)):
        tracker = EvaluationTracker(output_path=str(root / arm))
        found = simple_evaluate(
            model(worse),
            model_args={"model": arm},
            tasks=list(TASKS),
            task_manager=manager,
            evaluation_tracker=tracker,
            bootstrap_iters=0,
        )
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        for name in TASKS:
            tracker.save_results_samples(name, samples[name])
    runs = [find_run(next(Path(root / arm).rglob("results_*")).parent) for arm in "cr"]
    return {task.task: task for task in pair_runs(*runs, allow=["generation"]).tasks}


@pytest.mark.parametrize(("name", "primary"), [(name, primary) for name, (_, primary) in TASKS.items()])
def test_a_kind_of_metric(paired: dict[str, PairedTask], name: str, primary: str | None) -> None:
    task = paired[name]
    assert task.judged is (name == "open")
    assert next(iter(task.metrics), None) == primary, task.no_verdict
    if primary is None:
        assert task.judged or (task.no_verdict and all(one.reason for one in task.printed))
        assert all(one.candidate is not None and one.reference is not None for one in task.printed)
        return
    candidate, reference = task.candidate[primary].mean(), task.reference[primary].mean()
    better = 1 if task.higher_is_better[primary] else -1
    assert (candidate - reference) * better <= 0, "the candidate is the worse one in every kind"
    made = next((one for one in task.printed if one.score == primary), None)
    if made is not None and made.metric == primary:
        assert (candidate, reference) == pytest.approx((made.candidate, made.reference), rel=1e-6)


def test_the_log_likelihoods_are_those_of_the_printed_perplexities(paired: dict[str, PairedTask]) -> None:
    for name in ("lambada", "words"):
        task = paired[name]
        made = next(one for one in task.printed if one.score == task.metrics[0])
        assert math.exp(-task.candidate[task.metrics[0]].mean()) == pytest.approx(made.candidate, rel=1e-6)
        assert made.candidate is not None and made.reference is not None and made.candidate > made.reference
    assert paired["lengths"].strata[0].labels == ("long", "short")
