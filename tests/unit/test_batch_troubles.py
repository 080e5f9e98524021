"""What befalls batches in life: each trouble has a state and a way out, and nothing is counted or paid twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import JudgeError, Unfinished, UsageError
from lm_eval_fr.judge.batch import batch_http
from lm_eval_fr.judge.batch.batch_session import judge_by_batch
from lm_eval_fr.judge.options import BatchAction
from lm_eval_fr.judge.session import judge_runs
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from lm_eval_fr.pairing import Pairing
from tests.fakes.batch import FakeBatches
from tests.fakes.judging import answer, by_quality, options, outcomes, pair, write_profile, write_runs
from tests.fakes.server import FakeOpenAI

N = 5
WINS = ["win"] * N
HARD_LIMIT = {"message": "the hard limit of billing is reached", "code": "billing_hard_limit_reached"}


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), [answer(2)] * N, [answer(1)] * N))


@pytest.fixture
def served() -> Iterator[FakeBatches]:
    server = FakeOpenAI(by_quality)
    batches = FakeBatches(server)
    with server:
        yield batches


class Run:
    def __init__(self, pairing: Pairing, served: FakeBatches, tmp_path: Path) -> None:
        self.pairing, self.served, self.out = pairing, served, tmp_path / "judged"
        self.profile = write_profile(tmp_path, served.server.url)
        self.said: list[str] = []

    def batch(self, action: BatchAction, name: str | None = None, **changes: Any) -> JudgeSummary:
        given = replace(options(self.profile), **changes)
        found = judge_by_batch(self.pairing, self.out, given, action, name=name, say=self.said.append)
        return found if found is not None else judge_runs(self.pairing, self.out, replace(given, reparse=True))

    def live(self) -> JudgeSummary:
        return judge_runs(self.pairing, self.out, options(self.profile))

    @property
    def outcomes(self) -> list[str]:
        return outcomes(read_verdicts(self.out))


@pytest.fixture
def run(pairing: Pairing, served: FakeBatches, tmp_path: Path) -> Run:
    return Run(pairing, served, tmp_path)


def test_a_completed_batch_whose_files_are_not_named_yet_is_pending(run: Run, served: FakeBatches) -> None:
    served.unnamed = True
    run.batch("submit")
    summary = run.batch("collect")
    assert not summary.finished and "10 questions wait for a batch" in (summary.left or "")
    assert "--batch abandon" in (summary.remedy or "")
    served.unnamed = False
    assert run.batch("collect").finished
    assert (run.outcomes, len(served.batches)) == (WINS, 1)


@pytest.mark.parametrize("trouble", ["gone", "lost_results"])
@pytest.mark.parametrize("named", [True, False])
def test_a_batch_that_is_not_there_can_be_waited_for_or_given_up(
    trouble: str, named: bool, run: Run, served: FakeBatches
) -> None:
    run.batch("submit")
    setattr(served, trouble, True)
    summary = run.batch("collect")
    assert not summary.finished and "10 questions wait for a batch" in (summary.left or "")
    assert any("OPENAI_PROJECT_ID" in line and "--batch abandon batch_0" in line for line in run.said)
    assert not run.live().finished and served.server.count == 0
    setattr(served, trouble, False)
    assert run.batch("collect").finished  # it is there again
    run.out = run.out.with_name("second")
    run.batch("submit")
    setattr(served, trouble, True)
    run.batch("abandon", "batch_1" if named else None)
    assert any("batch batch_1 is given up, counted at its most, $" in line for line in run.said)
    summary = run.live()
    assert summary.finished and run.outcomes == WINS and served.server.count == 2 * N
    assert summary.usage.lost_dollars  # what the batch may have cost is in the total


def test_a_running_batch_is_cancelled_when_it_is_given_up(run: Run, served: FakeBatches) -> None:
    served.hold = True
    run.batch("submit")
    with pytest.raises(UsageError, match=r"batch_7: no such batch is in flight.*batch_0"):
        run.batch("abandon", "batch_7")
    run.batch("abandon")
    assert served.cancelled == ["batch_0"]
    with pytest.raises(UsageError, match=r"which batch.*in flight: none"):
        run.batch("abandon")


def test_a_batch_is_given_up_without_a_server(run: Run, served: FakeBatches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_http, "RETRIES", 0)
    run.batch("submit")
    served.server.stop()
    run.batch("abandon", "batch_0")
    assert any("the server was not told" in line for line in run.said)


def test_a_line_twice_and_a_strangers_line_count_for_nothing(run: Run, served: FakeBatches) -> None:
    def doubled(line: dict[str, Any]) -> list[bytes]:
        good, other = json.dumps(line), json.dumps({**line, "custom_id": "somebody-else-1"})
        changed = json.dumps({**line, "response": {**line["response"], "body": {"choices": []}}})
        return [good.encode(), changed.encode(), good.encode(), other.encode(), b"[1", b"null"]

    served.answered = doubled
    run.batch("submit")
    summary = run.batch("collect")
    assert summary.finished and run.outcomes == WINS
    assert summary.usage.batch.calls == 2 * N
    assert any(f"{2 * N} replies filed, {5 * 2 * N} lines ignored" in line for line in run.said)
    assert not any("have no reply" in line for line in run.said)


def test_a_poisoned_line_is_kept_as_a_reply_without_a_verdict(run: Run, served: FakeBatches) -> None:
    poison = iter([b"[" * 50_000, b'{"half": "\\ud800", "n": ' + b"9" * 400 + b"}"])

    def answered(line: dict[str, Any]) -> list[bytes]:
        if (bad := next(poison, None)) is None:
            return [json.dumps(line).encode()]
        head = json.dumps({"custom_id": line["custom_id"]}).encode()[:-1]
        return [head + b', "response": {"status_code": 200, "body": ' + bad + b"}}"]

    served.answered = answered
    run.batch("submit")
    summary = run.batch("collect")
    assert not summary.finished and "2 questions wait for a batch" in (summary.left or "")
    assert summary.usage.unusable == 2
    assert run.batch("collect").finished
    assert run.outcomes == WINS


def test_an_account_that_cannot_pay_stops_and_its_questions_are_open_after_the_top_up(
    run: Run, served: FakeBatches
) -> None:
    seen: list[str] = []

    def answered(line: dict[str, Any]) -> list[bytes]:
        seen.append(line["custom_id"])
        broke = {**line, "response": {"status_code": 400, "body": {"error": HARD_LIMIT}}}
        return [json.dumps(line if len(seen) == 1 else broke).encode()]

    served.answered = answered
    run.batch("submit")
    summary = run.batch("collect")
    assert not summary.finished and "the hard limit of billing is reached" in (summary.left or "")
    assert summary.remedy == "top up the account, then rerun to resume"
    assert len(served.batches) == 1 and set(run.outcomes) == {"unjudged"}
    served.answered = None
    run.batch("submit")
    assert run.batch("collect").finished
    assert run.outcomes == WINS and len(served.lines_answered) == 2 * N + 2 * N - 1


def test_a_batch_that_is_refused_at_its_creation_holds_no_question(run: Run, served: FakeBatches) -> None:
    served.refuse_creation = HARD_LIMIT
    with pytest.raises(Unfinished, match=r"hard limit.*top up the account"):
        run.batch("submit")
    served.refuse_creation = {"message": "you may not use batches", "code": "invalid_request"}
    with pytest.raises(JudgeError, match="you may not use batches"):
        run.batch("submit")
    served.refuse_creation = None
    assert run.live().finished and run.outcomes == WINS


def test_a_limit_of_tokens_is_learned_and_the_rest_follows_in_turn(run: Run, served: FakeBatches) -> None:
    served.most_lines = 3
    run.batch("submit")
    for _ in range(12):
        if run.batch("collect").finished:
            break
    assert run.outcomes == WINS
    sizes = [batch.total for batch in served.batches.values() if batch.status == "completed"]
    assert max(sizes) <= 3 and sum(sizes) == len(served.lines_answered) == 2 * N
    assert any("follow at --batch collect: the server accepts no more at once" in line for line in run.said)


def test_a_question_that_is_too_large_alone_says_so(run: Run, served: FakeBatches) -> None:
    served.most_lines = 0
    run.batch("submit")
    with pytest.raises(JudgeError, match=r"one question is more than the batches may hold.*without --batch"):
        for _ in range(8):
            run.batch("collect")


def test_the_organisation_and_the_project_are_named_in_batches(
    run: Run, served: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-Lyon")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_7")
    run.batch("submit")
    run.batch("collect")
    assert {(h.get("OpenAI-Organization"), h.get("OpenAI-Project")) for h in served.headers} == {("org-Lyon", "proj_7")}
    assert set(served.paths) >= {"/v1/files", "/v1/batches", "/v1/batches/batch_0"}
