"""A voting arm through the real lm-eval over a socket: every response is kept, and an aborted arm loses none."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, vote_runs
from lm_eval_fr.arms.harness import run_arm
from lm_eval_fr.errors import ArmError
from lm_eval_fr.logs import find_run
from tests.fakes.server import Call, FakeOpenAI, Reply

DEMO = Path(__file__).resolve().parent.parent.parent / "lm_eval_fr" / "demo" / "data"
LABELS = ("travel", "politics", "sports")
Start = Callable[..., FakeOpenAI]


def flags(server: FakeOpenAI, out: Path, task: str = "sib200_fr_vote", limit: int = 6) -> list[str]:
    # One call at once: none is under way when the arm ends, whose answer the server would give and nobody would read.
    arguments = f"model=fake-model,base_url={server.url}/chat/completions,num_concurrent=1,max_retries=1"
    return [
        *("--model", "hosted-chat", "--model_args", arguments, "--tasks", task, "--data-dir", str(DEMO)),
        *("--output_path", str(out), "--limit", str(limit)),
    ]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_an_aborted_voting_arm_keeps_what_it_drew(fake_server: Start, tmp_path: Path) -> None:
    draws = random.Random(1)
    given: Counter[str] = Counter()

    def answer(call: Call) -> str | Reply:
        if sum(given.values()) >= limit[0]:
            return Reply("gone", status=401)
        text = draws.choice(LABELS) + ("." if call.number % 2 else "")
        given[f"{call.user}\x1f{text}"] += 1
        return text

    limit = [20]
    server = fake_server(answer)
    with pytest.raises(ArmError):
        run_arm(flags(server, tmp_path / "candidate"))
    assert sum(given.values()) == 20
    limit[0] = 1000
    outcome = run_arm(flags(server, tmp_path / "candidate"))
    assert (outcome.kept, outcome.asked) == (20, 28)
    assert all(call.body["temperature"] == 0.7 and "seed" not in call.body for call in server.calls)

    rows = [json.loads(line) for line in outcome.samples["sib200_fr_vote"].read_text(encoding="utf-8").splitlines()]
    logged = Counter(
        f"{json.loads(row['arguments']['gen_args_0']['arg_0'][0])[-1]['content']}\x1f{text}"
        for row in rows
        for text in row["resps"][0]
    )
    assert logged == given
    assert all(len(row["filtered_resps"][0]) == 8 for row in rows)

    records = next(outcome.folder.glob("responses_*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert len(records) == 48  # what each response used, so that votes can be priced

    reference = run_arm(flags(server, tmp_path / "reference", task="sib200_fr"))
    report = vote_runs(find_run(tmp_path / "candidate"), find_run(reference.folder), VoteOptions(cost_ratio=3.0))
    (task,) = report.tasks
    assert (task.n, task.candidate.responses, task.reference.responses) == (6, 8, 1)
    printed = json.loads(outcome.results.read_text(encoding="utf-8"))["results"]["sib200_fr_vote"]
    assert task.candidate.curve[0].score == pytest.approx(printed["exact_match,votes"])
    assert task.candidate.curve[-1].score == pytest.approx(printed["maj_exact_match,votes"])
    assert [(match.candidate_votes, match.reference_votes) for match in task.equal_cost] == [(3, 1)]
