"""What a plan's documents can decide, before anything is asked: by task, for the judge, and for all claims together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lm_eval_fr.analyses.power import UNSTABLE
from lm_eval_fr.check.planned_documents import TaskWork
from lm_eval_fr.plan import Guarantee, Plan
from lm_eval_fr.report.layout import table
from lm_eval_fr.stats import (
    documents_for_margin,
    exact_match_spread,
    judge_spread,
    margin_for_documents,
    repeated,
    score_spread,
    verdict_power,
)
from lm_eval_fr.stats.estimates import Spread

POWER = 0.8
# How much two precisions of one model usually differ, for lack of a measurement.
FLIPS, SD, TIES, ICC = 0.05, 0.20, 0.40, 0.10
ASSUMED = (
    f"Assumed: {100 * FLIPS:g} % of exact-match scores change, an SD of {SD:g} of F1-like differences, "
    f"{100 * TIES:g} % ties, an ICC of {ICC:g} within an article, no true loss, power {100 * POWER:g} %. "
    "`lm-eval-fr power --pilot` takes your own numbers."
)
Kind = Literal["exact_match", "score", "judge"]
USUAL: Mapping[Kind, tuple[Callable[..., Spread], float]] = {
    "exact_match": (exact_match_spread, FLIPS),
    "score": (score_spread, SD),
    "judge": (judge_spread, TIES),
}
_EXACT = ("exact", "acc", "strict", "loose", "pass")


@dataclass(frozen=True)
class PlannedClaim:
    """One claim that a study will make. cluster_size: of a random document's article.

    repeats: answers of each arm to each document. family: claims under Holm's correction, including this one. sd:
    of the mean over tasks, which is not a claim about one metric and not part of the overall verdict.
    """

    name: str
    kind: Kind
    documents: int
    available: int
    clusters: int | None
    cluster_size: float
    margin: float | None
    repeats: int = 1
    family: int = 1
    sd: float | None = None

    @property
    def spread(self) -> Spread:
        if self.sd is not None:
            return score_spread(self.sd)
        make, usual = USUAL[self.kind]
        single = make(usual, cluster_size=self.cluster_size, icc=ICC if self.cluster_size > 1 else 0.0)
        return repeated(single, self.repeats, UNSTABLE)


@dataclass(frozen=True)
class Prospect:
    """What to expect of a claim. establishes: the margin that the documents establish with 80 % power.

    needed: documents for the plan's margin. power: to decide it; None if the plan has no margin.
    """

    claim: PlannedClaim
    establishes: float | None
    needed: int | None
    power: float | None

    @property
    def hopeless(self) -> bool:
        return self.power is not None and self.power < POWER

    def __str__(self) -> str:
        claim = self.claim
        unit = "pairs" if claim.kind == "judge" else "documents"
        within = f" from {claim.clusters:,} articles" if claim.clusters else ""
        about = "no margin" if self.establishes is None else f"a margin of about {_points(self.establishes)}"
        answered = f", each answered {claim.repeats} times," if claim.repeats > 1 else ""
        known = f"{claim.name}: {claim.documents:,} {unit}{within}{answered} establish {about}"
        if claim.margin is None:
            return f"{known}; the plan gives none, so there will be no verdict"
        if not self.hopeless:
            return f"{known}; yours is {_points(claim.margin)}: power {self.power:.2f}"
        return f"{known}; yours is {_points(claim.margin)}: expect `inconclusive`. {self._advice(unit)}"

    def _advice(self, unit: str) -> str:
        wider = None if self.establishes is None else f"a margin of {_points(math.ceil(200 * self.establishes) / 200)}"
        if self.needed is None:
            return f"Plan for {wider}" if wider else "Add articles"
        more = f"about {_rounded(self.needed):,} {unit}"
        if self.needed > self.claim.available:
            there = f"It would take {more}, and there are {self.claim.available:,}"
            return f"{there}: plan for {wider}" if wider else there
        return f"Plan for {more}" + (f", or {wider}" if wider else "")


@dataclass(frozen=True)
class Prospects:
    """Of all the claims of a plan."""

    claims: tuple[Prospect, ...] = ()

    @property
    def together(self) -> float | None:
        """The power to decide every claim with a margin, as if independent; the claim about the mean is left out."""
        single = [prospect for prospect in self.claims if prospect.claim.sd is None]
        powers = [prospect.power for prospect in single if prospect.power is not None]
        return math.prod(powers) if powers else None

    @property
    def headline(self) -> str | None:
        """Why the plan cannot decide; None if it can, or claims nothing."""
        hopeless = [prospect.claim.name for prospect in self.claims if prospect.hopeless]
        if hopeless:
            return f"This plan will probably not decide: too few documents for the margin of {', '.join(hopeless)}."
        if self.together is not None and self.together < POWER:
            return f"This plan may not decide: the power of all its claims together is {self.together:.2f}."
        return None

    def lines(self) -> Iterator[str]:
        yield from map(str, self.claims)
        if self.together is not None and len(self.claims) > 1:
            yield f"all claims together: power {self.together:.2f}"
        if self.claims:
            yield ASSUMED
        if any(prospect.claim.repeats > 1 for prospect in self.claims):
            yield f"{100 * UNSTABLE:g} % of the variance is taken to be within documents, which repeats average out."

    def table(self) -> list[str]:
        """The same as `lines` in numbers, in brief."""
        if not self.claims:
            return []
        header = ("in points", "n", "margin", "can show", "needs n", "power")
        rows = [
            (
                one.claim.name,
                f"{one.claim.documents:,}",
                _number(one.claim.margin),
                _number(one.establishes),
                "-" if one.needed is None else f"{_rounded(one.needed):,}",
                "-" if one.power is None else f"{one.power:.2f}",
            )
            for one in self.claims
        ]
        if self.together is not None and len(self.claims) > 1:
            rows.append(("all together", "", "", "", "", f"{self.together:.2f}"))
        return table(header, rows)


def prospects_of(plan: Plan, work: Sequence[TaskWork]) -> Prospects:
    """work: the plan's tasks with their documents read."""
    return Prospects(
        tuple(prospect_of(claim, plan.level, plan.guarantee) for claim in _claims(plan, work) if claim.documents > 1)
    )


