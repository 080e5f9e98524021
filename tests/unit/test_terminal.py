"""What a person sees on a terminal: in its width, at most fifteen lines of any command, and where the rest is."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lm_eval_fr.demo import plan_path
from lm_eval_fr.io.streams import say_on_stderr
from lm_eval_fr.io.terminal import LINES, columns_of, fold, in_brief, in_columns
from lm_eval_fr.tasklib.definitions import group_names, task_names
from tests.fakes.terminal import LIMIT, Terminal, on_terminal

TABLE = "exact match, 5 % flips   3,925 (3,927)    982 (1,043)  157 (205)"


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("columns", [60, 132])
def test_the_width_is_that_of_the_terminal_written_to(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where stdout is another thing: an arm's progress goes to stderr, and its stdout nowhere."""
    with Terminal(columns) as terminal:
        assert columns_of(terminal.stream) == columns
        monkeypatch.setenv("COLUMNS", "50")
        assert columns_of(terminal.stream) == 50
    monkeypatch.delenv("COLUMNS")
    assert columns_of(io.StringIO(), 77) == 77


def test_lines_break_between_words_and_paths_stay_whole() -> None:
    path = "/a/path/that/is/wider/than/the/terminal/report.html"
    shown = fold(f"  the report is in {path} and nowhere else in the world", 30).split("\n")
    assert f"    {path}" in shown
    assert all(len(line) <= 30 for line in shown if path not in line)
    assert fold("short", 30) == "short"
    assert fold(TABLE, 30) == TABLE, "a row of a table that is broken cannot be read"
    assert fold("\033[1mbold\033[0m", 5) == "\033[1mbold\033[0m", "colours take no room"


def test_a_long_text_is_cut_after_a_paragraph_and_says_so() -> None:
    text = "\n\n".join("\n".join(f"paragraph {n}, line {i}" for i in range(4)) for n in range(9))
    with Terminal(80) as terminal:
        print(in_brief(text, terminal.stream, rest="--full"), file=terminal.stream)
        assert in_brief(text, terminal.stream, full=True) == text
        assert in_brief("short", terminal.stream) == "short"
    assert terminal.lines[-2:] == ["paragraph 2, line 3", "… 30 more lines: --full"]
    assert in_brief(text, io.StringIO()) == text, "a pipe gets everything"


def test_rows_that_the_terminal_breaks_are_counted() -> None:
    with Terminal(40) as terminal:
        print(in_brief("\n".join([TABLE] * 30), terminal.stream), file=terminal.stream)
    assert len(terminal.lines) <= LINES


def test_progress_is_told_in_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    message = "warning: 20 of 40 graded controls can be made: too few documents, or too little in their answers"
    with Terminal(60) as terminal:
        monkeypatch.setattr("sys.stderr", terminal.stream)
        say_on_stderr(message)
    assert max(map(len, terminal.lines)) <= 60
    assert " ".join(terminal.text.split()) == message


def test_words_in_columns_are_all_there() -> None:
    words = [f"word_{n}" for n in range(10)]
    lines = in_columns(words, 30)
    assert len(lines) < 10 and max(map(len, lines)) <= 30
    assert sorted(" ".join(lines).split()) == sorted(words)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_power_and_tasks_fit_a_glance(columns: int) -> None:
    assert len(on_terminal(columns, "power").lines) <= LINES
    tasks = on_terminal(columns, "tasks")
    assert len(tasks.lines) <= LINES
    shown = tasks.text.replace(",", " ").split()
    assert [name for name in (*task_names(), *group_names()) if name not in shown] == []


def test_full_shows_everything() -> None:
    shown = on_terminal(80, "power", "--full")
    assert len(shown.lines) > LINES
    assert "margin (points) that N documents establish" in shown.text and "--full" not in shown.text


def test_a_study_says_what_it_does_and_what_it_can_decide(tmp_path: Path) -> None:
    """From the first seconds on, and in the terminal's width; the bar is one for each step."""
    plan = tmp_path / "plan.yaml"
    arms = "candidate: {model: fr-baseline, model_args: {damage: 0.5}}\nreference: {model: fr-baseline}\n"
    settings = f"data_dir: {plan_path().parent / 'data'}\nlimit: 8\nmargins: {{gold: 5%}}\n"
    plan.write_text(f"name: small\ntasks: [sib200_fr]\n{settings}{arms}", encoding="utf-8")
    with Terminal(60) as terminal:
        typed = [sys.executable, "-m", "lm_eval_fr", "ab", str(plan), "--out", str(tmp_path / "out")]
        environment = {**os.environ, "TERM": "xterm", "PYTHONWARNINGS": "ignore"}
        environment.pop("NO_COLOR", None)
        done = subprocess.run(typed, stdout=terminal.slave, stderr=terminal.slave, env=environment, timeout=LIMIT)
    assert done.returncode == 0
    seen = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in re.split(r"[\r\n]+", terminal.text)]
    assert seen[0] == "reading the plan's documents"
    assert any(line.split()[:3] == ["sib200_fr", "8", "5"] for line in seen), "a table of what it can decide"
    assert [line[:11] for line in seen if line.startswith("step ")] == [f"step {n} of 3" for n in (1, 2, 3)]
    assert any(line.startswith("candidate [") and "8/8" in line for line in seen)
    assert not any("it/s" in line for line in seen), "a second bar"
    assert [line for line in seen if len(line) > 60 and str(tmp_path) not in line] == []
