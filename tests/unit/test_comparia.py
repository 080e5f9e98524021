"""scripts/comparia.py on votes in the hub's schema, with a judge on a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.tasklib.documents import Hub
from lm_eval_fr.tasklib.records import Record
from scripts import comparia
from tests.fakes.hub import lay_out, write_rows
from tests.fakes.judging import shown, verdict_json, write_profile
from tests.fakes.server import Call, FakeOpenAI

QUESTION = "Explique-moi en quelques phrases comment fonctionne une écluse, s'il te plaît."
ANSWER = "Une écluse permet aux bateaux de franchir une dénivellation : les portes se ferment et l'eau monte."


def vote(number: int, **changes: Any) -> dict[str, Any]:
    """The reader prefers A on even rows and B on odd ones; the better answer says so."""
    better = "ab"[number % 2]
    told = {side: f"{ANSWER} {'Parfait' if side == better else 'Passable'}, réponse {number}." for side in "ab"}
    talk = {
        side: [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": told[side]}] for side in "ab"
    }
    return {
        "model_a_name": "un",
        "model_b_name": "deux",
        "chosen_model_name": "un" if better == "a" else "deux",
        "both_equal": False,
        "conversation_a": talk["a"],
        "conversation_b": talk["b"],
        "conv_turns": 1,
        "opening_msg": f"{QUESTION} ({number})",
        "visitor_id": f"v{number}",
        "system_prompt_a": None,
        "system_prompt_b": None,
        "timestamp": "2025-01-01T00:00:00",
    } | changes


def careful(call: Call) -> str:
    texts = shown(call)
    return verdict_json("A" if "Parfait" in texts.first else "B")


def first(call: Call) -> str:
    return verdict_json("A")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """(exit code, stdout, stderr) of the script on `rows` with the server's judge."""

    def call(server: FakeOpenAI, rows: list[dict[str, Any]] | str, *flags: str, **profile: Any) -> tuple[int, str, str]:
        data = tmp_path / "votes.jsonl"
        if isinstance(rows, str):
            data.write_text(rows, encoding="utf-8")
        else:
            write_rows(data, rows)
        judge = write_profile(tmp_path, server.url, "judge", **profile)
        given = ["--profile", judge, "--data", str(data), "--out", str(tmp_path / "out"), *flags]
        code = comparia.main(given)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def read(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "out" / "agreement.json").read_text())
    return found


def test_the_price_comes_first_and_nothing_is_asked(
    run: Callable[..., tuple[int, str, str]], fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    server = fake_server(careful)
    code, out, _ = run(server, [vote(n) for n in range(12)])
    assert (code, server.count) == (0, 0) and not (tmp_path / "out").exists()
    assert "12 votes, one per visitor\n" in out and "0 controls, 12 pairs" in out
    assert "dollars" in out and "use --ask to ask" in out
    code, _, err = run(server, [vote(n) for n in range(12)], "--ask", "--max-usd", "0.00001")
    assert (code, server.count) == (4, 0) and "max-usd" in err


def test_a_judge_that_agrees_with_the_readers_and_one_that_answers_by_place(
    run: Callable[..., tuple[int, str, str]], fake_server: Callable[..., FakeOpenAI], tmp_path: Path
) -> None:
    rows = [vote(n) for n in range(30)] + [vote(n, both_equal=True, chosen_model_name=None) for n in range(30, 40)]
    server = fake_server(careful)
    code, out, _ = run(server, rows, "--ask")
    found = read(tmp_path)
    assert (code, server.count, found["votes"]) == (0, 80, 40)
    assert (found["agreement"]["raw"]["count"], found["agreement"]["raw"]["of"]) == (30, 40)
    # Readers: 15 wins, 15 losses, 10 ties; the judge: 20 and 20. By chance 15 of 40 agree.
    assert found["agreement"]["kappa"] == pytest.approx((30 - 15) / (40 - 15))
    assert (found["sight"]["won"], found["sight"]["n"], found["sight"]["net_win"]) == (30, 30, 1.0)
    assert "agrees with the reader in 30 of 40: 75.0 %" in out and "s = 1.00, at least 0." in out
    again = run(server, rows, "--ask")
    assert again[0] == 0 and server.count == 80, "a second run reads what is on disk"

    other = fake_server(first)
    code, out, _ = run(other, rows[:30], "--ask", "--out", str(tmp_path / "blind"))
    sight = json.loads((tmp_path / "blind" / "agreement.json").read_text())["sight"]
    assert (sight["won"], sight["order_decided"], sight["net_win"]) == (0, 30, 0.0)
    assert "prefers the first position" in out


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"conv_turns": 3}, "of several turns"),
        ({"chosen_model_name": None}, "without a choice"),
        ({"chosen_model_name": "trois"}, "without a choice"),
        ({"model_b_name": "un", "chosen_model_name": "un"}, "without a choice"),
        ({"system_prompt_a": "Sois bref."}, "with two system prompts"),
        ({"conversation_a": [{"role": "assistant", "content": " "}]}, "with an empty answer"),
        (
            {
                "conversation_b": [
                    {
                        "role": "assistant",
                        "content": "A lock lifts boats between two levels of water, of "
                        "course, and nothing else is needed for that.",
                    }
                ],
                "opening_msg": "How does a canal lock work?",
            },
            "not in French",
        ),
        ({"visitor_id": "v1"}, "not drawn"),
    ],
)
def test_what_is_not_one_french_vote_is_left_out_and_counted(changes: dict[str, Any], why: str) -> None:
    rows = [Record(row, "here") for row in (vote(0, **changes), vote(1), vote(2))]
    sample = comparia.sample_votes(rows, 10, 1)
    assert sample.left_out[why] == 1 and len(sample.votes) == 2


