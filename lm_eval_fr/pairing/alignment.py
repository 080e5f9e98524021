"""Both arms' scores of one task, row by row: which metric counts, and which have no comparable score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs.aggregates import DocumentScores, NoScores
from lm_eval_fr.logs.columns import Columns
from lm_eval_fr.logs.ingredients import Array
from lm_eval_fr.logs.task_log import TaskLog
from lm_eval_fr.pairing.pairs import Printed

Rows: TypeAlias = npt.NDArray[np.intp]
Arm: TypeAlias = tuple[TaskLog, Columns, Rows, npt.NDArray[np.bool_]]  # rows: of the pairs; failed: never obtained


@dataclass
class Aligned:
    """keep: the pairs that the primary score is about, as a mask; the scores are those of these pairs."""

    keep: npt.NDArray[np.bool_]
    metrics: tuple[str, ...] = ()
    higher_is_better: dict[str, bool] = field(default_factory=dict)
    candidate: dict[str, Array] = field(default_factory=dict)
    reference: dict[str, Array] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)
    printed: tuple[Printed, ...] = ()
    no_verdict: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Both:
    """One score of both arms, over all pairs."""

    scores: DocumentScores  # the reference's
    candidate: Array
    reference: Array
    weights: Array | None


def align_scores(candidate: Arm, reference: Arm, wanted: str | None, filter: str) -> Aligned:
    """wanted: the metric that the user chose, by lm-eval's name or its score's.

    Raises InputError where a wanted metric has no score for each document.
    """
    found = {name: _both(name, candidate, reference) for name in {**reference[1].scores, **candidate[1].scores}}
    both = {name: scores for name, scores in found.items() if isinstance(scores, _Both)}
    without = _without_scores(candidate, reference, found)
    printed = tuple(_printed(candidate[0], reference[0], filter, both, without))
    aligned = Aligned(keep=np.ones(len(candidate[2]), dtype=bool), printed=printed)
    if wanted is None:
        primary, aligned.no_verdict = _first(reference, both, without)
    else:
        primary = _wanted(wanted, reference[0], both, without)
        aligned.no_verdict = _no_direction(both[primary])
        aligned.printed = tuple(one for one in printed if one.score == primary)
    if primary is None:
        return aligned
    _keep_rows(primary, both[primary], aligned, candidate, reference)
    for name in dict.fromkeys([primary, *both]) if wanted is None else (primary,):
        _add(name, both[name], aligned, reference[0].task)
    return aligned


def _both(name: str, candidate: Arm, reference: Arm) -> _Both | str:
    """The score in both arms, or why it cannot be compared.

    An answer that was never obtained counts 0, or the worst seen if 0 is not the worst.
    """
    mine, theirs = candidate[1].scores.get(name), reference[1].scores.get(name)
    if mine is None or theirs is None:
        return f"only the {'reference' if mine is None else 'candidate'} has it"
    if mine.rule != theirs.rule:
        return f"lm-eval printed the {mine.rule} for the candidate, the {theirs.rule} for the reference"
    if len({mine.higher_is_better, theirs.higher_is_better} - {None}) > 1:
        return "by their definitions, higher is better for one arm and worse for the other"
    weights = None
    if mine.weights is not None and theirs.weights is not None:
        weights = theirs.weights[reference[2]]
        if not np.array_equal(mine.weights[candidate[2]], weights):
            return "the arms counted different numbers of units in the same document"
    values = [mine.values[candidate[2]], theirs.values[reference[2]]]
    known = np.concatenate(values)
    known = known[~np.isnan(known)]
    worst = 0.0
    if len(known):
        worst = float(known.max()) if theirs.higher_is_better is False else min(0.0, float(known.min()))
    filled = [
        np.where(arm[3] & ~np.isnan(array), worst, array)
        for array, arm in zip(values, (candidate, reference), strict=True)
    ]
    return _Both(theirs, filled[0], filled[1], weights)


def _without_scores(candidate: Arm, reference: Arm, found: Mapping[str, _Both | str]) -> dict[str, NoScores]:
    """By lm-eval's metric: why it has no score for each document that can be compared."""
    without: dict[str, NoScores] = {}
    for arm, columns in (("candidate", candidate[1]), ("reference", reference[1])):
        for none in columns.unscored:
            said = replace(none, reason=f"{arm}: {none.reason}") if none.broken else none
            if none.metric not in without or none.broken > without[none.metric].broken:
                without[none.metric] = said
    for name, reason in found.items():
        scores = reference[1].scores.get(name) or candidate[1].scores[name]
        if isinstance(reason, str):
            without.setdefault(scores.metric, NoScores(scores.metric, reason))
    return without


