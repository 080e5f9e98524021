"""Kinds of documents within a task: a description, or claims where a plan named them beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.compare import compare
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.comparison import Comparison
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.stats import holm
from tests.fakes.runs import FakeSample, FakeTask, make_run

LENGTHS = (4096, 65536)
EACH = 150


def task(lost: dict[int, int]) -> FakeTask:
    """`lost`: by length, how many of its first documents are wrong."""
    samples = [
        FakeSample(
            {"id": f"{length}-{i}", "length": length},
            f"{length} {i} ?",
            "oui",
            {"exact_match": float(i >= lost.get(length, 0))},
            target="oui",
        )
        for length in LENGTHS
        for i in range(EACH)
    ]
    return FakeTask("own_qa_fr", samples, config={"metadata": {"version": 1.0, "strata": ["length"]}})


@pytest.fixture
def pairing(tmp_path: Path) -> Pairing:
    """The candidate loses 2 of 150 short documents and 60 of 150 long ones."""
    arms = {"candidate": {4096: 2, 65536: 60}, "reference": {}}
    made = [make_run(tmp_path / name, task(lost), model=f"org/{name}") for name, lost in arms.items()]
    return pair_runs(*(find_run(folder) for folder in made))


def report_of(pairing: Pairing, **options: Any) -> Comparison:
    return compare(pairing, CompareOptions(**options))


def test_without_a_plan_they_are_a_description_and_say_so(pairing: Pairing) -> None:
    report = report_of(pairing, margins={"gold": 0.1})
    short, long = report.tasks[0].strata
    assert (short.name, short.n, short.difference) == ("length: 4096", EACH, pytest.approx(-2 / EACH))
    assert (long.name, long.difference) == ("length: 65536", pytest.approx(-60 / EACH))
    assert short.verdict is long.verdict is None and not short.preregistered
    told = "are descriptive, not claims"
    assert told in " ".join(report.to_text().split()) and told in report.to_markdown()
    row = report.to_dict()["tasks"][0]["strata"][0]
    assert row["verdict"] is row["p_holm"] is row["margin"] is None and row["preregistered"] is False


@pytest.mark.parametrize("named", [("length",), ("4096", "65536")])
def test_those_of_the_plan_are_claims_with_holm_over_them(pairing: Pairing, named: tuple[str, ...]) -> None:
    report = report_of(pairing, margins={"gold": 0.1}, strata={"own_qa_fr": named})
    short, long = report.tasks[0].strata
    assert (short.verdict, long.verdict) == ("non_inferior", "inferior")
    plain = [stratum.assessment.p_non_inferior for stratum in (short, long) if stratum.assessment]
    assert (short.p_holm, long.p_holm) == holm(plain) and short.p_holm == pytest.approx(2 * min(plain))  # type: ignore[type-var]
    rows = report.to_dict()["tasks"][0]["strata"]
    assert [(row["verdict"], row["margin"], row["preregistered"]) for row in rows] == [
        ("non_inferior", 0.1, True),
        ("inferior", 0.1, True),
    ]
    said = " ".join(report.to_text().split())
    assert "2 kinds of documents that the plan named beforehand are separate claims" in said
    assert "↳ length: 65536" in report.to_markdown() and '<table class="strata">' in report._repr_html_()


def test_one_that_the_plan_names_leaves_the_other_a_description(pairing: Pairing) -> None:
    report = report_of(pairing, margins={"gold": 0.1}, strata={"own_qa_fr": ("65536",)})
    short, long = report.tasks[0].strata
    assert short.verdict is None and long.verdict == "inferior"
    assert long.assessment is not None and long.p_holm == long.assessment.p_non_inferior
    assert "The other kinds are descriptive" in " ".join(report.to_text().split())


def test_what_holm_takes_away_is_inconclusive(tmp_path: Path) -> None:
    """Each alone would pass at 2.5 %; together the weaker one must reach 1.25 %."""
    arms = {"candidate": {4096: 5, 65536: 5}, "reference": {}}
    made = [make_run(tmp_path / name, task(lost), model=f"org/{name}") for name, lost in arms.items()]
    pairing = pair_runs(*(find_run(folder) for folder in made))
    low = report_of(pairing, margins={"gold": 0.5}).tasks[0].strata[0].paired.interval.low
    assert low is not None
    margin = -low + 1e-3
    alone = report_of(pairing, margins={"gold": margin}, strata={"own_qa_fr": ("4096",)}).tasks[0].strata[0]
    both = report_of(pairing, margins={"gold": margin}, strata={"own_qa_fr": ("length",)}).tasks[0].strata
    assert alone.verdict == "non_inferior"
    assert [stratum.verdict for stratum in both] == ["inconclusive", "inconclusive"]
    assert both[0].p_holm == pytest.approx(2 * alone.p_holm)  # type: ignore[operator]


def test_without_a_margin_there_is_no_claim(pairing: Pairing) -> None:
    (short, long) = report_of(pairing, strata={"own_qa_fr": ("length",)}).tasks[0].strata
    assert short.preregistered and short.verdict is None and long.p_holm is None


def test_names_that_are_not_there_are_refused(pairing: Pairing) -> None:
    with pytest.raises(UsageError, match=r"own_qa_fr has no stratum '4k'"):
        report_of(pairing, strata={"own_qa_fr": ("4k",)})
    with pytest.raises(UsageError, match=r"no scored task own_qa in this.*did you mean 'own_qa_fr'"):
        report_of(pairing, strata={"own_qa": ("length",)})
