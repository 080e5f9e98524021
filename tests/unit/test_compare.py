"""Runs on disk -> the report's data: numbers against ones computed here, verdicts, margins, degenerate data."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lm_eval_fr.compare import CompareOptions, Comparison, gate_code
from lm_eval_fr.compare import compare as compare_runs
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.judge.verdicts.judge_summary import Stopped
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.plan import EarlierPlan
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report import words
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.task_model import TaskResult
from lm_eval_fr.stats import Interval, binomial_share
from lm_eval_fr.stats.judging import CanaryReport, JudgeControls, JudgeNoise, People, Usage
from tests.fakes.judged import SEED_STUDY, SEES, exchanged, judge_folder, verdicts_on
from tests.fakes.runs import FakeTask, make_run, plain_task

Scores = Mapping[str, Sequence[float]]


MARGINS = {"gold": 0.02, "judge": 0.10}


def compare(pairing: Pairing, **options: Any) -> Comparison:
    """With the margins that these tests are about, unless others are given."""
    return compare_runs(pairing, CompareOptions(**({"margins": MARGINS} | options)))


def pairing_of(tmp_path: Path, candidate: Sequence[FakeTask], reference: Sequence[FakeTask], **kwargs: Any) -> Pairing:
    # The raw form on both sides: proving prompts equal across forms is the pairing's own test, and takes time.
    one = make_run(tmp_path / "candidate", *candidate, model="org/petit-NVFP4", source="vllm")
    other = make_run(tmp_path / "reference", *reference, model="petit-2603")
    return pair_runs(find_run(one), find_run(other), **kwargs)


def gold(tmp_path: Path, candidate: Scores, reference: Scores, **task: Any) -> Pairing:
    name = task.pop("name", "piaf_fr")
    return pairing_of(tmp_path, [plain_task(name, candidate, **task)], [plain_task(name, reference, **task)])


def judged(tmp_path: Path, n: int = 150) -> Pairing:
    tasks = [[plain_task("analysis_fr", n, answers=[f"{arm} {i}" for i in range(n)])] for arm in "cr"]
    return pairing_of(tmp_path, *tasks)


def only(report: Report) -> TaskResult:
    assert len(report.tasks) == 1
    return report.tasks[0]


def every_format(report: Comparison) -> str:
    """Renders every format; none may show a hole of ours."""
    assert json.loads(report.to_json())["schema_version"] == 2
    shown = report.to_text() + report.to_markdown()
    assert "None" not in shown
    assert not re.search(r"\bnan\b", shown.lower())
    assert max(map(len, report.to_text().splitlines())) <= 100
    return shown


def flips(n: int, lost: int, gained: int) -> tuple[Scores, Scores]:
    """Exact-match scores with so many flips among n documents."""
    reference = [1.0] * lost + [0.0] * gained + [1.0] * (n - lost - gained)
    candidate = [0.0] * lost + [1.0] * gained + [1.0] * (n - lost - gained)
    return {"exact_match": candidate}, {"exact_match": reference}


def test_exact_match_numbers(tmp_path: Path) -> None:
    result = only(compare(gold(tmp_path, *flips(500, 20, 12))))
    assert result.paired.kind == "binary"
    assert (result.n, result.paired.clusters) == (500, None)
    assert result.candidate_mean == pytest.approx(480 / 500)
    assert result.difference == pytest.approx(-8 / 500)
    assert result.paired.flips is not None
    assert (result.paired.flips.lost, result.paired.flips.gained) == (20, 12)
    assert result.paired.p_value == pytest.approx(scipy_stats.binomtest(12, 32).pvalue)
    assert result.recovery and result.recovery.estimate == pytest.approx(480 / 488)
    assert result.verdict == "inconclusive"
    assert result.documents_needed is not None
    assert "Tango" in result.paired.interval.method


def test_graded_scores_in_clusters(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    reference = generator.random(400)
    candidate = np.clip(reference + generator.normal(0, 0.2, 400), 0, 1)
    titles = [f"Article {i % 80}" for i in range(400)]
    pairing = gold(tmp_path, {"f1": candidate.tolist()}, {"f1": reference.tolist()}, titles=titles, cluster="title")
    result = only(compare(pairing))
    d = candidate - reference
    sums = np.array([(d[c::80] - d.mean()).sum() for c in range(80)])
    cr1 = float(np.sqrt(80 / 79 * (sums**2).sum()) / 400)
    plain = scipy_stats.t.ppf(0.975, 79) * cr1
    assert (result.paired.kind, result.paired.clusters) == ("bounded", 80)
    assert result.ci_low is not None
    assert result.ci_high is not None
    assert result.ci_low < d.mean() - plain  # the guard against rare large losses makes it wider, a little
    assert result.ci_high - result.ci_low < 2 * plain + 0.07
    assert result.paired.design_effect == pytest.approx((cr1 / d.std(ddof=1)) ** 2 * 400)
    assert result.paired.flips is not None
    assert result.paired.flips.lost == int((d < -0.5).sum())
    worst = only(compare(pairing, guarantee="worst-case"))
    assert worst.paired.guard_documents == 5
    assert worst.paired.other_guarantee == result.paired.interval
    assert worst.ci_low is not None
    assert worst.ci_low < result.ci_low


@pytest.mark.parametrize(
    ("lost", "gained", "verdict", "code"),
    [(10, 10, "non_inferior", 0), (300, 10, "inferior", 1), (45, 10, "inconclusive", 3)],
)
def test_verdict_sentence_and_gate(tmp_path: Path, lost: int, gained: int, verdict: str, code: int) -> None:
    report = compare(gold(tmp_path, *flips(2000, lost, gained)))
    assert report.overall.verdict == verdict
    assert gate_code(report) == code
    shown = every_format(report)
    assert "Not claimed: that the arms are equal" in shown
    assert report.overall.sentence.startswith(
        {0: "Non-inferior", 1: "Inferior", 3: "Inconclusive"}[code] + " at 95 % confidence"
    )
    assert bool(report.overall.ruled_out) == (code == 0)


def test_no_one_is_sent_for_documents_that_the_task_does_not_have(tmp_path: Path) -> None:
    few = compare(gold(tmp_path / "few", *flips(2000, 45, 10))).overall.advice
    assert re.match(r"piaf_fr has 2,000 documents and would need about [\d,]+ if the difference stays", few), few
    assert "plan a wider margin for the next study" in few
    many = compare(gold(tmp_path / "many", *flips(2000, 45, 10), original=10**6)).overall.advice
    assert re.match(r"run about [\d,]+ documents of piaf_fr in total; that would settle it", many), many


def test_a_small_loss_is_told_though_it_is_inside_the_margin(tmp_path: Path) -> None:
    report = compare(gold(tmp_path, *flips(4000, 45, 10)))
    assert only(report).verdict == "non_inferior"
    assert only(report).degradation_detected
    assert "A loss smaller than the margin is detected" in report.overall.sentence


def test_a_loss_that_is_seen_is_not_called_unseen(tmp_path: Path) -> None:
    """The whole interval is below 0 and reaches over the margin: a loss is there, its size is open."""
    report = compare(gold(tmp_path, *flips(200, 12, 1)), margins={"gold": 0.05})
    assert report.verdict == "inconclusive" and only(report).degradation_detected
    assert "A loss is detected, and whether it is larger than the margin is open: " in report.overall.sentence
    assert "not evidence" not in report.overall.sentence
    unseen = compare(gold(tmp_path / "unseen", *flips(200, 8, 7)), margins={"gold": 0.02})
    assert unseen.verdict == "inconclusive" and "nor that something was" in unseen.overall.sentence


def test_a_loss_with_the_judge_is_said_as_one(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 200)
    folder = judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], ("loss",) * 150 + ("tie",) * 50))
    overall = compare(pairing, judge_dir=folder).overall
    assert re.search(
        r"loses more than the margin: at least [\d.]+ points of net win rate with the judge", overall.sentence
    )
    assert overall.advice.startswith("read what was lost with the judge; ")


def test_one_inconclusive_task_makes_all_inconclusive(tmp_path: Path) -> None:
    arms = zip(flips(3000, 5, 5), flips(100, 8, 2), strict=True)
    tasks = [[plain_task("a_fr", large), plain_task("b_fr", small)] for large, small in arms]
    report = compare(pairing_of(tmp_path, *tasks))
    assert [t.verdict for t in report.tasks] == ["non_inferior", "inconclusive"]
    assert report.overall.verdict == "inconclusive"
    assert "b_fr" in report.overall.sentence
    assert "a_fr" not in report.overall.sentence
    p_values = [t.assessment.p_non_inferior for t in report.tasks if t.assessment]
    assert [t.p_holm for t in report.tasks] == [
        pytest.approx(min(1.0, 2 * (p_values[0] or 0))),
        pytest.approx(p_values[1]),
    ]


def test_level_and_margin_change_the_verdict(tmp_path: Path) -> None:
    pairing = gold(tmp_path, *flips(1000, 20, 10))
    assert only(compare(pairing)).verdict == "inconclusive"
    assert only(compare(pairing, margins={"gold": 0.05})).verdict == "non_inferior"
    assert only(compare(pairing, margins={"piaf_fr": 0.05, "gold": 0.001})).verdict == "non_inferior"
    assert only(compare(pairing, level=0.5)).verdict == "non_inferior"


@pytest.mark.parametrize(
    ("margins", "message"),
    [
        ({"piaf": 0.02}, "no task piaf in this comparison (did you mean 'piaf_fr'?)"),
        ({"zebra": 0.02}, "no task zebra in this comparison (tasks here: piaf_fr, judge)"),
        ({"gold": 0.0}, "--margin 0: 0.0 is not a margin"),
        ({"piaf_fr": -0.02}, "--margin piaf_fr=-0.02: -0.02 is not a margin"),
        ({"judge": float("nan")}, "nan is not a margin"),
        ({"gold": -0.02}, "--margin -0.02: -0.02 is not a margin"),
        ({"piaf_fr": 2.0}, "--margin piaf_fr=2: a margin of 2 is the whole scale: every loss would pass (2 points are"),
        ({"gold": 2.0}, "--margin 2: a margin of 2 is the whole scale"),
        ({"judge": 10.0}, "--margin judge=10: a margin of 10 is the whole scale: every loss would pass (10 points are"),
    ],
)
def test_margins_that_are_none(tmp_path: Path, margins: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        compare(gold(tmp_path, *flips(50, 1, 1)), margins=margins)
    assert message in str(caught.value)


def test_a_judged_task_has_no_margin_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--margin judge=0\.2"):
        compare(judged(tmp_path, 10), margins={"analysis_fr": 0.2})


def test_lower_is_better_is_turned_around(tmp_path: Path) -> None:
    candidate, reference = flips(2000, 150, 10)
    scores = [{"error_rate": [1 - value for value in arm["exact_match"]]} for arm in (candidate, reference)]
    report = compare(gold(tmp_path, *scores, higher_is_better={"error_rate": False}))
    result = only(report)
    assert result.difference == pytest.approx(140 / 2000)
    assert result.ci_low is not None
    assert result.ci_low > 0.02
    assert result.verdict == "inferior"
    assert result.paired.flips is not None
    assert (result.paired.flips.lost, result.paired.flips.gained) == (150, 10)
    assert result.recovery is None
    assert "lower is better" in result.reasons["recovery"]
    every_format(report)


def test_what_is_unknown_is_named_as_people_call_it(tmp_path: Path) -> None:
    shown = " ".join(every_format(compare(gold(tmp_path, {"f1": [0.5]}, {"f1": [0.4]}))).split())
    assert "no interval, verdict, recovery, MDE: one document: the spread is unknown" in shown
    assert words.unknowns({"documents_needed": "out of reach"}) == [("number of documents needed", "out of reach")]


def test_two_arms_that_score_nothing_are_not_passed_in_silence(tmp_path: Path) -> None:
    report = compare(gold(tmp_path, {"exact_match": [0.0] * 300}, {"exact_match": [0.0] * 300}, name="gpqa"))
    assert report.warnings[0].kind == "nothing_scored"
    assert only(report).verdict == report.verdict == "no_verdict" and gate_code(report) == 3
    assert "equal scores mean nothing" in only(report).reasons["verdict"]
    decided = compare(gold(tmp_path / "decided", {"exact_match": [0.0] * 300}, {"exact_match": [1.0] * 300}))
    assert only(decided).verdict == "inferior" and "documents_needed" not in only(decided).reasons
    assert "no answer of either arm scores above 0 on exact_match" in " ".join(every_format(report).split())


def test_the_cumulative_band_is_of_bounded_scores_with_more_being_better(tmp_path: Path) -> None:
    values = np.linspace(0, 0.9, 60)
    arms = [{"loss": (2 + values).tolist()}, {"loss": (2.1 + values).tolist()}]
    assert compare(gold(tmp_path, *arms, higher_is_better={"loss": False})).cumulative == ()
    rates = [{"rate": values.tolist()}, {"rate": (0.1 + values).tolist()}]
    (series,) = compare(gold(tmp_path / "rate", *rates, higher_is_better={"rate": False})).cumulative
    assert series.name == "piaf_fr rate, turned so that up is better"
    assert series.band.mean[-1] == pytest.approx(0.1)


def test_a_metric_without_known_ends_needs_a_margin(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    reference = 14 + generator.normal(0, 2, 200)
    scores = [{"word_perplexity": values.tolist()} for values in (reference + 0.01 * generator.random(200), reference)]
    pairing = gold(tmp_path, *scores, higher_is_better={"word_perplexity": False})
    report = compare(pairing)
    assert only(report).verdict is None
    assert report.overall.verdict is None
    assert gate_code(report) == 3
    assert "give --margin piaf_fr=X" in only(report).reasons["verdict"]
    assert "piaf_fr is not part of the verdict" in every_format(report)
    decided = compare(pairing, margins={"piaf_fr": 0.5})
    assert only(decided).verdict == "non_inferior"
    assert "0.500 of word_perplexity" in every_format(decided)


def test_exchanging_the_arms_mirrors_the_report(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    titles = [f"Article {i % 30}" for i in range(120)]
    runs = []
    for arm in "ab":
        scores = {"f1": generator.random(120).round(2).tolist()}
        task = plain_task("piaf_fr", scores, titles=titles, cluster="title")
        analysis = plain_task("analysis_fr", 6, answers=[f"{arm} {k}" for k in range(6)])
        runs.append(find_run(make_run(tmp_path / arm, task, analysis, model=f"org/{arm}")))
    reports = []
    for folder, (first, second) in (("j", runs), ("k", runs[::-1])):
        paired = pair_runs(first, second)
        task = next(task for task in paired.tasks if task.judged)
        verdicts = verdicts_on(task, ("win", "win", "loss", "tie", "flip", "split"))
        verdicts = [exchanged(verdict) for verdict in verdicts] if folder == "k" else verdicts
        reports.append(compare(paired, judge_dir=judge_folder(tmp_path / folder, verdicts)))
    there, back = (report.tasks[0] for report in reports)
    assert back.difference == pytest.approx(-there.difference)
    assert [back.ci_low, back.ci_high] == pytest.approx([-(there.ci_high or 0), -(there.ci_low or 0)])
    assert back.paired.p_value == pytest.approx(there.paired.p_value)
    assert there.paired.flips and back.paired.flips
    assert (back.paired.flips.lost, back.paired.flips.gained) == (there.paired.flips.gained, there.paired.flips.lost)
    one, other = (report.judge for report in reports)
    assert one and other and one.net_win_ci and other.net_win_ci
    assert (one.preference.wins, one.preference.ties) == (other.preference.losses, other.preference.ties)
    assert other.net_win_ci == pytest.approx((-one.net_win_ci[1], -one.net_win_ci[0]))
    assert one.bias.position == other.bias.position


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        ([1.0], [1.0]),
        ([1.0] * 30, [1.0] * 30),
        ([0.0] * 30, [0.0] * 30),
        ([0.5] * 30, [0.4] * 30),
        ([0.0] * 9, [1.0] * 9),
    ],
)
def test_degenerate_scores_get_an_honest_report(tmp_path: Path, candidate: list[float], reference: list[float]) -> None:
    report = compare(gold(tmp_path, {"f1": candidate}, {"f1": reference}))
    result = only(report)
    for name, value in (
        ("recovery", result.recovery.estimate if result.recovery else None),
        ("mde", result.assessment and result.assessment.mde),
    ):
        assert (value is None) == (name in result.reasons)
    if result.ci_low is None:
        assert result.verdict == "no_verdict"
        assert result.reasons["verdict"]
    every_format(report)


def test_secondary_metrics_and_identical_scores(tmp_path: Path) -> None:
    scores = {"f1": [1.0, 0.5, 0.0], "exact_match": [1.0, 0.0, 0.0]}
    result = only(compare(gold(tmp_path, scores, {"f1": [1.0, 1.0, 0.0], "exact_match": [1.0, 1.0, 0.0]})))
    assert result.metric == "f1"
    assert [s.metric for s in result.secondary] == ["exact_match"]
    assert result.secondary[0].difference == pytest.approx(-1 / 3)
    assert result.identical == 2


def test_the_seed_studys_judge(tmp_path: Path) -> None:
    pairing = judged(tmp_path)
    folder = judge_folder(tmp_path / "judge", verdicts_on(pairing.tasks[0], SEED_STUDY))
    report = compare(pairing, judge_dir=folder)
    judge = report.judge
    assert judge is not None
    assert (judge.n, judge.preference.wins, judge.preference.ties, judge.preference.losses) == (150, 50, 60, 40)
    assert judge.preference.decided == 90
    assert judge.p_value == pytest.approx(0.3428, abs=1e-4)
    assert judge.win_share_ci == pytest.approx((0.4470, 0.6604), abs=1e-4)
    assert judge.net_win == pytest.approx(1 / 15)
    assert judge.net_win_ci == pytest.approx((-0.058, 0.192), abs=1e-3)
    assert judge.preference.at_least_as_good.share == pytest.approx(110 / 150)
    assert judge.verdict == "non_inferior"
    assert report.overall.verdict == "non_inferior"
    shown = every_format(report)
    assert "p = 0.343" in shown
    assert "(73 %)" in shown
    assert judge.usage.dollars == 1.5


def test_a_judged_task_without_a_judge_is_said(tmp_path: Path) -> None:
    report = compare(judged(tmp_path, 10))
    assert report.judge is None
    assert report.overall.verdict is None
    assert any(caution.kind == "not_judged" for caution in report.warnings)
    assert "No verdict" in every_format(report)


def test_pairs_that_the_judge_never_saw_are_unjudged(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 20)
    outcomes = ("win", "loss", "invalid", *["tie"] * 15)
    report = compare(pairing, judge_dir=judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], outcomes)))
    judge = report.judge
    assert judge is not None
    assert (judge.n, judge.pairs) == (17, 20)
    assert judge.outcomes["unjudged"] == 2
    assert judge.worst_case == pytest.approx((0 - 2 + 0) / 20)
    assert judge.best_case == pytest.approx((0 + 2 + 1) / 20)
    assert any(caution.kind == "undecided" and "3 of 20 pairs" in caution.text for caution in report.warnings)
    every_format(report)


@pytest.mark.parametrize(("missing", "verdict"), [(2, "non_inferior"), (90, "inconclusive")])
def test_pairs_not_judged_yet_hold_a_verdict_back(tmp_path: Path, missing: int, verdict: str) -> None:
    pairing = judged(tmp_path, 300)
    outcomes: Any = ["tie"] * (300 - missing) + ["unjudged"] * missing
    folder = judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], outcomes), finished=False, left="budget")
    report = compare(pairing, judge_dir=folder)
    assert report.judge is not None
    assert report.judge.verdict == report.overall.verdict == verdict
    assert report.judge.net_win == 0.0
    assert ("decision" in report.judge.reasons) == (verdict == "inconclusive")
    assert ("90 pairs are not judged yet" in report.overall.sentence) == (verdict == "inconclusive")
    every_format(report)


def test_verdicts_on_other_runs_are_refused(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 5)
    stray = [replace(verdict, doc_hash="f" * 64) for verdict in verdicts_on(pairing.tasks[0], ("win",))]
    with pytest.raises(InputError, match="document 0 \\(ffffffffffff\\) of analysis_fr"):
        compare(pairing, judge_dir=judge_folder(tmp_path / "j", stray))


@pytest.mark.parametrize("outcomes", [("tie",) * 30, ("identical",) * 30, ("invalid",) * 30, ("win",), ("win",) * 30])
def test_degenerate_verdicts_get_an_honest_report(tmp_path: Path, outcomes: Any) -> None:
    pairing = judged(tmp_path, len(outcomes))
    report = compare(pairing, judge_dir=judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], outcomes)))
    judge = report.judge
    assert judge is not None
    if not judge.preference.decided:
        assert judge.preference.win_share.share is None
        assert "win_share" in judge.reasons
    if judge.net_win_ci is None:
        assert judge.verdict == "no_verdict"
        assert judge.reasons["verdict"]
    every_format(report)


def test_after_stopping_early_only_the_band_is_told(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 200)
    outcomes: Any = (("win", "tie", "tie", "tie") * 40)[:120]
    stopped = Stopped("non_inferior", 0.1, 0.025, 120, 200, 120, 200)
    folder = judge_folder(
        tmp_path / "j", verdicts_on(pairing.tasks[0], outcomes), stopped=stopped, stop="anytime", planned=200
    )
    report = compare(pairing, judge_dir=folder)
    judge = report.judge
    assert judge is not None
    assert judge.stopped
    assert judge.outcomes["unjudged"] == 0
    assert judge.p_value is None
    assert judge.win_share_ci is None
    assert "stopped" in judge.reasons["p_value"]
    assert judge.verdict == "non_inferior"
    assert judge.assessment and judge.assessment.p_non_inferior is not None
    assert judge.assessment.p_non_inferior <= 0.025
    assert "stopped after 120 of 200 pairs" in every_format(report)


def test_cautions_about_the_judge(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 20)
    verdicts = verdicts_on(pairing.tasks[0], ("tie",) * 20)

    def kinds(today: date | None = None, **changes: Any) -> set[str]:
        folder = judge_folder(tmp_path / "j", verdicts, **changes)
        return {caution.kind for caution in compare(pairing, judge_dir=folder, today=today).warnings}

    assert "offline_judge" in kinds(profile="offline", model="offline")
    assert "shutdown" not in kinds(date(2026, 11, 14), shutdown="2027-01-14")
    assert "shutdown" in kinds(date(2026, 11, 15), shutdown="2027-01-14")
    assert "shutdown" in kinds(date(2027, 3, 1), shutdown="2027-01-14")
    assert "unfinished" in kinds(finished=False, left="12 calls")
    assert "judge" in kinds(warnings=("the canary was lost",))


def test_an_unknown_price_is_unknown(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 20)
    usage = Usage(dollars=None, unknown="no price for the model")
    folder = judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], ("tie",) * 20), usage=usage)
    report = compare(pairing, judge_dir=folder)
    assert report.judge is not None
    assert report.judge.usage.dollars is None
    assert report.judge.reasons["dollars"] == "no price for the model"
    assert "unknown" in every_format(report)


def with_rerun(pairing: Pairing, *reruns: Path) -> Pairing:
    again = [find_run(path) for path in reruns]
    return pair_runs(pairing.candidate, pairing.reference, reference_reruns=again)


def test_the_noise_floor(tmp_path: Path) -> None:
    candidate, reference = flips(2000, 200, 10)
    pairing = gold(tmp_path, candidate, reference)
    answers = [f"réponse {i}" if i % 4 else f"autre {i}" for i in range(2000)]
    again = make_run(tmp_path / "again", plain_task("piaf_fr", reference, answers=answers), model="petit-2603")
    report = compare(with_rerun(pairing, again))
    assert report.noise is not None
    (rerun,) = report.noise.reruns
    assert (rerun.arm, rerun.task, rerun.churn) == ("reference", "piaf_fr", 0.25)
    assert rerun.moved and rerun.moved.estimate == 0.0
    (floor,) = report.noise.floors
    assert floor.compared.exceeds
    assert "exceeds the noise" in floor.sentence
    assert report.noise.sentence == "Run only once: the candidate. How far its runs would differ is unknown."
    every_format(report)
    with pytest.raises(UsageError, match="the compared run itself"):
        with_rerun(pairing, pairing.reference.path)
    other = make_run(tmp_path / "other", plain_task("sib200_fr", {"exact_match": [1.0]}), model="petit-2603")
    with pytest.raises(UsageError, match="none of its tasks"):
        with_rerun(pairing, other)
    assert any(caution.kind == "noise_floor" for caution in compare(pairing).warnings)


def test_reruns_are_averaged_and_one_of_fewer_documents_is_noise_alone(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    scores = [(generator.random(300) < rate).astype(float).tolist() for rate in (0.6, 0.7, 0.7, 0.7)]
    pairing = gold(tmp_path, {"exact_match": scores[0]}, {"exact_match": scores[1]})
    folders = [tmp_path / "two", tmp_path / "three", tmp_path / "few"]
    runs = [
        make_run(folder, plain_task("piaf_fr", {"exact_match": values}), model="petit-2603")
        for folder, values in zip(folders, [*scores[2:], scores[3][:40]], strict=True)
    ]
    report = compare(with_rerun(pairing, *runs))
    mean = np.mean(scores[1:4], axis=0)
    row = only(report)
    assert row.reference_mean == pytest.approx(mean.mean())
    assert row.paired.kind == "bounded"
    assert row.repeats is not None
    assert (row.repeats.candidate_answers, row.repeats.reference_answers) == (1, 3)
    assert "once" in (row.repeats.reason or "")
    assert report.noise is not None
    both, few = report.noise.reruns
    assert (both.runs, both.n, few.runs, few.n) == (2, 300, 1, 40)
    assert both.moved is not None
    assert both.moved.estimate == pytest.approx(np.mean(scores[2:]) - np.mean(scores[1]))
    assert "answers per document" in every_format(report)
    assert as_they_are_averaged(report) == pytest.approx(np.mean(scores[0]) - mean.mean())


def as_they_are_averaged(report: Comparison) -> float:
    """The difference by the single scores that the report hands on."""
    (task,) = report.pairing.tasks
    return float((task.candidate["exact_match"] - task.reference["exact_match"]).mean())


def test_the_judges_own_noise_and_controls(tmp_path: Path) -> None:
    pairing = judged(tmp_path, 40)
    share, net = binomial_share(8, 10), Interval(0.1, -0.2, 0.4, 0.95, "t", 30)
    controls = JudgeControls(
        canaries=CanaryReport(20, 20, 19, {"vide-1": "tie"}, {"empty": (1, 2)}, 0.25, ()),
        noise=JudgeNoise(30, {"win": 3, "tie": 27}, share, share, net, None, ()),
        people=People("gpt-4.1", "people", 10, share, 0.61, {}),
    )
    folder = judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], ("win", "loss") * 20), controls=controls)
    report = compare(pairing, judge_dir=folder)
    assert report.noise is not None
    (floor,) = report.noise.floors
    assert (floor.task, floor.compared.exceeds) == ("judge", None)
    shown = " ".join(every_format(report).split())
    assert "cannot be told from noise: between two runs of one arm the judge found 10.0" in shown
    assert "the real answer won 19 of 20" in shown
    assert "gains +25.0 points" in shown
    assert "Cohen's kappa 0.61" in shown
    assert set(report.to_dict()["judge"]["controls"]) == {"canaries", "noise", "people"}


def test_few_clusters_and_sick_answers_are_said(tmp_path: Path) -> None:
    candidate, reference = flips(60, 2, 2)
    titles = [f"Article {i % 6}" for i in range(60)]
    answers = ["" if i < 5 else f"réponse {i}" for i in range(60)]
    one = plain_task("piaf_fr", candidate, titles=titles, cluster="title", answers=answers)
    report = compare(pairing_of(tmp_path, [one], [plain_task("piaf_fr", reference, titles=titles, cluster="title")]))
    said = {caution.kind: caution.text for caution in report.warnings}
    assert "6 clusters only" in said["few_clusters"]
    assert "of the candidate's 60 answers, 5 were empty" in said["health"]
    assert "precision" in said
    every_format(report)


def test_empty_answers_of_a_judged_task_are_said(tmp_path: Path) -> None:
    one, other = (
        plain_task("analysis_fr", 20, answers=["" if i < empty else f"{arm} {i}" for i in range(20)])
        for arm, empty in (("c", 4), ("r", 0))
    )
    report = compare(pairing_of(tmp_path, [one], [other]))
    said = [caution.text for caution in report.warnings if caution.kind == "health"]
    assert said == ["analysis_fr: of the candidate's 20 answers, 4 were empty."]


@pytest.mark.parametrize(
    ("candidate", "reference", "says"),
    [
        ({"quantization": "compressed-tensors W4A4", "weight_only": True}, {}, "only its weights rounded (W4A16)"),
        ({"quantization": "compressed-tensors W4A16", "weight_only": True}, {}, None),
        ({"reasoning": "the reply has `reasoning`"}, {}, "server of the candidate reasons before"),
        ({"reasoning": "x"}, {"reasoning": "x"}, "server of the candidate and reference reasons"),
        ({"kv_cache_dtype": "fp8"}, {"kv_cache_dtype": "auto"}, None),
    ],
)
def test_what_a_manifest_says_of_its_server(
    tmp_path: Path, candidate: dict[str, Any], reference: dict[str, Any], says: str | None
) -> None:
    scores = flips(20, 1, 1)
    runs = []
    for arm, manifest, one in zip("cr", (candidate, reference), scores, strict=True):
        folder = make_run(tmp_path / arm, plain_task("piaf_fr", one), model=f"org/{arm}", form="raw")
        (results,) = folder.glob("results_*.json")
        about = results.with_name(results.name.replace("results_", "arm_"))
        about.write_text(json.dumps({"manifest": {"engine": "vllm", **manifest}}))
        runs.append(find_run(folder))
    report = compare(pair_runs(*runs))
    said = [caution.text for caution in report.warnings if caution.kind == "served"]
    assert [says in text for text in said if says] == ([True] if says else [])
    assert "precision" not in [caution.kind for caution in report.warnings]
    setting = next(setting for setting in report.settings if setting.name == "manifest.engine")
    assert setting.candidate == setting.reference == "vllm"
    every_format(report)


@pytest.mark.parametrize(
    ("manifest", "disclosed"),
    [
        ({"engine": "tensorrt-llm", "quantization": None, "engine_quantization": None, "dtype": None}, False),
        ({"engine": "ollama", "quantization": "Q4_K_M", "dtype": None}, True),
        ({"engine": "sglang", "quantization": None, "engine_quantization": "fp8"}, True),
        ({"anything": "by hand"}, True),
    ],
)
def test_a_manifest_without_a_word_on_precision_discloses_none(
    tmp_path: Path, manifest: dict[str, Any], disclosed: bool
) -> None:
    runs = []
    for arm, one in zip("cr", flips(20, 1, 1), strict=True):
        folder = make_run(tmp_path / arm, plain_task("piaf_fr", one), model=f"org/{arm}", form="raw")
        (results,) = folder.glob("results_*.json")
        about = results.with_name(results.name.replace("results_", "arm_"))
        about.write_text(json.dumps({"manifest": manifest}))
        runs.append(find_run(folder))
    report = compare(pair_runs(*runs))
    assert ("precision" in [caution.kind for caution in report.warnings]) is not disclosed


def test_arms_get_names_that_tell_them_apart(tmp_path: Path) -> None:
    scores = flips(10, 1, 1)
    runs = [
        find_run(make_run(tmp_path / arm, plain_task("a_fr", one), model="org/same", form="raw"))
        for arm, one in zip("cr", scores, strict=True)
    ]
    report = compare(pair_runs(*runs))
    assert (report.candidate.name, report.reference.name) == ("org/same (candidate)", "org/same (reference)")


def test_provenance_and_settings(tmp_path: Path) -> None:
    report = compare(
        gold(tmp_path, *flips(50, 1, 1), config={"metadata": {"version": 1.0, "licence": "MIT", "citation": "X 2020"}}),
        plan_hash="ab" * 32,
        plan_text="name: x\n",
        command="lm-eval-fr compare c r",
        created="2026-01-01T00:00:00+00:00",
    )
    assert report.provenance.data[0]["licence"] == "MIT"
    assert report.provenance.versions["lm-eval-fr"]
    by_name = {setting.name: setting for setting in report.settings}
    assert by_name["model"].expected
    assert by_name["model"].differs
    assert "ab" * 32 in every_format(report)


def test_one_run_as_both_arms_or_a_copy_of_it_has_no_verdict(tmp_path: Path) -> None:
    one = make_run(tmp_path / "run", plain_task("a_fr", flips(900, 1, 1)[0]), model="org/m", form="raw")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for other, why in ((one, "are the same run"), (tmp_path / "copy", "is a copy of the candidate")):
        report = compare(pair_runs(find_run(one), find_run(other)))
        result = only(report)
        assert (report.verdict, result.verdict, result.documents_needed) == ("no_verdict", "no_verdict", None)
        assert why in report.overall.sentence and why in result.reasons["verdict"]
        assert "documents" not in report.overall.advice
        kinds = [caution.kind for caution in report.warnings]
        assert kinds.count("same_run") == 1 and not {"same_answers", "no_scores"} & set(kinds)


def test_one_run_as_both_arms_is_not_cleared_by_a_judge(tmp_path: Path) -> None:
    run = find_run(make_run(tmp_path / "run", plain_task("analysis_fr", 60), model="org/m", form="raw"))
    pairing = pair_runs(run, run)
    folder = judge_folder(tmp_path / "j", verdicts_on(pairing.tasks[0], ("identical",) * 60))
    report = compare(pairing, judge_dir=folder)
    assert report.judge is not None and report.judge.verdict == report.verdict == "no_verdict"
    assert report.overall.sentence == (
        "No verdict: nothing can be claimed about the judge (candidate and reference are the same run)."
    )


def test_two_runs_with_the_same_answers_are_compared_and_said_to_be_alike(tmp_path: Path) -> None:
    report = compare(gold(tmp_path, flips(3000, 1, 1)[0], flips(3000, 1, 1)[0]))
    assert report.verdict == "non_inferior"
    assert "same_answers" in [caution.kind for caution in report.warnings]


def test_too_few_documents_are_the_reason_only_where_they_are(tmp_path: Path) -> None:
    """An interval that is too wide is no matter of chance, though the reference's own is wide as well."""
    report = compare(gold(tmp_path, *flips(60, 2, 2)), margins={"gold": 0.03})
    assert report.verdict == "inconclusive" and "could not have shown" not in report.overall.sentence
    assert "a loss larger than the margin cannot be ruled out on piaf_fr" in report.overall.sentence


