"""A crash at each write, as SQLite's own tests do it: nothing acknowledged is lost, nothing half-written is read.

A process does the work and is killed before its first, second, third ... call that writes, until it comes to its end;
then in the middle of a write, by a limit of file size that cuts the write-ahead log or the file at growing lengths.
After each the same functions open what is left and bring the work to its end.
"""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any

import pytest

from lm_eval_fr.arms.cache import AnswerCache
from lm_eval_fr.judge.asking.protocol import Prices, Profile, Question
from lm_eval_fr.judge.batch import batch_file
from lm_eval_fr.judge.batch.batch_collect import collect
from lm_eval_fr.judge.batch.batch_record import Outbox
from lm_eval_fr.judge.batch.batch_submit import submit
from lm_eval_fr.judge.verdicts.journal import Journal, StoredReply, call_key
from tests.conftest import ROOT
from tests.fakes.batch import FakeBatches
from tests.fakes.server import FakeOpenAI
from tests.waiting import LIMIT

ITEMS = 3
MOST_CRASHES = 200
CUT = 3_001  # bytes between one cut and the next: a page of a log is about 4,100
pytestmark = pytest.mark.slow
WRITING = {"execute", "executemany", "executescript", "write", "flush", "fsync", "replace", "unlink", "mkdir"}
Say = Callable[[str], None]


class Model:
    """An lm-eval model whose answers take more than one page."""

    def __init__(self, say: Say) -> None:
        self.asked: list[str] = []
        self._say = say

    def set_cache_hook(self, hook: Any) -> None:
        self._hook = hook

    def generate_until(self, requests: list[Any]) -> list[str]:
        return [self._answer(*request.args) for request in requests]

    def _answer(self, prompt: str, settings: dict[str, Any]) -> str:
        self.asked.append(prompt)
        self._hook.add_partial("generate_until", (prompt, settings), long(prompt))
        self._say(prompt)
        return long(prompt)


def long(name: str) -> str:
    return f"{name} " + "é" * 2_500


def names() -> list[str]:
    return [f"item{number}" for number in range(ITEMS)]


def profile_at(url: str) -> Profile:
    prices = Prices(input=2.0, cached=0.5, output=8.0, batch=0.5)
    return Profile("p", "judge-1", url, None, "openai", {"max_tokens": 100}, prices=prices, timeout=10.0)


def questions(profile: Profile) -> dict[str, Question]:
    bodies = {name: {"model": "judge-1", "messages": [{"role": "user", "content": long(name)}]} for name in names()}
    return {name: Question(call_key(profile.dialect, body), body) for name, body in bodies.items()}


def answer(folder: Path, url: str, say: Say) -> Model:
    model = Model(say)
    cache = AnswerCache(model, folder / "answers.sqlite")
    say("open")
    requests = [SimpleNamespace(args=(name, {"until": ["</s>"]})) for name in names()]
    assert cache.generate_until(requests) == [long(name) for name in names()]
    cache.close()
    return model


def file_replies(folder: Path, url: str, say: Say) -> None:
    profile = profile_at(url)
    with Journal.open(folder / "journal.sqlite") as journal:
        judge = journal.judge(profile)
        say("open")
        for name, question in questions(profile).items():
            if journal.replies(question.key):
                continue
            sending = journal.announce(question.key, judge, 0.25).result(LIMIT)
            say(f"sending {name}")
            reply = StoredReply(question.key, judge, long(name).encode(), sent=10, output=5)
            journal.store(reply, sending).result(LIMIT)
            say(name)


def judge_by_batch(folder: Path, url: str, say: Say) -> None:
    profile = profile_at(url)
    with Journal.open(folder / "journal.sqlite") as journal:
        say("open")
        asked = questions(profile)
        left = [question for question in asked.values() if not journal.replies(question.key)]
        submit(Outbox(journal, profile, folder / "batches"), left)
        say("submitted")
        collect(Outbox(journal, profile, folder / "batches"))
        for name, question in asked.items():
            if journal.replies(question.key):
                say(name)


def write_file(folder: Path, url: str, say: Say) -> None:
    say("open")
    assert batch_file.write(folder / "questions.jsonl", questions(profile_at(url)).values()) == ITEMS
    say("written")


WORKS: dict[str, Callable[[Path, str, Say], Any]] = {
    work.__name__: work for work in (answer, file_replies, judge_by_batch, write_file)
}


def serve() -> None:
    """Forks a process for each line read: [work, folder, url, crash before this call or 0, cut at or 0]."""
    for work in (answer, file_replies):  # what they import is not imported again in each process
        with tempfile.TemporaryDirectory() as folder:
            work(Path(folder), "http://127.0.0.1:9", lambda word: None)
    gc.freeze()  # a collection in a forked process would copy every page
    for line in sys.stdin:
        work, folder, url, call, cut = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                _crash(WORKS[work], Path(folder), url, call, cut)
                code = 0
            finally:
                os._exit(code)
        os.write(1, f"end {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


def _crash(work: Callable[[Path, str, Say], Any], folder: Path, url: str, call: int, cut: int) -> None:
    def say(word: str) -> None:
        os.write(1, f"{word}\n".encode())
        if cut and word == "open":
            log = max((path.stat().st_size for path in folder.glob("*-wal")), default=0)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system then writes up to the limit, and kills
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (log + cut, log + cut))

    if call:
        _kill_before(call)
    work(folder, url, say)


