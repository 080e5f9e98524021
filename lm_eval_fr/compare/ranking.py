"""Which pairs are worth a look, from numbers alone: before any text is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.judge.verdicts.outcome import PairVerdict
from lm_eval_fr.pairing import PairedTask
from lm_eval_fr.report.model import SampleRef
from lm_eval_fr.stats.differences import LARGE

WORST = 10
"""So many of each task's losses are named in compare.json."""


@dataclass(frozen=True)
class Ranked:
    """A task's pairs as numbers: what each is worth showing for, before any text is read."""

    task: PairedTask
    difference: np.ndarray  # candidate - reference, better being more; NaN where nothing is known
    urgent: np.ndarray  # lost, gained, lost with the judge, flipped
    verdicts: Mapping[int, PairVerdict]


def rank(tasks: Sequence[PairedTask], verdicts: Iterable[PairVerdict]) -> list[Ranked]:
    by_task: dict[str, dict[str, PairVerdict]] = {}
    for verdict in verdicts:
        by_task.setdefault(verdict.task, {})[verdict.doc_hash] = verdict
    return [_rank(task, by_task.get(task.task, {})) for task in tasks]


def _rank(task: PairedTask, verdicts: Mapping[str, PairVerdict]) -> Ranked:
    if task.judged:
        found = {i: verdicts[doc_hash] for i, doc_hash in enumerate(task.doc_hashes) if doc_hash in verdicts}
        difference = np.full(task.n, np.nan)
        urgent = np.zeros(task.n, dtype=bool)
        for i, verdict in found.items():
            difference[i] = np.nan if verdict.score is None else verdict.score
            urgent[i] = verdict.outcome in ("loss", "flip")
        return Ranked(task, difference, urgent, found)
    if not task.scored:
        return Ranked(task, np.full(task.n, np.nan), np.zeros(task.n, dtype=bool), {})
    metric = task.metrics[0]
    sign = 1.0 if task.higher_is_better[metric] else -1.0
    difference = sign * (task.candidate[metric] - task.reference[metric])
    return Ranked(task, difference, np.abs(difference) > LARGE, {})


def worst(ranked: Sequence[Ranked]) -> Iterator[SampleRef]:
    """The largest losses of each task, the largest first."""
    for r in ranked:
        lost = np.flatnonzero(np.nan_to_num(r.difference) < 0)
        for i in lost[np.argsort(r.difference[lost], kind="stable")[:WORST]].tolist():
            yield sample_ref(r, i)


def sample_ref(r: Ranked, i: int) -> SampleRef:
    verdict = r.verdicts.get(i)
    return SampleRef(
        task=r.task.task,
        doc_id=int(r.task.doc_ids[i]),
        doc_hash=r.task.doc_hashes[i],
        difference=float(r.difference[i]),
        outcome=verdict.outcome if verdict else None,
    )
