"""The sections of a report that are also commands: what a dollar buys (`value`), what voting recovers (`vote`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lm_eval_fr.analyses.part_output import emit
from lm_eval_fr.analyses.value.prices import PriceFlags
from lm_eval_fr.analyses.value.value_builder import value_of_pairings, value_runs
from lm_eval_fr.analyses.value.value_model import ValueReport
from lm_eval_fr.analyses.value.value_section import value_section
from lm_eval_fr.analyses.voting.ballots import SUFFIX, tasks_with_votes
from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, vote_runs
from lm_eval_fr.analyses.voting.voting_model import VotingReport
from lm_eval_fr.analyses.voting.voting_section import voting_section
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.plan import LEVEL
from lm_eval_fr.report.destinations import Destinations
from lm_eval_fr.report.model import Extra


def value_command(
    runs: Sequence[Path],
    flags: PriceFlags,
    *,
    to: Destinations,
    level: float = LEVEL,
    tasks: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> None:
    """runs: one alone, or candidates and, last, the reference. Raises UsageError, InputError or MismatchError."""
    to.check()
    value = value_runs([find_run(run) for run in runs], flags, level=level, tasks=tasks, allow=allow)
    emit(_value(value), to, title=" against ".join(arm.name for arm in value.arms))


def value_part(pairing: Pairing, flags: PriceFlags, *, level: float, names: Sequence[str]) -> Extra:
    """For a comparison's report."""
    value = value_of_pairings((pairing.candidate, pairing.reference), [pairing], flags, level=level, names=names)
    return _value(value)


def _value(value: ValueReport) -> Extra:
    return Extra(key="value", data=value, section=value_section(value))


def vote_command(candidate: Path, reference: Path, options: VoteOptions, to: Destinations) -> None:
    to.check()
    if options.cost_ratio is not None and options.prices.prices:
        raise UsageError("--cost-ratio and --price exclude each other", remedy="give one of them")
    runs = find_run(candidate), find_run(reference)
    voting = vote_runs(*runs, options)
    emit(_voting(voting), to, title=f"{runs[0].model} against {runs[1].model}")


def voting_part(pairing: Pairing, options: VoteOptions, names: tuple[str, str]) -> Extra | None:
    """For a comparison's report; None where the candidate did not vote."""
    candidate, reference = pairing.candidate, pairing.reference
    if tasks := tasks_with_votes(candidate, reference):
        voting = vote_runs(candidate, reference, replace(options, tasks=tasks), names=names)
        return _voting(voting)
    if options.cost_ratio is not None:
        remedy = f"run a task that ends in {SUFFIX}: `lm-eval-fr tasks`"
        raise InputError("no task of the candidate has votes", where=candidate.path, remedy=remedy)
    return None


def _voting(voting: VotingReport) -> Extra:
    return Extra(key="voting", data=voting, section=voting_section(voting))
