"""Ballots of both arms -> the report's section on voting."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lm_eval_fr.analyses.value.costs import dollars_per_answer, refuse_a_guess
from lm_eval_fr.analyses.value.prices import NO_PRICES, PriceFlags, arm_prices
from lm_eval_fr.analyses.voting.ballots import PairedBallots, pair_ballots, voted_tasks
from lm_eval_fr.analyses.voting.vote_tables import VoteTable, vote_table
from lm_eval_fr.analyses.voting.voting_model import AgreementBin, VoteArm, VotedTask, VoteMatch, VotePoint, VotingReport
from lm_eval_fr.errors import UsageError
from lm_eval_fr.logs import Run, TaskLog
from lm_eval_fr.plan import LEVEL, SEED
from lm_eval_fr.report import words as w
from lm_eval_fr.stats import decide, paired_difference, share_interval
from lm_eval_fr.stats.distributions import binomial_mass

RIGHT = 0.5  # the score from which a graded answer counts as right, unless the user says otherwise
_BINS = ((0.0, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.0))


@dataclass(frozen=True)
class VoteOptions:
    """cost_ratio: what one reference answer costs, in candidate answers; prices: otherwise computed from these. Both
    may be unknown. allow: as for `compare`. margins: of single tasks, instead of `margin`.
    """

    cost_ratio: float | None = None
    prices: PriceFlags = NO_PRICES
    margin: float | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    level: float = LEVEL
    seed: int = SEED
    tasks: Collection[str] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    allow: Collection[str] = ()


def vote_runs(
    candidate: Run, reference: Run, options: VoteOptions = VoteOptions(), *, names: tuple[str, str] | None = None
) -> VotingReport:
    """Every task that the candidate answered several times. names: the arms' names in the report.

    Raises InputError where an arm has one response and voting needs more, MismatchError if the work is not the same.
    """
    if options.cost_ratio is not None and not (math.isfinite(options.cost_ratio) and options.cost_ratio > 0):
        raise UsageError(
            f"--cost-ratio {options.cost_ratio:g} is not a cost ratio",
            remedy="3 means three candidate answers for one of the reference",
        )
    if options.margin is not None and not 0 < options.margin < 1:
        raise UsageError(f"{options.margin:g} is not between 0 and 1", where="--margin", remedy="0.02 is two points")
    logs = voted_tasks(candidate, reference, options.tasks or None)
    if unknown := sorted(set(options.metrics) - {mine.task for mine, _ in logs}):
        raise UsageError(f"no task {unknown[0]!r} with votes", remedy=f"{', '.join(mine.task for mine, _ in logs)}")
    called = names or (candidate.model, reference.model)
    cost_ratio, source, cautions = _cost_ratio((candidate, reference), logs, options)
    options = replace(options, cost_ratio=cost_ratio)
    paired = [pair_ballots(mine, other, options.metrics.get(mine.task), options.allow) for mine, other in logs]
    return VotingReport(
        tasks=tuple(_task(ballots, called, options) for ballots in paired),
        level=options.level,
        margin=options.margin,
        cost_ratio=cost_ratio,
        cost_source=source,
        seed=options.seed,
        cautions=(*(one for ballots in paired for one in _cautions(ballots, called)), *cautions),
    )


def _cost_ratio(
    runs: tuple[Run, Run], logs: Sequence[tuple[TaskLog, TaskLog]], options: VoteOptions
) -> tuple[float | None, str | None, list[str]]:
    """What one reference answer costs in candidate answers, the source of that number, and its uncertainties."""
    if options.cost_ratio is not None:
        return options.cost_ratio, "as given", []
    if not options.prices.prices:
        return None, None, []
    prices = arm_prices(options.prices, 2)
    costs = [
        dollars_per_answer(run, [pair[side] for pair in logs], prices[side], run.model) for side, run in enumerate(runs)
    ]
    arms = [(run.model, run, prices[side], costs[side][1]) for side, run in enumerate(runs)]
    refuse_a_guess(arms, estimate=options.prices.estimate)
    dollars = [1000 * cost[0] for cost in costs]
    source = f"from the prices: ${w.significant(dollars[0])} and ${w.significant(dollars[1])} per thousand answers"
    return dollars[1] / dollars[0], source, [caution for cost in costs for caution in cost[2]]


def _task(ballots: PairedBallots, names: tuple[str, str], options: VoteOptions) -> VotedTask:
    mine, other = (vote_table(side, RIGHT, seed=options.seed) for side in (ballots.candidate, ballots.reference))
    clusters, margin = ballots.clusters, options.margins.get(ballots.task, options.margin)
    votes = _Votes(mine, other, clusters, options.level, margin)
    against_one = tuple(votes.match(k, 1) for k in range(1, mine.responses + 1))
    return VotedTask(
        task=ballots.task,
        metric=ballots.metric,
        threshold=RIGHT,
        margin=margin,
        n=len(ballots.candidate),
        clusters=None if clusters is None else int(clusters.max()) + 1,
        candidate=votes.arm(mine, names[0], ballots.task),
        reference=votes.arm(other, names[1], ballots.reference_task),
        shared_errors=_correlation(mine.right[:, 0], other.right[:, 0]),
        against_one=against_one,
        equal_cost=() if options.cost_ratio is None else tuple(votes.equal_cost(options.cost_ratio)),
        recovers_at=next((match.candidate_votes for match in against_one if match.non_inferior), None),
        reasons=_reasons(mine, other),
    )


@dataclass(frozen=True)
class _Votes:
    """One task's votes of both arms on the same documents."""

    mine: VoteTable
    other: VoteTable
    clusters: np.ndarray | None
    level: float
    margin: float | None

    def arm(self, table: VoteTable, name: str, task: str) -> VoteArm:
        right = float(table.right[:, 0].mean())
        points = []
        for k in range(1, table.responses + 1):
            found = share_interval(table.score[:, k - 1], clusters=self.clusters, level=self.level)
            points.append(
                VotePoint(
                    k=k,
                    score=float(table.score[:, k - 1].mean()),
                    low=found.low,
                    high=found.high,
                    right=float(table.right[:, k - 1].mean()),
                    if_independent=independent_majority(right, k),
                    exact=bool(table.exact[k - 1]),
                )
            )
        return VoteArm(
            name=name,
            task=task,
            responses=table.responses,
            curve=tuple(points),
            error_correlation=_vote_correlation(table),
            agreement=tuple(self._agreement(table)) if table.responses > 1 else (),
        )

    def _agreement(self, table: VoteTable) -> Iterator[AgreementBin]:
        bins = np.searchsorted([high for _, high in _BINS[:2]], table.agreement)
        bins[table.agreement >= 1.0] = 3
        for place, (low, high) in enumerate(_BINS):
            inside = bins == place
            scores, clusters = table.score[inside, -1], None if self.clusters is None else self.clusters[inside]
            interval = share_interval(scores, clusters=clusters, level=self.level)
            yield AgreementBin(
                low=low,
                high=high,
                n=len(scores),
                score=float(scores.mean()) if len(scores) else None,
                score_low=interval.low,
                score_high=interval.high,
            )

    def equal_cost(self, cost_ratio: float) -> Iterator[VoteMatch]:
        """For each number of reference votes the most candidate votes that cost no more."""
        for j in range(1, self.other.responses + 1):
            affordable = math.floor(j * cost_ratio + 1e-9)
            if affordable >= 1:
                k = min(affordable, self.mine.responses)
                yield self.match(k, j, spare=affordable > k)

    def match(self, k: int, j: int, *, spare: bool = False) -> VoteMatch:
        """Paired over documents, so that errors that both arms share enter the interval as measured."""
        one, other = self.mine.score[:, k - 1], self.other.score[:, j - 1]
        found = paired_difference(one, other, clusters=self.clusters, level=self.level, kind="bounded").interval
        low, high = found.low, found.high
        return VoteMatch(
            candidate_votes=k,
            reference_votes=j,
            same_cost_at=k / j,
            candidate=float(one.mean()),
            reference=float(other.mean()),
            difference=float((one - other).mean()),
            low=low,
            high=high,
            outcome="better" if low is not None and low > 0 else "worse" if high is not None and high < 0 else "open",
            non_inferior=None if self.margin is None else decide(found, self.margin) == "non_inferior",
            method=found.method,
            spare=spare,
        )