def _claims(plan: Plan, work: Sequence[TaskWork]) -> Iterator[PlannedClaim]:
    scored = [_of_task(plan, task) for task in work if not task.judged]
    yield from scored
    kinds = [(task, label, rows) for task in work for label, rows in _named_strata(plan, task)]
    yield from (_of_stratum(plan, *kind, family=len(kinds)) for kind in kinds)
    if plan.overall_mean and len(scored) > 1:
        yield _of_mean(plan, scored)
    judged = [task for task in work if task.judged]
    if judged and plan.judge is not None:
        clusters, size = _cluster_size([f"{task.name}/{cluster}" for task in judged for cluster in task.clusters])
        documents, available = sum(task.documents for task in judged), sum(task.available for task in judged)
        yield PlannedClaim("judge", "judge", documents, available, clusters, size, plan.margin("judge"))


def _of_task(plan: Plan, task: TaskWork) -> PlannedClaim:
    clusters, size = _cluster_size(task.clusters)
    kind: Kind = "exact_match" if any(part in (task.metric or "") for part in _EXACT) else "score"
    counts = task.documents, task.available, clusters, size
    return PlannedClaim(task.name, kind, *counts, plan.margin(task.name), plan.repeats)


def _named_strata(plan: Plan, task: TaskWork) -> Iterator[tuple[str, Sequence[int]]]:
    """Each kind of documents about which the plan makes a claim, with the indices of its documents."""
    wanted = plan.strata.get(task.name, ())
    for name, labels in task.strata.items():
        for label in sorted(set(labels)):
            if name in wanted or label in wanted:
                yield label, [row for row, found in enumerate(labels) if found == label]


def _of_stratum(plan: Plan, task: TaskWork, label: str, rows: Sequence[int], *, family: int) -> PlannedClaim:
    whole = _of_task(plan, task)
    clusters, size = _cluster_size([task.clusters[row] for row in rows] if task.clusters else [])
    return replace(
        whole,
        name=f"{task.name}, {label}",
        documents=len(rows),
        available=round(task.available * len(rows) / task.documents),
        clusters=clusters,
        cluster_size=size,
        family=family,
    )


def _of_mean(plan: Plan, scored: Sequence[PlannedClaim]) -> PlannedClaim:
    """As one sample of all documents, whose SD gives the mean's standard error."""
    documents, available = sum(one.documents for one in scored), sum(one.available for one in scored)
    variance = sum(one.spread.sd**2 * one.spread.design_effect / one.documents for one in scored) / len(scored) ** 2
    margin = plan.margins.get("overall_mean", plan.margins.get("gold"))
    name, sd = f"mean over {len(scored)} tasks", math.sqrt(variance * documents)
    return PlannedClaim(name, "score", documents, available, None, 1.0, margin, plan.repeats, sd=sd)


def _cluster_size(clusters: Sequence[str]) -> tuple[int | None, float]:
    """The number of clusters, and sum m^2 / sum m; (None, 1) where every document is its own cluster."""
    sizes = Counter(clusters).values()
    if not clusters or len(sizes) == len(clusters):
        return None, 1.0
    return len(sizes), sum(size * size for size in sizes) / len(clusters)


def prospect_of(claim: PlannedClaim, level: float, guarantee: Guarantee) -> Prospect:
    """With several claims under Holm's correction: at its strictest step."""
    spread, level = claim.spread, 1 - (1 - level) / claim.family
    establishes = margin_for_documents(claim.documents, spread, level=level, power=POWER, guarantee=guarantee)
    smallest = establishes.margin_guarded
    if claim.margin is None or claim.margin >= 1:
        return Prospect(claim, smallest, None, None)
    found = documents_for_margin(claim.margin, spread, level=level, power=POWER, guarantee=guarantee)
    needed = found.documents_guarded
    power = verdict_power(claim.documents, claim.margin, spread, level=level, guarantee=guarantee)
    return Prospect(claim, smallest, needed, power)


def _points(share: float) -> str:
    return f"{_number(share)} points"


def _number(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}".removesuffix(".0")


def _rounded(number: int) -> int:
    """Two digits: an assumption justifies no more."""
    scale = 10 ** max(len(str(number)) - 2, 0)
    return int(math.ceil(number / scale) * scale)
