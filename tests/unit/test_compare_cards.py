"""Which pairs the HTML report shows, what is said of the others, and where they go."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import msgspec
import pytest

from lm_eval_fr.compare import CompareOptions, compare, pair_cards
from lm_eval_fr.compare.pair_cards import samples_of
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.report.html_writer import render
from lm_eval_fr.report.sample_cards import Card, Samples, pack, payload
from tests.fakes.cards import HOSTILE, hostile, ordinary, text
from tests.fakes.judged import judge_folder, verdicts_on
from tests.fakes.reports import a_report
from tests.fakes.runs import make_run, plain_task, write_responses

OUTCOMES = ("win", "loss", "tie", "flip", "split", "identical", "invalid", "unjudged")


def pairing(tmp_path: Path, n: int = 40, size: int = 10) -> Pairing:
    """n documents of a gold task, of which 0 and 1 are lost and 2 gained, and eight of a judged one."""
    runs = []
    for arm in ("c", "r"):
        right = [1.0] * n
        for i in (0, 1) if arm == "c" else (2,):
            right[i] = 0.0
        answers = [f"{arm} {text(i, size)}" if i % 2 else text(i, size) for i in range(n)]
        answers[5] = "" if arm == "c" else "là"
        gold = plain_task("piaf_fr", {"exact_match": right}, answers=answers)
        analysis = plain_task("analysis_fr", 8, answers=[f"{arm} {i}" if i != 5 else "même" for i in range(8)])
        folder = make_run(tmp_path / arm, gold, analysis, model=f"org/{arm}")
        runs.append(find_run(folder))
    return pair_runs(*runs)


def collect(paired: Pairing, *, judge_dir: Path | None, budget: int, beside: Path, seed: int) -> Samples:
    ranked = compare(paired, CompareOptions(judge_dir=judge_dir)).ranked
    return samples_of(ranked, budget, beside, seed)


def judge_of(paired: Pairing, folder: Path) -> Path:
    task = next(task for task in paired.tasks if task.judged)
    return judge_folder(folder, verdicts_on(task, OUTCOMES))


def test_flags_scores_and_texts(tmp_path: Path) -> None:
    paired = pairing(tmp_path)
    judge = judge_of(paired, tmp_path / "j")
    found = collect(paired, judge_dir=judge, budget=10**7, beside=tmp_path / "rest.jsonl", seed=1)
    assert (len(found.cards), found.total, found.note, found.beside) == (48, 48, None, None)
    by_task: dict[str, list[Card]] = {}
    for card in found.cards:
        by_task.setdefault(card.task, []).append(card)
    gold, judged = by_task["piaf_fr"], by_task["analysis_fr"]
    assert [card.position for card in gold] == list(range(40))
    assert [card.flags for card in gold[:6]] == [
        ("lost", "identical"),
        ("lost",),
        ("gained", "identical"),
        (),
        ("identical",),
        ("empty",),
    ]
    assert gold[0].scores == {"exact_match": (0.0, 1.0)}
    assert (gold[0].difference, gold[2].difference, gold[3].difference) == (-1.0, 1.0, 0.0)
    assert (gold[3].gold, gold[3].prompt.startswith("Réponds en français.")) == ("cible 3", True)
    assert [card.flags[0] for card in judged] == list(OUTCOMES)
    assert judged[0].verdicts == {"candidate_first": "A", "reference_first": "B"}
    assert judged[5].verdicts == {}
    assert [card.difference for card in judged] == [1.0, -1.0, 0.0, 0.0, 0.0, 0.0, None, None]
    assert not (tmp_path / "rest.jsonl").exists()


def test_failed_and_cut_answers_are_flagged(tmp_path: Path) -> None:
    runs = []
    for arm in ("c", "r"):
        folder = make_run(tmp_path / arm, plain_task("piaf_fr", {"f1": [1.0] * 3}), model=f"org/{arm}")
        if arm == "c":
            samples = next(folder.glob("samples_*.jsonl"))
            hashes = [json.loads(line)["doc_hash"] for line in samples.read_text().splitlines()]
            rows = [
                {"task": "piaf_fr", "doc_hash": hashes[0], "finish_reason": "length", "error": None},
                {"task": "piaf_fr", "doc_hash": hashes[1], "finish_reason": None, "error": "503"},
            ]
            write_responses(folder, "piaf_fr", rows, samples.stem.removeprefix("samples_piaf_fr_"))
        runs.append(find_run(folder))
    paired = pair_runs(*runs)
    found = collect(paired, judge_dir=None, budget=10**6, beside=tmp_path / "rest.jsonl", seed=1)
    assert "truncated" in found.cards[0].flags
    assert "failed" in found.cards[1].flags
    assert "lost" in found.cards[1].flags
    assert found.cards[2].flags == ("identical",)


def test_beyond_the_limit_what_matters_comes_first_and_the_rest_is_beside(tmp_path: Path) -> None:
    paired = pairing(tmp_path, n=300, size=200)
    judge = judge_of(paired, tmp_path / "j")
    beside = tmp_path / "rest.jsonl"
    found = collect(paired, judge_dir=judge, budget=40_000, beside=beside, seed=1)
    shown = {(card.task, card.doc_id) for card in found.cards}
    assert {("piaf_fr", 0), ("piaf_fr", 1), ("piaf_fr", 2), ("analysis_fr", 1), ("analysis_fr", 3)} <= shown
    assert 20 < len(shown) < 250
    assert "All 5 pairs with a lost or gained score" in (found.note or "")
    rest = [msgspec.json.decode(line) for line in beside.read_bytes().splitlines()]
    assert {(row["task"], row["doc_id"]) for row in rest} | shown == {
        *(("piaf_fr", i) for i in range(300)),
        *(("analysis_fr", i) for i in range(8)),
    }
    assert len(rest) + len(shown) == found.total == 308
    again = collect(paired, judge_dir=judge, budget=40_000, beside=beside, seed=1)
    assert again == found
    other = collect(paired, judge_dir=judge, budget=40_000, beside=beside, seed=2)
    assert {card.doc_id for card in other.cards} != {card.doc_id for card in found.cards}


def test_lone_surrogates_reach_the_page_and_the_file(tmp_path: Path) -> None:
    runs = []
    for arm in "cr":
        answers = [f"bancal SURROGATE {i}" for i in range(30)]
        folder = make_run(tmp_path / arm, plain_task("piaf_fr", {"f1": [1.0] * 30}, answers=answers), model=f"o/{arm}")
        samples = next(folder.glob("samples_*.jsonl"))
        samples.write_text(samples.read_text().replace("SURROGATE", "\\ud800"))
        runs.append(find_run(folder))
    paired = pair_runs(*runs)
    found = collect(paired, judge_dir=None, budget=2_000, beside=tmp_path / "rest.jsonl", seed=1)
    rest = [json.loads(line) for line in (tmp_path / "rest.jsonl").read_text().splitlines()]
    shown = {row["candidate"] for row in rest} | {card.candidate for card in found.cards}
    assert shown == {f"bancal \ufffd {i}" for i in range(30)}
    compare(paired).to_html(tmp_path / "report.html")
    assert "bancal" in (tmp_path / "report.html").read_text()


def test_the_worst_are_named_in_the_json(tmp_path: Path) -> None:
    paired = pairing(tmp_path)
    report = compare(paired, CompareOptions(judge_dir=judge_of(paired, tmp_path / "j")))
    named = [(ref.task, ref.doc_id, ref.difference, ref.outcome) for ref in report.samples]
    assert sorted(named) == [("analysis_fr", 1, -1.0, "loss"), ("piaf_fr", 0, -1.0, None), ("piaf_fr", 1, -1.0, None)]


def test_the_file_beside_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_cards, "REST_LIMIT", 7)
    found = collect(pairing(tmp_path, size=300), judge_dir=None, budget=500, beside=tmp_path / "x.jsonl", seed=1)
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 7
    assert "The file beside holds 7 of the others" in (found.note or "")


def test_no_room_for_all_that_matters_is_said(tmp_path: Path) -> None:
    found = collect(pairing(tmp_path, size=300), judge_dir=None, budget=500, beside=tmp_path / "x.jsonl", seed=1)
    assert len(found.cards) == 1
    assert "Of the 3 pairs with a lost" in (found.note or "")


def test_the_file_stays_under_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm_eval_fr.report.html_writer.FILE_LIMIT", 120_000)
    paired = pairing(tmp_path, n=400, size=250)
    path = tmp_path / "report.html"
    compare(paired).to_html(path)
    assert path.stat().st_size <= 120_000
    assert (tmp_path / "report.samples.jsonl").is_file()
    assert "report.samples.jsonl" in path.read_text()
    monkeypatch.undo()
    compare(paired).to_html(path)
    assert not (tmp_path / "report.samples.jsonl").exists()


@pytest.mark.parametrize("cards", [ordinary(), hostile()])
@pytest.mark.parametrize("plain_limit", [10**9, 0])
def test_packing_loses_nothing_and_looks_like_no_markup(cards: tuple[Card, ...], plain_limit: int) -> None:
    packed = pack(cards, plain_limit=plain_limit)
    assert not set("<>&") & set(packed.text)
    raw = packed.text if packed.encoding == "json" else zlib.decompress(base64.b64decode(packed.text)).decode()
    content = json.loads(raw)
    assert len(content["cards"]) == len(cards)
    for row, wanted in zip(content["cards"], payload(cards)["cards"], strict=True):
        assert row["r"] == wanted["r"].encode("utf-8", "replace").decode() or packed.encoding == "json"
    assert {row["o"] for row in content["cards"]} == {card.position for card in cards}


def test_hostile_texts_cannot_leave_their_element() -> None:
    page = render(a_report(notes=HOSTILE), Samples(cards=hostile(), total=len(HOSTILE)))
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert "onerror=" not in page.replace("onerror=&#34;", "").replace('onerror=\\"', "")
    assert "{{" in page  # template braces of an answer are text


def test_without_samples_there_is_no_script() -> None:
    page = render(a_report())
    assert "<script" not in page
    assert "script-src" not in page


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    paired = pairing(tmp_path)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match="cannot be written"):
        compare(paired).to_html(tmp_path / "file" / "report.html")