def independent_majority(right: float, votes: int) -> float:
    """Condorcet: the probability that most of the votes are right, if each is right independently with the same
    probability.

    A tie counts one half.
    """
    mass = binomial_mass(np.arange(votes + 1), votes, right)
    tie = mass[votes // 2] / 2 if votes % 2 == 0 else 0.0
    return float(mass[votes // 2 + 1 :].sum() + tie)


def _vote_correlation(table: VoteTable) -> float | None:
    """Correlation of the errors of two votes on one document, from all pairs of its responses."""
    n = table.responses
    wrong = 1 - float(table.right[:, 0].mean())
    if n < 2 or wrong <= 0 or wrong >= 1:
        return None
    misses = n * (1 - table.right[:, 0])
    both = float((misses * (misses - 1)).mean()) / (n * (n - 1))
    return (both - wrong * wrong) / (wrong * (1 - wrong))


def _correlation(mine: np.ndarray, other: np.ndarray) -> float | None:
    """Correlation of the error of one candidate answer with that of one reference answer to the same document."""
    means = float(mine.mean()), float(other.mean())
    spread = math.sqrt(means[0] * (1 - means[0]) * means[1] * (1 - means[1]))
    return (float((mine * other).mean()) - means[0] * means[1]) / spread if spread > 0 else None


def _reasons(mine: VoteTable, other: VoteTable) -> dict[str, str]:
    reasons = {}
    if other.responses < 2:
        reasons["reference votes"] = "the reference gave one answer per document"
    if _vote_correlation(mine) is None:
        reasons["error correlation"] = "all votes are right, or none is"
    return reasons


def _cautions(ballots: PairedBallots, names: tuple[str, str]) -> list[str]:
    found = list(ballots.notes)
    for name, identical in zip(names, ballots.identical, strict=True):
        if identical:
            found.append(
                f"{ballots.task}: all responses of {name} to a document are identical, for every document: "
                "it was not sampling. A fixed seed in every request does this (local-completions always sends one; "
                "hosted-chat sends none unless told), and so does --gen_kwargs temperature=0"
            )
    return found
