"""`import lm_eval_fr as fr`: every public name is there, nothing heavy comes with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest

import lm_eval_fr as fr
from lm_eval_fr.analyses.frames import PAIRS, VERDICTS
from lm_eval_fr.pairing import pair_runs
from tests.fakes.judged import judge_folder, verdicts_on
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task
from tests.waiting import LIMIT

TITLES = [f"article {i // 2}" for i in range(20)]
HEAVY = ("torch", "transformers", "datasets", "lm_eval", "numpy", "scipy", "pandas", "click", "msgspec", "openai")


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    folders = []
    for name, scores in (("candidate", [i % 3 / 2 for i in range(20)]), ("reference", [i % 2 / 1 for i in range(20)])):
        gold = plain_task("piaf_fr", {"f1": scores}, titles=TITLES)
        folders.append(make_run(tmp_path / name, gold, plain_task("analysis_fr", 4), model=f"org/{name}"))
    return folders[0], folders[1]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True)
    return done.stdout.strip()


def test_importing_it_loads_nothing_heavy() -> None:
    assert python(f"import sys, lm_eval_fr; print([name for name in {HEAVY!r} if name in sys.modules])") == "[]"


def test_every_public_name_is_there() -> None:
    assert fr.__all__ == sorted(fr.__all__)
    for name in fr.__all__:
        assert getattr(fr, name).__qualname__ == name
    assert set(fr.__all__) <= set(dir(fr))
    with pytest.raises(AttributeError, match="no attribute 'compair'"):
        fr.compair  # noqa: B018


def test_arguments_are_as_forgiving_as_flags(runs: tuple[Path, Path]) -> None:
    same = [{"gold": 0.02}, {"gold": "2%"}, "2%", 0.02]
    reports = [fr.compare(*runs, margins=given, tasks="piaf_fr", level="90%", allow="tasks") for given in same]
    assert [report.task("piaf_fr").margin for report in reports] == [0.02] * 4
    assert {report.level for report in reports} == {0.9}
    assert fr.power(margins="2%", sd=0.25, documents=150) == fr.power(margins=[0.02], sd=["25%"], documents=[150])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"margins": {"gold": "abc"}}, "the margin of gold: 'abc' is not a number"),
        ({"margins": [0.02]}, "is not a number"),
        ({"level": "much"}, "level: 'much' is not a number"),
        ({"guarantee": "worst_case"}, "did you mean 'worst-case'"),
        ({"allow": "prompt"}, "there is no mismatch called 'prompt'"),
        ({"tasks": "piaf"}, "piaf"),
    ],
)
def test_a_wrong_argument_is_named(runs: tuple[Path, Path], given: dict[str, Any], says: str) -> None:
    with pytest.raises(fr.LmEvalFrError, match=says):
        fr.compare(*runs, **given)


@pytest.mark.parametrize(("name", "module"), [("judge", "session"), ("compare", "builder")])
def test_a_function_is_not_hidden_by_the_folder_of_its_name(name: str, module: str) -> None:
    """Importing lm_eval_fr.judge.session first must leave `fr.judge` the function."""
    code = f"import lm_eval_fr.{name}.{module}, lm_eval_fr; print(type(lm_eval_fr.{name}).__name__)"
    assert python(code) == "function"


@pytest.mark.parametrize("first", ["", "import lm_eval_fr.compare, lm_eval_fr.judge; ", "lm_eval_fr.compare; "])
def test_a_module_is_not_hidden_by_the_function_of_its_folder_s_name(first: str) -> None:
    code = (
        f"import lm_eval_fr; {first}"
        "import lm_eval_fr.compare.builder as b, lm_eval_fr.judge.options as o; "
        "print(b.__name__, o.__name__, callable(lm_eval_fr.compare), callable(lm_eval_fr.judge))"
    )
    assert python(code) == "lm_eval_fr.compare.builder lm_eval_fr.judge.options True True"


def test_the_report_of_two_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    report = fr.compare(*map(str, runs), margins={"gold": "60%"}, allow=["tasks"])
    assert isinstance(report, fr.Comparison)
    task = report.task("piaf_fr")
    assert (report.verdict, task.margin) == (report.overall.verdict, 0.6)
    frame = fr.pairs_frame(*runs, tasks=["piaf_fr"])
    assert task.difference == pytest.approx(frame.difference.mean())
    assert report.to_dict()["tasks"][0]["difference"] == pytest.approx(task.difference)
    report.to_html(tmp_path / "report.html")
    assert "piaf_fr" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "piaf_fr" in report._repr_html_()
    with pytest.raises(fr.UsageError, match="no task 'piaf'"):
        report.task("piaf")


def test_the_worst_case_guarantee_allows_for_articles_lost_unseen(tmp_path: Path) -> None:
    """The candidate loses one document of one article in forty: the default takes that for what losses look like."""
    titles = [f"article {i // 6}" for i in range(240)]
    arms = {"candidate": [float(i != 5) for i in range(240)], "reference": [1.0] * 240}
    folders = [make_run(tmp_path / n, plain_task("piaf_fr", {"f1": s}, titles=titles)) for n, s in arms.items()]
    lows = [fr.compare(*folders, guarantee=g).task("piaf_fr").ci_low for g in ("default", "worst-case")]
    assert lows[0] is not None and lows[1] is not None and lows[1] < lows[0]


def test_power_is_the_command_s() -> None:
    assert "SD 0.25" in fr.power(margins=[0.02], sd=[0.25])
    with pytest.raises(fr.UsageError, match=r"no option 'margin'.*'margins'"):
        fr.power(margin=0.02)
    with pytest.raises(fr.UsageError, match="did you mean 'worst-case'"):
        fr.power(margins="2%", guarantee="worst_case")
    shares = {"icc": "20%", "difference": "-1%", "unstable": "30%"}
    numbers = {"icc": 0.2, "difference": -0.01, "unstable": 0.3}
    asked = {"margins": "5%", "sd": 0.25, "cluster_size": 3, "repeats": 2}
    assert fr.power(**asked, **shares) == fr.power(**asked, **numbers)


def test_several_candidates(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = make_run(
        tmp_path / "other", plain_task("piaf_fr", {"f1": [1.0] * 20}, titles=TITLES), plain_task("analysis_fr", 4)
    )
    many = fr.compare_many([runs[0], other], runs[1], margins={"gold": 0.5})
    assert isinstance(many, fr.ManyReport) and len(many.reports) == 2


def test_one_row_a_pair(runs: tuple[Path, Path]) -> None:
    frame = fr.pairs_frame(*runs)
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == list(PAIRS)
    gold, judged = frame[frame.task == "piaf_fr"], frame[frame.task == "analysis_fr"]
    assert (len(gold), len(judged)) == (20, 4)
    assert (gold.difference == gold.candidate_score - gold.reference_score).all()
    assert gold.cluster.tolist()[2] == "article 1" and gold.metric.unique().tolist() == ["f1"]
    assert judged.candidate_score.isna().all() and judged.outcome.isna().all()
    assert judged.candidate_answer.notna().all()


def test_the_pairs_carry_their_strata(tmp_path: Path) -> None:
    config = {"metadata": {"version": 1.0, "strata": ["length", "kind"]}}
    docs = [{"id": str(i), "length": length, "kind": "one"} for i, length in enumerate(("4k", "8k", "4k"))]
    samples = [FakeSample(doc, f"{doc['id']} ?", "oui", {"recall": 1.0}, target="oui") for doc in docs]
    task = FakeTask("long_context_fr", samples, config=config)
    frame = fr.pairs_frame(*(make_run(tmp_path / name, task, plain_task("piaf_fr", {"f1": [1.0]})) for name in "ab"))
    long = frame[frame.task == "long_context_fr"]
    assert long.strata.tolist()[1] == {"length": "8k", "kind": "one"}
    assert long.groupby(long.strata.str.get("length")).size().to_dict() == {"4k": 2, "8k": 1}
    assert frame[frame.task == "piaf_fr"].strata.tolist() == [{}]


def test_one_row_a_verdict_and_outcomes_beside_the_pairs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    task = next(task for task in pair_runs(*runs).tasks if task.judged)
    folder = judge_folder(tmp_path / "judge", verdicts_on(task, ("win", "loss", "flip", "invalid")))
    verdicts = fr.verdicts_frame(str(folder))
    assert list(verdicts.columns) == list(VERDICTS)
    assert verdicts.outcome.tolist() == ["win", "loss", "flip", "invalid"]
    assert verdicts.score.tolist()[:3] == [1, -1, 0] and pandas.isna(verdicts.score.tolist()[3])
    pairs = fr.pairs_frame(*runs, judge=folder, tasks=["analysis_fr"])
    assert pairs.outcome.tolist() == ["win", "loss", "flip", "invalid"]


def test_judging_from_a_notebook_cell(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """A cell runs inside an event loop; the words are those of `lm-eval-fr judge`."""

    async def cell() -> fr.JudgeSummary:
        return fr.judge(*runs, out=tmp_path / "judged", profile="offline", controls=0, quiet=True)

    summary = asyncio.run(cell())
    assert summary.finished and summary.planned == 4
    assert len(fr.verdicts_frame(tmp_path / "judged")) == 4


def test_mistakes_are_the_package_s_exceptions(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(fr.UsageError, match=r"no option 'profil'.*did you mean 'profile'"):
        fr.judge(*runs, out=tmp_path / "judged", profil="offline")
    with pytest.raises(fr.UsageError, match=r"no option 'ruberic'"):
        fr.fidelity("http://127.0.0.1:9", "http://127.0.0.1:9", texts=tmp_path, ruberic="x")
    with pytest.raises(fr.UsageError, match="the margin of gold: 'two' is not a number"):
        fr.compare(*runs, margins={"gold": "two"})
    with pytest.raises(fr.UsageError, match="not a study's folder"):
        fr.compare(runs[0])
    with pytest.raises(fr.InputError):
        fr.pairs_frame(runs[0], tmp_path / "nowhere")
    with pytest.raises(fr.UsageError, match="neither arm ran sib200_fr"):
        fr.pairs_frame(*runs, tasks=["piaf_fr", "sib200_fr"])
