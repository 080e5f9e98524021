"""`lm-eval-fr fidelity` against real sockets: what it measures, what it refuses, how it resumes."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lm_eval_fr.analyses.fidelity.fidelity_command import read_fidelity
from lm_eval_fr.analyses.fidelity.fidelity_section import fidelity_section
from lm_eval_fr.analyses.fidelity.texts import read_texts
from lm_eval_fr.cli import main
from lm_eval_fr.errors import InputError
from tests.fakes.logprobs import PseudoModel
from tests.fakes.runs import make_run, plain_task
from tests.fakes.server import Call, FakeOpenAI, Reply
from tests.waiting import LIMIT, wait_for

Server = Callable[..., FakeOpenAI]
PARAGRAPHS = [f"Le n° {i} parle de l’été à Paris : {i * 7} personnes « marchent » sans répit." for i in range(12)]
TOKENS_BEYOND = json.dumps(
    {
        "choices": [
            {"prompt_logprobs": [None, {str(10**18 * 99): {"logprob": -1.0}}], "prompt_token_ids": [1, 10**18 * 99]}
        ]
    }
)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "textes.txt"
    path.write_text("\n\n".join(PARAGRAPHS), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval_fr.io.retry import RetryPolicy

    monkeypatch.setattr("lm_eval_fr.analyses.fidelity.logprob_client.POLICY", RetryPolicy(attempts=3, first_wait=0.01))


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["fidelity", *map(str, arguments)])


def measured(out: Path) -> dict[str, Any]:
    return json.loads((out / "fidelity.json").read_text(encoding="utf-8"))


def test_damage_is_seen_and_exceeds_the_floor(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    candidate = fake_server(PseudoModel(damage=0.3, jitter=0.02), models=("nvfp4",))
    reference = fake_server(PseudoModel(jitter=0.02), models=("bf16",))
    done = run(candidate.url, reference.url, "--texts", texts, "--rerun", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "nvfp4 against bf16" in done.output and "exceeds the noise" in " ".join(done.output.split())
    assert "lower bound" in done.output and "Worst passage 1" in done.output
    assert all(len(line) <= 100 for line in done.output.splitlines())
    found = measured(tmp_path / "out")
    distance, floor = found["distance"], found["floor"]
    assert distance["documents"] == 12 and distance["tokens"] > 150
    assert distance["divergence"]["value"] > 20 * floor["divergence"]["value"] > 0
    assert distance["divergence"]["low"] < distance["divergence"]["value"] < distance["divergence"]["high"]
    assert found["excess"]["low"] > 0 and 0.5 < distance["agreement"]["value"] < floor["agreement"]["value"]
    assert list(distance["percentiles"]) == ["p50", "p90", "p99", "p99.9", "max"]
    assert len(found["documents"]) == 12 and found["compared_by"] == "id"


def test_a_file_of_another_version_is_not_read(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    servers = fake_server(PseudoModel(damage=0.3)), fake_server(PseudoModel())
    assert run(servers[0].url, servers[1].url, "--texts", texts, "--out", tmp_path, "--quiet").exit_code == 0
    path = tmp_path / "fidelity.json"
    assert read_fidelity(path).distance.documents == 12
    path.write_text(json.dumps(measured(tmp_path) | {"schema_version": 2}), encoding="utf-8")
    with pytest.raises(InputError, match=r"schema version 2 \(measure again\)"):
        read_fidelity(path)


def rewriting(model: PseudoModel) -> Callable[[Call], Reply | str]:
    def answer(call: Call) -> Reply | str:
        return model(replace(call, body={**call.body, "prompt": call.body["prompt"].replace("😀", "~")}))

    return answer


def test_answers_that_are_not_among_the_tokens_are_left_out(fake_server: Server, tmp_path: Path) -> None:
    """A template that rewrites the answer: what cannot be found is counted, and all of it lost is an error."""
    rows = [
        {"prompt": "Question ?", "text": "Une réponse.", "id": "a"},
        {"prompt": "Autre ?", "text": "😀😀😀😀", "id": "b"},
    ]
    path = tmp_path / "textes.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    servers = fake_server(rewriting(PseudoModel(damage=0.3))), fake_server(rewriting(PseudoModel()))
    done = run(servers[0].url, servers[1].url, "--texts", path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert measured(tmp_path / "out")["unaligned"] == ["b"]
    assert "Left out: 1 answer not found among the tokens, the first b." in " ".join(done.output.split())
    path.write_text(json.dumps(rows[1]), encoding="utf-8")
    lost = run(servers[0].url, servers[1].url, "--texts", path, "--out", tmp_path / "lost")
    assert lost.exit_code == 2 and "its answer was not found among the tokens" in lost.output


def test_it_tells_where_the_arms_differ(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    candidate, reference = fake_server(PseudoModel(damage=0.3)), fake_server(PseudoModel())
    done = run(candidate.url, reference.url, "--texts", texts, "--out", tmp_path / "out")
    found = measured(tmp_path / "out")
    tokens = found["distance"]["tokens"]
    assert sum(band["tokens"] for band in found["by_position"]) == tokens and len(found["by_position"]) == 10
    assert sum(band["tokens"] for band in found["by_entropy"]) == tokens
    mean = sum(band["tokens"] * band["reverse"]["value"] for band in found["by_entropy"]) / tokens
    assert mean == pytest.approx(found["distance"]["reverse"]["value"])
    first = found["first_divergence"]
    assert first["basis"] == "first_choices" and first["documents"] == 12
    apart = [row["first_divergence"] for row in found["documents"] if row["first_divergence"]]
    assert first["diverged"] == len(apart) and min(apart) == first["tokens"]["p10"]
    assert found["unscored_tokens"] == 0
    said = " ".join(done.output.split())
    for part in ("KL(candidate || reference)", "one-sided", "First divergence", "part of the text", "entropy"):
        assert part in said, part


@pytest.mark.parametrize("dialect", ["prompt_logprobs", "echo"])
@pytest.mark.parametrize(
    ("value", "state"), [(-9999.0, "no_probability"), (math.nan, "not_a_number"), (math.inf, "not_a_number")]
)
def test_a_value_that_is_no_log_probability_is_a_state(
    fake_server: Server, texts: Path, tmp_path: Path, value: float, state: str, dialect: str
) -> None:
    reference = fake_server(PseudoModel(knows=(dialect,)))
    whole, odd = (fake_server(PseudoModel(damage=0.3, knows=(dialect,), says=says)) for says in ({}, {" Paris": value}))
    for server, out in ((whole, "whole"), (odd, "odd")):
        done = run(server.url, reference.url, "--texts", texts, "--out", tmp_path / out, "--rerun")
        assert done.exit_code == 0, done.output
    clean, found = measured(tmp_path / "whole"), measured(tmp_path / "odd")
    assert found["unscored"]["candidate"] == {"no_probability": 0, "not_a_number": 0} | {state: 12}
    assert found["unscored"]["reference"] == {"no_probability": 0, "not_a_number": 0}
    assert found["unscored_tokens"] == 12
    assert found["distance"]["tokens"] == found["floor"]["tokens"] == clean["distance"]["tokens"] - 12
    assert found["distance"]["divergence"]["value"] == pytest.approx(clean["distance"]["divergence"]["value"], rel=0.5)
    assert found["distance"]["perplexity"] < 10 * clean["distance"]["perplexity"]
    assert "12 tokens without a log-probability" in " ".join(done.output.split())


def test_a_server_that_gives_nothing_but_nan_is_one_line(fake_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("Paris Paris Paris", encoding="utf-8")
    candidate = fake_server(PseudoModel(says={"Paris": math.nan, " Paris": math.nan}))
    done = run(candidate.url, fake_server(PseudoModel()).url, "--texts", path, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "no token has a log-probability in both arms" in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_result_of_an_earlier_version_is_still_read(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    server = fake_server(PseudoModel())
    assert run(server.url, server.url, "--texts", texts, "--out", tmp_path / "out").exit_code == 0
    found = measured(tmp_path / "out")
    for name in ("by_position", "by_entropy", "first_divergence", "unscored", "unscored_tokens"):
        del found[name]
    for name in ("reverse", "agreement_at_least"):
        del found["distance"][name]
    for row in found["documents"]:
        del row["first_divergence"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(found), encoding="utf-8")
    section = fidelity_section(read_fidelity(old))
    assert section.title == "Next-token fidelity" and not any("First divergence" in str(part) for part in section.parts)


def test_the_same_server_twice_is_no_distance(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    server = fake_server(PseudoModel())
    bare = server.url.removesuffix("/v1")  # an address without /v1 is completed
    done = run(server.url, bare, "--texts", texts, "--out", tmp_path / "out", "--json", "-")
    found = json.loads(done.stdout)
    assert found["distance"]["divergence"]["value"] < 1e-9 and found["distance"]["agreement"]["value"] == 1
    assert found["distance"]["agreement"]["low"] < 1  # nothing seen in a few hundred tokens is not nothing


def test_an_old_completions_endpoint_is_compared_by_text(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    candidate = fake_server(PseudoModel(damage=0.3, knows=("echo",)))
    reference = fake_server(PseudoModel())
    plain = fake_server(PseudoModel(damage=0.3))
    for server, out in ((candidate, "old"), (plain, "new")):
        assert run(server.url, reference.url, "--texts", texts, "--out", tmp_path / out).exit_code == 0
    old, new = measured(tmp_path / "old"), measured(tmp_path / "new")
    assert old["candidate"]["dialect"] == "echo" and old["compared_by"] == "text" and new["compared_by"] == "id"
    assert old["distance"]["divergence"]["value"] == pytest.approx(new["distance"]["divergence"]["value"], rel=1e-5)


@pytest.mark.parametrize("form", ["raw", "chat", "template"])
def test_of_a_run_only_the_answers_are_compared(fake_server: Server, tmp_path: Path, form: Any) -> None:
    answers = [f"Il a fallu attendre l’an {1900 + i}." for i in range(6)] + [""]
    titles = ["Paris", "Paris", "Lyon", "Lyon", "Metz", "Metz", "Metz"]
    task = plain_task("piaf_fr", {"f1": [1.0] * 7}, answers=answers, titles=titles, cluster="title")
    folder = make_run(tmp_path / "run", task, form=form)
    server = fake_server(PseudoModel(damage=0.2))
    reference = fake_server(PseudoModel())
    done = run(server.url, reference.url, "--texts", folder, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = measured(tmp_path / "out")
    assert found["empty"] == 1 and not found["unaligned"] and found["distance"]["clusters"] == 3
    assert {row["tokens"] for row in found["documents"]} == {7}  # the answer's own tokens, none of the prompt's
    paths = {call.path for call in reference.calls}
    assert paths == ({"/v1/chat/completions"} if form == "chat" else {"/v1/completions"})
    special = {call.body.get("add_special_tokens", True) for call in reference.calls}
    assert special == {form != "template"}


def test_a_killed_run_asks_only_for_the_rest(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    model = PseudoModel()
    broken = {"on": True}

    def answer(call: Call) -> str | Reply:
        return Reply("unwell", status=500) if broken["on"] and call.number > 5 else model(call)

    candidate, reference = fake_server(answer), fake_server(model)
    command = (candidate.url, reference.url, "--texts", texts, "--out", tmp_path / "out", "--concurrency", "2")
    first = run(*command)
    assert first.exit_code == 4 and "rerun to resume" in first.output
    assert len(first.output.strip().splitlines()) == 1
    broken["on"] = False
    asked = reference.count
    again = run(*command)
    assert again.exit_code == 0 and "replies are from an earlier run" in " ".join(again.output.split())
    assert reference.count <= asked + 12 - min(asked, 12)
    assert measured(tmp_path / "out")["distance"]["documents"] == 12


def test_a_process_that_is_killed_loses_no_reply(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    model = PseudoModel()
    candidate, reference = fake_server(model, latency=0.1), fake_server(model)
    out = tmp_path / "out"
    flags = ["--texts", str(texts), "--out", str(out), "--concurrency", "1"]
    command = [sys.executable, "-m", "lm_eval_fr", "fidelity", candidate.url, reference.url, *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: candidate.count >= 6 or process.poll() is not None, "six calls")
    process.kill()
    process.wait(timeout=LIMIT)
    asked = candidate.count
    assert 6 <= asked < 12 and not (out / "fidelity.json").exists()
    assert run(candidate.url, reference.url, *flags).exit_code == 0
    # At most the one reply of each server that was on its way is asked for again.
    assert 12 <= candidate.count <= 13 and 12 <= reference.count <= 13
    assert measured(out)["distance"]["documents"] == 12


def test_dropped_connections_are_tried_again(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    model = PseudoModel()
    seen: set[str] = set()

    def answer(call: Call) -> str | Reply:
        first = call.user not in seen
        seen.add(call.user)
        return Reply(drop=True) if first else model(call)

    candidate = fake_server(answer)
    done = run(candidate.url, fake_server(model).url, "--texts", texts, "--out", tmp_path / "out")
    assert done.exit_code == 0 and measured(tmp_path / "out")["distance"]["documents"] == 12


def test_a_text_that_is_too_long_is_counted_not_dropped(fake_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [
        {"id": "long", "text": "mot " * 80},
        {"id": "a", "text": "Un texte court."},
        {"id": "b", "text": "Un autre."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    candidate, reference = fake_server(PseudoModel(longest=40)), fake_server(PseudoModel())
    done = run(candidate.url, reference.url, "--texts", path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = measured(tmp_path / "out")
    assert list(found["refused"]) == ["long"] and found["distance"]["documents"] == 2
    assert "Left out: 1 text refused by a server" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("candidate", "said", "remedy"),
    [
        (PseudoModel(letters=True), "tokenizers differ: text 1, token", "same tokenizer"),
        (PseudoModel(knows=()), "gives no log-probabilities", "vllm serve"),
        (lambda call: Reply("no such endpoint", status=404), "gives no log-probabilities: HTTP 404", "ends in /v1"),
        (lambda call: Reply("go away", status=401), "denies access", "--key-env"),
        (lambda call: Reply(raw="<html>"), "gives no log-probabilities", "vllm serve"),
        (lambda call: Reply(raw="[" * 100_000), "gives no log-probabilities", "vllm serve"),
        (lambda call: Reply(raw=TOKENS_BEYOND), "beyond 64 bits", "vllm serve"),
        (PseudoModel(most=5), "max allowed: 5", "--top"),
        (PseudoModel(longest=3), "no text fits", "shorter texts"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    fake_server: Server, texts: Path, tmp_path: Path, candidate: Any, said: str, remedy: str
) -> None:
    done = run(fake_server(candidate).url, fake_server(PseudoModel()).url, "--texts", texts, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert said in done.output and remedy in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_servers_and_files_that_are_not_there(fake_server: Server, texts: Path, tmp_path: Path) -> None:
    reference = fake_server(PseudoModel(), models=("a", "b"))
    several = run("http://127.0.0.1:9/v1", reference.url, "--texts", texts)
    assert several.exit_code == 2 and "no server answers" in several.output
    unnamed = run(reference.url, reference.url, "--texts", texts)
    assert unnamed.exit_code == 2 and "serves a, b" in unnamed.output and "--candidate-model" in unnamed.output
    nowhere = run("localhost:8000", reference.url, "--texts", texts, "--model", "a")
    assert nowhere.exit_code == 2 and "is not an address" in nowhere.output
    bad = tmp_path / "t.jsonl"
    bad.write_text('{"text": "ok"}\n{"texte": "non"}\n', encoding="utf-8")
    lines = run(reference.url, reference.url, "--texts", bad, "--model", "a")
    assert lines.exit_code == 2 and "t.jsonl:2: no `text`" in lines.output
    bad.write_text("\n \n", encoding="utf-8")
    empty = run(reference.url, reference.url, "--texts", bad, "--model", "a")
    assert empty.exit_code == 2 and "no text to compare" in empty.output


def test_a_key_is_sent_and_never_shown(
    fake_server: Server, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-très-secret"[:3] + "abcdefghijklmnop")
    server = fake_server(PseudoModel(), api_key="sk-abcdefghijklmnop")
    done = run(server.url, server.url, "--texts", texts, "--key-env", "MY_KEY", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"abcdefghijklmnop" not in kept and "abcdefghijklmnop" not in done.output
    monkeypatch.setenv("MY_KEY", "")
    assert "MY_KEY is empty" in run(server.url, server.url, "--texts", texts, "--key-env", "MY_KEY").output


def test_texts_are_read_from_paragraphs_and_lines(tmp_path: Path) -> None:
    plain = tmp_path / "a.txt"
    plain.write_text("Un.\n\n\n\nDeux\nlignes.\n", encoding="utf-8")
    assert [passage.scored for passage in read_texts(plain).passages] == ["Un.", "Deux\nlignes."]
    lines = tmp_path / "a.jsonl"
    rows = [{"text": "a", "title": "T", "prompt": "p "}, {"text": " "}, {"text": "b", "id": 7}]
    lines.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = read_texts(lines)
    assert found.empty == 1
    assert [(one.id, one.cluster, one.prompt) for one in found.passages] == [("1", "T", "p "), ("7", "7", "")]
    assert len(read_texts(lines, limit=1).passages) == 1
