"""One claim about the mean over tasks, and what the other guarantee would say: in every format of the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lm_eval_fr.compare import CompareOptions, Comparison, compare, gate_code
from lm_eval_fr.errors import PlanError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.plan import parse_plan
from lm_eval_fr.report import words as w
from lm_eval_fr.report.ci_writers import to_junit
from tests.fakes.runs import FakeTask, make_run, plain_task

GOOD = """\
name: a
tasks: [piaf_fr, sib200_fr]
margins: {gold: 2%}
candidate: {model: fr-baseline}
reference: {model: fr-baseline}
"""


def tasks(arm: int, n: int = 700, shift: float = 0.0) -> list[FakeTask]:
    """Three tasks of n documents: of right and wrong, graded in articles of seven, and of another direction."""
    base, noise = np.random.default_rng(8), np.random.default_rng(arm)
    right = (base.random(n) < 0.7).astype(float)
    graded = np.clip(0.6 + 0.3 * base.standard_normal(n), 0, 1)
    flip = noise.random(n) < 0.03
    one = np.where(flip, 1 - right, right)
    other = np.clip(graded + 0.05 * noise.standard_normal(n) - shift, 0, 1)
    titles = [f"Article {i // 7}" for i in range(n)]
    return [
        plain_task("sib200_fr", {"exact_match": one.tolist()}),
        plain_task("piaf_fr", {"f1": other.tolist()}, titles=titles, cluster="title"),
        plain_task("lengths", {"words": (10 + noise.random(n)).tolist()}),
    ]


def paired(tmp_path: Path, shift: float = 0.0) -> Pairing:
    arms = [make_run(tmp_path / f"arm{i}", *tasks(i, shift=shift * (i == 1))) for i in (1, 2)]
    return pair_runs(find_run(arms[0]), find_run(arms[1]))


def compared(pairing: Pairing, **options: object) -> Comparison:
    return compare(pairing, CompareOptions(**({"margins": {"gold": 0.04}, "overall_mean": True} | options)))  # type: ignore[arg-type]


def test_the_mean_counts_each_task_the_same_and_stands_beside_the_headline(tmp_path: Path) -> None:
    pairing = paired(tmp_path)
    report = compared(pairing)
    mean = report.overall_mean
    assert mean is not None
    means = [report.task(name).difference for name in ("sib200_fr", "piaf_fr")]
    assert mean.difference == pytest.approx(np.mean([one for one in means if one is not None]))
    assert set(mean.tasks) == {"sib200_fr", "piaf_fr"}
    assert mean.left_out == {"lengths": "its metric is not on a scale from 0 to 1"}
    assert (mean.verdict, mean.margin) == ("non_inferior", 0.04)
    narrow = mean.paired.interval
    assert narrow.low is not None
    assert narrow.high is not None
    widths = [(t.ci_high or 0.0) - (t.ci_low or 0.0) for t in report.tasks if t.task != "lengths"]
    assert narrow.high - narrow.low < max(widths)
    said = report.to_text()
    report.to_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (" ".join(said.split()), report.to_markdown(), html):
        assert "one task may lose more than the margin" in text
    content = json.loads(report.to_json())["overall_mean"]
    assert content["verdict"] == "non_inferior"
    assert content["sentence"] == mean.sentence
    assert content["left_out"] == dict(mean.left_out)
    assert 'name="overall_mean"' in to_junit(report)
    assert compared(pairing, overall_mean=False).overall_mean is None
    assert report.overall == compared(pairing, overall_mean=False).overall


def test_a_task_may_lose_more_while_the_mean_holds(tmp_path: Path) -> None:
    report = compared(paired(tmp_path, shift=0.09))
    assert report.task("piaf_fr").verdict == "inferior"
    assert report.verdict == "inferior"
    assert gate_code(report) == 1
    mean = report.overall_mean
    assert mean is not None
    assert mean.verdict in ("inconclusive", "non_inferior")
    own = compared(paired(tmp_path, shift=0.09), margins={"gold": 0.04, "overall_mean": 0.12}).overall_mean
    assert own is not None
    assert (own.verdict, own.margin) == ("non_inferior", 0.12)


def test_the_mean_claims_nothing_where_a_loss_could_not_have_shown(tmp_path: Path) -> None:
    mean = compared(paired(tmp_path), margins={"gold": 0.04, "overall_mean": 0.5}).overall_mean
    assert mean is not None
    assert mean.verdict == "no_verdict"
    assert "could not have shown" in mean.sentence
    with pytest.raises(UsageError, match="overall_mean needs a margin"):
        compared(paired(tmp_path), margins={"piaf_fr": 0.02})
    with pytest.raises(UsageError, match="no task overall_mean"):
        compared(paired(tmp_path), margins={"gold": 0.04, "overall_mean": 0.1}, overall_mean=False)


def test_the_plan_fixes_it() -> None:
    where = Path("plan.yaml")
    plan = parse_plan(GOOD, where=where)
    asked = parse_plan(f"{GOOD}overall_mean: true\n", where=where)
    assert plan.hash == parse_plan(f"{GOOD}overall_mean: false\n", where=where).hash != asked.hash
    own = parse_plan(GOOD.replace("gold: 2%", "overall_mean: 2%") + "overall_mean: true\n", where=where)
    assert own.margins == {"overall_mean": 0.02}
    for text, match in (
        (GOOD.replace(", sib200_fr", "") + "overall_mean: true\n", "a mean over 1 scored task"),
        (GOOD.replace("gold: 2%", "piaf_fr: 2%") + "overall_mean: true\n", "needs a margin"),
        (GOOD.replace("gold: 2%", "gold: 2%, overall_mean: 2%"), "not a scored task"),
        (GOOD.replace("gold: 2%", "overall_mean: 2") + "overall_mean: true\n", "whole scale"),
    ):
        with pytest.raises(PlanError, match=match):
            parse_plan(text, where=where)


@pytest.mark.parametrize("guarantee", ["default", "worst-case"])
def test_both_guarantees_are_where_the_verdict_is(tmp_path: Path, guarantee: str) -> None:
    report = compared(paired(tmp_path), guarantee=guarantee)
    said = " ".join(report.to_text().split())
    other = "worst-case" if guarantee == "default" else "default"
    start = said.index(f"Taken for granted ({guarantee} guarantee)")
    assert said.index(f"({other}): ", start) < said.index("EVERY CLAIM AGAINST ITS MARGIN")
    content = json.loads(report.to_json())
    by_name = {task["task"]: task for task in content["tasks"]}
    swapped = json.loads(compared(paired(tmp_path), guarantee=other).to_json())
    theirs = {task["task"]: task for task in swapped["tasks"]}["piaf_fr"]
    found = by_name["piaf_fr"]["other_guarantee"]
    assert (by_name["piaf_fr"]["guarantee"], found["guarantee"]) == (guarantee, other)
    assert (found["ci_low"], found["ci_high"]) == (theirs["ci_low"], theirs["ci_high"])
    assert found["verdict"] == theirs["verdict"]
    assert by_name["sib200_fr"]["other_guarantee"] is None  # every document its own: both are one
    assert content["overall_mean"]["other_guarantee"]["guarantee"] == other


def test_without_articles_nothing_is_taken_for_granted(tmp_path: Path) -> None:
    arms = [make_run(tmp_path / f"arm{i}", tasks(i)[0]) for i in (1, 2)]
    report = compare(pair_runs(find_run(arms[0]), find_run(arms[1])), CompareOptions(margins={"gold": 0.04}))
    assert "Taken for granted" not in report.to_text()


@pytest.mark.parametrize(
    ("low", "high", "limit", "shown"),
    [
        (-0.0197, 0.011, -0.02, "[-1.97, +1.1]"),  # "-2.0" would be read as the margin
        (-0.01998, 0.011, -0.02, "[-1.998, +1.1]"),
        (-0.0203, -0.01, -0.02, "[-2.03, -1.0]"),
        (-0.05, -0.020004, -0.02, "[-5.0, -2.0004]"),
        (-0.02, 0.01, -0.02, "[-2.0, +1.0]"),  # the very margin
        (-0.02, 0.01, None, "[-2.0, +1.0]"),
    ],
)
def test_an_end_beside_the_margin_shows_its_side(low: float, high: float, limit: float | None, shown: str) -> None:
    assert w.interval(low, high, limit=limit) == shown
