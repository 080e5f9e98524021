"""Verdicts belong to two runs in one order: read with others, they would say the opposite, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.read_judged import read_judged
from tests.fakes.judging import answer, by_quality, judge, pair, write_profile, write_runs

BETTER = [answer(2), answer(2), answer(1)]
WORSE = [answer(0), answer(1), answer(1)]


@pytest.fixture
def judged(fake_server, tmp_path: Path) -> tuple[Path, Path, Path]:
    candidate, reference = write_runs(tmp_path, BETTER, WORSE)
    judge(pair(candidate, reference), tmp_path / "out", write_profile(tmp_path, fake_server(by_quality).url))
    return candidate, reference, tmp_path / "out"


def test_verdicts_are_read_with_the_runs_they_were_given_on(judged: tuple[Path, Path, Path]) -> None:
    candidate, reference, out = judged
    found = read_judged(out, pair(candidate, reference)).verdicts
    assert [verdict.outcome for verdict in found] == ["win", "win", "identical"]


def test_verdicts_are_not_read_with_the_arms_exchanged(judged: tuple[Path, Path, Path]) -> None:
    candidate, reference, out = judged
    with pytest.raises(InputError, match="analysis_fr were given with the arms exchanged"):
        read_judged(out, pair(reference, candidate))


def test_verdicts_are_not_read_with_answers_that_came_later(judged: tuple[Path, Path, Path]) -> None:
    candidate, reference, out = judged
    (samples,) = candidate.rglob("samples_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    lines[0]["resps"], lines[0]["filtered_resps"] = [["autre"]], ["autre"]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(InputError, match="on other runs: the candidate's answers are not those that were judged"):
        read_judged(out, pair(candidate, reference))
