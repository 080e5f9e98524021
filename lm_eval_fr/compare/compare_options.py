"""The options of a comparison, from flags or a study's plan: margins, level, the judge's folder, more sections."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from lm_eval_fr.analyses.claims import Published
from lm_eval_fr.analyses.fidelity.fidelity_model import Fidelity
from lm_eval_fr.analyses.value.prices import NO_PRICES, PriceFlags
from lm_eval_fr.arms.planned import rerun_folders
from lm_eval_fr.errors import PlanError
from lm_eval_fr.pairing import Pairing, pair_runs
from lm_eval_fr.plan import LEVEL, SEED, ArmPlan, ArmPrices, EarlierPlan, Guarantee, Plan, earlier_plans


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """judge_dir: the folder that the judge wrote. margins: task ("gold": all tasks, "judge": the net win rate) to the
    largest loss accepted. parallel: task to the same questions in another language. strata: of a
    task, those preregistered as claims. overall_mean: one more claim, about the mean over the scored tasks. prices,
    cost_ratio: what an answer costs, or a reference answer in candidate answers. claims: a published table to check
    against the runs. earlier_plans: those whose results were seen before. created and today are the caller's clock.
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
    command: str | None = None
    created: str | None = None
    today: date | None = None


DEFAULTS = CompareOptions()


def clock() -> dict[str, Any]:
    now = datetime.now().astimezone()
    return {"created": now.isoformat(timespec="seconds"), "today": now.date()}


def study_options(plan: Plan, study: Path, pairing: Pairing, command: str) -> CompareOptions:
    """The options that the plan and the folder of a study set. pairing: its two arms."""
    judged = any(task.judged for task in pairing.tasks) and (study / "judge" / "judge.json").exists()
    return CompareOptions(
        judge_dir=study / "judge" if judged else None,
        margins=plan.margins,
        level=plan.level,
        guarantee=plan.guarantee,
        seed=plan.seed,
        prices=_prices(plan, study),
        allow=plan.allow,
        parallel=plan.parallel,
        strata=plan.strata,
        overall_mean=plan.overall_mean,
        plan_hash=plan.hash,
        plan_text=(study / "plan.yaml").read_text(encoding="utf-8"),
        earlier_plans=earlier_plans(study, plan),
        command=command,
        **clock(),
    )


def pair_study(plan: Plan, study: Path) -> Pairing:
    """Both arms of a study with their reruns, without leftover folders of an earlier plan."""
    return pair_runs(
        study / "candidate",
        study / "reference",
        allow=plan.allow,
        metrics=plan.metrics,
        filters=plan.filters,
        candidate_reruns=_reruns(study, "candidate", plan.candidate),
        reference_reruns=_reruns(study, "reference", plan.reference),
    )


def _reruns(study: Path, name: str, arm: ArmPlan) -> list[Path]:
    return [path for folder in rerun_folders(name, arm) if (path := study / folder).is_dir()]


def _prices(plan: Plan, study: Path) -> PriceFlags:
    given = [plan.candidate.prices, plan.reference.prices]
    both = [_price(one) for one in given if one is not None]
    if not both:
        return NO_PRICES
    if len(both) < 2 or None in both:
        remedy = "give both arms `input` and `output`, or `hour`"
        raise PlanError("prices of one arm only, or an incomplete price", where=study / "plan.yaml", remedy=remedy)
    return PriceFlags(prices=[price for price in both if price])


def _price(given: ArmPrices) -> str | None:
    """As `--price` takes it."""
    if given.hour is not None:
        return f"{given.hour}/h"
    if given.input is None or given.output is None:
        return None
    cached = "" if given.cached is None else f"/{given.cached}"
    return f"{given.input}/{given.output}{cached}"
