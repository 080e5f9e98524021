"""Verdicts belong to two runs in one order: read with others, they would say the opposite, or nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.judge_summary import answers_of
from lm_eval_fr.judge.verdicts.position import position_report
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
    with pytest.raises(InputError, match="about other runs: the candidate's answers are not the judged ones"):
        read_judged(out, pair(candidate, reference))


def test_the_digest_is_of_whole_files(judged: tuple[Path, Path, Path]) -> None:
    """judge.json of every earlier version holds the digests of whole files, blank lines included."""
    candidate, reference, _ = judged
    (samples,) = candidate.rglob("samples_*.jsonl")
    samples.write_bytes(samples.read_bytes() + b"\n")
    task = pair(candidate, reference).tasks[0]
    whole = hashlib.sha256(hashlib.sha256(samples.read_bytes()).digest()).hexdigest()
    assert answers_of([task])[task.task]["candidate"] == whole


def test_the_order_bias_is_the_one_that_the_judge_filed_at_its_level(judged: tuple[Path, Path, Path]) -> None:
    candidate, reference, out = judged
    found = read_judged(out, pair(candidate, reference))
    filed = found.summary.position
    assert filed is not None and found.position(0.95) is filed and filed == position_report(found.verdicts)
    other = found.position(0.5)
    assert other.level == 0.5 and other.length is not None and filed.length is not None
    assert other.length.bins[-1].n == filed.length.bins[-1].n


def test_an_earlier_version_s_summary_is_read_but_not_that_of_its_panel(judged: tuple[Path, Path, Path]) -> None:
    candidate, reference, out = judged
    file = out / "judge.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps(summary | {"schema_version": 1, "panel": {}}))
    assert read_judged(out, pair(candidate, reference)).summary.position is not None
    file.write_text(json.dumps(summary | {"schema_version": 1, "panel": {"judges": ["a", "b"]}}))
    with pytest.raises(InputError, match=r"a panel's summary by an earlier version.*--reparse"):
        read_judged(out, pair(candidate, reference))
