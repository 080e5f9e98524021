"""A judging that is killed twenty times at moments nobody chose, and interrupted: nothing is lost or paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from lm_eval_fr.judge.asking.profile import load_profile
from lm_eval_fr.judge.verdicts.journal import Journal, call_key
from lm_eval_fr.judge.verdicts.judge_summary import read_summary
from lm_eval_fr.judge.verdicts.ledger import spent_so_far
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from tests.conftest import ROOT
from tests.fakes.judging import answer, by_quality, judge, outcomes, pair, write_profile, write_runs
from tests.fakes.server import FakeOpenAI
from tests.waiting import LIMIT, wait_for

PAIRS, KILLS, CONCURRENCY = 500, 20, 8

# Imports once, then forks a fresh process for each line that it reads: a start costs milliseconds.
STARTER = textwrap.dedent("""
    import os, sys, json
    from pathlib import Path
    import openai, lm_eval_fr.judge.verdicts.position
    from lm_eval_fr.judge.session import judge_runs
    from tests.fakes.judging import options, pair
    def say(message):
        print(message, file=sys.stderr, flush=True)
    for line in sys.stdin:
        candidate, reference, out, profile = json.loads(line)
        pid = os.fork()
        if pid == 0:
            pairing, asked = pair(Path(candidate), Path(reference)), options(
                profile, max_usd=100.0, command="lm-eval-fr judge"
            )
            try:
                judge_runs(pairing, Path(out), asked, say=say)
            except KeyboardInterrupt as stop:
                say(str(stop))
                os._exit(130)
            except Exception as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
""")


class Starter:
    """Starts judgings, one at a time, each in a process of its own."""

    def __init__(self, arguments: list[str], said: Path) -> None:
        self._line = json.dumps(arguments) + "\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTER],
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said.open("w"),
            text=True,
        )

    def start(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(self._line)
        self._process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=LIMIT)


@pytest.fixture
def starter(tmp_path: Path, fake_server) -> Iterator[tuple[Starter, FakeOpenAI, Path, Path]]:
    server = fake_server(by_quality, latency=0.005)
    candidate, reference = write_runs(
        tmp_path / "runs", [answer(i % 3) for i in range(PAIRS)], [answer(1, "Autre.")] * PAIRS
    )
    profile = write_profile(tmp_path, server.url, concurrency=CONCURRENCY)
    found = Starter([str(candidate), str(reference), str(tmp_path / "out"), profile], tmp_path / "said")
    yield found, server, tmp_path / "out", Path(profile)
    found.close()


@pytest.mark.slow
def test_killed_twenty_times(starter: tuple[Starter, FakeOpenAI, Path, Path]) -> None:
    judging, server, out, profile = starter
    moments = random.Random(20261121)
    stored_at_kill: list[tuple[int, set[bytes]]] = []
    for kill in range(KILLS):
        pid, before = judging.start(), server.count
        # Every fifth while it starts and opens the journal, the others a little after its first call.
        wait_for(lambda before=before, kill=kill: kill % 5 == 4 or server.count > before, "its first call")
        time.sleep(moments.uniform(0.0, 0.12))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if judging.wait() == 0:  # on a busy machine the later kills may come too late
            assert kill > KILLS / 2, "it ended before it was killed"
            break
        wait_for(lambda: server.in_flight == 0, "the calls of the killed process go")
        stored_at_kill.append((server.count, _stored(out / "journal.sqlite")))
    pid = judging.start()
    assert judging.wait() == 0

    verdicts, summary = read_verdicts(out), read_summary(out)
    assert outcomes(verdicts) == [("loss", "tie", "win")[i % 3] for i in range(PAIRS)]
    assert summary.finished

    keys = [call_key("openai", call.body) for call in server.calls]
    asked = Counter(keys)
    assert len(asked) == 2 * PAIRS
    for count, stored in stored_at_kill:
        assert not stored & set(keys[count:]), "a stored call was paid again"
    paid_again = server.count - 2 * PAIRS
    assert 0 < paid_again <= KILLS * CONCURRENCY
    with Journal.open(out / "journal.sqlite") as journal:
        assert sum(1 for _ in journal.all_replies()) == 2 * PAIRS
        lost = sum(count for _, kind, _, count in journal.failures() if kind == "lost")
        # Every call at the server is either stored, or was announced and counted as lost.
        assert paid_again <= lost <= KILLS * CONCURRENCY
        spent = spent_so_far(journal, load_profile(profile))
    assert spent is not None
    assert summary.usage.dollars == pytest.approx(spent)
    assert summary.usage.lost_dollars  # the lost calls count at the most they may have cost
    check = sqlite3.connect(out / "journal.sqlite")
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def test_interrupted(starter: tuple[Starter, FakeOpenAI, Path, Path]) -> None:
    judging, server, out, _ = starter
    server.latency = 0.3
    pid = judging.start()
    wait_for(lambda: server.in_flight == CONCURRENCY, "all places are taken")
    os.kill(pid, signal.SIGINT)
    assert judging.wait() == 130
    assert len(_stored(out / "journal.sqlite")) == server.count  # what was in flight was waited for
    said = (out.parent / "said").read_text()
    assert "of 500 pairs are judged" in said


def test_interrupted_twice_does_not_wait(starter: tuple[Starter, FakeOpenAI, Path, Path]) -> None:
    judging, server, out, _ = starter
    pid = judging.start()
    wait_for(lambda: server.count > 10, "eleven calls")
    server.latency, before = 60.0, server.count
    wait_for(lambda: server.in_flight == CONCURRENCY and server.count >= before + CONCURRENCY, "slow calls only")
    stored = len(_stored(out / "journal.sqlite"))
    for _ in range(2):
        os.kill(pid, signal.SIGINT)
        time.sleep(0.2)
    assert judging.wait() == 130
    assert len(_stored(out / "journal.sqlite")) >= stored


FULL_DISK = textwrap.dedent("""
    import resource, signal, sys
    from pathlib import Path
    from lm_eval_fr.errors import LmEvalFrError
    from lm_eval_fr.judge.session import judge_runs
    from tests.fakes.judging import options, pair
    candidate, reference, out, profile = sys.argv[1:]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        judge_runs(pair(Path(candidate), Path(reference)), Path(out), options(profile))
    except LmEvalFrError as error:
        print(error)
        sys.exit(error.exit_code)
""")


def test_a_disk_that_fills_up_stops_in_one_line_and_resumes(tmp_path: Path, fake_server) -> None:
    server = fake_server(by_quality)
    runs = write_runs(tmp_path / "runs", [answer(2)] * 300, [answer(1)] * 300)
    profile = write_profile(tmp_path, server.url, concurrency=CONCURRENCY)
    command = [sys.executable, "-c", FULL_DISK, *map(str, runs), str(tmp_path / "out"), profile]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (said.returncode, said.stderr, said.stdout.count("\n")) == (2, "", 1)
    assert "journal.sqlite: cannot be written: " in said.stdout
    assert "free space on that disk and rerun: what was stored is kept" in said.stdout
    stored, calls = _stored(tmp_path / "out" / "journal.sqlite"), server.count
    assert 0 < calls - CONCURRENCY <= len(stored) < 600
    summary, verdicts = judge(pair(*runs), tmp_path / "out", profile)
    assert outcomes(verdicts) == ["win"] * 300
    assert server.count == calls + 600 - len(stored)
    assert summary.usage.calls == 600


def _stored(path: Path) -> set[bytes]:
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as journal:
        if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone():
            return set()
        return {key for (key,) in journal.execute("SELECT key FROM replies")}