def test_a_sample_is_drawn_by_the_seed_whatever_the_order_and_one_vote_a_visitor() -> None:
    rows = [Record(vote(n, visitor_id=f"v{n % 40}"), "here") for n in range(80)]

    def drawn(some: list[Record], seed: int) -> list[str]:
        return [found.item.doc_hash for found in comparia.sample_votes(some, 15, seed).votes]

    one = drawn(rows, 1)
    assert one == drawn(rows[::-1], 1) and len(set(one)) == 15 and set(one) != set(drawn(rows, 2))
    visitors = [found.item.cluster for found in comparia.sample_votes(rows, 15, 1).votes]
    assert len(set(visitors)) == 15
    sample = comparia.sample_votes(rows, 15, 1)
    assert sample.left_out["not drawn"] == 65


def test_a_conversation_may_be_the_json_of_one() -> None:
    row = vote(0)
    text = Record(row | {"conversation_a": json.dumps(row["conversation_a"])}, "here")
    found = comparia.read_vote(text, 0, "v")
    assert found == comparia.read_vote(Record(row, "here"), 0, "v") and not isinstance(found, str)
    assert found.label == "win"


@pytest.mark.parametrize(
    ("rows", "flags", "said"),
    [
        ([{"model_a_name": "un"}], (), 'votes.jsonl:1: comparia: no field "'),
        ([vote(0), vote(1, conversation_b="[{")], (), 'votes.jsonl:2: comparia: field "conversation_b" is '),
        ([vote(0, conversation_a={"a": 1})], (), "is not a conversation with one answer"),
        ([vote(0, conversation_a="[" * 2000)], (), 'field "conversation_a" is '),
        ([vote(0, conv_turns="1")], (), "must be a whole number"),
        ([vote(0, both_equal="yes")], (), "not a vote"),
        ([vote(0, system_prompt_a=3)], (), "must be text or null"),
        ([vote(0, opening_msg=None)], (), 'field "opening_msg" must be non-empty text'),
        ("{\n", (), "votes.jsonl:1: "),
        ("", (), "no vote can be judged"),
        ([vote(0, conv_turns=2)], (), "no vote can be judged; left out: 1 of several turns"),
        ([vote(0)], ("--pairs", "1"), "--pairs 1 is below 2"),
        ([vote(0)], ("--data", "nowhere.jsonl"), "nowhere.jsonl: no such file"),
        ([vote(0)], ("--rubric", "nul"), "unknown name nul"),
        ([vote(0)], ("--max-usd", "-1"), "--max-usd"),
        ([vote(0)], ("--pairs", "many"), "invalid int value"),
    ],
)
def test_bad_input_is_one_line(
    run: Callable[..., tuple[int, str, str]],
    fake_server: Callable[..., FakeOpenAI],
    rows: Any,
    flags: tuple[str, ...],
    said: str,
) -> None:
    server = fake_server(careful)
    code, out, err = run(server, rows, "--ask", *flags)
    assert code == 2 and said in err and err.count("\n") == 1 and not out
    assert server.count == 0


def test_the_votes_are_read_from_the_hub_by_its_own_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    laid = lay_out(tmp_path, [vote(n) for n in range(6)], "default", "train")
    monkeypatch.setattr(comparia, "VOTES", Hub(laid["path"], laid["name"], laid["split"], None))
    assert comparia.main(["--profile", "offline", "--ask", "--out", str(tmp_path / "out")]) == 0
    assert "6 votes, one per visitor" in capsys.readouterr().out


def test_a_hub_that_lets_nobody_in_is_one_line_with_the_way_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert comparia.main(["--profile", "offline"]) == 2
    err = capsys.readouterr().err
    assert "comparia-votes" in err and "HF_TOKEN" in err and err.count("\n") == 1