def test_a_plan_changed_after_looking_and_one_run_as_both_arms_are_said_first(tmp_path: Path) -> None:
    run = find_run(make_run(tmp_path / "run", plain_task("a_fr", flips(50, 1, 1)[0]), model="org/m", form="raw"))
    report = compare(pair_runs(run, run), plan_hash="ab" * 32, earlier_plans=[EarlierPlan("cd" * 32, None)])
    assert [caution.kind for caution in report.warnings][:2] == ["plan_changed", "same_run"]
    page = html.render(report)
    assert "the plan was changed after results were seen" in page
    assert "fixed in this plan" not in page
    assert "cdcdcdcdcdcd" in every_format(report)


def test_cumulative_series_end_where_the_estimate_is(tmp_path: Path) -> None:
    shuffled = np.random.default_rng(1).permutation(6_000)
    arms = [{"exact_match": np.array(arm["exact_match"])[shuffled].tolist()} for arm in flips(6_000, 150, 50)]
    report = compare(gold(tmp_path, *arms))
    (series,) = report.cumulative
    band = series.band
    assert band.documents[-1] == 6_000
    assert len(band.documents) <= 200
    assert band.mean[-1] == pytest.approx(-100 / 6_000)
    assert band.low[-1] < band.mean[-1] < band.high[-1]
    assert band.unit == "document"


