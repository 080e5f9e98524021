from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lm_eval_fr.errors import JournalError
from lm_eval_fr.judge.asking.protocol import Prices, Profile
from lm_eval_fr.judge.verdicts.journal import Failure, Journal, StoredReply, call_key
from tests.waiting import LIMIT

PROFILE = Profile("test", "fake-model", prices=Prices(2.0, 0.5, 8.0, 0.5))
KEY = b"k" * 32
BODY = {"model": "m", "messages": [{"role": "user", "content": "é"}], "temperature": 0, "prompt_cache_key": "x"}


def test_a_reply_is_on_disk_when_its_future_is_done(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.sqlite"
    with Journal.open(path) as journal:
        judge = journal.judge(PROFILE)
        journal.store(StoredReply(KEY, judge, b'{"a": 1}')).result(5)
        other = sqlite3.connect(path)
        assert other.execute("SELECT raw FROM replies").fetchall() == [(b'{"a": 1}',)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        other.close()


def test_attempts_and_repeats_are_numbered_and_bytes_stay_as_they_came(tmp_path: Path) -> None:
    raw = b"\xff\x00 not UTF-8"
    with Journal.open(tmp_path / "j") as journal:
        judge = journal.judge(PROFILE)
        journal.store_all(
            [
                StoredReply(KEY, judge, b"1"),
                StoredReply(KEY, judge, raw, source="batch"),
                StoredReply(KEY, judge, b"3", repeat=1),
                StoredReply(b"o" * 32, judge, b"4"),
            ]
        )
    with Journal.open(tmp_path / "j") as journal:
        found = [(r.repeat, r.attempt, r.raw, r.source) for r in journal.replies(KEY)]
        assert found == [(0, 1, b"1", "live"), (0, 2, raw, "batch"), (1, 1, b"3", "live")]
        assert [reply.raw for reply in journal.all_replies()] == [b"1", raw, b"3", b"4"]
        assert journal.judges() == {judge: ("test", "fake-model", PROFILE.prices)}
        assert journal.judge(PROFILE) == judge


def test_the_salt_is_the_journals_own_and_stays(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a") as one, Journal.open(tmp_path / "b") as two:
        salt = one.salt
        assert len(salt) == 16
        assert salt != two.salt
    with Journal.open(tmp_path / "a") as again:
        assert again.salt == salt


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"temperature": 1},
        {"seed": 1},
        {"messages": [{"role": "user", "content": "e"}]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_what_is_sent_makes_the_key(change) -> None:
    assert call_key("openai", BODY | change) != call_key("openai", BODY)


def test_what_changes_no_answer_is_not_in_the_key() -> None:
    assert call_key("openai", BODY | {"prompt_cache_key": "y"}) == call_key("openai", BODY)
    assert call_key("openai", dict(reversed(BODY.items()))) == call_key("openai", BODY)
    assert call_key("mistral", BODY) != call_key("openai", BODY)


def test_a_failure_is_no_reply(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j") as journal:
        judge = journal.judge(PROFILE)
        journal.fail(Failure(KEY, judge, "server", "HTTP 500")).result(5)
        journal.fail(Failure(KEY, judge, "timeout", "no reply", dollars=None)).result(5)
        assert journal.replies(KEY) == []
        assert [(f.kind, f.detail, f.dollars) for f in journal.rows(KEY).failures] == [
            ("server", "HTTP 500", 0.0),
            ("timeout", "no reply", None),
        ]
        assert journal.failures() == [(judge, "server", 0.0, 1), (judge, "timeout", None, 1)]


def test_a_call_that_was_announced_and_never_settled_may_have_cost_its_reserve(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j") as journal:
        judge = journal.judge(PROFILE)
        lost = journal.announce(KEY, judge, 0.25).result(5)
        settled = journal.announce(KEY, judge, 0.5).result(5)
        assert lost != settled
        journal.store(StoredReply(KEY, judge, b"{}"), settled).result(5)
    for _ in range(2):
        with Journal.open(tmp_path / "j") as journal:
            assert journal.failures() == [(judge, "lost", 0.25, 1)]


def test_notes(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j") as journal:
        assert journal.note("batch") is None
        journal.set_note("batch", "1")
        journal.set_note("batch", "2")
        assert journal.note("batch") == "2"


def test_a_second_process_is_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        journal.store(StoredReply(KEY, journal.judge(PROFILE), b"1")).result(5)
        said = _child(path, "")
        assert said.returncode == 2
        assert f"{path}: in use by process {os.getpid()} (" in said.stdout
        assert len(journal.replies(KEY)) == 1
    assert _child(path, "").returncode == 0


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot be locked: .*/file is not a folder \(give an --out"):
        Journal.open(tmp_path / "file" / "journal.sqlite")


def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir(mode=0o555)
    said = _child(Path("journal.sqlite"), "", folder=folder)
    assert (said.returncode, said.stderr) == (2, "")
    assert "journal.sqlite: cannot be locked: Permission denied (give an --out that can be written)" in said.stdout


def test_a_full_disk_stops_cleanly_and_keeps_what_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    fill = """
        judge = journal.judge(Profile("p", "m"))
        stored = 0
        try:
            for number in range(1000):
                journal.store(StoredReply(number.to_bytes(32, "big"), judge, b"x" * 4000)).result(10)
                stored += 1
        finally:
            print("stored", stored, flush=True)
    """
    said = _child(path, fill, file_size=600_000)
    assert (said.returncode, said.stderr) == (2, ""), said.stderr
    count, message = said.stdout.splitlines()
    stored = int(count.removeprefix("stored "))
    assert 0 < stored < 1000
    assert "cannot be written: " in message
    assert "free space on that disk and rerun: what was stored is kept" in message
    with Journal.open(path) as journal:
        assert len(list(journal.all_replies())) == stored
        journal.store(StoredReply(KEY, 1, b"y")).result(5)


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_text("hello " * 1000)
    with pytest.raises(JournalError, match="is damaged: file is not a database"):
        Journal.open(path)
    path.unlink()
    with Journal.open(path) as journal:
        journal.close()
        with pytest.raises(JournalError, match="is closed"):
            journal.store(StoredReply(KEY, 1, b"")).result(5)
    database = sqlite3.connect(path)
    database.execute("UPDATE meta SET value = '9' WHERE name = 'format'")
    database.commit()
    database.close()
    with pytest.raises(JournalError, match="has format 9, this version reads 1"):
        Journal.open(path)
    with pytest.raises(JournalError, match="has format 9"):  # and the lock was given back
        Journal.open(path)


def _child(
    path: Path, code: str, *, folder: Path | None = None, file_size: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Opens the journal in another process and runs `code` in it; an error of ours is printed, with exit code 2.

    With `folder` it does so there as an ordinary user, whoever runs the test.
    """
    program = textwrap.dedent("""
        import os, resource, signal, sys
        from pathlib import Path
        from lm_eval_fr.errors import LmEvalFrError
        from lm_eval_fr.judge.verdicts.journal import Journal, StoredReply
        from lm_eval_fr.judge.asking.protocol import Profile
        path, code, folder, size = sys.argv[1:]
        if size:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
        if folder:
            os.chdir(folder)
            if os.geteuid() == 0:
                os.setuid(65534)
        try:
            with Journal.open(Path(path)) as journal:
                exec(code)
        except LmEvalFrError as error:
            print(error)
            sys.exit(2)
    """)
    arguments = [str(path), textwrap.dedent(code), str(folder or ""), str(file_size or "")]
    # `make coverage` would have the ordinary user write its figures, where none may.
    env = {name: value for name, value in os.environ.items() if not (folder and name.startswith("COVERAGE_"))}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, env=env)
