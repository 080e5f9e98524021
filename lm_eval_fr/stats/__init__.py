"""Statistics of paired runs: pure functions of arrays, frozen results, seeds as arguments.

difference = paired_difference(candidate, reference, clusters=titles, margin=0.02)
assessment = assess(difference, 0.02)
overall({"piaf_fr": assessment, "judge": assess(net_win_rate(outcomes, margin=0.10).net_win, 0.10)})
"""

from .betting import Planned
from .differences import intraclass_correlation, paired_difference
from .double_difference import difference_of_differences
from .estimates import (
    Assessment,
    Cumulative,
    Difference,
    DocumentsNeeded,
    Flips,
    Interval,
    Kind,
    NoiseComparison,
    NoiseFloor,
    Overall,
    Plan,
    Preference,
    Proportion,
    Spread,
    Verdict,
)
from .judge_claim import JudgeClaim, decide_by_judge
from .net_win import net_win_rate
from .planning import (
    documents_for_margin,
    exact_match_spread,
    judge_pilot_spread,
    judge_spread,
    margin_for_documents,
    margin_table,
    pilot_spread,
    planning_table,
    score_spread,
    win_share_power,
)
from .proportions import binomial_share, mcnemar_exact, tango_interval
from .ratios import mean_interval, recovered_share, recovery_interval
from .rerun_noise import exceeds_noise, noise_floor
from .sensitivity import AssaySensitivity, Control, OrderDecided, order_decided, sensitivity
from .sequential import EProcess, EState, betting_interval, betting_p_value, confidence_sequence
from .value_ratio import share_interval, success_rate_per_cost, value_ratio
from .verdict import assess, decide, degradation_detected, documents_needed, holm, mde, overall

__all__ = [
    "AssaySensitivity",
    "Assessment",
    "Control",
    "Cumulative",
    "Difference",
    "DocumentsNeeded",
    "EProcess",
    "EState",
    "Flips",
    "Interval",
    "JudgeClaim",
    "Kind",
    "NoiseComparison",
    "NoiseFloor",
    "OrderDecided",
    "Overall",
    "Plan",
    "Planned",
    "Preference",
    "Proportion",
    "Spread",
    "Verdict",
    "assess",
    "betting_interval",
    "betting_p_value",
    "binomial_share",
    "confidence_sequence",
    "decide",
    "decide_by_judge",
    "degradation_detected",
    "difference_of_differences",
    "documents_for_margin",
    "documents_needed",
    "exact_match_spread",
    "exceeds_noise",
    "holm",
    "intraclass_correlation",
    "judge_pilot_spread",
    "judge_spread",
    "margin_for_documents",
    "margin_table",
    "mcnemar_exact",
    "mde",
    "mean_interval",
    "net_win_rate",
    "noise_floor",
    "order_decided",
    "overall",
    "paired_difference",
    "pilot_spread",
    "planning_table",
    "recovered_share",
    "recovery_interval",
    "score_spread",
    "sensitivity",
    "share_interval",
    "success_rate_per_cost",
    "tango_interval",
    "value_ratio",
    "win_share_power",
]
