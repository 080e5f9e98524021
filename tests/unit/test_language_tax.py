"""The language tax: what is lost on the same questions in one language beyond the loss in another."""

from __future__ import annotations

from pathlib import Path

import pytest

import lm_eval_fr as fr
from tests.fakes.runs import FakeSample, FakeTask, make_run

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
    (tax,) = fr.compare(*runs(tmp_path), parallel={"x_fr": "x_en"}).language_tax
    assert tax.assessment is None


def test_only_the_questions_that_both_have_count(tmp_path: Path) -> None:
    (tax,) = fr.compare(*runs(tmp_path, first=5), parallel={"x_fr": "x_en"}).language_tax
    assert tax.paired.n == N - 5


def test_tasks_that_share_no_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(fr.InputError, match="x_fr and x_en share 0 questions"):
        fr.compare(*runs(tmp_path / "a", key="id"), parallel={"x_fr": "x_en"})
    with pytest.raises(fr.InputError, match=r"document 0 of x_en has no key"):
        fr.compare(*runs(tmp_path / "b", key="other"), parallel={"x_fr": "x_en"})
    with pytest.raises(fr.UsageError, match=r"no scored task 'x_de'.*did you mean 'x_"):
        fr.compare(*runs(tmp_path / "c"), parallel={"x_fr": "x_de"})
