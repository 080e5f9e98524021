"""An arm through files: what it writes is what hosted-chat would send, and what comes back finishes the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.arms.harness import run_arm
from lm_eval_fr.errors import ArmError, LmEvalFrError, Unfinished, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
from tests.fakes.server import FakeOpenAI

N = 4
ROWS = [
    {
        "id": str(number),
        "title": f"Ville {number}",
        "context": f"La ville n° {number} compte onze mille habitants.",
        "question": "Combien d'habitants ?",
        "answers": {"text": ["onze mille"], "answer_start": [20]},
    }
    for number in range(N)
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) for row in ROWS)
    (tmp_path / "piaf_fr.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def run(data: Path, name: str, model: str = "batch-chat", **arguments: Any) -> Path:
    given = json.dumps({"model": "m", **arguments})
    flags = ["--tasks", "piaf_fr", "--data-dir", str(data), "--output_path", str(data / name)]
    run_arm(["--model", model, "--model_args", given, *flags])
    return data / name


def write(data: Path, name: str = "out") -> list[dict[str, Any]]:
    asked = data / "asked.jsonl"
    with pytest.raises(Unfinished, match=r"\d requests written \(vllm run-batch -i .*asked.jsonl -o RESULTS --model m"):
        run(data, name, write=str(asked))
    return [json.loads(line) for line in asked.read_text().splitlines()]


def answered(line: dict[str, Any], text: str | None = "onze mille", status: int = 200) -> str:
    """As `vllm run-batch` writes it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}} if status == 200 else None
    response = {"status_code": status, "request_id": "r", "body": body}
    error = None if status == 200 else {"message": "too long"}
    return json.dumps({"id": "vllm-1", "custom_id": line["custom_id"], "response": response, "error": error})


def test_written_answered_and_read(data: Path) -> None:
    asked = write(data)
    assert len(asked) == N
    assert {line["url"] for line in asked} == {"/v1/chat/completions"}
    got = data / "got.jsonl"
    got.write_text("\n".join(answered(line) for line in reversed(asked)) + "\n")
    found = find_run(run(data, "out", read=str(got)))
    assert found.source == "batch-chat"
    with FakeOpenAI("onze mille", models=("m",)) as server:
        url = f"{server.url}/chat/completions"
        other = find_run(run(data, "live", model="hosted-chat", base_url=url))
        bodies = [call.body for call in server.calls]
    # What a server is sent is what the file holds, and both arms are the same work.
    assert sorted(map(json.dumps, bodies)) == sorted(json.dumps(line["body"]) for line in asked)
    (task,) = pair_runs(found, other).tasks
    assert task.n == N
    assert task.candidate["exact_match"].tolist() == [1.0] * N
    assert [one.input for one in found.tasks["piaf_fr"].replies.values()] == [9] * N


def test_only_what_is_open_is_written_again(data: Path) -> None:
    asked = write(data)
    got = data / "got.jsonl"
    got.write_text(f"{answered(asked[0])}\n{answered(asked[1], status=400)}\n{answered(asked[2], text='')}\n")
    replies = find_run(run(data, "out", read=str(got))).tasks["piaf_fr"].replies
    assert sum(not one.failed for one in replies.values()) == 2  # a text that ends at once is an answer
    assert {line["custom_id"] for line in write(data)} == {line["custom_id"] for line in (asked[1], asked[3])}


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, {}, "no such file"),
        ("{", {}, "not a line of a batch"),
        ('{"custom_id": "a", "error": ' + "[" * 5000, {}, "not a line of a batch"),
        ('{"custom_id": "other", "response": null}\n', {}, "none of its lines answers a request of this arm"),
        ("", {"write": "x.jsonl"}, "give write=FILE or read=FILE"),
    ],
)
def test_files_that_cannot_be_used(data: Path, content: str | None, arguments: dict[str, str], says: str) -> None:
    got = data / "got.jsonl"
    if content is not None:
        got.write_text(content)
    with pytest.raises(LmEvalFrError, match=says) as caught:
        run(data, "out", read=str(got), **arguments)
    assert not isinstance(caught.value, ArmError)
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="cannot be written"):
        run(data, "out", write=str(data / "no" / "asked.jsonl"))
