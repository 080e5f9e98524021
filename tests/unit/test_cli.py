"""The command line's manners: help, near names, one line for a mistake, stdout for results only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner, Result

from lm_eval_fr.cli import main
from lm_eval_fr.demo import example_plan
from lm_eval_fr.plan import parse_plan
from tests.fakes.runs import FakeSample, FakeTask, make_run
from tests.waiting import LIMIT

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
        (["power", "--sd", "25"], ["25", "not points", "0.25"]),
        (["power", "--guarantee", "bad"], ["'bad' is not one of", "(see lm-eval-fr power --help)"]),
        (["power", "--claims", "0"], ["(see lm-eval-fr power --help)"]),
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
    assert "--html -: cannot go to stdout (give it a file)" in result.stderr


@pytest.fixture
def study(two_runs: tuple[Path, Path], tmp_path: Path) -> Path:
    """The two runs as a study's folder, with the plan that `ab` keeps there."""
    folder = tmp_path / "study"
    for name, run in zip(("candidate", "reference"), two_runs, strict=True):
        shutil.copytree(run, folder / name)
    (folder / "plan.yaml").write_text(
        "name: study\ntasks: [qa]\nmargins: {qa: 50%}\nlevel: 90%\n"
        "candidate: {model: dummy}\nreference: {model: dummy}\n"
    )
    return folder


def test_a_study_s_folder_is_compared_by_its_plan(invoke: Invoke, study: Path) -> None:
    done = invoke("compare", study, "--json", "-")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["tasks"][0]["margin"] == 0.5 and report["level"] == 0.9
    assert report["plan_hash"]
    assert "première réponse 0" in invoke("show", study).output


@pytest.mark.parametrize(
    "flag",
    [["--margin", "2%"], ["--judge", "."], ["--level", "0.9"], ["--seed", "1"], ["--task", "qa"], ["--allow", "x"]],
)
def test_what_a_plan_has_fixed_is_not_given_again(invoke: Invoke, study: Path, flag: list[str]) -> None:
    done = invoke("compare", study, *flag)
    assert done.exit_code == 2 and f"{flag[0]}: the study's plan fixes it" in done.stderr


def test_a_folder_in_the_place_of_a_file_says_which_is_meant(
    invoke: Invoke, study: Path, two_runs: tuple[Path, Path]
) -> None:
    said = invoke("ab", study).stderr
    assert f"give {study / 'plan.yaml'}; `lm-eval-fr compare {study}` reads a finished study" in said
    (study / "judge").mkdir()
    (study / "judge" / "judge.json").write_text("{}")
    done = invoke("compare", *two_runs, "--judge", study)
    assert done.exit_code == 2 and f"no judge.json in this folder (did you mean {study / 'judge'}?)" in done.stderr
    assert "give the --out folder of `lm-eval-fr judge`" in invoke("compare", *two_runs, "--judge", two_runs[0]).stderr


@pytest.mark.parametrize(
    ("columns", "least", "most"), [("", 81, 100), ("60", 50, 60), ("200", 101, 200), ("x", 81, 100)]
)
def test_columns_are_obeyed_in_a_pipe(
    invoke: Invoke, two_runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, columns: str, least: int, most: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = invoke("compare", *two_runs, "--margin", "2%").stdout.splitlines()
    prose = lines[: lines.index("")]  # a table of numbers is as wide as they are
    assert least <= max(map(len, prose)) <= most


def test_one_run_is_not_a_study(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    done = invoke("compare", two_runs[0])
    assert done.exit_code == 2 and "not a study's folder" in done.stderr


def test_a_gate_needs_a_margin(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    done = invoke("compare", *two_runs, "--gate")
    assert done.exit_code == 2 and "--gate: needs a margin" in done.stderr


def test_what_is_for_one_candidate(invoke: Invoke, two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    for flag, value in (("--html", "r.html"), ("--junit", "j.xml"), ("--price", "1/h"), ("--candidate-rerun", ".")):
        done = invoke("compare", two_runs[0], two_runs[0], two_runs[1], flag, value)
        assert done.exit_code == 2 and f"{flag}: is for one candidate" in done.stderr, done.stderr


def test_junit_and_a_badge(invoke: Invoke, two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    files = tmp_path / "junit.xml", tmp_path / "badge.svg"
    wanted = ["--junit", files[0], "--badge", files[1], "--quiet"]
    assert invoke("compare", *two_runs, "--margin", "20%", *wanted).exit_code == 0
    suite = ElementTree.parse(files[0]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "0")
    assert suite[0].get("name") == "qa" and suite[0].find("failure") is None
    badge = ElementTree.parse(files[1]).getroot()
    assert badge.get("aria-label") == "French quality: non-inferior"
    invoke("compare", *two_runs, *wanted)
    assert "no margin was given" in (ElementTree.parse(files[0]).getroot()[0].find("skipped")).get("message")
    assert invoke("compare", *two_runs, "--junit", "-").exit_code == 2


def complete(typed: str) -> list[str]:
    """What bash would be offered after `typed`."""
    words = typed.split(" ")
    env = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1), "_LM_EVAL_FR_COMPLETE": "bash_complete"}
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'lm-eval-fr'; from lm_eval_fr.cli import main; main()"]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=LIMIT)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lm-eval-fr judge a b --profile gp", "gpt-4.1"),
        ("lm-eval-fr judge a b --rubric an", "analyses_fr"),
        ("lm-eval-fr compare a b --task pi", "piaf_fr"),
        ("lm-eval-fr compare a b --claims nem", "nemotron_3_nano_nvfp4"),
        ("lm-eval-fr run --tasks fr_", "fr_gold"),
        ("lm-eval-fr run --model hosted", "hosted-chat"),
        ("lm-eval-fr run --data", "--data-dir"),
    ],
)
def test_the_shell_completes_names(typed: str, offered: str) -> None:
    assert offered in complete(typed)


def test_the_list_of_commands_cuts_no_sentence(invoke: Invoke) -> None:
    shown = " ".join(invoke("--help").output.split())
    for name, command in main.commands.items():
        assert f"{name} {' '.join(command.get_short_help_str(1000).split())}" in shown
    assert shown.count("...") == 1  # of the usage


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_no_line_of_the_help_is_wider_than_a_terminal(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = invoke(*command.split(), "--help").output
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_the_plan_of_the_help_is_the_readme_s(invoke: Invoke) -> None:
    plan = example_plan().read_text(encoding="utf-8")
    shown = invoke("ab", "--help").output
    assert all(line in shown for line in plan.splitlines())
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"# plan.yaml\n{plan}```" in readme
    assert parse_plan(plan, where=Path("plan.yaml")).margins


def test_the_demo_s_texts_can_be_copied_for_plans_of_one_s_own(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("demo", "--texts", tmp_path / "data")
    assert done.exit_code == 0 and "data_dir:" in done.stderr and (tmp_path / "data" / "sib200_fr.jsonl").is_file()
    again = invoke("demo", "--texts", tmp_path / "data")
    assert again.exit_code == 2 and "exists already" in again.stderr


def test_a_margin_is_fixed_once(invoke: Invoke, two_runs: tuple[Path, Path]) -> None:
    done = invoke("compare", *two_runs, "--margin", "0.02", "--margin", "0.03")
    assert done.exit_code == 2 and "two margins" in done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m lm_eval_fr power | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=LIMIT)
    assert done.stdout.startswith("Non-inferiority") and "Traceback" not in done.stderr


def test_options_of_click_commands_all_have_help() -> None:
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in main.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not isinstance(option.type, click.Choice)
    ]
    assert silent == []
