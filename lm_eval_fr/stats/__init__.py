"""Statistics of paired runs: pure functions of arrays, frozen results, seeds as arguments.

difference = paired_difference(candidate, reference, clusters=titles, margin=0.02)
assessment = assess(difference, 0.02)
overall({"piaf_fr": assessment, "judge": assess(net_win_rate(outcomes, margin=0.10).net_win, 0.10)})
"""

from lm_eval_fr.stats.assay import assay_of
from lm_eval_fr.stats.betting import Planned
from lm_eval_fr.stats.differences import difference_of_differences, paired_difference
from lm_eval_fr.stats.estimates import (
    Assay,
    Assessment,
    Components,
    Cumulative,
    Difference,
    Guarantee,
    Interval,
    Kind,
    NoiseComparison,
    Overall,
    Preference,
    Proportion,
    SamplePlan,
    Spread,
    Verdict,
)
from lm_eval_fr.stats.guard import ASSUMPTIONS
from lm_eval_fr.stats.net_win import net_win_rate
from lm_eval_fr.stats.over_tasks import ONE_MAY_LOSE_MORE, mean_over_tasks
from lm_eval_fr.stats.planning import (
    documents_for_margin,
    margin_for_documents,
    repeated,
    verdict_power,
)
from lm_eval_fr.stats.proportions import binomial_share
from lm_eval_fr.stats.ratios import mean_interval, recovered_share, recovery_interval
from lm_eval_fr.stats.repeats import exceeds_noise, noise_floor, variance_components
from lm_eval_fr.stats.sequential import EProcess, betting_difference, confidence_sequence
from lm_eval_fr.stats.settle import documents_needed
from lm_eval_fr.stats.shares import share_interval
from lm_eval_fr.stats.spreads import exact_match_spread, judge_pilot_spread, judge_spread, pilot_spread, score_spread
from lm_eval_fr.stats.value_ratio import success_rate_per_cost, value_ratio
from lm_eval_fr.stats.verdict import assess, decide, holm, overall, without_verdict

__all__ = [
    "ASSUMPTIONS",
    "ONE_MAY_LOSE_MORE",
    "Assay",
    "Assessment",
    "Components",
    "Cumulative",
    "Difference",
    "EProcess",
    "Guarantee",
    "Interval",
    "Kind",
    "NoiseComparison",
    "Overall",
    "Planned",
    "Preference",
    "Proportion",
    "SamplePlan",
    "Spread",
    "Verdict",
    "assay_of",
    "assess",
    "betting_difference",
    "binomial_share",
    "confidence_sequence",
    "decide",
    "difference_of_differences",
    "documents_for_margin",
    "documents_needed",
    "exact_match_spread",
    "exceeds_noise",
    "holm",
    "judge_pilot_spread",
    "judge_spread",
    "margin_for_documents",
    "mean_interval",
    "mean_over_tasks",
    "net_win_rate",
    "noise_floor",
    "overall",
    "paired_difference",
    "pilot_spread",
    "recovered_share",
    "recovery_interval",
    "repeated",
    "score_spread",
    "share_interval",
    "success_rate_per_cost",
    "value_ratio",
    "variance_components",
    "verdict_power",
    "without_verdict",
]
