"""What the logs of two arms show: answers that end otherwise in one of them, a chat template in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.compare.log_cautions import _imbalance, log_cautions
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.pairing.answers import Imbalance, State
from tests.fakes.runs import Form, make_run, plain_task


@pytest.mark.parametrize("state", ["empty", "truncated"])
def test_an_end_that_rounding_can_cause_is_not_blamed_on_the_serving(state: State) -> None:
    said = _imbalance(Imbalance(state, 38, 1, 1e-9), 150)
    assert "the models themselves stop differently" in said and "not served alike" not in said


@pytest.mark.parametrize("state", ["failed", "filtered", "reasoning", "interrupted"])
def test_an_end_that_only_serving_can_cause_is(state: State) -> None:
    said = _imbalance(Imbalance(state, 38, 1, 1e-9), 150)
    assert said.startswith("38 of the candidate's answers and 1 of the reference's 150 ")
    assert said.endswith("the arms were not served alike, which may explain part of the difference.")


@pytest.mark.parametrize(
    ("candidate", "reference", "warned"),
    [
        ("raw", "template", "Only the reference used a chat template: the candidate got the bare text"),
        ("chat", "raw", "Only the candidate used a chat template: the reference got the bare text"),
        ("chat", "template", None),
        ("raw", "raw", None),
    ],
)
def test_a_chat_template_in_one_arm_only(tmp_path: Path, candidate: Form, reference: Form, warned: str | None) -> None:
    task = plain_task("piaf_fr", {"f1": [0.0, 1.0]})
    forms = {"candidate": candidate, "reference": reference}
    paths = [make_run(tmp_path / name, task, form=form) for name, form in forms.items()]
    found = [caution.text for caution in log_cautions(pair_runs(*paths)) if caution.kind == "template"]
    assert len(found) == (warned is not None) and all(text.startswith(str(warned)) for text in found)
