"""Pairs and verdicts -> the report."""

from lm_eval_fr.compare.builder import compare, gate_code
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.comparison import Comparison
from lm_eval_fr.compare.several import compare_many

__all__ = ["CompareOptions", "Comparison", "compare", "compare_many", "gate_code"]
