"""What a comparison is told: margins, level, reruns, the judge's folder, what its report holds beside the verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from lm_eval_fr.analyses.claims import Published
from lm_eval_fr.analyses.fidelity.fidelity_model import Fidelity
from lm_eval_fr.analyses.value.prices import NO_PRICES, PriceFlags
from lm_eval_fr.plan import LEVEL, SEED, EarlierPlan, Guarantee


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """judge_dir: the folder that the judge wrote. margins: task ("gold": all tasks, "judge": the net win rate) to the
    largest loss accepted. parallel: task to the same questions in another language. strata: of a task,
    those that were preregistered as claims. overall_mean: one more claim, about the mean over the scored tasks. prices,
    cost_ratio: what an answer costs, or a reference answer in candidate answers. claims: a published table to hold
    against the runs.
    earlier_plans: those whose results were seen before. created and today are the caller's clock.
    """

    judge_dir: Path | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    level: float = LEVEL
    guarantee: Guarantee = "default"
    seed: int = SEED
    prices: PriceFlags = NO_PRICES
    cost_ratio: float | None = None
    parallel: Mapping[str, str] = field(default_factory=dict)
    strata: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overall_mean: bool = False
    claims: Published | None = None
    fidelity: Fidelity | None = None
    allow: Collection[str] = ()
    plan_hash: str | None = None
    plan_text: str | None = None
    earlier_plans: Sequence[EarlierPlan] = ()
    notes: Sequence[str] = ()
    command: str | None = None
    created: str | None = None
    today: date | None = None


DEFAULTS = CompareOptions()
