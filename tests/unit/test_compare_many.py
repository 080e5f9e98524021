"""Several candidates against one reference: Holm over claims, the share of a loss that was recovered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.compare import CompareOptions
from lm_eval_fr.compare import compare_many as compare_runs
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.model import ManyReport
from lm_eval_fr.report.report_sections import sections_of_many
from lm_eval_fr.stats import paired_difference
from tests.fakes.runs import make_run, plain_task

N = 400


def compare_many(pairings: list[Pairing], margin: float = 0.02, **given: Any) -> ManyReport:
    return compare_runs(pairings, CompareOptions(margins={"gold": margin}), **given)


def pairings(tmp_path: Path, *losses: float) -> list[Pairing]:
    """Candidates named nvfp4-0, nvfp4-1, ... that lose so much of the reference's f1 on average."""
    generator = np.random.default_rng(5)
    reference = 0.3 + 0.6 * generator.random(N)
    run = find_run(make_run(tmp_path / "r", plain_task("piaf_fr", {"f1": reference.tolist()}), model="org/bf16"))
    found = []
    for i, loss in enumerate(losses):
        scores = np.clip(reference - loss + generator.normal(0, 0.05, N), 0, 1)
        task = plain_task("piaf_fr", {"f1": scores.tolist()})
        found.append(pair_runs(find_run(make_run(tmp_path / f"c{i}", task, model=f"org/nvfp4-{i}")), run))
    return found


def test_claims_are_corrected_and_the_recovered_share_is_told(tmp_path: Path) -> None:
    many = compare_many(pairings(tmp_path, 0.10, 0.04, 0.0), recovered_from="nvfp4-0")
    assert [claim.candidate for claim in many.claims] == ["nvfp4-0", "nvfp4-1", "nvfp4-2"]
    assert [claim.stands for claim in many.claims] == [False, False, True]
    last = many.claims[2]
    assert last.p_value is not None
    assert last.p_holm == pytest.approx(3 * last.p_value)
    assert many.claims[0].reason == "the verdict is inferior"
    assert [(r.candidate, r.raw) for r in many.recovered] == [("nvfp4-1", "nvfp4-0"), ("nvfp4-2", "nvfp4-0")]
    shares = [r.share.estimate for r in many.recovered]
    assert shares == pytest.approx([0.6, 1.0], abs=0.08)
    for r in many.recovered:
        share = r.share
        assert share.low is not None and share.estimate is not None and share.high is not None
        assert share.low < share.estimate < share.high
    shown = text.render(sections_of_many(many))
    assert max(map(len, shown.splitlines())) <= 100
    assert "after Holm" in shown
    assert "None" not in shown + markdown.render(sections_of_many(many))
    assert '"claims"' in to_json(many)


def test_a_claim_may_fall_to_the_correction(tmp_path: Path) -> None:
    alone = compare_many(pairings(tmp_path, 0.0, 0.0), 0.0062)
    p_values = [claim.p_value for claim in alone.claims]
    fallen = [claim for claim in alone.claims if claim.verdict == "non_inferior" and not claim.stands]
    assert all("after Holm is above 2.5 %" in (claim.reason or "") for claim in fallen)
    assert all(p is not None for p in p_values)


def test_nothing_to_recover_is_said(tmp_path: Path) -> None:
    many = compare_many(pairings(tmp_path, 0.0, 0.0), recovered_from="org/nvfp4-0")
    assert many.recovered[0].share.estimate is None
    assert "may be 0" in (many.recovered[0].share.reason or "")
    assert "unknown: the loss to recover" in markdown.render(sections_of_many(many))


def test_without_a_baseline_no_share_is_told(tmp_path: Path) -> None:
    assert compare_many(pairings(tmp_path, 0.1, 0.0)).recovered == ()


def test_bad_use(tmp_path: Path) -> None:
    two = pairings(tmp_path / "one", 0.1, 0.0)
    with pytest.raises(UsageError, match="only one candidate"):
        compare_many(two[:1])
    with pytest.raises(UsageError, match="no candidate is called 'bf16'"):
        compare_many(two, recovered_from="bf16")
    with pytest.raises(UsageError, match="2 references"):
        compare_many([two[0], pairings(tmp_path / "other", 0.0, 0.0)[0]])
    with pytest.raises(UsageError, match="1 judge folders for 2 candidates"):
        compare_many(two, judge_dirs=[tmp_path])


def test_the_best_is_told_from_the_rest_by_holm_over_all_pairs(tmp_path: Path) -> None:
    runs = pairings(tmp_path, 0.10, 0.0, 0.001)
    many = compare_many(runs)
    best, second, last = many.ranking
    assert {best.candidate, second.candidate} == {"nvfp4-1", "nvfp4-2"}
    assert (best.place, best.behind, best.p_holm, best.told_apart) == (1, None, None, None)
    assert last.candidate == "nvfp4-0"
    assert (second.told_apart, last.told_apart) == (False, True)
    of_best, of_last = (runs[int(one.candidate[-1])].tasks[0].candidate["f1"] for one in (best, last))
    assert last.behind is not None
    assert last.behind[0] == pytest.approx(float((of_best - of_last).mean()))
    assert last.behind[1] < last.behind[0] < last.behind[2]
    of_second = runs[int(second.candidate[-1])].tasks[0].candidate["f1"]
    plain = paired_difference(of_best, of_second).p_value
    assert plain is not None
    assert second.p_holm == pytest.approx(plain)  # the largest of three is left as it is
    shown = " ".join(text.render(sections_of_many(many)).split())
    assert "RANKING" in shown
    assert "not told apart" in shown
    assert [row["candidate"] for row in json.loads(to_json(many))["ranking"]] == [one.candidate for one in many.ranking]


def test_a_ranking_is_over_the_tasks_that_have_a_scale(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    arms = []
    for i in range(3):
        tasks = [plain_task(name, {"f1": generator.random(60).tolist()}) for name in ("piaf_fr", "own_qa_fr")]
        tasks.append(plain_task("lengths", {"words": (50 + 10 * generator.random(60)).tolist()}))
        arms.append(find_run(make_run(tmp_path / f"a{i}", *tasks, model=f"org/m{i}")))
    many = compare_many([pair_runs(arm, arms[2]) for arm in arms[:2]])
    assert [one.against_reference.n for one in many.ranking] == [120, 120]
    only_lengths = [pair_runs(arm, arms[2], tasks=["lengths"]) for arm in arms[:2]]
    assert compare_many(only_lengths).ranking == ()


def test_a_ranking_takes_a_metrics_scale_from_its_row(tmp_path: Path) -> None:
    """A Brier score ends at 2, also where all of them are below 1."""
    arms = []
    for i, sure in enumerate((0.5, 0.6, 0.7)):
        scores = [[0, [sure, 1 - sure]]] * 30
        printed = {"brier_score": 2 * (1 - sure) ** 2}
        task = plain_task("t", {"brier_score": scores}, aggregation={"brier_score": "brier_score"}, printed=printed)  # type: ignore[dict-item]
        arms.append(find_run(make_run(tmp_path / f"a{i}", task, model=f"org/m{i}")))
    many = compare_many([pair_runs(arm, arms[2]) for arm in arms[:2]])
    assert [report.task("t").paired.kind for report in many.reports] == ["unbounded"] * 2
    assert many.ranking == ()
