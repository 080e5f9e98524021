"""What an answer costs in both arms, and what a study can see: from the replies' records, or counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm_eval_fr.analyses.value.prices import PriceFlags
from lm_eval_fr.compare import CompareOptions, Comparison, compare
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from tests.fakes.runs import FakeTask, make_run, plain_task, write_responses

N = 60


def answer(words: int) -> str:
    return " ".join(["mot"] * words)


def task(name: str, lengths: Sequence[int], score: float = 1.0) -> FakeTask:
    scores = {"exact_match": [score] * len(lengths)}
    return plain_task(name, scores, answers=[answer(length) for length in lengths])


def record(run: Path, name: str, replies: Sequence[Mapping[str, Any]]) -> None:
    samples = next(run.glob(f"samples_{name}_*.jsonl"))
    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    rows = [{"doc_hash": line["doc_hash"], **reply} for line, reply in zip(lines, replies, strict=True)]
    write_responses(run, name, rows, samples.stem.removeprefix(f"samples_{name}_"))


def compared(
    tmp_path: Path,
    lengths: tuple[Sequence[int], Sequence[int]],
    replies: tuple[Sequence[Mapping[str, Any]] | None, ...] = (None, None),
    names: Sequence[str] = ("piaf_fr",),
    margins: Mapping[str, float] | None = None,
) -> Comparison:
    runs = []
    for arm, length, kept in zip(("candidate", "reference"), lengths, replies, strict=True):
        made = make_run(tmp_path / arm, *(task(name, length) for name in names), model=arm)
        for name in names if kept is not None else ():
            record(made, name, kept or ())
        runs.append(find_run(made))
    return compare(pair_runs(*runs), CompareOptions(margins=margins or {"gold": 0.1}))


def used(tokens: Sequence[int], seconds: float = 1.0, reasoning: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "finish_reason": "stop",
            "seconds": seconds,
            "usage": {"prompt_tokens": 9, "completion_tokens": number, "reasoning_tokens": reasoning},
        }
        for number in tokens
    ]


def test_tokens_and_seconds_are_what_the_servers_counted(tmp_path: Path) -> None:
    mine, theirs = [20 + i % 7 for i in range(N)], [10 + i % 5 for i in range(N)]
    found = compared(tmp_path, ([3] * N, [3] * N), (used(mine, 2.0), used(theirs, 0.5))).tasks[0].answers
    assert found is not None and found.tokens is not None and found.seconds is not None
    assert (found.tokens.candidate, found.tokens.reference) == (np.mean(mine), np.mean(theirs))
    ratio = found.tokens.ratio
    assert ratio is not None and ratio.estimate == pytest.approx(np.mean(mine) / np.mean(theirs))
    assert ratio.low is not None and ratio.high is not None and ratio.low < ratio.estimate < ratio.high
    assert found.tokens.source == "as the servers counted them"
    assert found.seconds.ratio is not None and found.seconds.ratio.estimate == pytest.approx(4.0)
    assert found.reasoning is None


def test_an_arm_whose_answers_grew_says_so_in_every_format(tmp_path: Path) -> None:
    report = compared(tmp_path, ([9] * N, [3] * N), (used([30 + i % 3 for i in range(N)], reasoning=4), used([20] * N)))
    kinds = {caution.kind: caution.text for caution in report.warnings}
    assert "the candidate needs 1.55 [1.5" in kinds["longer_answers"]
    for shown in (report.to_text(), report.to_markdown()):
        assert "the candidate needs 1.55" in " ".join(shown.split())
        assert "what an answer costs" in shown.lower()
    said = report.to_dict()["tasks"][0]["answers"]
    assert said["tokens"]["ratio"] == pytest.approx(1.55) and said["reasoning"]["candidate"] == 4


def test_answers_as_long_as_the_references_are_no_caution(tmp_path: Path) -> None:
    tokens = [20 + i % 9 for i in range(N)]
    report = compared(tmp_path, ([3] * N, [3] * N), (used(tokens), used(tokens[::-1])))
    assert "longer_answers" not in {caution.kind for caution in report.warnings}


def test_both_arms_are_counted_alike_where_one_kept_no_usage(tmp_path: Path) -> None:
    found = compared(tmp_path, ([8] * N, [4] * N), (used([500] * N), None)).tasks[0].answers
    assert found is not None and found.tokens is not None and found.tokens.ratio is not None
    assert found.tokens.ratio.estimate == pytest.approx(len(answer(8)) / len(answer(4)))
    assert found.tokens.source == "estimated at 3.6 characters each"
    assert found.seconds is None


def test_an_answer_never_obtained_used_nothing(tmp_path: Path) -> None:
    mine = used([10] * N)
    mine[0] = {"error": "503", "usage": None, "seconds": None}
    found = compared(tmp_path, ([3] * N, [3] * N), (mine, used([10] * N))).tasks[0].answers
    assert found is not None and found.tokens is not None
    assert found.tokens.candidate == pytest.approx(10 * (N - 1) / N)


@pytest.mark.parametrize("odd", [None, "12", -1, True, [3]])
def test_a_count_that_is_none_is_not_taken(tmp_path: Path, odd: Any) -> None:
    mine = used([10] * N)
    mine[5]["usage"]["completion_tokens"] = odd
    found = compared(tmp_path, ([3] * N, [3] * N), (mine, used([10] * N))).tasks[0].answers
    assert found is not None and found.tokens is not None
    assert found.tokens.source.startswith("estimated")


def test_short_answers_alone_are_weak_evidence(tmp_path: Path) -> None:
    report = compared(tmp_path, ([3] * 150, [3] * 150))
    assert report.verdict == "non_inferior"
    assert report.overall.coverage == (
        "Covered: short answers (150 documents); not covered: long context, instructions, structure, reasoning, "
        "open-ended answers. Rounding to four bits damages short prompts with short answers least: this is "
        "weak evidence about long context, instructions, structure, reasoning, open-ended answers."
    )
    assert "Covered: short answers" in " ".join(report.to_text().split())


def test_what_is_covered_is_named_by_kind(tmp_path: Path) -> None:
    names = ("piaf_fr", "ifeval_fr", "mgsm_cot_fr", "long_context_fr", "structured_fr")
    said = compared(tmp_path, ([3] * N, [3] * N), names=names, margins={"gold": 0.2}).to_dict()["overall"]["coverage"]
    assert said == (
        "Covered: short answers (60 documents), long context (60 documents), instructions (60 documents), structure "
        "(60 documents), reasoning (60 documents); not covered: open-ended answers."
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [("long context", "long context"), ("novels", "short answers"), (["reasoning"], "short answers")],
)
def test_a_task_declares_its_kind_of_work(tmp_path: Path, kind: Any, said: str) -> None:
    task = plain_task("contrats", {"exact_match": [1.0] * N}, config={"metadata": {"kind": kind}})
    runs = [find_run(make_run(tmp_path / arm, task, model=arm)) for arm in ("candidate", "reference")]
    coverage = compare(pair_runs(*runs)).overall.coverage
    assert coverage.startswith(f"Covered: {said} (60 documents); not covered: ")


def test_the_record_of_the_replies_is_read_once(tmp_path: Path) -> None:
    """By the pairing: what a comparison says of health, tokens and dollars comes from that reading."""
    runs = []
    for arm in ("candidate", "reference"):
        made = make_run(tmp_path / arm, task("piaf_fr", [3] * N), model=arm)
        record(made, "piaf_fr", used([20 + i % 7 for i in range(N)]))
        runs.append(find_run(made))
    pairing = pair_runs(*runs)
    for file in tmp_path.rglob("responses_*.jsonl"):
        file.unlink()
    found = compare(pairing, CompareOptions(prices=PriceFlags(prices=["1/2"]))).to_dict()
    assert found["tasks"][0]["answers"]["tokens"]["source"] == "as the servers counted them"
    assert found["tasks"][0]["answers"]["truncated"]["source"] is None
    assert [arm["tokens"] for arm in found["value"]["arms"]] == ["usage", "usage"]
