"""Pairs two runs; refuses what is not the same work.

Pairs are joined on task, doc_hash and target_hash. The prompt is proven identical in all the forms in which lm-eval
logs it, and task version, generation settings and filter must agree. A disagreement is a MismatchError that
names the first document; a kind named in `allow` is let through and reported.
"""

from lm_eval_fr.logs import task_as_asked
from lm_eval_fr.pairing.answers import Imbalance, imbalances
from lm_eval_fr.pairing.groups import PairedGroup
from lm_eval_fr.pairing.paired_runs import Pairing, pair_runs
from lm_eval_fr.pairing.pairs import Pair, Paired, PairedTask, Printed, clusters_over
from lm_eval_fr.pairing.same_work import KINDS

__all__ = [
    "KINDS",
    "Imbalance",
    "Pair",
    "Paired",
    "PairedGroup",
    "PairedTask",
    "Pairing",
    "Printed",
    "clusters_over",
    "imbalances",
    "pair_runs",
    "task_as_asked",
]
