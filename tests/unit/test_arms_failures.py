"""What an engine raises, in one line that says what to do."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lm_eval_fr.arms.failures import LogWatch, explain
from lm_eval_fr.arms.flags import ArmCall


@pytest.mark.parametrize(
    "said",
    [
        "expected m1 and m2 to have the same dtype, but got: float != c10::BFloat16",
        "mat1 and mat2 must have the same dtype, but got Float and BFloat16",
        "expected scalar type BFloat16 but found Float",
    ],
)
def test_types_that_do_not_fit_name_the_argument(said: str) -> None:
    call = ArmCall(argparse.Namespace(), "hf", {"pretrained": "four-bit"}, ("piaf_fr",), Path(), None, None, ())
    error = explain(RuntimeError(said), call, LogWatch(), 3)
    assert said in str(error)
    assert "add dtype=bfloat16 to --model_args; 3 answers are kept" in error.remedy
