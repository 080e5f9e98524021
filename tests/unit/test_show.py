"""One document as a person reads it: the task as asked, the gold, the answers or the choices of one or two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.analyses.show import show_sample
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.logs.samples import read_samples
from tests.fakes.runs import FakeSample, FakeTask, make_run, plain_task


def show(*paths: Path, **asked: Any) -> str:
    return show_sample(paths, **{"task": None, "doc": None, "columns": 100, **asked})


def test_a_task_that_was_not_asked_for_may_be_broken(tmp_path: Path) -> None:
    folder = make_run(tmp_path, plain_task("gsm8k", {"acc": [1.0]}), plain_task("ifeval", {"acc": [1.0]}))
    next(folder.glob("samples_ifeval*")).unlink()
    assert "réponse 0" in show(tmp_path, task="gsm8k")
    with pytest.raises(InputError, match=r"the newest run of ifeval has no samples .*leave it out: --task gsm8k"):
        show(tmp_path)
    with pytest.raises(InputError, match=r"no run of mmlu .it has gsm8k, ifeval"):
        show(tmp_path, task="mmlu")


def two_filters() -> FakeTask:
    by_filter = {"strict": ("[invalid]", {"acc": 0.0}), "loose": ("42", {"acc": 1.0})}
    return FakeTask("gsm8k", [FakeSample({"q": 1}, "6 × 7 ?", "donc 42", by_filter=by_filter)], filters=list(by_filter))


def test_a_filter_can_be_chosen(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / arm, two_filters()) for arm in "cr"]
    first = show(*runs)
    assert first.count("after the filter strict\n  [invalid]") == 2 and "(acc 0)\n  donc 42" in first
    loose = show(*runs, filter="loose")
    assert loose.count("after the filter loose\n  42") == 2 and "[invalid]" not in loose
    with pytest.raises(UsageError, match=r"gsm8k has no filter 'lax' .--filter strict, loose"):
        show(*runs, filter="lax")


def test_lines_that_do_not_name_their_filter_come_in_the_order_of_the_filters(tmp_path: Path) -> None:
    """lm-eval before 0.4.7: one block a filter, and in a block of each process where several wrote."""
    folder = make_run(tmp_path, two_filters(), results={"lm_eval_version": "0.4.5"})
    path = next(folder.glob("samples_*"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["filter"], row["metrics"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "acc 1" in show(tmp_path, filter="loose") and "acc 0" in show(tmp_path, filter="strict")
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    with pytest.raises(InputError, match=r"jsonl:3: document 0 has more lines than the task has filters"):
        list(read_samples(find_run(tmp_path).tasks["gsm8k"]))


def test_choices_are_shown_with_their_log_likelihoods(tmp_path: Path) -> None:
    task = FakeTask(
        "sciq",
        [FakeSample({"q": 1}, "Où ?", choices=[("Paris", -2.5), ("Lyon", -0.25)], scores={"acc": 0.0}, target=0)],
    )
    text = show(make_run(tmp_path, task))
    assert "gold\n  Paris" in text
    assert "(acc 0)\n  Lyon (-0.25)\n  Paris (-2.5)" in text
    sample = next(read_samples(find_run(tmp_path).tasks["sciq"]))
    assert sample.picked == "Lyon"


@pytest.mark.parametrize(
    ("arguments", "likelihoods", "choices"),
    [
        (
            [("Sarah est grande,", " car"), ("Marie est grande,", " car")],
            [-1, -2],
            ["Sarah est grande,", "Marie est grande,"],
        ),
        ([("Q", " a"), ("Q", " b"), ("", " a"), ("", " b")], [-1, -2, -3, -4], ["a", "b"]),
        ([("Q", " a"), ("Q", " a"), ("Q", " b")], [-1, -2, -3], ["a", "a", "b"]),
        ([("Q", " a")], [-1], []),
        ([("Q", " a"), ("Q", " b")], [-1], []),
    ],
)
def test_what_the_choices_are(
    tmp_path: Path, arguments: list[tuple[str, str]], likelihoods: list[float], choices: list[str]
) -> None:
    task = FakeTask("t", [FakeSample({"q": 1}, "Q", choices=[("x", -1), ("y", -1)], scores={"acc": 1.0})])
    path = next(make_run(tmp_path, task).glob("samples_*"))
    row = json.loads(path.read_text())
    row["arguments"] = {f"gen_args_{i}": {"arg_0": one, "arg_1": two} for i, (one, two) in enumerate(arguments)}
    row["filtered_resps"] = [[str(likelihood), "True"] for likelihood in likelihoods]
    path.write_text(json.dumps(row) + "\n")
    sample = next(read_samples(find_run(tmp_path).tasks["t"]))
    assert [text for text, _ in sample.choices] == choices


def test_a_document_by_number_or_hash(tmp_path: Path) -> None:
    folder = make_run(tmp_path, plain_task("piaf_fr", {"f1": [1.0, 0.5]}))
    sample = [*read_samples(find_run(folder).tasks["piaf_fr"])][1]
    assert show(folder, doc="1") == show(folder, doc=sample.doc_hash[:8]) != show(folder)
    with pytest.raises(InputError, match=r"piaf_fr has no document 7 .--doc takes a doc_id, or 6 or more characters"):
        show(folder, doc="7")


def test_nothing_of_a_foreign_run_steers_the_terminal(tmp_path: Path) -> None:
    task = plain_task("piaf_fr", {"f1": [1.0]}, answers=["\x1b[2J\x07rouge"])
    assert "\x1b" not in show(make_run(tmp_path, task, model="mal\x1b]0;x\x07"))


@pytest.mark.parametrize("model", [".", "..", "../"])
def test_a_model_that_is_named_from_inside_its_folder_has_a_name(tmp_path: Path, model: str) -> None:
    folder = make_run(tmp_path / "petit-nvfp4", plain_task("piaf_fr", {"f1": [1.0]}), model="x")
    path = next(folder.glob("results_*"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_name": model}))
    assert find_run(folder).model == "x"


@pytest.mark.parametrize("columns", [60, 80])
def test_in_a_glance_the_question_and_the_beginning_of_each_answer(tmp_path: Path, columns: int) -> None:
    question = "\n".join([*(f"Ligne {n} du texte." for n in range(40)), "Question : combien ?"])
    answer = "première phrase. " + "et puis encore " * 60
    task = FakeTask(
        "qa", [FakeSample({"q": 1}, question, answer, {f"metric_{n}": 0.5 for n in range(9)}, target="six")]
    )
    runs = [make_run(tmp_path / arm, task) for arm in "cr"]
    lines = show(*runs, columns=columns, most=15).splitlines()
    assert len(lines) <= 15 and max(map(len, lines)) <= columns
    assert "--full" in lines[0] and "  Question : combien ?" in lines
    assert sum("première phrase" in line for line in lines) == 2 and "  six" in lines
    short = FakeTask("qa", [FakeSample({"q": 1}, "Combien ?", "six", {"acc": 1.0}, target="six")])
    whole = show(make_run(tmp_path / "s", short), most=15)
    assert whole == show(tmp_path / "s"), "what fits is not cut"
