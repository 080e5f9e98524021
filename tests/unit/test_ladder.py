"""scripts/ladder.py: what its file must say, what is asked of which arm, and the tables with what was expected.

The arms of these tests are written, not run: a real model takes an hour (`make study`)."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import gguf
import msgspec
import numpy as np
import pytest

from lm_eval_fr.errors import ArmError, InputError
from scripts.damage import damage_gguf
from scripts.ladder import ROOT, Ladder, Study, TaskOfLadder, main, read_ladder, run_ladder, write_report
from scripts.ladder_engines import Processes, _port_of, name_of
from tests.fakes.runs import make_run, plain_task

LADDER, SECOND = ROOT / "plans" / "ladder.yaml", ROOT / "plans" / "ladder-smollm2.yaml"
SMALL = """
model: gemma
tasks:
  qa: {documents: 60}
  floor: {documents: 40, arms: [whole, int2], max_gen_toks: 16}
margins: {gold: 0.1}
reference: whole
rerun: again
arms:
  whole: {values: whole}
  again: {values: whole}
  int4: {values: int4}
  int3: {values: int3, documents: 50}
  int2: {values: int2}
"""
RIGHT = {"whole": 50, "again": 50, "int4": 46, "int3": 30, "int2": 2}  # of 60


def test_the_ladder_that_ships_goes_from_none_to_gross() -> None:
    ladder = read_ladder(LADDER)
    assert (ladder.reference, ladder.rerun) == ("whole", "again")
    assert ladder.arms["whole"] == ladder.arms["again"]
    damaged = [arm.values for arm in ladder.arms.values() if arm.values != "whole"]
    assert damaged == ["int8", "nvfp4", "int4", "int3", "int3", "int2"]
    assert {arm.engine for arm in ladder.arms.values()} == {"llama.cpp", "hf", "vllm"}
    assert all(ladder.tasks[name].documents >= 150 for name in ("piaf_fr_shots", "sib200_fr_shots"))
    second = read_ladder(SECOND)
    assert [arm.values for arm in second.arms.values()] == ["whole", "whole", "nvfp4", "int4", "int2"] and second.chat


@pytest.mark.parametrize("path", [LADDER, SECOND])
def test_a_ladder_names_tasks_and_data_that_are_there(path: Path) -> None:
    for name, task in read_ladder(path).tasks.items():
        assert list((ROOT / "tasks").glob(f"*/{name}.yaml")), name
        assert "data" not in task.metadata or (ROOT / task.metadata["data"]).is_file()


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("model: gemma", "model: gema", "no model is called 'gema' (did you mean 'gemma'?)"),
        ("reference: whole", "reference: none", "no arm is called 'none' (choose from whole, again,"),
        ("rerun: again", "rerun: agian", "no arm is called 'agian' (did you mean 'again'?)"),
        ("{values: int4}", "{values: int5}", "no set of values is called 'int5'"),
        ("{values: int4}", "{values: int4, engin: hf}", "engin"),
        ("{values: int4}", "{values: int4, engine: ollama}", "ollama"),
        ("{values: int4}", "{values: int4, untouched: 1.5}", "untouched: 1.5 is not a share below 1"),
        ("documents: 60", "documents: 0", "a number below 1"),
        ("documents: 60", "documents: 60, metadata: [a]", "metadata"),
        ("arms: [whole, int2]", "arms: [whole, int1]", "no arm is called 'int1'"),
        ("margins: {", "margins: [", "not YAML"),
        ("margins: {gold: 0.1}", "fidelity: {arms: [int9], texts: 2, characters: 9}", "margins"),
    ],
)
def test_a_ladder_with_a_mistake_is_one_line(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    assert was in SMALL
    path = tmp_path / "ladder.yaml"
    path.write_text(SMALL.replace(was, becomes), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_ladder(path)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_arm_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for only, says in (("int1", "no arm is called 'int1'"), ("vlm", "did you mean 'vllm'?")):
        assert main([str(LADDER), "--out", str(tmp_path), "--only", only]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def ladder(tmp_path: Path) -> Ladder:
    path = tmp_path / "ladder.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return read_ladder(path)


def study_of(ladder: Ladder, out: Path, right: Mapping[str, int]) -> Study:
    """Runs and checkpoints as a finished study has them. right: how many of the first task's answers are."""
    study = Study(ladder, out, None)
    (out / "models").mkdir(parents=True)
    source = tiny_gguf(out / "models" / "source.gguf")
    for name, arm in ladder.arms.items():
        weights = out / "models" / f"gemma-{arm.values}-{arm.untouched:g}.gguf"
        if not weights.exists():
            damage_gguf(source, weights, arm.values, arm.untouched, 1)
        asked = study.asked(name)
        scores = {"qa": [1.0] * right[name] + [0.0] * (asked["qa"] - right[name])}
        if "floor" in asked:
            scores["floor"] = [0.0] * asked["floor"]
        make_run(study.run_of(name), *(a_task(task, values) for task, values in scores.items()), model=weights.stem)
    return study


def a_task(name: str, scores: Sequence[float]) -> object:
    return plain_task(name, {"exact_match": scores}, config={"metadata": {"chance": 0.0}})


