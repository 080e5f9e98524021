"""Controls within a judging: asked first, cached, counted, and a judge that loses them is paid for nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lm_eval_fr import compare
from lm_eval_fr.errors import Unfinished
from lm_eval_fr.judge.options import JudgeOptions
from lm_eval_fr.judge.session import check_finished, judge_runs
from lm_eval_fr.judge.verdicts.judge_summary import read_summary
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from lm_eval_fr.pairing import Pairing
from tests.fakes.judging import (
    FAST,
    answer,
    by_quality,
    options,
    pair,
    shown,
    verdict_json,
    write_profile,
    write_runs,
)
from tests.fakes.server import Call, FakeOpenAI, Reply


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    candidate, reference = [answer(q) for q in (2, 1, 0, 1, 2, 0)], [answer(1, "Autre.")] * 6
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), candidate, reference))


@pytest.fixture
def profile(fake_server, tmp_path: Path) -> str:
    server: FakeOpenAI = fake_server(by_quality)
    return write_profile(tmp_path, server.url)


def test_controls_are_asked_first_and_a_blind_judge_is_paid_for_no_pair(
    pairing: Pairing, fake_server, tmp_path: Path
) -> None:
    server = fake_server(verdict_json("A"))
    profile, out = write_profile(tmp_path, server.url, concurrency=1), tmp_path / "out"
    summary = judge_runs(pairing, out, options(profile, controls=40))
    assert server.count == 28 and not summary.finished and summary.counts["unjudged"] == 6
    assert "it missed 14 of 28 questions about gross faults" in (summary.left or "")
    assert "--trust-judge" in (summary.remedy or "")
    assert summary.controls.canaries is not None and summary.controls.canaries.won == 0
    with pytest.raises(Unfinished):
        check_finished(summary, out)
    said: list[str] = []
    trusted = judge_runs(pairing, out, options(profile, controls=40, trust_judge=True), say=said.append)
    assert trusted.finished and any("it missed 14 of 28" in message for message in said)
    texts = [shown(call).task for call in server.calls]
    first = next(i for i, text in enumerate(texts) if "L'île est belle" in text)
    assert all("L'île est belle" in text for text in texts[first:])
    assert (first, server.count) == (28, 28 + 12), "controls are cached between runs like any question"
    assert any("no claim can be made from this judge" in warning for warning in trusted.warnings)


def facts(n: int) -> tuple[list[str], list[str]]:
    """Texts and reference answers of which every kind of fault can be made."""
    names = ("Montreuil", "Rungis", "Vincennes", "Saint-Denis", "Aubervilliers", "Nanterre")
    texts = [
        f"La halle numéro {1000 + i} de {names[i % 6]} fut bâtie en {1800 + i} par le maire de {names[(i + 1) % 6]} "
        f"pour {230 + i} marchands venus de {names[(i + 2) % 6]}. Elle ferma en {1950 + i % 40}."
        for i in range(n)
    ]
    answers = [
        f"La halle de {names[i % 6]} fut bâtie en {1800 + i} pour {230 + i} marchands.\n"
        f"Elle ferma en {1950 + i % 40}, comme celle de {names[(i + 1) % 6]} à la même époque."
        for i in range(n)
    ]
    return texts, answers


def test_graded_controls_share_the_text_of_their_pair_and_their_results_are_kept(fake_server, tmp_path: Path) -> None:
    texts, answers = facts(24)
    good = set(answers)

    def sees(call: Call) -> str:
        """Prefers the reference's own answer to its damaged twin, and the candidate's to all."""
        seen = shown(call)
        if "Vaurelle" in seen.task or "Kervoan" in seen.task or "abeille" in seen.task:
            return by_quality(call)
        if "parfaite" in seen.first + seen.second:
            return verdict_json("A" if "parfaite" in seen.first else "B")
        return verdict_json("A" if seen.first in good else "B")

    server = fake_server(sees)
    arms = write_runs(tmp_path / "runs", ["Réponse parfaite."] * 24, answers, texts=texts)
    profile, out = write_profile(tmp_path, server.url), tmp_path / "out"
    summary = judge_runs(pair(*arms), out, options(profile, controls=20))
    assert summary.finished and server.count == 28 + 2 * 20 + 2 * 24
    asked = summary.controls_asked
    assert asked is not None and asked.wanted == 20 and asked.shortage is None
    seen = asked.seen()
    assert (seen.questions, seen.missed, seen.n, seen.won, seen.lost) == (28, 0, 20, 20, 0) and seen.sees_graded
    assert {counts.grade for counts in seen.grades} >= {"gross", "word", "sentence"}
    assert seen.longer_effect == 0.0, "half are longer and half are shorter, and all are won"
    rows = read_verdicts(out / "control_verdicts.jsonl")
    assert len(rows) == 34 and {row.task for row in rows} == {"canary", "control"}
    assert read_summary(out) == summary
    before = server.count
    again = judge_runs(pair(*arms), out, options(profile, controls=20))
    assert server.count == before and again.controls_asked == asked


def test_a_judge_that_passes_the_gross_controls_and_no_graded_one_is_stopped(fake_server, tmp_path: Path) -> None:
    texts, answers = facts(24)
    server = fake_server(lambda call: by_quality(call) if "halle" not in shown(call).task else verdict_json("tie"))
    arms = write_runs(tmp_path / "runs", ["Autre."] * 24, answers, texts=texts)
    profile = write_profile(tmp_path, server.url)
    summary = judge_runs(pair(*arms), tmp_path / "out", options(profile, controls=20, orders="lazy"))
    assert server.count == 28 + 20, "a tie settles a graded control at once, and both orders of a gross one are asked"
    assert not summary.finished and "its net win in 20 control pairs is 0.00" in (summary.left or "")


def test_controls_that_were_never_answered_say_nothing_of_the_judge(fake_server, tmp_path: Path) -> None:
    texts, answers = facts(24)
    body = '{"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}'
    server = fake_server(lambda call: Reply(raw=body, status=429))
    arms = write_runs(tmp_path / "runs", ["Autre."] * 24, answers, texts=texts)
    summary = judge_runs(pair(*arms), tmp_path / "out", options(write_profile(tmp_path, server.url), controls=20))
    assert not summary.finished and summary.controls_asked is not None
    seen = summary.controls_asked.seen()
    assert (seen.n, seen.unjudged, seen.net_win, seen.ci_low, seen.longer_effect) == (0, 20, None, None, None)
    assert (seen.questions, seen.questions_left, seen.missed) == (0, 28, None)
    assert (seen.sees_gross, seen.sees_graded, seen.reason) == (None, None, "20 of 20 graded controls are not judged")
    (said,) = [warning for warning in summary.warnings if "claim" in warning]
    assert "run the same command again" in said and "missed" not in said and "net win" not in said

    report = compare(*arms, judge=tmp_path / "out", margins={"judge": 0.1})
    found = report.to_dict()["judge"]
    assert found["verdict"] == "no_verdict" and "run the same command again" in found["reasons"]["verdict"]
    sensitivity = found["sensitivity"]
    assert (sensitivity["net_win"], sensitivity["missed"], sensitivity["conditions_failed"]) == (None, None, [])
    assert sensitivity["conditions_unknown"] == [1, 2, 3, 4]
    assert {grade["n"] for grade in sensitivity["grades"]} == {0}
    assert "no question answered" in report.to_text() and "not known" in report._repr_html_()


def test_graded_controls_that_a_stop_left_out_are_unknown_and_the_gross_ones_tell(fake_server, tmp_path: Path) -> None:
    texts, answers = facts(24)
    server = fake_server(verdict_json("A"))
    arms = write_runs(tmp_path / "runs", ["Autre."] * 24, answers, texts=texts)
    summary = judge_runs(pair(*arms), tmp_path / "out", options(write_profile(tmp_path, server.url), controls=20))
    assert server.count == 28 and summary.controls_asked is not None
    seen = summary.controls_asked.seen()
    assert (seen.questions, seen.missed, seen.sees_gross) == (28, 14, False)
    assert (seen.n, seen.unjudged, seen.net_win, seen.sees_graded) == (0, 20, None, None)
    (said,) = [warning for warning in summary.warnings if "claim" in warning]
    assert "it missed 14 of 28" in said and "net win" not in said and "again" not in said


def test_a_control_that_failed_is_asked_again_and_one_that_was_unreadable_counts(fake_server, tmp_path: Path) -> None:
    """The pairs are judged meanwhile; without that control no claim is made of them, and the run is not finished."""
    texts, answers = facts(24)
    broken, failing = [True], set[str]()

    def sees(call: Call) -> str | Reply:
        seen = shown(call)
        if "Autre." in seen.first + seen.second or not any(text in seen.task for text in texts):
            return by_quality(call)
        failing.add(seen.task) if not failing else None
        if seen.task in failing:
            return Reply("hors service", status=500) if broken[0] else "illisible"
        return verdict_json("A" if seen.first in answers else "B")

    server = fake_server(sees)
    arms = write_runs(tmp_path / "runs", ["Autre."] * 24, answers, texts=texts)
    chosen = options(write_profile(tmp_path, server.url), controls=20)
    summary = judge_runs(pair(*arms), tmp_path / "out", chosen)
    assert summary.counts["unjudged"] == 0 and not summary.finished
    assert "1 of 34 controls are not judged" in (summary.left or "")
    broken[0] = False
    summary = judge_runs(pair(*arms), tmp_path / "out", chosen)
    assert summary.finished and summary.controls_asked is not None
    seen = summary.controls_asked.seen()
    assert (seen.n, seen.won, seen.unjudged, seen.sees_graded) == (20, 19, 0, True)


def test_reparse_misses_no_control_that_was_never_asked(pairing: Pairing, profile: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    judged = judge_runs(pairing, out, options(profile, controls=0))
    again = judge_runs(pairing, out, options(profile, controls=40, reparse=True))
    assert (again.finished, again.counts, again.warnings) == (True, judged.counts, judged.warnings)
    assert again.controls_asked is None and again.controls.canaries is None


def test_reparse_misses_the_controls_that_failed(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    server = fake_server(Reply("hors service", status=500))
    chosen = options(write_profile(tmp_path, server.url), controls=40)
    judged = judge_runs(pairing, tmp_path / "out", chosen)
    assert judged.controls_asked is not None and all(control.unjudged for control in judged.controls_asked.pairs)
    again = judge_runs(pairing, tmp_path / "out", replace(chosen, reparse=True))
    assert not again.finished and again.controls_asked == judged.controls_asked


def test_too_few_documents_for_graded_controls_stop_nothing_and_are_said(
    pairing: Pairing, profile: str, tmp_path: Path
) -> None:
    said: list[str] = []
    summary = judge_runs(pairing, tmp_path / "out", options(profile, controls=40), say=said.append)
    assert summary.finished and summary.counts["unjudged"] == 0
    assert any("0 of 40 graded controls can be made" in message for message in said)
    assert any("no claim can be made from this judge: no graded control" in warning for warning in summary.warnings)


def test_a_panel_s_controls_are_the_majority_s(pairing: Pairing, fake_server, tmp_path: Path) -> None:
    judges = (by_quality, by_quality, verdict_json("A"))
    profiles = tuple(
        write_profile(tmp_path, fake_server(judge).url, f"judge{i}", model=f"m{i}") for i, judge in enumerate(judges)
    )
    options_ = JudgeOptions(profile=profiles, controls=10, retry=FAST, trust_judge=True)
    summary = judge_runs(pairing, tmp_path / "out", options_)
    assert summary.controls_asked is not None
    seen = summary.controls_asked.seen()
    assert (seen.questions, seen.missed) == (28, 0) and len(summary.panel.controls) == 3
