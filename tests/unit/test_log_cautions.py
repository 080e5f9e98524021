"""What a caution says of answers that end otherwise in one arm than in the other."""

from __future__ import annotations

import pytest

from lm_eval_fr.compare.log_cautions import _imbalance
from lm_eval_fr.pairing.answers import Imbalance, State


@pytest.mark.parametrize("state", ["empty", "truncated"])
def test_an_end_that_rounding_can_cause_is_not_blamed_on_the_serving(state: State) -> None:
    said = _imbalance(Imbalance(state, 38, 1, 1e-9), 150)
    assert "the models themselves end differently" in said and "not served alike" not in said


@pytest.mark.parametrize("state", ["failed", "filtered", "reasoning", "interrupted"])
def test_an_end_that_only_serving_can_cause_is(state: State) -> None:
    said = _imbalance(Imbalance(state, 38, 1, 1e-9), 150)
    assert said.startswith("38 of the candidate's answers and 1 of the reference's 150 ")
    assert said.endswith("the arms were not served alike, and the difference is also one of that.")
