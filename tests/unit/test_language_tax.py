"""The language tax: what is lost on the same questions in one language beyond the loss in another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lm_eval_fr as fr
from lm_eval_fr.cli import main
from lm_eval_fr.stats import assess, difference_of_differences, paired_difference
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task

N = 40


def task(name: str, right: list[int], *, key: str = "line", first: int = 0) -> FakeTask:
    """Question i is right where `right` has it; `first` shifts the numbers of the questions."""
    samples = [
        FakeSample({key: i + first}, f"{name} {i} ?", "oui", {"exact_match": float(i in right)}, target="oui")
        for i in range(N)
    ]
    return FakeTask(name, samples)


def runs(folder: Path, **changes: int | str) -> tuple[Path, Path]:
    """The candidate loses 10 of 40 questions in French and 2 in English."""
    everything = list(range(N))
    arms = {
        "candidate": (everything[10:], everything[2:]),
        "reference": (everything, everything),
    }
    made = [
        make_run(folder / name, task("x_fr", french), task("x_en", english, **changes), model=f"org/{name}")  # type: ignore[arg-type]
        for name, (french, english) in arms.items()
    ]
    return made[0], made[1]


def test_the_difference_of_differences(tmp_path: Path) -> None:
    report = fr.compare(*runs(tmp_path), parallel={"x_fr": "x_en"}, margins={"language_tax": "50%"})
    (tax,) = report.language_tax
    assert tax.paired.n == N
    assert tax.paired.candidate_mean == pytest.approx(-10 / N)
    assert tax.paired.reference_mean == pytest.approx(-2 / N)
    assert tax.paired.interval.estimate == pytest.approx(-8 / N)
    assert tax.assessment is not None and tax.assessment.verdict == "non_inferior"
    assert report.to_dict()["language_tax"][0]["difference"] == pytest.approx(-8 / N)
    assert "LANGUAGE TAX" in report.to_text().upper()


def test_without_a_margin_there_is_no_claim(tmp_path: Path) -> None:
    (tax,) = fr.compare(*runs(tmp_path), parallel={"x_fr": "x_en"}, reference_rerun=None).language_tax
    assert tax.assessment is None


def test_its_margin_is_that_of_the_first_task(tmp_path: Path) -> None:
    made = runs(tmp_path)
    for margins, expected in (
        ({"x_fr": 0.5, "gold": 0.1}, 0.5),
        ({"gold": 0.3}, 0.3),
        ({"language_tax": 0.2, "x_fr": 0.5}, 0.2),
        ({"x_en": 0.5}, None),
    ):
        (tax,) = fr.compare(*made, parallel={"x_fr": "x_en"}, margins=margins).language_tax
        assert (tax.assessment and tax.assessment.margin) == expected
    with pytest.raises(fr.UsageError, match="no task language_tax"):
        fr.compare(*made, margins={"language_tax": 0.2})


def test_every_question_must_be_in_both(tmp_path: Path) -> None:
    with pytest.raises(fr.InputError, match=r"5 of 40 questions of x_fr are not in x_en, first '0'"):
        fr.compare(*runs(tmp_path, first=5), parallel={"x_fr": "x_en"})


def test_a_score_that_only_happens_to_be_below_one_is_not_a_share(tmp_path: Path) -> None:
    """A Brier score ends at 2: points are no margin of it, of the task as of its tax."""
    pairs = [[i % 2, [0.4, 0.6]] for i in range(N)]
    printed = float(np.mean([0.32 if right else 0.72 for right, _ in pairs]))
    tasks = [
        plain_task(
            name,
            {"brier_score": pairs},  # type: ignore[dict-item]
            aggregation={"brier_score": "brier_score"},
            printed={"brier_score": printed},
        )
        for name in ("x_fr", "x_en")
    ]
    made = [make_run(tmp_path / arm, *tasks, model=f"org/{arm}") for arm in ("candidate", "reference")]
    report = fr.compare(*made, parallel={"x_fr": "x_en"}, margins={"gold": 0.5})
    (tax,) = report.language_tax
    assert report.task("x_fr").margin is None and tax.assessment is None and tax.paired.kind == "unbounded"


def test_the_order_of_the_questions_does_not_matter(tmp_path: Path) -> None:
    made = []
    for name, lost in (("candidate", 3), ("reference", 0)):
        rows = [
            FakeSample({"key": f"q{i}"}, f"{i} ?", "oui", {"exact_match": float(i >= lost)}, target="oui")
            for i in range(N)
        ]
        tasks = FakeTask("x_fr", rows), FakeTask("x_en", rows[::-1])
        made.append(make_run(tmp_path / name, *tasks, model=f"org/{name}"))
    (tax,) = fr.compare(*made, parallel={"x_fr": "x_en"}, margins={"gold": 0.2}).language_tax
    # What is lost is lost in the same questions: no document differs, and there is no tax.
    assert tax.paired.interval.estimate == 0 and tax.paired.sd == 0
    assert tax.paired.candidate_mean == tax.paired.reference_mean == pytest.approx(-3 / N)


def test_articles_in_either_language_are_its_clusters(tmp_path: Path) -> None:
    made = []
    for name, lost in (("candidate", 10), ("reference", 0)):
        tasks = []
        for task_name, size in (("x_fr", 2), ("x_en", 4)):
            rows = [
                FakeSample(
                    {"id": i, "title": f"article {i // size}"}, f"{i} ?", "oui", {"f1": float(i >= lost)}, target="oui"
                )
                for i in range(N)
            ]
            tasks.append(FakeTask(task_name, rows, cluster="title"))
        made.append(make_run(tmp_path / name, *tasks, model=f"org/{name}"))
    (tax,) = fr.compare(*made, parallel={"x_fr": "x_en"}).language_tax
    assert tax.paired.n == N and tax.paired.clusters == N // 4


def test_tasks_that_share_no_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(fr.InputError, match=r"40 of 40 questions of x_fr are not in x_en"):
        fr.compare(*runs(tmp_path / "a", first=100), parallel={"x_fr": "x_en"})
    with pytest.raises(fr.InputError, match=r"document 0 of x_en has no `id`"):
        fr.compare(*runs(tmp_path / "b", key="other"), parallel={"x_fr": "x_en"})
    with pytest.raises(fr.UsageError, match=r"no scored task 'x_de'.*did you mean 'x_"):
        fr.compare(*runs(tmp_path / "c"), parallel={"x_fr": "x_de"})
    with pytest.raises(fr.UsageError, match="x_fr is compared with itself"):
        fr.compare(*runs(tmp_path / "d"), parallel={"x_fr": "x_fr"})


def test_on_the_command_line(tmp_path: Path) -> None:
    made = [str(path) for path in runs(tmp_path)]
    done = CliRunner().invoke(
        main, ["compare", *made, "--parallel", "x_fr=x_en", "--margin", "language_tax=50%", "--json", "-"]
    )
    assert done.exit_code == 0, done.output
    (tax,) = json.loads(done.stdout)["language_tax"]
    assert (tax["task"], tax["parallel"], tax["n"], tax["verdict"]) == ("x_fr", "x_en", N, "non_inferior")
    twice = CliRunner().invoke(main, ["compare", *made, "--parallel", "x_fr=x_en", "--parallel", "x_fr=x_fr"])
    assert twice.exit_code == 2 and "x_fr has two parallel tasks" in twice.output


def test_it_is_twice_the_paired_difference_of_the_halved_scores() -> None:
    source = np.random.default_rng(3)
    first, second = (source.integers(-1, 2, 60).astype(float) for _ in range(2))
    clusters = np.arange(60) // 2
    tax = difference_of_differences(first, second, clusters=clusters, margin=0.3)
    halves = (first + 1) / 2, (second + 1) / 2
    half = paired_difference(*halves, clusters=clusters, margin=0.15, kind="bounded")
    assert tax.interval.estimate == pytest.approx(float((first - second).mean()))
    assert half.interval.low is not None and half.interval.high is not None
    assert (tax.interval.low, tax.interval.high) == (2 * half.interval.low, 2 * half.interval.high)
    assert tax.sd == pytest.approx(float((first - second).std(ddof=1)))
    assert tax.clusters == 30 and tax.margin == 0.3
    assert tax.p_non_inferior == half.p_non_inferior
    assert assess(tax, 0.3).verdict == assess(half, 0.15).verdict


def test_by_hand() -> None:
    """Lost in French 1, 1, 0, 0; in English 0, 1, 0, 0 and gained in the last."""
    tax = difference_of_differences([-1, -1, 0, 0], [0, -1, 0, 1], margin=None)
    assert tax.interval.estimate == pytest.approx((-1 + 0 + 0 - 1) / 4)
    assert (tax.candidate_mean, tax.reference_mean) == (-0.5, 0.0)
    assert tax.sd == pytest.approx((4 * 0.25 / 3) ** 0.5)
    assert tax.interval.low is not None and -2 <= tax.interval.low < -0.5 < (tax.interval.high or 0) <= 2


def test_scores_without_ends_get_a_t_interval() -> None:
    tax = difference_of_differences([5.0, 7.0, 9.0], [1.0, 2.0, 3.0], bounded=False, margin=10)
    assert tax.kind == "unbounded" and tax.interval.estimate == pytest.approx(5.0)
    reach = 4.302653 * 1.0 / 3**0.5
    assert tax.interval.low == pytest.approx(5 - reach, rel=1e-5)
    assert assess(tax, 10).verdict == "non_inferior"
