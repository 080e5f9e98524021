"""What the judge's folder holds belongs together: an edit, a lost log or a stranger's file is said, and nothing is paid
again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError, JournalError
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import read_summary
from lm_eval_fr.judge.verdicts.read_judged import read_judged
from lm_eval_fr.pairing import Pairing
from tests.conftest import ROOT
from tests.fakes.judging import answer, by_quality, judge, outcomes, pair, write_profile, write_runs
from tests.fakes.server import FakeOpenAI
from tests.waiting import LIMIT

N = 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    candidate = [answer(i % 3) for i in range(N)]
    return write_runs(tmp_path_factory.mktemp("runs"), candidate, [answer(1, "Autre.")] * N)


@pytest.fixture(scope="module")
def pairing(runs: tuple[Path, Path]) -> Pairing:
    return pair(*runs)


@pytest.fixture
def judged(pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path) -> tuple[Path, str, FakeOpenAI]:
    server = fake_server(by_quality)
    profile = write_profile(tmp_path, server.url)
    judge(pairing, tmp_path / "out", profile)
    return tmp_path / "out", profile, server


def edit(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("".join(line + "\n" for line in change(lines)), encoding="utf-8")


def first_replaced(old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [lines[0].replace(old, new), *lines[1:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first_replaced('"outcome":"loss"', '"outcome":"win"'), r"jsonl:1: says win, but its two orders say loss"),
        (first_replaced('"outcome":"loss"', '"outcome":"identical"'), r"says identical, but its two orders say loss"),
        (lambda lines: [*lines, lines[3]], r"jsonl:9: document 3 of analysis_fr appears twice"),
        (lambda lines: lines[:-2], "its outcomes are not those that judge.json beside it counts"),
        (
            lambda lines: [
                line.replace(
                    '"candidate_first":"B","reference_first":"A"', '"candidate_first":"A","reference_first":"B"'
                ).replace('"outcome":"loss"', '"outcome":"win"')
                for line in lines
            ],
            "its outcomes are not those that judge.json beside it counts",
        ),
        (first_replaced("plus fidèle", "moins fidèle"), "its SHA-256 is not the one in judge.json"),
    ],
    ids=["outcome", "identical", "doubled", "short", "orders too", "a reason"],
)
def test_verdicts_that_were_changed_are_refused_and_written_anew_for_free(
    change: Callable[[list[str]], list[str]], said: str, judged: tuple[Path, str, FakeOpenAI], pairing: Pairing
) -> None:
    out, profile, server = judged
    before = outcomes(read_judged(out, pairing).verdicts)
    edit(out / "verdicts.jsonl", change)
    with pytest.raises(InputError, match=f"{said}.*--reparse"):
        read_judged(out, pairing)
    calls = server.count
    judge(pairing, out, profile, reparse=True)
    assert outcomes(read_judged(out, pairing).verdicts) == before
    assert server.count == calls


def test_verdicts_without_a_digest_are_held_against_their_counts(
    judged: tuple[Path, str, FakeOpenAI], pairing: Pairing
) -> None:
    """judge.json of an earlier version had none."""
    out, _, _ = judged
    summary = json.loads((out / "judge.json").read_text())
    del summary["verdicts_sha256"], summary["journal"], summary["counts"]["refused"]
    (out / "judge.json").write_text(json.dumps(summary))
    assert len(read_judged(out, pairing).verdicts) == N
    edit(out / "verdicts.jsonl", lambda lines: lines[:-1])
    with pytest.raises(InputError, match="its outcomes are not those"):
        read_judged(out, pairing)


def emptied(out: Path) -> None:
    (out / "journal.sqlite").write_bytes(b"")


def removed(out: Path) -> None:
    (out / "journal.sqlite").unlink()


def replaced(out: Path) -> None:
    """By the journal of another study, which is whole."""
    for path in out.glob("journal.sqlite*"):
        path.unlink()
    Journal.open(out / "journal.sqlite").close()


def older(out: Path) -> None:
    store = sqlite3.connect(out / "journal.sqlite")
    store.execute("DELETE FROM replies WHERE rowid > 3")
    store.commit()
    store.close()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (emptied, "is empty, but judge.json beside it rests on 16 replies"),
        (removed, "is missing, but judge.json beside it rests on 16 replies"),
        (replaced, "is not the journal that judge.json was written from"),
        (older, "has 3 of 16 stored replies"),
    ],
)
@pytest.mark.parametrize("first_release", [False, True])
def test_a_journal_that_is_not_the_one_is_refused_before_anything_is_paid_again(
    harm: Callable[[Path], None],
    said: str,
    first_release: bool,
    judged: tuple[Path, str, FakeOpenAI],
    pairing: Pairing,
) -> None:
    out, profile, server = judged
    if first_release:
        summary = json.loads((out / "judge.json").read_text())
        del summary["journal"]
        (out / "judge.json").write_text(json.dumps(summary))
        (out / "journal.sqlite.count").unlink()
        said = {replaced: "has 0 replies", older: "has 3 replies, but judge.json"}.get(harm, said)
    calls = server.count
    harm(out)
    with pytest.raises(JournalError, match=said):
        judge(pairing, out, profile)
    assert server.count == calls
    judge(pairing, out.with_name("new"), profile)  # and another folder starts anew
    assert server.count == 2 * calls


def test_a_folder_is_used_again_for_other_answers(
    judged: tuple[Path, str, FakeOpenAI], fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    """One journal may hold several judgings; judge.json is of the last one."""
    out, profile, _ = judged
    other = pair(*write_runs(tmp_path / "others", [answer(2)] * 3, [answer(1)] * 3))
    summary, verdicts = judge(other, out, profile)
    assert outcomes(verdicts) == ["win"] * 3
    assert summary.journal is not None and summary.journal.replies == 2 * N + 6


KILLED = textwrap.dedent("""
    import os, sys, time
    from pathlib import Path
    from lm_eval_fr.judge.asking.protocol import Profile
    from lm_eval_fr.judge.verdicts.journal import Journal, StoredReply
    with Journal.open(Path(sys.argv[1])) as journal:
        judge = journal.judge(Profile("p", "m"))
        for number in range(50):
            journal.store(StoredReply(os.urandom(32), judge, b"x" * 500)).result(10)
        print("stored", flush=True)
        time.sleep(60)
