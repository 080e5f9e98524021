"""What a task's verdict is about: its metric's ends and weights, what it can lose, and the metrics before it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.compare import CompareOptions, compare
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.report.task_model import TaskResult
from lm_eval_fr.stats import paired_difference
from tests.fakes.runs import FakeTask, make_run, plain_task

rng = random.Random(11)
RIGHT = [float(rng.random() < 0.8) for _ in range(400)]
WORSE = [score * (i % 40 != 0) for i, score in enumerate(RIGHT)]


def pair(root: Path, mine: Sequence[FakeTask], theirs: Sequence[FakeTask], **options: Any) -> Pairing:
    arms = (("c", mine), ("r", theirs))
    runs = [find_run(make_run(root / arm, *tasks, model=f"org/{arm}", **options)) for arm, tasks in arms]
    return pair_runs(*runs)


def row(root: Path, mine: FakeTask, theirs: FakeTask, margin: float, **chosen: str) -> TaskResult:
    pairing = pair(root, [mine], [theirs])
    if chosen:
        pairing = pair_runs(pairing.candidate, pairing.reference, metrics=chosen)
    return compare(pairing, CompareOptions(margins={"t": margin})).task("t")


def test_a_group_that_counts_its_tasks_alike_is_on_their_scale(tmp_path: Path) -> None:
    sizes = {"m_a": 40, "m_b": 360}
    arms = []
    for scores in (WORSE, RIGHT):
        parts = {"m_a": scores[:40], "m_b": scores[40:]}
        mean = sum(sum(part) / len(part) for part in parts.values()) / 2
        blocks = {"group_subtasks": {"m": list(sizes)}, "groups": {"m": {"acc,none": mean}}}
        tasks = [plain_task(name, {"acc": part}) for name, part in parts.items()]
        arms.append((tasks, blocks, mean))
    runs = [
        find_run(make_run(tmp_path / arm, *tasks, model=arm, results=blocks))
        for arm, (tasks, blocks, _) in zip("cr", arms, strict=True)
    ]
    found = compare(pair_runs(*runs), CompareOptions(margins={"gold": 0.2})).task("m")
    assert (found.candidate_mean, found.reference_mean) == pytest.approx((arms[0][2], arms[1][2]))
    assert (found.margin, found.verdict, found.scale) == (0.2, "non_inferior", 100.0)
    assert found.ci_low is not None and -0.2 < found.ci_low < arms[0][2] - arms[1][2]


def test_a_metric_that_only_late_documents_have_is_still_the_first_one(tmp_path: Path) -> None:
    arms = []
    for scores in (WORSE, RIGHT):
        task = plain_task("t", {"late": scores, "always": [1.0] * len(scores)})
        for sample in task.samples[:100]:
            sample.scores = {"always": 1.0}
        task.config = {"metric_list": [{"metric": name, "aggregation": "mean"} for name in ("late", "always")]}
        arms.append(task)
    found = row(tmp_path, *arms, 0.1)
    assert (found.metric, found.n) == ("late", 300)


def test_metrics_that_are_functions_keep_their_place(tmp_path: Path) -> None:
    source = "@cached\ndef overlap(references, predictions):\n    ...\n"
    arms = []
    for scores in (WORSE, RIGHT):
        task = plain_task("t", {"acc": [1.0] * len(scores), "overlap": scores})
        task.config = {"metric_list": [{"metric": source, "aggregation": "mean"}, {"metric": "acc"}]}
        arms.append(task)
    assert row(tmp_path, *arms, 0.1).metric == "overlap"


def collapsed(bleu: float, **given: Any) -> FakeTask:
    scores: dict[str, Sequence[Any]] = {"bleu": [["a", "b"]] * 400, "valid": RIGHT}
    return plain_task("t", scores, aggregation={"bleu": "bleu"}, printed={"bleu": bleu}, **given)


def test_no_later_metric_stands_for_a_first_one_that_fell(tmp_path: Path) -> None:
    found = row(tmp_path / "fell", collapsed(1.0), collapsed(38.0), 0.1)
    assert found.verdict == "no_verdict" and "bleu, its first metric, went from 38 to 1" in found.reasons["verdict"]
    assert "--metric t=valid" in found.reasons["verdict"]
    assert row(tmp_path / "held", collapsed(37.5), collapsed(38.0), 0.1).verdict == "non_inferior"
    assert row(tmp_path / "chosen", collapsed(1.0), collapsed(38.0), 0.1, t="valid").verdict == "non_inferior"


def test_a_chosen_metric_says_nothing_of_the_others(tmp_path: Path) -> None:
    both = {"acc": RIGHT, "acc_norm": RIGHT}
    pairing = pair(tmp_path, [plain_task("t", both)], [plain_task("t", both)])
    chosen = pair_runs(pairing.candidate, pairing.reference, metrics={"t": "acc_norm"})
    assert [one.metric for one in chosen.tasks[0].printed] == ["acc_norm"]


def test_arms_that_disagree_about_the_direction_have_no_verdict(tmp_path: Path) -> None:
    tasks = [plain_task("t", {"odd": RIGHT}, higher_is_better={"odd": higher}) for higher in (True, False)]
    found = row(tmp_path, *tasks, 0.1)
    assert found.verdict == "no_verdict" and "better for one arm and worse for the other" in found.reasons["verdict"]


def test_a_chosen_metric_without_a_direction_has_no_verdict(tmp_path: Path) -> None:
    tasks = [plain_task("t", {"odd": RIGHT}) for _ in "cr"]
    for task in tasks:
        task.config = {"metric_list": [{"metric": "odd", "aggregation": "mean"}]}
    nothing = {"higher_is_better": {"t": {}}}
    pairing = pair(tmp_path, tasks[:1], tasks[1:], results=nothing)
    chosen = pair_runs(pairing.candidate, pairing.reference, metrics={"t": "odd"})
    assert "does not say whether a higher or lower odd" in (chosen.tasks[0].no_verdict or "")


@pytest.mark.parametrize(("margin", "verdict"), [(5.0, "non_inferior"), (45.0, "no_verdict"), (200.0, "no_verdict")])
def test_a_margin_beyond_what_a_percentage_has_to_lose(tmp_path: Path, margin: float, verdict: str) -> None:
    arms = [plain_task("t", {"rouge": [100 * score for score in scores]}) for scores in (WORSE, RIGHT)]
    found = row(tmp_path, *arms, margin)
    assert found.verdict == verdict
    assert (verdict == "no_verdict") is ("to lose at most" in found.reasons.get("verdict", ""))


def test_what_a_rate_of_errors_can_lose_lies_above_it(tmp_path: Path) -> None:
    """The better arm makes no error at all, and a loss of it could still have shown."""
    wrong = [1.0 - score for score in RIGHT]
    never = plain_task("t", {"wer": [0.0] * 400}, higher_is_better={"wer": False})
    often = plain_task("t", {"wer": wrong}, higher_is_better={"wer": False})
    better, worse = row(tmp_path / "b", never, often, 0.1), row(tmp_path / "w", often, never, 0.1)
    assert (better.verdict, worse.verdict) == ("non_inferior", "inferior")
    assert better.assessment is not None and better.assessment.mde is not None
    wide = row(tmp_path / "wide", never, often, 0.6)
    assert wide.verdict == "no_verdict" and "to lose at most" in wide.reasons["verdict"]


def test_a_brier_score_ends_at_two(tmp_path: Path) -> None:
    pairs = {"brier_score": [[i % 2, [0.4, 0.6]] for i in range(40)]}
    printed = float(np.mean([0.72 if i % 2 == 0 else 0.32 for i in range(40)]))
    task = plain_task("t", pairs, aggregation={"brier_score": "brier_score"}, printed={"brier_score": printed})
    with pytest.raises(UsageError, match=r"limit is 2.*own unit"):
        row(tmp_path, task, task, 2.0)


def test_bits_a_byte_that_happen_to_be_below_one_are_no_shares(tmp_path: Path) -> None:
    arms = []
    for shift in (0.1, 0.0):
        pairs = [[-60.0 * (0.5 + shift + i % 3 / 10), 100] for i in range(30)]
        printed = -sum(a for a, _ in pairs) / 3000 / np.log(2)
        arms.append(
            plain_task("t", {"bits": pairs}, aggregation={"bits": "bits_per_byte"}, printed={"bits": float(printed)})
        )
    pairing = pair(tmp_path, arms[:1], arms[1:])
    found = compare(pairing, CompareOptions(margins={"gold": 0.2})).task("t")
    assert found.margin is None and "no limits" in found.reasons["verdict"] and not found.higher_is_better


def test_a_loss_that_counts_as_many_is_guarded_against() -> None:
    """Of few documents that count tenfold none is lost in one sample of eight."""
    draw, margin, claimed = np.random.default_rng(3), 0.05, 0
    weights = np.repeat([5.0, 0.5556], [40, 360])
    for _ in range(60):
        lost = draw.random(400) < margin
        claimed += (paired_difference(1.0 - lost, np.ones(400), weights=weights).interval.low or -1.0) > -margin
    assert claimed <= 3
