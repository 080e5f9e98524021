"""Several candidates ordered by their mean over tasks, and which of them the best one differs from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from lm_eval_fr.compare.task_scores import scored
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.pairing.reruns import common_rows
from lm_eval_fr.report.model import Place, Report
from lm_eval_fr.stats import Difference, Guarantee, holm, mean_over_tasks


def rank_candidates(
    pairings: Sequence[Pairing], reports: Sequence[Report], level: float, guarantee: Guarantee
) -> tuple[Place, ...]:
    """The best first; empty if no task on a scale from 0 to 1 was answered by all.

    The same data choose the best candidate, so the p-values of its lead are Holm-corrected over all pairs of
    candidates, not only its own.
    """
    pairs = list(combinations(range(len(pairings)), 2))
    of_pair = {pair: _between(pairings[pair[0]], pairings[pair[1]], level, guarantee) for pair in pairs}
    against = [_against_reference(*both) for both in zip(pairings, reports, strict=True)]
    known = [one for one in against if one is not None]
    if len(known) < len(against) or any(one is None for one in of_pair.values()):
        return ()
    adjusted = dict(zip(of_pair, holm([None if d is None else d.p_value for d in of_pair.values()]), strict=True))
    order = sorted(range(len(known)), key=lambda i: -(known[i].interval.estimate or 0.0))
    best = order[0]
    places = []
    for number, i in enumerate(order, 1):
        pair = min(best, i), max(best, i)
        behind, p_holm = _behind(of_pair.get(pair), turned=i < best), adjusted.get(pair)
        places.append(
            Place(
                place=number,
                candidate=reports[i].candidate.name,
                against_reference=known[i],
                behind=behind,
                p_holm=p_holm,
                told_apart=None if behind is None else p_holm is not None and p_holm <= 1 - level,
            )
        )
    return tuple(places)


def _behind(found: Difference | None, *, turned: bool) -> tuple[float, float, float] | None:
    """A difference as estimate, low, high. turned: of the second from the first."""
    if found is None or found.interval.estimate is None or found.interval.low is None or found.interval.high is None:
        return None
    ends = found.interval.estimate, found.interval.low, found.interval.high
    return (-ends[0], -ends[2], -ends[1]) if turned else ends


def _between(one: Pairing, other: Pairing, level: float, guarantee: Guarantee) -> Difference | None:
    """The first minus the second, over the documents that both answered."""
    theirs = {task.task: task for task in other.tasks if task.scored}
    found = {}
    for task in one.tasks:
        if not task.scored or task.task not in theirs or task.metrics[0] != theirs[task.task].metrics[0]:
            continue
        rows, other_rows = common_rows(task, theirs[task.task])
        mine, other_scores = scored(task), scored(theirs[task.task])
        both = replace(mine.rows(rows), reference=other_scores.candidate[other_rows])
        kind = mine.kind or other_scores.kind
        found[task.task] = both.difference(level=level, guarantee=guarantee, kind=kind)
    return _mean(found)


def _against_reference(pairing: Pairing, report: Report) -> Difference | None:
    alone = {task.task for task in pairing.tasks if task.scored}
    return _mean({row.task: row.paired for row in report.tasks if row.task in alone})


def _mean(differences: Mapping[str, Difference]) -> Difference | None:
    """Each task counts the same; only those on a scale from 0 to 1."""
    fit = {name: one for name, one in differences.items() if one.kind != "unbounded" and one.interval.defined}
    if not fit:
        return None
    first = next(iter(fit.values()))
    return first if len(fit) == 1 else mean_over_tasks(fit, guarantee=first.guarantee).difference
