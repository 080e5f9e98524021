"""`lm-eval-fr vote`: what the majority of several candidate answers is worth against the reference's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lm_eval_fr.analyses.part_output import emit
from lm_eval_fr.analyses.value.costs import dollars_per_answer
from lm_eval_fr.analyses.value.value_command import NO_PRICES, PriceFlags, arm_prices
from lm_eval_fr.analyses.value.value_section import number
from lm_eval_fr.analyses.voting.ballots import SUFFIX, repeats_of, voted_tasks
from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, vote_runs
from lm_eval_fr.analyses.voting.voting_model import VotingReport
from lm_eval_fr.analyses.voting.voting_section import voting_section
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import Run, find_run
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.plan import LEVEL, SEED
from lm_eval_fr.report.destinations import NOWHERE, Destinations, Show
from lm_eval_fr.report.model import Extra


def vote_command(
    candidate: Path,
    reference: Path,
    *,
    show: Show,
    say: Show,
    colour: bool = False,
    to: Destinations = NOWHERE,
    cost_ratio: float | None = None,
    prices: PriceFlags = NO_PRICES,
    margin: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
    tasks: Sequence[str] = (),
    metrics: Mapping[str, str] | None = None,
    allow: Sequence[str] = (),
) -> None:
    """cost_ratio: what one reference answer costs in candidate answers; or prices, from which it is computed."""
    to.check()
    if cost_ratio is not None and prices.prices:
        raise UsageError("--cost-ratio and --price exclude each other", remedy="give one of them")
    runs = find_run(candidate), find_run(reference)
    options = VoteOptions(
        margin=margin, level=level, seed=seed, tasks=tuple(tasks), metrics=metrics or {}, allow=tuple(allow)
    )
    voting = vote_runs(*runs, with_costs(options, *runs, cost_ratio, prices))
    title = f"{runs[0].model} against {runs[1].model}"
    emit(_part(voting), to, title=title, show=show, say=say, colour=colour)


def voting_part(
    pairing: Pairing,
    *,
    cost_ratio: float | None,
    prices: PriceFlags,
    margin: float | None,
    margins: Mapping[str, float],
    level: float,
    seed: int,
    allow: Collection[str],
    names: tuple[str, str],
) -> Extra | None:
    """What voting recovers, for a comparison's report; None where the candidate did not vote."""
    candidate, reference = pairing.candidate, pairing.reference
    tasks = tasks_with_votes(candidate, reference)
    if not tasks:
        if cost_ratio is not None:
            remedy = f"run a task that ends in {SUFFIX}: `lm-eval-fr tasks`"
            raise InputError("no task of the candidate has votes", where=candidate.path, remedy=remedy)
        return None
    options = VoteOptions(level=level, margin=margin, margins=margins, seed=seed, tasks=tasks, allow=allow)
    options = with_costs(options, candidate, reference, cost_ratio, prices)
    return _part(vote_runs(candidate, reference, options, names=names))


def _part(voting: VotingReport) -> Extra:
    return Extra(key="voting", data=voting, section=voting_section(voting))


def tasks_with_votes(candidate: Run, reference: Run) -> list[str]:
    """Tasks whose answers say how they vote, with several of the candidate's and one or more of the reference's."""
    found = []
    for name, log in candidate.tasks.items():
        votes = log.metadata.get("voting") is not None and repeats_of(log) > 1
        if votes and {name, name.removesuffix(SUFFIX)} & reference.tasks.keys():
            found.append(name)
    return found


def with_costs(
    options: VoteOptions, candidate: Run, reference: Run, cost_ratio: float | None, flags: PriceFlags
) -> VoteOptions:
    """The options with what one reference answer costs in candidate answers, if that is known at all."""
    if cost_ratio is not None:
        return replace(options, cost_ratio=cost_ratio, cost_source="as given")
    if not flags.prices:
        return options
    prices = arm_prices(flags, 2)
    logs = voted_tasks(candidate, reference, options.tasks or None)
    costs = [
        dollars_per_answer(run, [pair[side] for pair in logs], prices[side], run.model)
        for side, run in enumerate((candidate, reference))
    ]
    if "estimate" in {cost[1] for cost in costs} and costs[0][1] != costs[1][1] and not flags.estimate:
        raise InputError(
            "one arm's tokens were counted, the other's can only be estimated",
            where=(candidate if costs[0][1] == "estimate" else reference).path,
            remedy="--tokenizer NAME counts them, --estimate accepts an estimate, --cost-ratio X needs neither",
        )
    cautions = tuple(caution for cost in costs for caution in cost[2])
    dollars = [1000 * cost[0] for cost in costs]
    source = f"from the prices: ${number(dollars[0])} and ${number(dollars[1])} per thousand answers"
    return replace(options, cost_ratio=dollars[1] / dollars[0], cost_source=source, cautions=cautions)
