from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary, Stopped, read_summary, write_summary
from lm_eval_fr.judge.verdicts.outcome import (
    OUTCOMES,
    PairVerdict,
    combine,
    count,
    iter_verdicts,
    possible_scores,
    read_verdicts,
    write_verdicts,
)
from lm_eval_fr.stats.judging import PairUsage, Tokens, Usage


@pytest.mark.parametrize(
    ("candidate_first", "reference_first", "outcome"),
    [
        ("A", "B", "win"),
        ("B", "A", "loss"),
        ("tie", "tie", "tie"),
        ("A", "A", "flip"),
        ("B", "B", "flip"),
        ("tie", "A", "split"),
        ("B", "tie", "split"),
        ("A", "invalid", "invalid"),
        ("A", "refused", "refused"),
        (None, "refused", "refused"),
        ("refused", "invalid", "refused"),
        ("invalid", None, "invalid"),
        (None, "invalid", "invalid"),
        ("tie", "invalid", "invalid"),
        ("A", None, "unjudged"),
        ("tie", None, "unjudged"),
        (None, None, "unjudged"),
    ],
)
def test_the_table_of_outcomes(candidate_first, reference_first, outcome) -> None:
    assert combine(candidate_first, reference_first) == outcome


@pytest.mark.parametrize("other", [None, "invalid"])
def test_one_tie_settles_a_lazy_pair(other) -> None:
    assert combine("tie", other, lazy=True) == combine(other, "tie", lazy=True) == "tie"
    assert combine("A", None, lazy=True) == "unjudged"
    assert combine("tie", "A", lazy=True) == "split"


@pytest.mark.parametrize(
    ("candidate_first", "reference_first", "low", "high"),
    [(None, None, -1, 1), ("A", None, 0, 1), ("A", "invalid", 0, 1), (None, "A", -1, 0), ("tie", "invalid", 0, 0)],
)
def test_an_undecided_pair_bounds_only_what_its_known_order_allows(candidate_first, reference_first, low, high) -> None:
    assert possible_scores(candidate_first, reference_first) == (low, high)


def pair(number: int, candidate_first, reference_first, **more) -> PairVerdict:
    outcome = combine(candidate_first, reference_first)
    return PairVerdict("analysis_fr", number, f"hash{number}", outcome, candidate_first, reference_first, **more)


def test_failures_are_never_ties() -> None:
    verdicts = [
        pair(0, "A", "B"),
        pair(1, "B", "A"),
        pair(2, "A", "B"),
        pair(3, "A", "A"),
        pair(4, "tie", "B"),
        pair(5, "tie", "tie"),
        pair(6, "A", "invalid"),
        pair(7, None, None),
        PairVerdict("analysis_fr", 8, "hash8", "identical"),
    ]
    counts = count(verdicts)
    assert (counts.n, counts.judged, counts.decided) == (9, 7, 3)
    assert (counts.wins, counts.ties, counts.losses) == (2, 4, 1)
    assert counts.net_win == pytest.approx(1 / 7)
    assert (counts.worst_score, counts.best_score) == (1 + 0 - 1, 1 + 1 + 1)
    assert counts.net_win_bounds == (0.0, 3 / 9)
    assert set(counts.outcomes) == set(OUTCOMES)


def test_nothing_judged_is_undefined_not_zero() -> None:
    counts = count([])
    assert counts.net_win is None
    assert counts.net_win_bounds is None


def test_verdicts_survive_the_file(tmp_path: Path) -> None:
    verdicts = [
        pair(
            0,
            "A",
            "B",
            reasons={"candidate_first": "plus fidèle", "reference_first": "\u2028 l’autre\n"},
            usage=PairUsage(2, 3000, 1024, 80),
            candidate_chars=12,
            reference_chars=0,
            cluster="Loire (fleuve)",
            repeats={"candidate_first": ("A", "tie", None, "invalid")},
        ),
        pair(1, None, "invalid"),
        pair(2, "refused", None, cautions=("the server read 7 tokens",)),
    ]
    digest = write_verdicts(tmp_path / "verdicts.jsonl", verdicts)
    assert digest == hashlib.sha256((tmp_path / "verdicts.jsonl").read_bytes()).hexdigest()
    read = read_verdicts(tmp_path)
    assert read[0].usage == verdicts[0].usage
    assert read[0].repeats == verdicts[0].repeats
    assert read == verdicts
    assert [p.name for p in tmp_path.iterdir()] == ["verdicts.jsonl"]


def test_a_failing_writer_leaves_the_old_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.jsonl"
    write_verdicts(file, [pair(0, "A", "B")])

    def broken() -> Iterator[PairVerdict]:
        yield pair(1, "A", "B")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_verdicts(file, broken())
    assert [v.doc_id for v in read_verdicts(file)] == [0]


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.jsonl"
    write_verdicts(file, [pair(0, "A", "B")])
    with file.open("a") as out:
        out.write('{"task": "x", "doc_id": 1, "doc_hash": "h", "outcome": "draw"}\n')
    with pytest.raises(InputError, match=r"verdicts\.jsonl:2: not a verdict: .*reparse"):
        list(iter_verdicts(file))
    with pytest.raises(InputError, match="cannot be read"):
        read_verdicts(tmp_path / "none.jsonl")


def test_the_summary_survives_the_file(tmp_path: Path) -> None:
    summary = JudgeSummary(
        profile="gpt-4.1",
        model="gpt-4.1-2025-04-14",
        rubric="analyse",
        rubric_sha256="0" * 64,
        rubric_text="Comparez…",
        orders="lazy",
        stop="anytime",
        planned=150,
        counts=dict.fromkeys(OUTCOMES, 0),
        usage=Usage(live=Tokens(calls=3, dollars=None), dollars=None, unknown="no prices"),
        spent=Usage(),
        finished=True,
        stopped=Stopped("non_inferior", 0.1, 0.025, 40, 150, 40, 150),
        warnings=("w",),
    )
    write_summary(tmp_path / "judge.json", summary)
    assert read_summary(tmp_path) == summary
    (tmp_path / "judge.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_summary(tmp_path)


def test_the_folder_above_a_judge_s_names_it(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    write_verdicts(tmp_path / "judge" / "verdicts.jsonl", [])
    with pytest.raises(InputError, match=r"no verdicts\.jsonl in this folder \(did you mean .*/judge\?\)"):
        read_verdicts(tmp_path)
    assert read_verdicts(tmp_path / "judge") == []