def _printed(
    mine: TaskLog, theirs: TaskLog, filter: str, both: Mapping[str, _Both], without: Mapping[str, NoScores]
) -> Iterator[Printed]:
    made = {found.scores.metric: name for name, found in both.items()}
    metrics = {metric.name: metric for metric in (*mine.metrics, *theirs.metrics)}
    for name in dict.fromkeys(metric.name for metric in (*theirs.metrics, *mine.metrics)):
        reason = without[name].reason if name in without else "it is not in both runs"
        yield Printed(
            metric=name,
            filter=filter,
            candidate=_finite(mine.printed(name, filter)),
            reference=_finite(theirs.printed(name, filter)),
            higher_is_better=metrics[name].higher_is_better,
            score=made.get(name),
            reason=None if name in made else reason,
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _wanted(wanted: str, log: TaskLog, both: Mapping[str, _Both], without: Mapping[str, NoScores]) -> str:
    of_metric = {found.scores.metric: name for name, found in both.items()}
    if wanted in both or wanted in of_metric:
        return wanted if wanted in both else of_metric[wanted]
    others = [*both] or [name for name in log.metric_names if name != wanted]
    reason = without[wanted].reason if wanted in without else "no such metric"
    raise InputError(
        f"the {wanted} of {log.task} cannot be compared: {reason}",
        where=log.paths[0],
        remedy=f"choose one of {', '.join(others)}" if others else "this task has no other metric",
    )


def _first(reference: Arm, both: Mapping[str, _Both], without: Mapping[str, NoScores]) -> tuple[str | None, str | None]:
    """(the score that counts, why nothing may be claimed): the first of the task's metrics that has a score.

    One whose files contradict what lm-eval printed ends the search: another metric of the same files proves nothing.
    """
    log, columns = reference[0], reference[1]
    if log.judged:
        return None, None
    if columns.kinds is not None and columns.kinds.score.name in both:
        return columns.kinds.score.name, None
    for metric in log.metrics:
        none = without.get(metric.name)
        if none is not None and none.broken:
            return None, none.reason
        name = next((name for name, found in both.items() if found.scores.metric == metric.name), None)
        if name is not None:
            return name, _no_direction(both[name])
    by_reason: dict[str, list[str]] = {}
    for none in without.values():
        by_reason.setdefault(none.reason, []).append(none.metric)
    said = "; ".join(f"{', '.join(metrics)}: {reason}" for reason, metrics in by_reason.items())
    return None, said or "its samples have no metric"


def _no_direction(found: _Both) -> str | None:
    known = found.scores.higher_is_better is not None
    return None if known else f"lm-eval does not say whether a higher or lower {found.scores.metric} is better"


def _keep_rows(name: str, found: _Both, aligned: Aligned, candidate: Arm, reference: Arm) -> None:
    """A metric may apply to some of the documents only, which must be the same in both arms."""
    lacking = np.isnan(found.candidate), np.isnan(found.reference)
    aligned.keep = ~(lacking[0] | lacking[1])
    only = np.flatnonzero(lacking[0] != lacking[1])
    task, kept = reference[0].task, int(aligned.keep.sum())
    if len(only):
        _, columns, rows, _ = candidate if lacking[0][only[0]] else reference
        row = int(rows[only[0]])
        aligned.no_verdict = aligned.no_verdict or (
            f"{len(only)} documents have a {name} in one arm only, document {columns.doc_id[row]} the first (it is "
            f"missing at {columns.where(row)}): the rest is not a fair sample"
        )
    elif kept < len(aligned.keep):
        aligned.notes.append(f"{task}: {name} is about {kept} of {len(aligned.keep)} documents, and these count")


def _add(name: str, found: _Both, aligned: Aligned, task: str) -> None:
    candidate, reference = found.candidate[aligned.keep], found.reference[aligned.keep]
    there = ~(np.isnan(candidate) | np.isnan(reference))
    if not there.all():
        aligned.notes.append(f"{task}: {name} is known for {int(there.sum())} of {len(there)} documents; left out")
        return
    if found.weights is not None:
        weights = found.weights[aligned.keep]
        share = weights * len(weights) / weights.sum()
        candidate, reference = candidate * share, reference * share
        aligned.weights[name] = weights
    aligned.metrics += (name,)
    aligned.candidate[name], aligned.reference[name] = candidate, reference
    aligned.higher_is_better[name] = found.scores.higher_is_better is not False
    if found.scores.ends is not None:
        aligned.ends[name] = found.scores.ends
