"""Files whole or not at all, one owner at a time, and a store that says what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lm_eval_fr.errors import ArmError, InputError, UsageError
from lm_eval_fr.io.files import atomic_file, write_atomic
from lm_eval_fr.io.locks import Lock
from lm_eval_fr.io.sqlite import open_store
from tests.waiting import LIMIT


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "un é \ud800", durable=True)
    assert path.read_bytes() == "un é ?".encode()
    path.chmod(0o640)
    with pytest.raises(RuntimeError), atomic_file(path) as out:
        out.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == "un é ?".encode()
    write_atomic(path, b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    write_atomic(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written: No such file or directory \(another --out\)"):
        write_atomic(tmp_path / "no" / "a", "x", remedy="another --out")
    with pytest.raises(UsageError, match="free some space"):
        write_atomic(Path("/dev/full"), "x")


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    place = tmp_path / "new" / "study"
    with Lock(place):
        with pytest.raises(UsageError, match=rf"study: in use by process {os.getpid()} \(wait until it ends"):
            Lock(place)
        code = f"from pathlib import Path; from lm_eval_fr.io.locks import Lock; Lock(Path({str(place)!r}))"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=False)
        assert f"in use by process {os.getpid()}" in other.stderr
    with Lock(place, kind=ArmError):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ArmError, match="cannot be locked"):
        Lock(tmp_path / "file" / "study", kind=ArmError)


def test_a_store(tmp_path: Path) -> None:
    path, schema = tmp_path / "new" / "a.sqlite", "CREATE TABLE IF NOT EXISTS t (a TEXT)"
    store = open_store(path, schema)
    assert store.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    store.execute("INSERT INTO t VALUES ('kept')")
    store.close()
    alone = open_store(path, schema, exclusive=True)
    assert alone.execute("SELECT a FROM t").fetchall() == [("kept",)]
    with pytest.raises(InputError, match="in use by another process"):
        open_store(path, schema, exclusive=True)
    alone.close()


def test_a_store_that_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    store = open_store(path, "CREATE TABLE IF NOT EXISTS t (a TEXT)")
    store.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(ArmError, match=r"is damaged: .*move it away"):
        open_store(path, kind=ArmError)
    path.write_text("not a database" * 100)
    with pytest.raises(InputError, match="is damaged"):
        open_store(path)
    with pytest.raises(InputError, match="cannot be written"):
        open_store(path / "inside")
