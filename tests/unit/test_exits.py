"""How the program ends, whatever happens: one line, a code with one meaning, no traceback on the terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner, Result

from lm_eval_fr.cli import main
from lm_eval_fr.console import Program
from lm_eval_fr.errors import InputError
from lm_eval_fr.io.redaction import key_from
from lm_eval_fr.io.streams import say_on_stderr as say
from tests.waiting import LIMIT

KEY = "sk-test-0123456789abcdef"
NAMED_WRONGLY = f"base_url=http://127.0.0.1:9/v1/chat/completions,model=m,api_key_env={KEY}"
ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b2J\u202e"


def too_deep() -> NoReturn:
    too_deep()


def fault(error: BaseException) -> Any:
    def raise_it() -> None:
        raise error

    return raise_it


def end(action: Any, *arguments: str) -> Result:
    """What becomes of a command that does this."""
    program = Program("lm-eval-fr")
    program.command("do")(action)
    return CliRunner().invoke(program, ["do", *arguments])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("bad", where="a.json", line=3, remedy="mend it"), 2, "a.json:3: bad (mend it)"),
        (ValueError(f"key {KEY}{ESCAPES}"), 70, "internal error: ValueError: key"),
        (KeyError("x"), 70, "internal error: KeyError: 'x'"),
        (MemoryError(), 70, "internal error: MemoryError"),
        (OSError(28, "No space left on device", "/x"), 70, "No space left on device: /x"),
        (BrokenPipeError(32, "Broken pipe"), 70, "Broken pipe"),
        (KeyboardInterrupt(), 130, "interrupted: what was obtained is kept; resume with:"),
        (click.UsageError("wrong"), 2, "wrong (see lm-eval-fr do --help)"),
    ],
)
def test_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, code: int, says: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = end(fault(error))
    assert done.exit_code == code
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 and f"lm-eval-fr: {says}" in lines[0]
    assert KEY not in done.stderr and "\x1b" not in done.stderr
    files = [*tmp_path.iterdir()]
    assert len(files) == (code == 70)
    for file in files:
        assert str(file) in lines[0]
        content = file.read_text(encoding="utf-8")
        assert "Traceback (most recent call last)" in content
        assert KEY not in content and "\x1b" not in content


def test_a_recursion_without_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert end(too_deep).exit_code == 70


@pytest.mark.parametrize("flag", ["--out", "--output_path"])
def test_a_crash_where_the_output_cannot_be_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flag: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["lm-eval-fr", "do", flag, "x" * 5000])
    assert end(fault(ZeroDivisionError())).exit_code == 70
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "x" * 300, "y"],
        ["compare", "x/" * 5000, "y"],
        ["card", "x" * 300],
        ["fidelity", "http://127.0.0.1:9", "http://127.0.0.1:9", "--texts", "x" * 300],
        ["run", "--model", "dummy", "--tasks", "x" * 300, "--output_path", "out"],
        ["run", "--model", "dummy", "--tasks", "sib200_fr", "--output_path", "x" * 300],
        ["power", "--sd", "1e300"],
        ["power", "--cluster-size", "1e308"],
    ],
)
def test_what_is_too_long_or_too_large_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lm-eval-fr", *words])
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.stderr
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 300
    assert not list(tmp_path.rglob("*crash*"))


@pytest.mark.parametrize(
    "words",
    [
        ["manifest", "http://127.0.0.1:9", "--key-env", KEY],
        ["manifest", "http://127.0.0.1:9", "--key-env", "abcdef0123456789"],
        [
            "run",
            "--model",
            "hosted-chat",
            "--tasks",
            "sib200_fr",
            "--output_path",
            "out",
            "--model_args",
            NAMED_WRONGLY,
        ],
    ],
)
def test_a_key_in_the_place_of_its_name_is_not_repeated(words: list[str]) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "it is not repeated" in done.stderr, done.stderr
    assert words[-1].rpartition("=")[2] not in done.stderr


def test_the_traceback_is_beside_the_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["lm-eval-fr", "do", "--out", str(tmp_path)])
    assert end(fault(ZeroDivisionError())).exit_code == 70
    (file,) = tmp_path.iterdir()
    assert "ZeroDivisionError" in file.read_text()


def test_nothing_that_is_printed_steers_the_terminal_or_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_OWN_NAME", KEY)

    def show() -> None:
        key_from("MY_OWN_NAME")  # from here on it is known to be one
        print(f"été {ESCAPES} {KEY} \x1b[31mred\x1b[0m\tend")
        say(f"said {ESCAPES} {KEY} Bearer abc-123-def\r over")

    done = end(show)
    assert (
        done.stdout == "été \\u001b]52;c;ZXZpbA==\\u0007\\u001b[2J\\u009b2J\\u202e [redacted] \x1b[31mred\x1b[0m\tend\n"
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stderr)
    assert KEY not in done.stderr and "abc-123" not in done.stderr


def command(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "lm_eval_fr", *arguments]
    return subprocess.Popen(line, stderr=subprocess.PIPE, **more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_stdout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Path("/dev/full").open("wb") as full:
        process = command("tasks", stdout=full)
        said = process.communicate(timeout=LIMIT)[1].decode()
    assert process.returncode == 70
    assert said.startswith("lm-eval-fr: No space left on device; the traceback is in ") and said.count("\n") == 1


def test_a_reader_that_went_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    reading, writing = os.pipe()
    os.close(reading)
    process = command("tasks", stdout=writing)
    os.close(writing)
    said = process.communicate(timeout=LIMIT)[1].decode()
    assert process.returncode == 70
    assert said.startswith("lm-eval-fr: Broken pipe") and said.count("\n") == 1


def test_a_closed_stderr_changes_no_code() -> None:
    line = f"exec {sys.executable} -m lm_eval_fr nonsense 2>&-"
    assert subprocess.run(["sh", "-c", line], timeout=LIMIT, check=False, stdout=subprocess.DEVNULL).returncode == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals(number: signal.Signals, code: int, request: pytest.FixtureRequest) -> None:
    def kill() -> None:
        os.kill(os.getpid(), number)
        signal.pause()

    if signal.getsignal(number) is signal.SIG_IGN:  # inherited from nohup, or from a shell's background job
        request.addfinalizer(partial(signal.signal, number, signal.signal(number, signal.SIG_DFL)))
    before = signal.getsignal(number)
    done = end(kill)
    assert done.exit_code == code
    assert done.stderr.strip().startswith("lm-eval-fr: interrupted") and done.stderr.strip().count("\n") == 0
    assert signal.getsignal(number) is before