BLIND = replace(SEES, pairs=tuple(replace(one, outcome=0, right=(True, False)) for one in SEES.pairs))
DIM = replace(
    SEES, pairs=tuple(one if one.gross or i % 8 < 5 else replace(one, outcome=0) for i, one in enumerate(SEES.pairs))
)


@pytest.mark.parametrize(
    ("asked", "outcomes", "verdict", "said"),
    [
        (SEES, ("win", "loss", "tie", "tie") * 50, "non_inferior", ""),
        (SEES, ("loss",) * 150 + ("tie",) * 50, "inferior", ""),
        (None, ("win", "loss", "tie", "tie") * 50, "no_verdict", "asked no controls"),
        (None, ("loss",) * 150 + ("tie",) * 50, "no_verdict", "asked no controls"),
        (BLIND, ("flip",) * 200, "no_verdict", "has not shown that it can see (it missed 14 of 28"),
        (SEES, ("flip",) * 150 + ("win", "loss") * 25, "no_verdict", "the order decided 150 of 200"),
        (DIM, ("win",) * 36 + ("loss",) * 52 + ("tie",) * 112, "inconclusive", "allowing for what the judge misses"),
    ],
)
def test_a_judge_s_claim_needs_a_judge_that_has_shown_that_it_can_see(
    tmp_path: Path, asked: Any, outcomes: Any, verdict: str, said: str
) -> None:
    pairing = judged(tmp_path, 200)
    verdicts = verdicts_on(pairing.tasks[0], outcomes)
    folder = judge_folder(tmp_path / "j", verdicts, controls_asked=asked)
    report = compare(pairing, judge_dir=folder, margins={"judge": 0.2})
    judge = report.judge
    assert judge is not None and judge.verdict == verdict
    assert said in judge.reasons.get("verdict", "")
    assert gate_code(report) == {"non_inferior": 0, "inferior": 1}.get(verdict, 3)
