"""Batches over a real socket: everything is asked once, whatever expires, fails or is killed on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import InputError, JudgeError, Unfinished
from lm_eval_fr.judge.asking.envelope import read_reply
from lm_eval_fr.judge.asking.prompt import render, request_body
from lm_eval_fr.judge.asking.protocol import Dialect, Prices, Profile, Question, Rubric
from lm_eval_fr.judge.batch import batch_collect, batch_file, batch_http, batch_record, batch_submit
from lm_eval_fr.judge.batch.batch_api import MistralBatches, OpenAIBatches, connect
from lm_eval_fr.judge.batch.batch_file import custom_id, question_id
from lm_eval_fr.judge.batch.batch_record import Outbox
from lm_eval_fr.judge.verdicts.journal import Journal, StoredReply, call_key
from tests.fakes.batch import FakeBatches
from tests.fakes.server import Call, FakeOpenAI
from tests.hostile import FENCES

RUBRIC = Rubric("essai", "Juge.", "0")
PRICES = Prices(input=2.0, cached=0.5, output=8.0, batch=0.5)


def verdict(call: Call) -> str:
    return json.dumps({"reason": f"raison {call.number} \u2028 accentuée", "verdict": "A"}, ensure_ascii=False)


@pytest.fixture(params=["openai", "mistral"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


@pytest.fixture
def served() -> Iterator[FakeBatches]:
    server = FakeOpenAI(verdict)
    batches = FakeBatches(server)
    with server:
        yield batches


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


def judge(batches: FakeBatches, dialect: Dialect = "openai", **changes: Any) -> Profile:
    parameters = {"temperature": 0, "max_tokens": 100}
    given = Profile("p", "judge-1", batches.server.url, None, dialect, parameters, prices=PRICES, timeout=10.0)
    return replace(given, **changes)


def some_questions(profile: Profile, n: int) -> list[Question]:
    questions = []
    for number in range(n):
        messages = render(RUBRIC, None, f"Texte {number}", "une", "deux", "candidate_first", FENCES)
        body = request_body(profile, messages)
        questions.append(Question(call_key(profile.dialect, body), body))
    return questions


def still_open(journal: Journal, questions: Iterable[Question]) -> list[Question]:
    return [
        question
        for question in questions
        if not any(r.repeat == question.repeat for r in journal.replies(question.key))
    ]


def test_submit_and_collect_file_every_reply_where_live_ones_are(
    served: FakeBatches, journal: Journal, dialect: Dialect, tmp_path: Path
) -> None:
    profile = judge(served, dialect)
    questions = some_questions(profile, 5)
    sent = batch_submit.submit(Outbox(journal, profile, tmp_path / "batches"), questions)
    assert sent.questions == 5 and len(sent.batches) == 1 and sent.batches[0].step == "submitted"
    assert batch_record.in_flight(journal, tmp_path / "batches") == {
        (question.key, question.repeat) for question in questions
    }
    got = batch_collect.collect(Outbox(journal, profile, tmp_path / "batches"))
    assert (got.stored, got.failed, got.strange, got.pending) == (5, 0, 0, 0)
    for question in questions:
        (stored,) = journal.replies(question.key)
        assert stored.source == "batch" and read_reply(stored.raw).verdict == "A"
    assert list((tmp_path / "batches").iterdir()) == []
    assert not batch_record.in_flight(journal, tmp_path / "batches")
    assert batch_collect.collect(Outbox(journal, profile, tmp_path / "batches")).stored == 0


def test_lines_have_the_shape_that_each_server_reads(served: FakeBatches, journal: Journal, tmp_path: Path) -> None:
    for number, (dialect, keys) in enumerate(
        [("openai", ["custom_id", "method", "url", "body"]), ("mistral", ["custom_id", "body"])]
    ):
        profile = judge(served, dialect, name=dialect)  # type: ignore[arg-type]
        batch_submit.submit(Outbox(journal, profile, tmp_path), some_questions(profile, 1))
        line = json.loads(next(iter([f for f in served.files.values() if f.purpose == "batch"][number:])).content)
        assert list(line) == keys
        assert ("model" in line["body"]) == (dialect == "openai")
        assert served.batches[f"batch_{number}"].model == (None if dialect == "openai" else "judge-1")
        assert len(line["custom_id"]) <= 64


def test_a_batch_holds_nothing_that_steers_a_cache_and_files_under_the_live_key(
    served: FakeBatches, journal: Journal, tmp_path: Path
) -> None:
    profile = judge(served, cache_breakpoint=True)
    messages = render(RUBRIC, None, "Texte", "une", "deux", "candidate_first", FENCES, breakpoint=True)
    body = request_body(profile, messages) | {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}}
    key = call_key("openai", body)
    batch_submit.submit(Outbox(journal, profile, tmp_path), [Question(key, body)])
    sent = next(iter(served.files.values())).content.decode()
    assert "cache" not in sent and isinstance(json.loads(sent)["body"]["messages"][1]["content"], str)
    batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert len(journal.replies(key)) == 1


def test_files_are_split_by_requests_and_by_size(
    served: FakeBatches, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert OpenAIBatches.most_requests == 50_000 and OpenAIBatches.most_bytes == 200_000_000
    profile = judge(served)
    questions = some_questions(profile, 7)
    monkeypatch.setattr(OpenAIBatches, "most_requests", 3)
    first = batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    assert [b.questions for b in first.batches] == [3, 3, 1]
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 7
    size = max(len(f.content) for f in served.files.values() if f.purpose == "batch") // 3
    monkeypatch.setattr(OpenAIBatches, "most_bytes", 2 * size + 60)
    monkeypatch.setattr(OpenAIBatches, "most_requests", 50_000)
    more = some_questions(replace(profile, model="judge-2"), 5)
    second = batch_submit.submit(Outbox(journal, profile, tmp_path), more)
    assert [b.questions for b in second.batches] == [2, 2, 1]


def test_a_running_batch_is_left_alone_and_its_questions_are_not_sent_again(
    served: FakeBatches, journal: Journal, tmp_path: Path, dialect: Dialect
) -> None:
    served.hold = True
    profile = judge(served, dialect)
    questions = some_questions(profile, 4)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions[:3])
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).pending == 1
    again = batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    assert (again.questions, again.waiting) == (1, 3)
    ((one, remote), (_two, _)) = batch_collect.status(Outbox(journal, profile, tmp_path))
    assert remote is not None and remote.state == "running" and one.questions == 3
    served.hold = False
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 4
    assert sorted(served.lines_answered) == sorted(custom_id(question) for question in questions)


def test_an_expired_batch_keeps_what_was_finished_and_the_rest_is_submitted_again(
    served: FakeBatches, journal: Journal, tmp_path: Path, dialect: Dialect
) -> None:
    served.expire_after = 4
    profile = judge(served, dialect)
    questions = some_questions(profile, 10)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    got = batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert (got.stored, got.failed) == (4, 6)
    assert batch_submit.submit(Outbox(journal, profile, tmp_path), still_open(journal, questions)).questions == 6
    got = batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert got.stored == 6 and not got.messages
    assert len(served.lines_answered) == len(set(served.lines_answered)) == 10


def test_a_batch_with_an_error_file_only_files_no_verdict_and_is_not_resubmitted_by_itself(
    served: FakeBatches, journal: Journal, tmp_path: Path, dialect: Dialect
) -> None:
    served.refuse_line = lambda line: 500
    profile = judge(served, dialect)
    questions = some_questions(profile, 3)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    got = batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert (got.stored, got.failed) == (0, 3)
    assert all(not journal.replies(question.key) for question in questions)
    served.refuse_line = lambda line: None
    batch_submit.submit(Outbox(journal, profile, tmp_path), still_open(journal, questions))
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 3


def test_a_line_that_is_refused_for_its_text_is_remembered_as_refused(
    served: FakeBatches, journal: Journal, tmp_path: Path
) -> None:
    profile = judge(served)
    questions = some_questions(profile, 2)
    bad = custom_id(questions[0])
    served.refuse_line = lambda line: 400 if line["custom_id"] == bad else None
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert [failure[1:] for failure in journal.failures()] == [("request", 0.0, 1)]
    assert still_open(journal, questions) == questions[:1]


def test_a_refused_file_says_why_and_its_questions_are_open_again(
    served: FakeBatches, journal: Journal, tmp_path: Path, dialect: Dialect
) -> None:
    served.refuse_file = "line 3 of the file is not JSON"
    profile = judge(served, dialect)
    questions = some_questions(profile, 3)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    got = batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert "line 3 of the file is not JSON" in got.messages[0] and not got.too_large
    served.refuse_file = None
    assert batch_submit.submit(Outbox(journal, profile, tmp_path), questions).questions == 3
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 3


class Killed(BaseException):
    pass


def kill_after(journal: Journal, steps: int) -> Callable[[str, str], None]:
    """A `set_note` that ends the process, so to speak, right after the n-th note is on disk."""
    write, left = journal.set_note, [steps]

    def noted(name: str, value: str) -> None:
        write(name, value)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return noted


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_kill_after_any_step_neither_loses_nor_repeats_a_question(
    served: FakeBatches,
    journal: Journal,
    tmp_path: Path,
    dialect: Dialect,
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile = judge(served, dialect)
    questions = some_questions(profile, 6)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "set_note", kill_after(journal, steps))
        with pytest.raises(Killed):
            batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    batch_submit.submit(Outbox(journal, profile, tmp_path), still_open(journal, questions))
    assert len(served.batches) == 1 and len([f for f in served.files.values() if f.purpose == "batch"]) == 1
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 6
    assert sorted(served.lines_answered) == sorted(custom_id(question) for question in questions)


def test_a_batch_whose_creation_was_not_confirmed_is_found_and_not_created_twice(
    served: FakeBatches, journal: Journal, tmp_path: Path, dialect: Dialect
) -> None:
    served.drop_creation = True
    profile = judge(served, dialect)
    questions = some_questions(profile, 4)
    with pytest.raises(Unfinished, match="nothing is sent twice"):
        batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    again = batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    assert again.waiting == 4 and len(served.batches) == 1
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 4


def test_a_kill_while_collecting_files_nothing_twice(
    served: FakeBatches, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = judge(served)
    questions = some_questions(profile, 5)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    with monkeypatch.context() as patch:
        patch.setattr(batch_file, "CHUNK", 2)
        stored, taken = journal.store_all, []

        def store_some(replies: Iterable[StoredReply]) -> int:
            if taken:
                raise Killed
            taken.append(stored(replies))
            return taken[0]

        patch.setattr(journal, "store_all", store_some)
        with pytest.raises(Killed):
            batch_collect.collect(Outbox(journal, profile, tmp_path))
    got = batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert (got.already, got.stored) == (2, 3)
    assert all(len(journal.replies(question.key)) == 1 for question in questions)


def test_a_download_that_is_cut_files_nothing_and_is_fetched_again(
    served: FakeBatches, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = judge(served)
    questions = some_questions(profile, 5)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    served.cut_content = True
    with monkeypatch.context() as patch:
        patch.setattr(batch_http, "RETRIES", 0)
        with pytest.raises(Unfinished, match="rerun: nothing is sent twice"):
            batch_collect.collect(Outbox(journal, profile, tmp_path))
    assert len(still_open(journal, questions)) == 5
    served.cut_content = True
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 5


def test_a_batch_folder_that_is_lost_does_not_make_its_questions_open_again(
    served: FakeBatches, journal: Journal, tmp_path: Path
) -> None:
    served.hold = True
    profile = judge(served)
    questions = some_questions(profile, 3)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    for path in tmp_path.glob("batch-*"):
        path.unlink()
    again = batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    assert (again.questions, again.waiting) == (0, 3)


def test_a_budget_holds_back_what_does_not_fit_and_counts_what_is_in_flight(
    served: FakeBatches, journal: Journal, tmp_path: Path
) -> None:
    served.hold = True
    profile = judge(served)
    questions = some_questions(profile, 10)
    one = batch_submit.submit(Outbox(journal, profile, tmp_path), questions[:1]).batches[0].dollars
    assert one is not None and batch_record.reserved_dollars(journal) == pytest.approx(one)
    sent = batch_submit.submit(Outbox(journal, profile, tmp_path), questions, max_usd=4.5 * one)
    assert (sent.questions, sent.waiting, sent.held_back) == (3, 1, 6)
    with pytest.raises(JudgeError, match="batch price"):
        unpriced = replace(profile, prices=Prices(input=1.0, output=1.0))
        batch_submit.submit(Outbox(journal, unpriced, tmp_path), questions, max_usd=1.0)


def test_a_wrong_key_stops_at_once_and_is_not_repeated(journal: Journal, tmp_path: Path, monkeypatch: Any) -> None:
    server = FakeOpenAI(verdict, api_key="right")
    batches = FakeBatches(server)
    monkeypatch.setenv("FAKE_KEY", "sk-wrong-but-secret")
    with server:
        profile = judge(batches, key_env="FAKE_KEY")
        with pytest.raises(JudgeError, match="check the key in the environment variable FAKE_KEY") as caught:
            batch_submit.submit(Outbox(journal, profile, tmp_path), some_questions(profile, 2))
    assert "sk-wrong" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_is_away_leaves_the_batch_for_the_next_run(
    served: FakeBatches, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_http, "RETRIES", 0)
    profile = judge(served)
    questions = some_questions(profile, 2)
    outbox = Outbox(journal, profile, tmp_path)
    outbox.server = connect(replace(profile, base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(Unfinished, match="rerun: nothing is sent twice"):
        batch_submit.submit(outbox, questions)
    batch_submit.submit(Outbox(journal, profile, tmp_path), questions)
    assert batch_collect.collect(Outbox(journal, profile, tmp_path)).stored == 2


def test_each_dialect_has_its_server() -> None:
    assert isinstance(connect(Profile("m", "m", "http://127.0.0.1:9/v1", None, "mistral")), MistralBatches)


def test_written_lines_come_back_from_vllm_run_batch(served: FakeBatches, journal: Journal, tmp_path: Path) -> None:
    profile = judge(served)
    questions = some_questions(profile, 4)
    assert batch_file.write(tmp_path / "in.jsonl", questions) == 4
    lines = [json.loads(line) for line in (tmp_path / "in.jsonl").read_text().splitlines()]
    assert all(list(line) == ["custom_id", "method", "url", "body"] for line in lines)
    out = []
    for number, line in enumerate(lines):
        call = Call("/v1/chat/completions", {}, line["body"], number)
        message = {"role": "assistant", "content": verdict(call)}
        body = {"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": message}], "model": "m"}
        response = {"status_code": 200, "request_id": f"vllm-batch-{number}", "body": body}
        out.append({"id": f"vllm-{number}", "custom_id": line["custom_id"], "response": response, "error": None})
    out[3]["response"]["status_code"] = 400  # type: ignore[index]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in out)
    (tmp_path / "out.jsonl").write_text(text + '{"custom_id": "other-run-1"}\nnot json\n\n', encoding="utf-8")
    known = {(question.key, 0): 1000 for question in questions}
    got = batch_file.read(tmp_path / "out.jsonl", journal, profile, known)
    assert (got.stored, got.failed, got.strange) == (3, 1, 2)
    again = batch_file.read(tmp_path / "out.jsonl", journal, profile, known)
    assert (again.stored, again.already) == (0, 3)
    assert len(still_open(journal, questions)) == 1


def test_the_replies_of_another_run_are_refused(journal: Journal, tmp_path: Path, served: FakeBatches) -> None:
    profile = judge(served)
    strangers = some_questions(replace(profile, model="another"), 1)
    line = {"custom_id": custom_id(strangers[0]), "response": {"status_code": 200, "body": {}}, "error": None}
    (tmp_path / "out.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match="none of its 1 lines answers a question of this judge"):
        batch_file.read(tmp_path / "out.jsonl", journal, profile, {(b"x" * 32, 0): 1})
    with pytest.raises(InputError, match="no such file"):
        batch_file.read(tmp_path / "none.jsonl", journal, profile, {})


def test_a_custom_id_holds_the_whole_key() -> None:
    for number in range(200):
        question = Question(bytes((number * k) % 256 for k in range(1, 33)), {}, number)
        assert question_id(custom_id(question)) == (question.key, number) and len(custom_id(question)) <= 64
    for wrong in ("", "x", "pair-1-A", "é-0", "A" * 43 + "-x", "A" * 43):
        with pytest.raises(ValueError):
            question_id(wrong)
