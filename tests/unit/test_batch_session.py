"""A judging by batches ends with the verdicts of a live one, mixes with it, and is paid once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import JudgeError, Unfinished, UsageError
from lm_eval_fr.judge.asking.controls import load_canaries
from lm_eval_fr.judge.batch.batch_session import judge_by_batch
from lm_eval_fr.judge.options import BatchAction
from lm_eval_fr.judge.session import check_finished, judge_runs
from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
from lm_eval_fr.judge.verdicts.outcome import read_verdicts
from lm_eval_fr.pairing import Pairing
from tests.fakes.batch import FakeBatches
from tests.fakes.judging import answer, by_quality, options, outcomes, pair, write_profile, write_runs
from tests.fakes.server import Call, FakeOpenAI

CANDIDATE = [2, 1, 1, 3, 2, 5]
REFERENCE = [1, 2, 1, 3, 1, 5]
EXPECTED = ["win", "loss", "tie", "identical", "win", "identical"]  # 2: one quality in other words


@pytest.fixture(scope="module")
def pairing(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    candidate = [answer(quality, "en bref" if n == 2 else "") for n, quality in enumerate(CANDIDATE)]
    reference = [answer(quality) for quality in REFERENCE]
    return pair(*write_runs(tmp_path_factory.mktemp("runs"), candidate, reference))


@pytest.fixture
def served() -> Iterator[FakeBatches]:
    server = FakeOpenAI(by_quality)
    batches = FakeBatches(server)
    with server:
        yield batches


class Run:
    """One folder judged by one profile; `said` is what the user read."""

    def __init__(self, pairing: Pairing, served: FakeBatches, tmp_path: Path, **changes: Any) -> None:
        self.pairing, self.served, self.out = pairing, served, tmp_path / "judged"
        self.profile = write_profile(tmp_path, served.server.url, **changes)
        self.said: list[str] = []

    def batch(self, action: BatchAction, file: Path | None = None, **changes: Any) -> JudgeSummary | None:
        given = replace(options(self.profile), **changes)
        return judge_by_batch(self.pairing, self.out, given, action, file=file, say=self.said.append)

    def live(self, **changes: Any) -> JudgeSummary:
        return judge_runs(self.pairing, self.out, options(self.profile, **changes))

    def outcomes(self) -> list[str]:
        return outcomes(read_verdicts(self.out))


@pytest.mark.parametrize("dialect", ["openai", "mistral"])
def test_a_batch_gives_the_verdicts_of_a_live_run_at_half_the_price(
    pairing: Pairing, served: FakeBatches, tmp_path: Path, dialect: str
) -> None:
    run = Run(pairing, served, tmp_path, dialect=dialect)
    run.batch("submit")
    assert "8 questions submitted in 1 batch for $" in run.said[-1]
    summary = run.batch("collect")
    assert summary is not None and summary.finished and run.outcomes() == EXPECTED
    assert summary.usage.batch.calls == 8 and summary.usage.live.calls == 0 and served.server.count == 0
    live = Run(pairing, served, tmp_path / "live", dialect=dialect) if (tmp_path / "live").mkdir() is None else run
    full = live.live().usage
    assert live.outcomes() == EXPECTED and full.dollars and summary.usage.dollars == pytest.approx(full.dollars / 2)


def test_a_collection_that_is_too_early_says_what_waits_and_calls_nobody(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    served.hold = True
    run = Run(pairing, served, tmp_path)
    run.batch("submit")
    summary = run.batch("collect")
    assert summary is not None and not summary.finished and "8 questions wait for a batch" in (summary.left or "")
    with pytest.raises(Unfinished, match="--batch collect when it is finished"):
        check_finished(summary, run.out)
    run.batch("status")
    assert "batch batch_0: in_progress, 0 of 8 answered" in run.said[-1]
    run.batch("submit")
    assert "nothing to submit; 8 wait in earlier batches" in run.said[-1]
    live = run.live()
    assert not live.finished and served.server.count == 0  # a live run leaves to the batch what the batch has
    served.hold = False
    run.batch("collect")
    assert run.outcomes() == EXPECTED and len(served.lines_answered) == 8
    run.batch("status")
    assert "collected, 8 of 8 answered" in run.said[-1]


def test_live_and_batch_calls_share_one_journal(pairing: Pairing, served: FakeBatches, tmp_path: Path) -> None:
    asked: list[Call] = []

    def first_three(call: Call) -> Any:
        asked.append(call)
        return by_quality(call)

    served.server.answer = first_three
    run = Run(pairing, served, tmp_path)
    served.expire_after = 3
    run.batch("submit")
    summary = run.batch("collect")
    assert summary is not None and not summary.finished
    assert any("5 of 8 questions have no reply" in line for line in run.said)
    assert "5 questions submitted" in run.said[-1]
    run.batch("collect")
    assert run.outcomes() == EXPECTED
    assert run.live().finished and served.server.count == 0 and len(asked) == 8


def test_what_a_live_run_has_judged_is_not_submitted(pairing: Pairing, served: FakeBatches, tmp_path: Path) -> None:
    run = Run(pairing, served, tmp_path)
    run.live()
    run.batch("submit")
    assert "nothing to submit" in run.said[-1] and not served.batches
    run.batch("status")
    assert "no batch was submitted here" in run.said[-1]


def test_lazy_orders_submit_the_second_order_only_where_the_first_decided(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    run = Run(pairing, served, tmp_path)
    run.batch("submit", orders="lazy")
    assert "4 questions submitted" in run.said[-1]
    summary = run.batch("collect", orders="lazy")
    assert summary is not None and "3 questions submitted" in run.said[-1]
    run.batch("collect", orders="lazy")
    assert run.outcomes() == EXPECTED and len(served.lines_answered) == 7


def test_repeats_are_asked_too_and_replies_without_a_verdict_are_asked_again(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    replies = iter(["prose"] * 2)
    served.server.answer = lambda call: next(replies, None) or by_quality(call)
    run = Run(pairing, served, tmp_path)
    run.batch("submit", repeats=2)
    assert "16 questions submitted" in run.said[-1]
    run.batch("collect", repeats=2)
    assert "2 questions submitted" in run.said[-1]
    summary = run.batch("collect", repeats=2)
    assert summary is not None and summary.finished and run.outcomes() == EXPECTED
    assert summary.position is not None and summary.position.repeats is not None
    assert summary.position.repeats.changed.of == 8


def test_controls_go_in_a_batch_of_their_own_before_the_pairs(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    run = Run(pairing, served, tmp_path)
    run.batch("submit", controls=40)
    assert [line for line in run.said if "the controls go first" in line]
    controls = 2 * len(load_canaries())
    assert f"{controls} questions submitted" in run.said[-1]
    served.server.answer = by_quality
    summary = run.batch("collect", controls=40)
    assert summary is not None and not summary.finished
    assert any("8 questions submitted" in line for line in run.said)
    summary = run.batch("collect", controls=40)
    assert summary is not None and summary.finished and run.outcomes() == EXPECTED
    assert (len(served.batches), served.server.count, summary.usage.batch.calls) == (2, 0, controls + 8)


def test_no_pair_is_submitted_after_controls_without_a_verdict(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    served.server.answer = lambda call: "je ne sais pas"
    run = Run(pairing, served, tmp_path)
    run.batch("submit", controls=40)
    run.batch("collect", controls=40)  # the second and last time that each is asked
    summary = run.batch("collect", controls=40)
    assert summary is not None and not summary.finished
    assert "none of the 14 controls got a verdict" in (summary.left or "")
    with pytest.raises(Unfinished, match=r"none of the 14 controls got a verdict.*--trust-judge"):
        run.batch("submit", controls=40)
    assert len(served.batches) == 2
    run.batch("submit", controls=40, trust_judge=True)
    assert "8 questions submitted" in run.said[-1]


def test_a_budget_that_is_too_small_keeps_what_was_submitted(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    run = Run(pairing, served, tmp_path)
    with pytest.raises(Unfinished, match=r"questions no longer fit --max-usd 0.0"):
        run.batch("submit", max_usd=0.02)
    sent = [line for file in served.files.values() for line in file.content.splitlines()]
    assert 1 < len(sent) < 8
    served.expire_after = 1
    summary = run.batch("collect", max_usd=0.003)
    assert summary is not None and not summary.finished and "no longer fit --max-usd 0.003" in (summary.left or "")
    with pytest.raises(Unfinished, match="raise --max-usd"):
        check_finished(summary, run.out)
    run.batch("submit", max_usd=5.0)
    run.batch("collect", max_usd=5.0)
    assert run.outcomes() == EXPECTED and len(served.lines_answered) == 8


def test_a_file_goes_out_and_comes_back(pairing: Pairing, served: FakeBatches, tmp_path: Path) -> None:
    run = Run(pairing, served, tmp_path)
    run.batch("write", tmp_path / "questions.jsonl", controls=40)
    assert "36 questions written; run: vllm run-batch -i" in run.said[-1]
    replies = []
    for number, line in enumerate((tmp_path / "questions.jsonl").read_text(encoding="utf-8").splitlines()):
        asked = json.loads(line)
        call = Call("/v1/chat/completions", {}, asked["body"], number)
        message = {"role": "assistant", "content": by_quality(call)}
        usage = {"prompt_tokens": 900, "completion_tokens": 30, "total_tokens": 930}
        body = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}
        reply = {"custom_id": asked["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        replies.append(json.dumps({"id": f"vllm-{number}", **reply}, ensure_ascii=False))
    (tmp_path / "some.jsonl").write_text("\n".join(replies[:30]) + "\n", encoding="utf-8")
    summary = run.batch("read", tmp_path / "some.jsonl", controls=40)
    assert summary is not None and "they have no reply yet" in (summary.left or "")
    with pytest.raises(Unfinished, match="submit or write them again"):
        check_finished(summary, run.out)
    (tmp_path / "replies.jsonl").write_text("\n".join(replies) + "\n", encoding="utf-8")
    summary = run.batch("read", tmp_path / "replies.jsonl", controls=40)
    assert "6 replies filed, 30 filed before" in " ".join(run.said) and served.server.count == 0
    assert summary is not None and summary.finished and run.outcomes() == EXPECTED
    assert summary.usage.batch.calls == 36
    assert summary.controls.canaries is not None and summary.controls.canaries.judged == 14


def test_a_panel_is_submitted_and_collected_judge_by_judge(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    judges = tuple(write_profile(tmp_path, served.server.url, name, model=name) for name in ("one", "two"))
    said: list[str] = []
    given = replace(options(judges[0]), profile=judges)
    out = tmp_path / "panel"
    judge_by_batch(pairing, out, given, "submit", say=said.append)
    assert len(served.batches) == 2
    summary = judge_by_batch(pairing, out, given, "collect", say=said.append)
    assert summary is not None and summary.profile == "one+two"
    assert [found.raw.share for found in summary.panel.agreement] == [1.0]
    assert outcomes(read_verdicts(out)) == EXPECTED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stop": "anytime", "margin": 0.1}, "a batch is answered as a whole"),
        ({"profile": ("offline",)}, "the offline judge has no batches"),
    ],
)
def test_what_does_not_go_together_is_refused(
    pairing: Pairing, served: FakeBatches, tmp_path: Path, changes: Any, said: str
) -> None:
    run = Run(pairing, served, tmp_path)
    with pytest.raises(UsageError, match=said):
        run.batch("submit", **changes)
    assert not run.out.exists()


def test_a_key_that_lacks_is_said_before_anything_is_written(
    pairing: Pairing, served: FakeBatches, tmp_path: Path
) -> None:
    run = Run(pairing, served, tmp_path, key_env="NO_SUCH_KEY_HERE")
    with pytest.raises(JudgeError, match="NO_SUCH_KEY_HERE is empty"):
        run.batch("submit")
    assert not run.out.exists()