def _kill_before(call: int) -> None:
    left = call

    def watch(frame: FrameType, event: str, function: Any) -> None:
        nonlocal left
        if event == "c_call" and function.__name__ in WRITING and _writes(function.__self__):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)


def _writes(owner: Any) -> bool:
    if isinstance(owner, ModuleType):
        return owner.__name__ == os.name
    return isinstance(owner, sqlite3.Connection | io.FileIO | io.BufferedWriter | io.BufferedRandom)


class Crashes:
    """Does a work in processes that crash, each in a folder of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def of(
        self, work: Callable[..., Any], how: str, prepare: Callable[[Path], None] = lambda folder: None
    ) -> Iterator[tuple[Path, set[str]]]:
        """After each crash: the folder, and what was said before it. Ends when the work comes to its end."""
        for number in range(1, MOST_CRASHES):
            folder = self._folder / f"{how}-{number}"
            folder.mkdir()
            prepare(folder)
            call, cut = (number, 0) if how == "before" else (0, number * CUT)
            said, code = self._run([work.__name__, str(folder), self.url, call, cut])
            if code == 0:
                assert number > 1, "it never crashed"
                return
            assert code == -(signal.SIGKILL if how == "before" else signal.SIGXFSZ)
            yield folder, said
        pytest.fail("it never came to its end")

    def _run(self, job: list[Any]) -> tuple[set[str], int]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        said: set[str] = set()
        for line in self._process.stdout:
            if line.startswith("end "):
                return said, int(line.split()[1])
            said.add(line.strip())
        raise AssertionError("the starter is gone")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=LIMIT)


@pytest.fixture
def served() -> Iterator[FakeBatches]:
    server = FakeOpenAI(lambda call: '{"reason": "x", "verdict": "A"}')
    batches = FakeBatches(server)
    with server:
        yield batches


@pytest.fixture
def crashes(tmp_path: Path, served: FakeBatches) -> Iterator[Crashes]:
    found = Crashes(tmp_path, served.server.url)
    yield found
    found.close()


@pytest.mark.parametrize("how", ["before", "within"])
def test_an_answer_that_was_handed_over_is_not_asked_again(crashes: Crashes, how: str) -> None:
    pytest.importorskip("lm_eval")
    kept = set()
    for folder, said in crashes.of(answer, how):
        cache = AnswerCache(Model(said.add), folder / "answers.sqlite")
        count = cache.count()
        cache.close()
        asked = answer(folder, crashes.url, lambda word: None).asked  # asserts that every answer is whole
        assert not said & set(asked) and len(asked) == ITEMS - count
        kept.add(count)
    assert len(kept) >= ITEMS


@pytest.mark.parametrize("how", ["before", "within"])
def test_a_reply_whose_future_was_done_is_in_the_journal(crashes: Crashes, how: str) -> None:
    asked, stored = questions(profile_at(crashes.url)), set()
    for folder, said in crashes.of(file_replies, how):
        with Journal.open(folder / "journal.sqlite") as journal:
            found = {name: [reply.raw for reply in journal.replies(q.key)] for name, q in asked.items()}
            there = {name for name in found if found[name]}
            assert said & set(asked) <= there and all(found[name] == [long(name).encode()] for name in there)
            assert journal.count() == len(there)
            # A call that was announced and got no reply may have been paid: it is not forgotten either.
            lost = {name for name, q in asked.items() if journal.rows(q.key).failures}
            assert {name for name in asked if f"sending {name}" in said} <= there | lost and not there & lost
            assert [row[1:] for row in journal.failures()] == [("lost", 0.25, 1)] * len(lost)
        file_replies(folder, crashes.url, lambda word: None)
        with Journal.open(folder / "journal.sqlite") as journal:
            assert sorted(reply.raw for reply in journal.all_replies()) == [long(name).encode() for name in asked]
        stored.add(len(there))
    assert len(stored) >= ITEMS


@pytest.mark.parametrize("how", ["before", "within"])
def test_a_question_in_a_batch_is_paid_once(crashes: Crashes, served: FakeBatches, how: str) -> None:
    asked = questions(profile_at(crashes.url))
    seen: set[str] = set()
    before = 0
    for folder, said in crashes.of(judge_by_batch, how):
        with Journal.open(folder / "journal.sqlite") as journal:
            assert all(journal.replies(asked[name].key) for name in said & set(asked))
        judge_by_batch(folder, crashes.url, seen.add)
        with Journal.open(folder / "journal.sqlite") as journal:
            assert all(len(journal.replies(question.key)) == 1 for question in asked.values())
        assert len(served.lines_answered) - before == ITEMS
        assert list((folder / "batches").iterdir()) == []
        before = len(served.lines_answered)
        seen |= said
    assert seen >= {"open", "submitted", *asked}


@pytest.mark.parametrize("how", ["before", "within"])
def test_a_batch_file_is_the_old_one_or_the_new_one(crashes: Crashes, how: str) -> None:
    old = "an older run's questions\n"

    def prepare(folder: Path) -> None:
        (folder / "questions.jsonl").write_text(old)

    for folder, said in crashes.of(write_file, how, prepare):
        path = folder / "questions.jsonl"
        if path.read_text() != old:
            assert len(batch_file.asked_in(path)) == ITEMS
        else:
            assert "written" not in said
        write_file(folder, crashes.url, lambda word: None)
        asked = {(question.key, 0) for question in questions(profile_at(crashes.url)).values()}
        assert set(batch_file.asked_in(path)) == asked