def tiny_gguf(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, arch="llama")
    writer.add_tensor("blk.0.ffn_up.weight", np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_is_there_is_not_asked_again(ladder: Ladder, tmp_path: Path) -> None:
    study = study_of(ladder, tmp_path / "out", RIGHT)
    assert study.asked("int3") == {"qa": 50} and study.asked("int2") == {"qa": 60, "floor": 40}
    study.processes.end()  # whoever starts a process now fails
    for name in ladder.arms:
        study.answer(name)
    make_run(study.run_of("int4"), plain_task("qa", {"exact_match": [1.0] * 9}), model="gemma-int4-0")
    with pytest.raises(ArmError, match="interrupted"):
        study.answer("int4")


class Written(Processes):
    """Says where a server would be, and keeps what would be run."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []

    @contextlib.contextmanager
    def server(self, command: Sequence[str | Path], port: int, log: Path) -> Iterator[str]:
        yield f"http://127.0.0.1:{port}/v1"

    def run(self, command: Sequence[str | Path], log: Path, limit: float) -> None:
        self.calls.append([str(part) for part in command])


def test_tasks_with_settings_of_their_own_are_asked_in_a_call_of_their_own(ladder: Ladder, tmp_path: Path) -> None:
    study = study_of(ladder, tmp_path / "out", RIGHT)
    made = {"lengths": [1280]}
    tasks = {
        "one": TaskOfLadder(3),
        "two": TaskOfLadder(4),
        "long": TaskOfLadder(2, metadata=made),
        "floor": TaskOfLadder(40, max_gen_toks=16),
    }
    for chat, kind in ((False, "local-completions"), (True, "local-chat-completions")):
        written = Written()
        asking = msgspec.structs.replace(ladder, tasks=tasks, chat=chat)
        Study(asking, study.out, tmp_path, written).answer("whole")  # which has answered "floor"
        together, apart = written.calls
        assert together[together.index("--samples") + 1] == '{"one": [0, 1, 2], "two": [0, 1, 2, 3]}'
        assert "--metadata" not in together and json.loads(apart[apart.index("--metadata") + 1]) == made
        for call in written.calls:
            assert kind in call and ("--apply_chat_template" in call) == chat
            asked = json.loads(call[call.index("--model_args") + 1])
            assert asked["base_url"].endswith("/v1/chat/completions" if chat else "/v1/completions")
            assert call[call.index("--data-dir") + 1] == str(tmp_path)


def test_answers_under_two_names_are_refused_before_anything_is_asked(ladder: Ladder, tmp_path: Path) -> None:
    study = study_of(ladder, tmp_path / "out", RIGHT)
    make_run(study.run_of("int4"), plain_task("floor", {"exact_match": [1.0] * 9}), model="moved-int4-0")
    with pytest.raises(InputError, match="answers of this arm under 2 names: gemma-int4-0, moved-int4-0"):
        run_ladder(study, [])


def test_an_arm_in_another_engine_is_named_alike_wherever_the_checkout_lies(tmp_path: Path) -> None:
    assert name_of(ROOT / "study-out" / "models" / "a") == "study-out/models/a"
    assert name_of(tmp_path / "a") == str(tmp_path / "a")


def test_the_tables_say_what_came_out(ladder: Ladder, tmp_path: Path) -> None:
    study = study_of(ladder, tmp_path / "out", RIGHT)
    said = " ".join(write_report(study, list(ladder.arms), {}).split())
    assert "holds: again: the same weights are not inferior" in said
    assert "holds: qa: the coarser the rounding, the larger the loss, int4 > int3 > int2" in said
    assert "holds: qa: int2 is inferior" in said
    assert "holds: floor: too near chance, or in too few documents, for a claim: none of 1 arms is non-inferior" in said
    table = (study.out / "ladder.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if line.startswith("| int2") and "| 60 |" in line)
    assert "3.3 / 83.3" in row and "inferior" in row and "48 lost · 0 gained" in row
    assert "relative error" in table and "├" in table
    assert "no verdict" in next(line for line in table.splitlines() if line.startswith("| int2") and "| 40 |" in line)
    assert "<svg" in (study.out / "ladder.html").read_text(encoding="utf-8")
    assert (study.out / "int2" / "report.html").is_file() and (study.out / "int2" / "compare.json").is_file()


def test_what_does_not_come_out_is_said(ladder: Ladder, tmp_path: Path) -> None:
    upside_down = RIGHT | {"again": 20, "int4": 2, "int3": 45, "int2": 46}
    said = " ".join(write_report(study_of(ladder, tmp_path / "out", upside_down), list(ladder.arms), {}).split())
    assert "DOES NOT HOLD: again: the same weights are not inferior" in said and "(not so: qa)" in said
    assert (
        "DOES NOT HOLD: qa: the coarser the rounding, the larger the loss, int4 > int3 > int2; int3 above int4 by +"
        in said
    )
    assert "DOES NOT HOLD: qa: int2 is inferior" in said


def test_a_step_inside_its_interval_is_no_contradiction(ladder: Ladder, tmp_path: Path) -> None:
    level = RIGHT | {"int3": 40, "int4": 40, "int2": 41}
    said = " ".join(write_report(study_of(ladder, tmp_path / "out", level), list(ladder.arms), {}).split())
    assert "cannot be told: qa: the coarser the rounding, the larger the loss" in said
    assert "int2 above int3 by" in said


def test_an_arm_keeps_its_address_so_that_its_answers_are_found_again(tmp_path: Path) -> None:
    port = _port_of(tmp_path / "arm")
    assert _port_of(tmp_path / "arm") == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert _port_of(tmp_path / "arm") != port


def test_a_process_that_fails_or_hangs_is_one_line(tmp_path: Path) -> None:
    processes, log = Processes(), tmp_path / "log"
    with pytest.raises(ArmError, match="ended with 3: no weights"):
        processes.run(["sh", "-c", "echo no weights; exit 3"], log, 30)
    with pytest.raises(ArmError, match=r"not done in 0 s \(rerun to resume\)"):
        processes.run(["sleep", "60"], log, 0.2)
    with (
        pytest.raises(ArmError, match="did not come up: no such model"),
        processes.server(["sh", "-c", "echo no such model"], 9, log),
    ):
        pass
