"""`lm-eval-fr vote`: what the majority of several candidate answers is worth against the reference's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TextIO

from lm_eval_fr.analyses.part_output import emit
from lm_eval_fr.analyses.voting.ballots import SUFFIX, repeats_of
from lm_eval_fr.analyses.voting.voting_builder import VoteOptions, vote_runs
from lm_eval_fr.analyses.voting.voting_model import VotingReport
from lm_eval_fr.analyses.voting.voting_section import voting_section
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.logs import Run, find_run
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.report.destinations import Destinations, Show
from lm_eval_fr.report.model import Extra


def vote_command(
    candidate: Path, reference: Path, options: VoteOptions, *, show: Show, say: Show, stdout: TextIO, to: Destinations
) -> None:
    to.check()
    if options.cost_ratio is not None and options.prices.prices:
        raise UsageError("--cost-ratio and --price exclude each other", remedy="give one of them")
    runs = find_run(candidate), find_run(reference)
    title = f"{runs[0].model} against {runs[1].model}"
    emit(_part(vote_runs(*runs, options)), to, title=title, show=show, say=say, stdout=stdout)


def voting_part(pairing: Pairing, options: VoteOptions, names: tuple[str, str]) -> Extra | None:
    """What voting recovers, for a comparison's report; None where the candidate did not vote."""
    candidate, reference = pairing.candidate, pairing.reference
    tasks = tasks_with_votes(candidate, reference)
    if tasks:
        return _part(vote_runs(candidate, reference, replace(options, tasks=tasks), names=names))
    if options.cost_ratio is not None:
        remedy = f"run a task that ends in {SUFFIX}: `lm-eval-fr tasks`"
        raise InputError("no task of the candidate has votes", where=candidate.path, remedy=remedy)
    return None


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
