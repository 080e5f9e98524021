"""What a pilot says of the spread that `power` plans with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lm_eval_fr.analyses.power import pilot_spreads, power
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from tests.fakes.judged import SEED_STUDY, judge_folder, verdicts_on
from tests.fakes.runs import make_run, plain_task


def runs(folder: Path, *scores: list[float]) -> tuple[Path, Path]:
    """Two runs of a judged task, and of a scored one where scores are given."""
    made = []
    for name, one in zip("cr", scores or (None, None), strict=True):
        scored = [] if one is None else [plain_task("aime25", {"em": one})]
        made.append(make_run(folder / name, plain_task("analysis_fr", 150), *scored, model=name))
    return made[0], made[1]


def test_a_pilot_s_pairs_without_an_article_stand_alone(tmp_path: Path) -> None:
    candidate, reference = runs(tmp_path)
    task = pair_runs(find_run(candidate), find_run(reference)).tasks[0]
    verdicts = [
        replace(one, cluster=f"article {i // 10}" if i < 100 else None)
        for i, one in enumerate(verdicts_on(task, SEED_STUDY))
    ]
    (seen,) = pilot_spreads(candidate, reference, judge_folder(tmp_path / "judge", verdicts))
    assert (seen.name, seen.spread.kind) == ("judge", "judge")
    assert seen.spread.cluster_size == pytest.approx(150 / 60)
    assert seen.spread.weighted == pytest.approx((10 * 100 + 50) / 150)
    apart = [replace(one, cluster=None) for one in verdicts]
    (seen,) = pilot_spreads(candidate, reference, judge_folder(tmp_path / "apart", apart))
    assert (seen.spread.cluster_size, seen.spread.sd) == (1.0, pytest.approx(0.6**0.5))


def test_a_pilot_names_its_tasks(tmp_path: Path) -> None:
    right, one_wrong = [1.0] * 20, [0.0] + [1.0] * 19
    candidate, reference = runs(tmp_path, right, one_wrong)
    (seen,) = pilot_spreads(candidate, reference, None)
    assert (seen.name, seen.spread.kind, seen.spread.sd) == ("aime25", "exact_match", pytest.approx(0.05**0.5))
    said = power(pilot=(candidate, reference), margins="2%")
    assert "aime25: 5 % flips in 20 documents  982 (1,043)" in said  # 5 % of exact-match scores changed


def test_a_pilot_that_says_nothing(tmp_path: Path) -> None:
    candidate, reference = runs(tmp_path)
    with pytest.raises(InputError, match="the pilot has no scored task"):
        pilot_spreads(candidate, reference, None)
    task = pair_runs(find_run(candidate), find_run(reference)).tasks[0]
    folder = judge_folder(tmp_path / "judge", verdicts_on(task, ("unjudged",) * 150))
    with pytest.raises(InputError, match="no decided verdict"):
        pilot_spreads(candidate, reference, folder)
    with pytest.raises(UsageError, match="--judge goes with --pilot"):
        power(judge=folder)
