"""A report on a terminal: few lines, in its width, the verdict first, and where the rest is."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.streams import RedactedStream
from lm_eval_fr.report import words as w
from lm_eval_fr.report.layout import width
from lm_eval_fr.report.model import Caution, Report
from lm_eval_fr.report.terminal_writer import LINES, render_brief, render_brief_many
from tests.fakes.reports import a_difference, a_full_report, a_report, a_task, many_reports

ALARM = Caution(kind="canaries_failed", text="The judge missed 9 of 12 controls. " * 9)


def crowded() -> Report:
    """More claims, cautions and words than fit."""
    tasks = tuple(a_task(f"une_tâche_au_nom_interminable_{i}", "acc", secondary=False) for i in range(30))
    report = a_report(tasks=tasks, warnings=(ALARM, replace(ALARM, kind="offline_judge"), *a_report().warnings))
    sentence = "Inferior at 95 % confidence: " + "the candidate loses more than the margin on many tasks, " * 12
    return replace(report, overall=replace(report.overall, sentence=sentence, advice="read what was lost; " * 20))


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("report", [a_report(), a_full_report(), crowded(), a_report(tasks=(), judge=None)])
def test_at_most_fifteen_lines_in_the_width_of_the_terminal(report: Report, columns: int) -> None:
    lines = render_brief(report, columns=columns, rest="report.html").splitlines()
    assert len(lines) <= LINES
    assert [line for line in lines if width(line) > columns] == []
    assert w.word(report.verdict).upper() in lines[0]
    assert lines[-1].endswith("report.html"), "what is cut is never where the rest is"


def test_every_claim_has_its_counts_its_interval_and_its_verdict() -> None:
    lines = render_brief(a_report(), columns=110).splitlines()
    piaf = next(line for line in lines if line.strip().startswith("piaf_fr"))
    assert re.search(r"├─*●[─│]*┤ +-0\.5 +41/33  ✓ non-inferior", piaf)
    assert next(line for line in lines if line.strip().startswith("judge")).endswith("✓ non-inferior")
    assert any("lost/gained" in line and "-margin" in line for line in lines)


def test_claims_that_do_not_fit_are_the_harmless_ones() -> None:
    harmless = tuple(a_task(f"tranquille_{i}", "acc", secondary=False) for i in range(20))
    worse = next(task for task in a_report().tasks if task.task == "massive_scenario_fr")
    shown = render_brief(a_report(tasks=(*harmless, worse)), columns=100)
    assert "massive_scenario" in shown
    assert re.search(r"and \d+ other claims", shown)


def test_the_claim_that_takes_the_verdict_is_shown() -> None:
    """Its interval is the most harmless of all."""
    claims = [a_task(f"tranquille_{i}", "acc", secondary=False) for i in range(20)]
    nothing = a_task("coupable", "acc", "no_verdict", paired=a_difference(ci=(-0.001, 0.001)), secondary=False)
    assert "coupable" in render_brief(a_report(tasks=(*claims, nothing)), columns=100)


def test_a_drawing_that_does_not_fit_is_left_out_and_the_numbers_stay() -> None:
    shown = render_brief(a_report(), columns=40)
    assert "●" not in shown
    assert "41/33" in shown


def test_a_plain_terminal_gets_ascii() -> None:
    shown = render_brief(crowded(), columns=80, plain=True)
    assert shown.isascii()
    assert "[" in shown and "o" in shown


def test_colours_mark_the_verdicts_and_change_nothing_else() -> None:
    plain = render_brief(a_report(), columns=100)
    coloured = render_brief(a_report(), columns=100, colour=True)
    assert "\033[1;33m? INCONCLUSIVE\033[0m" in coloured
    assert "\033[32m✓ non-inferior\033[0m" in coloured
    assert re.sub(r"\033\[[\d;]*m", "", coloured) == plain


def test_colours_pass_through_what_guards_stdout() -> None:
    coloured = render_brief(a_report(), columns=100, colour=True)
    shown = io.StringIO()
    guard = RedactedStream(shown, Redactor.from_environment(), bars=False)
    guard.write(coloured)
    guard.finish()
    assert shown.getvalue() == coloured


def test_names_cannot_move_the_cursor() -> None:
    report = a_report()
    report = replace(report, candidate=replace(report.candidate, name="evil\033[2J\r\n"))
    assert "\033" not in render_brief(report, columns=100)
    assert io.StringIO(render_brief(report, columns=100)).readline().startswith("? INCONCLUSIVE")


def test_a_sentence_is_cut_only_where_the_others_need_the_room() -> None:
    report = a_report(tasks=a_report().tasks[:1], judge=None)
    sentence = "Inconclusive: " + "one of many words " * 20
    report = replace(report, overall=replace(report.overall, sentence=sentence.strip()))
    assert " ".join(sentence.split()) in " ".join(render_brief(report, columns=60).split())


@pytest.mark.parametrize("number", [2, 5, 30])
def test_several_candidates_are_a_verdict_each(number: int) -> None:
    many = many_reports()
    many = replace(many, reports=tuple(many.reports[i % len(many.reports)] for i in range(number)))
    lines = render_brief_many(many, columns=80).splitlines()
    assert len(lines) <= LINES and all(width(line) <= 80 for line in lines)
    assert sum(line.startswith(("✓", "✗", "?")) for line in lines) == min(number, LINES - 2)
    assert ("other candidate" in lines[-2]) is (number > LINES - 2)
    assert lines[-1].endswith("--full")
