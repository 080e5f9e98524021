"""`lm-eval-fr run` through the real lm-eval and over real sockets: what is sent, kept, resumed, refused and hidden."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lm_eval_fr.arms.harness import RunOutcome, run_arm
from lm_eval_fr.errors import ArmError, InputError, Unfinished, UsageError
from tests.e2e import forked
from tests.fakes.server import Call, FakeOpenAI, Reply
from tests.waiting import LIMIT, wait_for

DEMO = Path(__file__).resolve().parent.parent.parent / "lm_eval_fr" / "demo" / "data"
KEY = "sk-test-0123456789abcdefghij"
Start = Callable[..., FakeOpenAI]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MISTRAL_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def flags(server: FakeOpenAI, out: Path, *more: str, kind: str = "local-completions", args: str = "") -> list[str]:
    path = "completions" if kind == "local-completions" else "chat/completions"
    given = f"model=fake-model,base_url={server.url}/{path}{',' if args else ''}{args}"
    return [
        *("--model", kind, "--model_args", given, "--tasks", "piaf_fr", "--data-dir", str(DEMO)),
        *("--output_path", str(out), "--limit", "12", *more),
    ]


def samples(outcome: RunOutcome, task: str = "piaf_fr") -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.samples[task].read_text(encoding="utf-8").splitlines()]


def cli(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return forked.run(["-m", "lm_eval_fr", "run", *argv], env=environment)


@pytest.mark.parametrize("kind", ["local-completions", "local-chat-completions", "hosted-chat"])
def test_an_arm_is_run_logged_and_described(fake_server: Start, tmp_path: Path, kind: str) -> None:
    server, said = fake_server(lambda call: f"Réponse {len(call.user)}"), []
    outcome = run_arm(flags(server, tmp_path, kind=kind, args="num_concurrent=4"), say=said.append)
    rows = samples(outcome)
    assert len(rows) == server.count == outcome.asked == 12
    sent = {call.user: call for call in server.calls}
    for row in rows:
        logged = row["arguments"]["gen_args_0"]["arg_0"]
        prompt = logged if isinstance(logged, str) else json.loads(logged[0])[-1]["content"]
        assert row["doc"]["context"].strip() in prompt  # whole, not cut at 2,048 tokens
        assert row["resps"] == [[f"Réponse {len(prompt)}"]]
        assert sent[prompt].body["max_tokens"] == 64
    assert outcome.folder == tmp_path / "fake-model"
    about = json.loads(next(outcome.folder.glob("arm_*.json")).read_text(encoding="utf-8"))
    assert (about["answers_asked"], about["manifest"]) == (12, None)
    assert len(said) == 1  # what was added: text requests, or the chat template


def test_a_server_of_this_machine_describes_itself(tmp_path: Path) -> None:
    stored = {"model_ftype": "Q8_0"}

    async def props(request: web.Request) -> web.Response:
        return web.json_response({"default_generation_settings": {"n_ctx": 512}, "model_path": "/m.gguf", **stored})

    said: list[str] = []
    with FakeOpenAI("Paris").mount(web.get("/props", props)) as server:
        argv = flags(server, tmp_path, "--limit", "2")
        outcome = run_arm(argv, say=said.append)
        about = json.loads(next(outcome.folder.glob("arm_*.json")).read_text(encoding="utf-8"))
        assert (about["manifest"]["engine"], about["manifest"]["quantization"]) == ("llama.cpp", "Q8_0")
        (line,) = [line for line in said if line.startswith("the server reports")]
        assert "fake-model on llama.cpp: Q8_0, context 512 (from /v1/models, /props" in line
        stored["model_ftype"] = "Q4_0"
        with pytest.raises(ArmError, match="quantization was Q8_0 and is now Q4_0"):
            run_arm(argv)
        assert run_arm(flags(server, tmp_path / "other", "--limit", "2")).asked == server.count - 2 == 2


def test_nothing_but_empty_answers_ends_with_a_warning_and_a_hint(fake_server: Start, tmp_path: Path) -> None:
    said: list[str] = []
    outcome = run_arm(flags(fake_server(" \n"), tmp_path, "--limit", "3"), say=said.append)
    assert outcome.asked == 3
    (warning,) = [line for line in said if line.startswith("warning")]
    assert "all 3 answers to piaf_fr are empty" in warning
    assert "a stop mark, '</s>', come first?; a base model answers piaf_fr_shots" in warning
    said.clear()
    answers = iter(["", "Paris", "Paris"])
    run_arm(flags(fake_server(lambda call: next(answers)), tmp_path / "b", "--limit", "3"), say=said.append)
    assert not [line for line in said if line.startswith("warning")]


def test_sampled_answers_under_one_seed_are_refused_before_they_are_paid(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(lambda call: f"Paris {server.count}")
    votes = ("--tasks", "piaf_fr_vote", "--limit", "1")
    for kind, args in (("local-completions", ""), ("local-chat-completions", ""), ("hosted-chat", "seed=7")):
        with pytest.raises(UsageError, match="they would be one answer"):
            run_arm(flags(server, tmp_path / kind, *votes, kind=kind, args=args))
    assert server.count == 0
    outcome = run_arm(flags(server, tmp_path / "fine", *votes, kind="hosted-chat"))
    assert outcome.asked == server.count == 1 + 8  # and piaf_fr, which the flags name too
    greedy = ("--gen_kwargs", "temperature=0")
    assert run_arm(flags(server, tmp_path / "greedy", *votes, *greedy)).asked == 1 + 8


def test_kill_and_resume_asks_nothing_twice(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server("Paris", latency=0.05)
    argv = flags(server, tmp_path, "--limit", "60", args="num_concurrent=4")
    process = subprocess.Popen(
        [sys.executable, "-m", "lm_eval_fr", "run", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: server.count >= 20 or process.poll() is not None, "20 calls")
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT)
    before = server.count
    assert 20 <= before < 60
    outcome = run_arm(argv)
    asked = Counter(call.user for call in server.calls)
    assert len(samples(outcome)) == len(asked) == 60
    assert sum(asked.values()) <= 60 + 4  # four were in flight when the process was killed
    assert outcome.kept >= before - 4
    assert run_arm(argv).kept == 60
    assert server.count == sum(asked.values())


def test_two_arms_never_share_answers(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(lambda call: f"{call.body['model']} {call.body.get('temperature')} {call.system}")
    shared = ("--use_cache", str(tmp_path / "shared"), "--limit", "3")
    base = flags(server, tmp_path / "a", *shared)
    other_model = [word.replace("model=fake-model", "model=other-model") for word in base]
    server.models = ("fake-model", "other-model")
    arms = [base, other_model, [*base, "--gen_kwargs", "temperature=0.5"], [*base, "--apply_chat_template"]]
    arms[3] = [
        word.replace("local-completions", "local-chat-completions").replace("/completions", "/chat/completions")
        for word in arms[3]
    ]
    answers = [[row["resps"] for row in samples(run_arm(argv))] for argv in arms]
    assert server.count == 4 * 3
    assert answers[0][0] == [["fake-model 0.0 "]]
    assert answers[1][0] == [["other-model 0.0 "]]
    assert answers[2][0] == [["fake-model 0.5 "]]
    assert len(list(tmp_path.glob("shared_*_rank0.db"))) == 4


def test_no_content_is_asked_for_again(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server(lambda call: Reply(None) if call.number in (2, 5) else "Lyon")
    argv = flags(server, tmp_path, kind="local-chat-completions", args="num_concurrent=2")
    first = run_arm(argv)
    assert sorted(row["resps"][0][0] for row in samples(first)) == ["", ""] + ["Lyon"] * 10
    second = run_arm(argv)
    assert (second.kept, second.asked, server.count) == (10, 2, 14)
    assert {row["resps"][0][0] for row in samples(second)} == {"Lyon"}


def test_what_became_of_each_answer_is_beside_the_samples(fake_server: Start, tmp_path: Path) -> None:
    def answer(call: Call) -> Reply:
        if call.number == 4:
            return Reply("context too long", status=400)
        return Reply("Metz", finish_reason="length" if call.number == 6 else "stop")

    server = fake_server(answer)
    argv = flags(server, tmp_path, kind="hosted-chat", args="num_concurrent=1")
    first = run_arm(argv)
    told = responses(first)
    assert {row["doc_hash"] for row in samples(first)} == told.keys()
    assert Counter(entry["finish_reason"] for entry in told.values()) == {"stop": 10, "length": 1, None: 1}
    failed = next(entry for entry in told.values() if entry["error"])
    assert failed["error"] == "HTTP 400: context too long"
    assert failed["doc_hash"] == next(row["doc_hash"] for row in samples(first) if row["resps"] == [[""]])
    second = run_arm(argv)
    assert (second.kept, second.asked) == (11, 1)
    assert [entry["error"] for entry in responses(second).values()] == [None] * 12
    assert responses(second)[failed["doc_hash"]]["usage"]["completion_tokens"] == 1


def responses(outcome: RunOutcome) -> dict[str, dict[str, Any]]:
    path = outcome.results.with_name(outcome.samples["piaf_fr"].name.replace("samples_", "responses_"))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(row["task"] == "piaf_fr" and row["seconds"] >= 0 for row in rows)
    return {row["doc_hash"]: row for row in rows}


@pytest.mark.parametrize("kind", ["local-chat-completions", "hosted-chat"])
def test_the_key_is_nowhere(fake_server: Start, tmp_path: Path, kind: str) -> None:
    def answer(call: Call) -> str | Reply:
        if call.number % 3 == 0:  # lm-eval logs the failing request with its headers
            return Reply(f"bad gateway for {call.headers['Authorization']}", status=502)
        return f"Votre clé est {call.headers['Authorization']}"

    server = fake_server(answer, api_key=KEY)
    done = cli(*flags(server, tmp_path, "--limit", "6", kind=kind, args="num_concurrent=3"), OPENAI_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert {call.headers["Authorization"] for call in server.calls} == {f"Bearer {KEY}"}
    assert KEY not in done.stdout + done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 4
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    lines = next(tmp_path.rglob("samples_*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["resps"][0][0] for line in lines} == {"Votre clé est Bearer [redacted]"}


def test_a_wrong_key_is_one_line(fake_server: Start, tmp_path: Path) -> None:
    server = fake_server("Paris", api_key="another")
    for kind in ("local-completions", "hosted-chat"):
        done = cli(*flags(server, tmp_path, kind=kind), OPENAI_API_KEY=KEY)
        assert done.returncode == 2
        line = done.stderr.strip().splitlines()[-1]
        assert "401" in line and "OPENAI_API_KEY" in line
        assert "Traceback" not in done.stderr and KEY not in done.stderr
    assert server.count == 0  # the list of models was refused: nothing was asked


def test_no_server_and_no_such_model_are_one_line_at_once(
    fake_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fake_server(lambda call: Reply("The model `fake-modl` does not exist.", status=404))
    url = server.url
    wrong = [word.replace("model=fake-model", "model=fake-modl") for word in flags(server, tmp_path)]
    with pytest.raises(ArmError, match=r"no model 'fake-modl' \(did you mean 'fake-model'"):
        run_arm(wrong)
    server.stop()
    pauses: list[float] = []

    async def pause(seconds: float, result: object = None) -> object:
        pauses.append(seconds)
        return result

    monkeypatch.setattr(asyncio, "sleep", pause)
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(ArmError, match=f"{url}/completions: no server answers"):
        run_arm(flags(server, tmp_path))
    assert not any(pauses), "it waits before it says so"


def test_a_server_that_lists_no_aliases_is_believed(fake_server: Start, tmp_path: Path) -> None:
    server, said = fake_server("Paris", models=("fake-model-2603",)), []
    run_arm(flags(server, tmp_path, "--limit", "2"), say=said.append)
    assert any("does not list 'fake-model'" in line for line in said)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Reply(status=500, text="worker died"), "the last 8 documents got no answer: HTTP 500: worker died"),
        (Reply(drop=True), "the last 8 documents got no answer: Server disconnected"),
        (Reply(status=402, text="no credit"), "HTTP 402: no credit .top up the account"),
    ],
)
def test_a_failure_in_the_middle_keeps_the_answers(
    fake_server: Start, tmp_path: Path, trouble: Reply, words: str
) -> None:
    healthy = [False]
    server = fake_server(lambda call: trouble if call.number >= 4 and not healthy[0] else "Nice")
    argv = flags(server, tmp_path, args="max_retries=1")
    with pytest.raises(Unfinished, match=words) as caught:
        run_arm(argv)
    assert "rerun the same command to resume" in str(caught.value) and "\n" not in str(caught.value)
    healthy[0] = True
    assert run_arm(argv).kept == 4


def test_results_that_cannot_be_written_are_an_error(fake_server: Start, tmp_path: Path) -> None:
    (tmp_path / "fake-model").write_text("a file where a folder should be")
    with pytest.raises(ArmError, match=r"lm-eval wrote no results.*rerun the same command to resume"):
        run_arm(flags(fake_server("Paris"), tmp_path, "--limit", "2"))


def test_missing_engines_and_documents_are_one_line(tmp_path: Path) -> None:
    common = ["--tasks", "piaf_fr", "--output_path", str(tmp_path)]
    with pytest.raises(UsageError, match="has no argument 'damag'"):
        run_arm(["--model", "fr-baseline", "--model_args", "damag=1", *common, "--data-dir", str(DEMO)])
    with pytest.raises(UsageError, match="a share between 0 and 1"):
        run_arm(["--model", "fr-baseline", "--model_args", "damage=3", *common, "--data-dir", str(DEMO)])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Exception, match="piaf_fr") as error:
        run_arm(["--model", "fr-baseline", *common, "--data-dir", str(empty)])
    assert error.value.exit_code == 2  # type: ignore[attr-defined]


def test_both_baselines_on_every_task(tmp_path: Path) -> None:
    means = {}
    for damage in ("0", "0.5"):
        out = tmp_path / damage
        argv = ["--model", "fr-baseline", "--model_args", f"damage={damage},seed=7", "--tasks", "fr_quality"]
        outcome = run_arm([*argv, "--data-dir", str(DEMO), "--output_path", str(out), "--limit", "40"])
        assert set(outcome.samples) == {"piaf_fr", "massive_scenario_fr", "sib200_fr", "wikiner_fr", "analysis_fr"}
        assert all(len(samples(outcome, task)) == 40 for task in outcome.samples)
        results = json.loads(outcome.results.read_text(encoding="utf-8"))["results"]
        means[damage] = [
            results["piaf_fr"]["f1,none"],
            results["sib200_fr"]["exact_match,none"],
            results["wikiner_fr"]["set_f1,none"],
        ]
    assert all(good > spoilt for good, spoilt in zip(means["0"], means["0.5"], strict=True))


def test_piaf_as_published(fake_server: Start, tmp_path: Path, shared_data: Path) -> None:
    server = fake_server(lambda call: call.user.split("Question :")[1].split("?")[0])
    argv = flags(server, tmp_path, "--limit", "50", args="num_concurrent=8")
    argv[argv.index("--data-dir") + 1] = str(shared_data / "piaf")
    rows = samples(run_arm(argv))
    assert len(rows) == 50
    assert len({row["doc"]["title"] for row in rows}) >= 45


@pytest.mark.parametrize("kind", ["local-completions", "hosted-chat"])
def test_prompts_beyond_the_servers_context_are_refused_before_anything_is_asked(
    fake_server: Start, tmp_path: Path, kind: str
) -> None:
    server = fake_server("aucun", context=8192)
    argv = flags(server, tmp_path, "--limit", "8", "--tasks", "long_context_fr", kind=kind)
    with pytest.raises(InputError, match="prompts of 16,384 tokens are asked for, and this model takes 8,192"):
        run_arm([*argv, "--metadata", '{"lengths": [4096, 16384]}'])
    assert server.count == 0
    assert len(samples(run_arm([*argv, "--metadata", '{"lengths": [4096, 8192]}']), "long_context_fr")) == 8
    assert max(len(call.user) for call in server.calls) / 3.6 + 256 < 8192
