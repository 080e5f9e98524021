"""Non-inferior is said only where a loss could have shown: chance, from task and golds, held against the margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm_eval_fr.compare import CompareOptions, Comparison, compare
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.pairing.chance import Chance, mean_chance
from lm_eval_fr.stats import assess, paired_difference
from lm_eval_fr.stats.assay import assay_of
from tests.fakes.runs import FakeTask, make_run, plain_task

N = 400


def compared(
    tmp_path: Path,
    candidate: Sequence[float],
    reference: Sequence[float],
    margin: float,
    *,
    metric: str = "exact_match",
    golds: Sequence[str] | None = None,
) -> Comparison:
    def task(scores: Sequence[float]) -> FakeTask:
        plain = plain_task("quiz_fr", {metric: list(scores)})
        if golds is None:
            return plain
        samples = [replace(sample, target=gold) for sample, gold in zip(plain.samples, golds, strict=True)]
        return replace(plain, samples=samples)

    runs = [
        find_run(make_run(tmp_path / arm, task(scores), model=arm))
        for arm, scores in (("candidate", candidate), ("reference", reference))
    ]
    return compare(pair_runs(*runs), CompareOptions(margins={"quiz_fr": margin}))


def right(share: float) -> list[float]:
    return [float(i < share * N) for i in range(N)]


def test_a_reference_that_can_do_next_to_nothing_cannot_be_lost(tmp_path: Path) -> None:
    report = compared(tmp_path, right(0.04), right(0.04), 0.05)
    found = report.tasks[0]
    assert (report.verdict, found.verdict) == ("no_verdict", "no_verdict")
    assert found.assay is not None and found.assay.holds is False
    assert "a loss could not have shown" in found.reasons["verdict"]
    assert "a loss could not have shown" in " ".join(report.to_text().split())
    assert report.to_dict()["tasks"][0]["assay"]["holds"] is False


def test_empty_answers_within_a_huge_margin_are_no_success(tmp_path: Path) -> None:
    report = compared(tmp_path, [0.0] * N, right(0.225), 0.4)
    assert report.verdict == "no_verdict"


def test_a_margin_of_at_most_half_is_decided(tmp_path: Path) -> None:
    report = compared(tmp_path, right(0.5), right(0.5), 0.05)
    assert report.verdict == "non_inferior"
    assert report.tasks[0].assay is not None and report.tasks[0].assay.holds is True


def test_the_most_frequent_label_is_chance(tmp_path: Path) -> None:
    """A reference at 52 % where 45 % of the golds are one label has at most 7 points to lose."""
    golds = ["oui" if i < 0.45 * N else f"autre {i % 5}" for i in range(N)]
    report = compared(tmp_path, right(0.52), right(0.52), 0.05, golds=golds)
    assay = report.tasks[0].assay
    assert assay is not None and assay.chance == pytest.approx(0.45)
    assert report.verdict == "no_verdict"


@pytest.mark.parametrize("partly", ["candidate", "reference"])
def test_one_answer_that_is_partly_right_makes_no_chance_smaller(tmp_path: Path, partly: str) -> None:
    """A task of three kinds, one of which always wants "aucun": whoever says nothing else has a third of it."""
    golds = ["aucun" if i < 0.45 * N else f"autre {i % 5}" for i in range(N)]
    graded = [*right(0.48)[:-1], 0.25]
    scores = {"candidate": right(0.48), "reference": right(0.48), partly: graded}
    report = compared(tmp_path, scores["candidate"], scores["reference"], 0.05, metric="set_f1", golds=golds)
    assay = report.tasks[0].assay
    assert assay is not None and assay.chance == pytest.approx(0.45)
    assert report.verdict == "no_verdict"


def test_one_gold_for_all_documents_is_no_answer_to_give(tmp_path: Path) -> None:
    report = compared(tmp_path, right(0.8), right(0.8), 0.05, golds=["0"] * N)
    assert report.tasks[0].assay is not None and report.tasks[0].assay.chance is None
    assert report.verdict == "non_inferior"


def test_a_loss_is_told_whatever_could_have_shown(tmp_path: Path) -> None:
    report = compared(tmp_path, [0.0] * N, right(0.2), 0.12)
    assert report.tasks[0].assay is not None and report.tasks[0].assay.holds is False
    assert report.verdict == "inferior"


def test_more_documents_are_not_asked_for_where_no_loss_could_show(tmp_path: Path) -> None:
    """At 8 % where guessing scores 25 %, as many lost as gained are no answer, however many documents are run."""
    golds = [f"{'abcd'[i % 4]}" for i in range(N)]
    others = [float(0.04 * N <= i < 0.11 * N) for i in range(N)]
    report = compared(tmp_path, others, right(0.08), 0.02, golds=golds)
    found = report.tasks[0]
    assert (report.verdict, found.verdict, found.documents_needed) == ("inconclusive", "inconclusive", None)
    assert "a loss could not have shown" in found.reasons["verdict"] and found.reasons["documents_needed"]
    assert "nothing is decided on quiz_fr (the reference is 0.0 points above chance (25.0)" in report.overall.sentence
    assert "documents of quiz_fr" not in report.overall.advice and "does well" in report.overall.advice


def test_several_tasks_too_near_chance_share_one_reason(tmp_path: Path) -> None:
    tasks = [plain_task(name, {"exact_match": right(share)}) for name, share in (("quiz_fr", 0.04), ("other_fr", 0.03))]
    runs = [find_run(make_run(tmp_path / arm, *tasks, model=arm)) for arm in ("candidate", "reference")]
    said = compare(pair_runs(*runs), CompareOptions(margins={"gold": 0.05})).overall.sentence
    assert "nothing can be claimed about other_fr and quiz_fr (the margin is more than half of" in said
    assert said.count("a loss could not have shown") == 1


def test_a_reference_that_few_documents_leave_uncertain_is_not_hopeless() -> None:
    """At 20 % of 20 documents the lower end is too near 0 for five points; 20 % of 400 are not."""
    few, many = (assay_of(right(0.2)[:: N // n], 0.05, 0.0) for n in (20, N))
    assert (few.holds, few.short_of_documents, many.holds) == (False, True, True)
    assert few.reason is not None and few.reason.endswith("in so few documents")
    near = assay_of(right(0.08), 0.05, 0.25)
    assert (near.holds, near.short_of_documents) == (False, False)
    unsure = paired_difference(right(0.25)[::20], right(0.2)[::20], margin=0.05)
    assert assess(unsure, 0.05, assay=few).documents_needed is not None
    assert assess(unsure, 0.05, assay=near).documents_needed is None


def test_a_loss_that_shows_is_not_said_to_be_unseeable(tmp_path: Path) -> None:
    """8 % where guessing scores 25 %, and then 2 %: a loss shows, only its size is open."""
    golds = [f"{'abcd'[i % 4]}" for i in range(N)]
    report = compared(tmp_path, right(0.02), right(0.08), 0.05, golds=golds)
    found = report.tasks[0]
    assert found.verdict == "inconclusive" and found.degradation_detected and found.documents_needed
    assert "verdict" not in found.reasons and "A loss is detected" in report.overall.sentence


def test_a_score_without_ends_is_not_checked_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    scores = (5 + rng.normal(size=N)).tolist()
    other = (np.array(scores) + rng.normal(scale=0.01, size=N)).tolist()
    report = compared(tmp_path, other, scores, 0.5, metric="points")
    assay = report.to_dict()["tasks"][0]["assay"]
    assert assay["holds"] is None and "not checked" in assay["reason"]


def test_chance_of_a_group_is_the_mean_of_its_tasks() -> None:
    assert mean_chance([Chance(0.25, 0.5), Chance(0.5, 0.3)], [3, 1]) == Chance(0.3125, 0.45)
    assert mean_chance([Chance(0.25, 0.5), Chance(None, 0.3)], [3, 1]) == Chance(None, 0.45)


@pytest.mark.parametrize(
    ("chance", "metric", "exact", "expected"),
    [
        (Chance(1 / 7, 0.2), "exact_match", True, 0.2),
        (Chance(0.25, 0.1), "acc", True, 0.25),
        (Chance(0.0, 0.1), "f1", False, 0.1),
        (Chance(None, 0.1), "f1", False, 0.1),
        (Chance(None, 1 / 150), "f1", False, 0.0),
        (Chance(None, None), "f1", False, 0.0),
        (Chance(None, 0.1), "rouge", False, None),
        (Chance(None, None), "acc", True, None),
    ],
)
def test_which_chance_counts(chance: Chance, metric: str, exact: bool, expected: float | None) -> None:
    assert chance.of(metric, exact=exact) == expected
