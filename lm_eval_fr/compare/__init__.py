"""Pairs and verdicts -> the report's data.

main       one candidate: `compare`, and the exit code of a gate
many       several candidates against one reference
tasks      one gold task against its margin
judged     the judge's verdicts, in the plan's order
noise      reruns of an arm
margins    which loss is accepted where
sentence   the verdict over all, in words
cautions   what a reader must know before the numbers
series     the estimate as documents came in
arms       who was compared, with what, on which data
ranking    which pairs are worth a look
cards      the pairs that the HTML report shows
"""

from lm_eval_fr.compare.builder import compare, gate_code
from lm_eval_fr.compare.html_samples import write_html
from lm_eval_fr.compare.several import compare_many

__all__ = ["compare", "compare_many", "gate_code", "write_html"]
