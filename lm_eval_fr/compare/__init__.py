"""Pairs and verdicts -> the report.

builder          one candidate: `compare`, and the exit code of a gate
several          several candidates against one reference
compare_options  what a comparison is told
comparison       the report with the pairs behind it, in every format
task_rows        tasks and groups against their margins
judged_claim     the judge's verdicts, in the plan's order
noise_floor      reruns of an arm
margins          which loss is accepted where
sentence         the verdict over all, in words
cautions         what a reader must know before the numbers
series           the estimate as documents came in
provenance       who was compared, with what, on which data
ranking          which pairs are worth a look
pair_cards       the pairs that the HTML report shows
"""

from lm_eval_fr.compare.builder import compare, gate_code
from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.comparison import Comparison
from lm_eval_fr.compare.several import compare_many

__all__ = ["CompareOptions", "Comparison", "compare", "compare_many", "gate_code"]