""")


def test_a_journal_without_its_log_is_refused(tmp_path: Path) -> None:
    """A process was killed, and somebody copied the folder without the file that ends in -wal."""
    path = tmp_path / "journal.sqlite"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "stored\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=LIMIT)
    shutil.copytree(tmp_path, tmp_path / "whole")
    (tmp_path / "journal.sqlite-wal").unlink()
    with pytest.raises(JournalError, match=r"of 50 stored replies: journal.sqlite-wal is missing"):
        Journal.open(path)
    with Journal.open(tmp_path / "whole" / "journal.sqlite") as journal:
        assert journal.count() == 50
    (tmp_path / "journal.sqlite.count").unlink()  # as the remedy says
    with Journal.open(path) as journal:
        assert journal.count() < 50


def test_a_look_at_the_journal_after_a_kill_does_no_harm(tmp_path: Path) -> None:
    """SQLite's own program moves the log into the file and removes it: nothing is lost."""
    path = tmp_path / "journal.sqlite"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "stored\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=LIMIT)
    store = sqlite3.connect(path)
    assert store.execute("SELECT count(*) FROM replies").fetchone() == (50,)
    store.close()
    assert not (tmp_path / "journal.sqlite-wal").exists()
    with Journal.open(path) as journal:
        assert journal.count() == 50


def test_the_command_line_is_kept_without_its_secrets(
    pairing: Pairing, fake_server: Callable[..., FakeOpenAI], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_API_KEY", "verysecret-0123456789")
    profile = write_profile(tmp_path, fake_server(by_quality).url)
    command = (
        "lm-eval-fr judge a b --model verysecret-0123456789 --base-url http://bob:hunter2pass@host/v1?api_key=k3y77"
    )
    judge(pairing, tmp_path / "out", profile, command=command)
    kept = read_summary(tmp_path / "out").command
    assert kept.startswith("lm-eval-fr judge a b --model ")
    for secret in ("verysecret", "hunter2pass", "k3y77"):
        assert secret not in kept
