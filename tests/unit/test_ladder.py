"""scripts/ladder.py: what its file must say, and the table that it ends with. The arms themselves need a real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from scripts.ladder import ROOT, main, read_ladder, table

LADDER = ROOT / "plans" / "ladder.yaml"


def test_the_ladder_that_ships_goes_from_none_to_gross() -> None:
    ladder = read_ladder(LADDER)
    assert ladder.reference == "whole"
    values = [arm.values for arm in ladder.arms.values() if arm.engine == "llama.cpp"]
    assert values == ["whole", "whole", "int8", "nvfp4", "int4", "int3", "int3", "int2"]
    assert all(name.endswith("_shots") for name in ladder.tasks)  # a base model


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("model: gemma ", "model: qwen ", "no model is called 'qwen' (choose from gemma, smollm2)"),
        ("reference: whole", "reference: none", "no arm is called 'none'"),
        ("{values: int4}", "{values: int5}", "int4: unknown values 'int5'"),
        ("{values: int4}", "{values: int4, engin: hf}", "engin"),
        ("tasks: {", "tasks: [", "not YAML"),
    ],
)
def test_a_ladder_with_a_mistake_is_one_line(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    text = LADDER.read_text(encoding="utf-8")
    assert was in text
    path = tmp_path / "ladder.yaml"
    path.write_text(text.replace(was, becomes), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_ladder(path)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_arm_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(LADDER), "--out", str(tmp_path), "--only", "int1"]) == 2
    assert "no arm is called 'int1'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_table_has_a_row_an_arm_and_task() -> None:
    row = {"task": "piaf_fr_shots", "n": 150, "candidate_mean": 0.147, "reference_mean": 0.213, "difference": -0.066}
    found = {"nvfp4": {"tasks": [row | {"ci_low": -0.121, "ci_high": -0.011, "verdict": "inconclusive"}]}}
    found["int2"] = {"tasks": [row | {"ci_low": None, "ci_high": None, "verdict": "no_verdict"}]}
    lines = table(found).splitlines()
    assert lines[2] == "| nvfp4 | piaf_fr_shots | 150 | 14.7 | 21.3 | -6.6 | [-12.1, -1.1] | inconclusive |"
    assert lines[3] == "| int2 | piaf_fr_shots | 150 | 14.7 | 21.3 | -6.6 | [unknown, unknown] | no-verdict |"
