"""The command line's manners: help, near names, one line for a mistake, stdout for results only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from lm_eval_fr.cli import main
from tests.fakes.runs import FakeSample, FakeTask, make_run

COMMANDS = sorted(main.commands)
Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    folders = []
    for name, answer in (("candidate", "première réponse"), ("reference", "seconde réponse")):
        samples = [
            FakeSample({"id": str(i)}, f"Question {i} ?", f"{answer} {i}", {"f1": float(i % 3 > 0)}, target="oui")
            for i in range(30)
        ]
        folders.append(make_run(tmp_path / name, FakeTask("qa", samples), model=f"org/{name}"))
    return folders[0], folders[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(invoke: Invoke, command: str) -> None:
    shown = invoke(command, "--help")
    assert shown.exit_code == 0
    assert f"lm-eval-fr {command}" in shown.output
    assert shown.output.count("lm-eval-fr ") + shown.output.count("lm_eval ") >= 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["comparee"], ["comparee", "did you mean 'compare'"]),
        (["power", "--margn", "1"], ["--margn", "did you mean '--margin'"]),
        (["power", "--margin", "two"], ["--margin", "two", "not a number"]),
        (["power", "--margin", "0"], ["margin"]),
        (["power", "--flips", "1.5"], ["1.5"]),
        (["power", "--judge", "."], ["--pilot"]),
        (["judge", "."], ["Missing argument", "REFERENCE"]),
        (["fidelity", "http://a", "http://b"], ["Missing option", "--texts"]),
        (["ab", "no-such-plan.yaml"], ["no-such-plan.yaml"]),
        (["show", ".", ".", "."], ["takes one or two"]),
    ],
)
def test_a_mistake_is_one_line_and_code_two(invoke: Invoke, arguments: list[str], words: list[str]) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_no_arguments_show_the_help(invoke: Invoke) -> None:
    assert "lm-eval-fr demo" in invoke().output


def test_power_answers_with_the_published_numbers(invoke: Invoke) -> None:
    table = invoke("power", "--margin", "2%", "--sd", "0.15", "--sd", "0.25", "--flips", "0.03", "--ties", "0.4").output
    for number in ("444", "1,229", "589"):
        assert number in table
    assert "SD 0.25" in table and "40 % ties" in table


def test_show_prints_both_answers_of_one_document(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    shown = invoke("show", *two_runs, "--doc", "1").output
    assert "première réponse 1" in shown and "seconde réponse 1" in shown
    missing = invoke("show", *two_runs, "--doc", "99")
    assert missing.exit_code == 2 and "has no document 99" in missing.stderr


def test_json_owns_stdout(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    done = invoke("compare", *two_runs, "--json", "-")
    assert json.loads(done.stdout)["schema_version"] == 2
    assert invoke("compare", *two_runs, "--json", "-", "--markdown", "-").exit_code == 2


@pytest.mark.parametrize("face", ["--json", "--markdown", "--html"])
def test_a_file_that_cannot_be_written(invoke: Invoke, two_runs: tuple[Path, Path], tmp_path: Path, face: str) -> None:
    result = invoke("compare", *map(str, two_runs), face, str(tmp_path / "nowhere" / "report"), "--quiet")
    assert result.exit_code == 2
    assert "nowhere/report: cannot be written: No such file or directory (give another path)" in result.stderr


def test_a_page_is_not_for_stdout(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    result = invoke("compare", *map(str, two_runs), "--html", "-")
    assert result.exit_code == 2
    assert "--html -: is a page for a browser (give it a file)" in result.stderr


def test_a_margin_is_fixed_once(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    done = invoke("compare", *two_runs, "--margin", "0.02", "--margin", "0.03")
    assert done.exit_code == 2 and "two margins" in done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m lm_eval_fr power | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Non-inferiority") and "Traceback" not in done.stderr


def test_options_of_click_commands_all_have_help() -> None:
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in main.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not isinstance(option.type, click.Choice)
    ]
    assert silent == []
