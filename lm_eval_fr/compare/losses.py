"""Which pairs are worth a look, from numbers alone: before any text is read; and how the lost ones went wrong."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lm_eval_fr.compare.task_scores import scored
from lm_eval_fr.judge.verdicts.outcome import PairVerdict
from lm_eval_fr.pairing import Pair, PairedTask
from lm_eval_fr.report.answer_sections import ANOTHER
from lm_eval_fr.report.model import Confusion, SampleRef, TaskLosses
from lm_eval_fr.stats.differences import LARGE

WORST = 10  # of each task's losses, which compare.json names
READ = 300  # documents of a task whose answers are read
EXAMPLES = 3
SHORT = 60  # characters of an answer that can be a name
MANY = 2  # a confusion this frequent gets a line
LONG, LOOPED = 400, 6  # characters, and how many times smaller a repetitive text compresses
TIMES = 2.0  # times as long, or as short, as the reference's answer


@dataclass(frozen=True)
class Ranked:
    """A task's pairs as numbers, to choose what to show before any text is read."""

    task: PairedTask
    difference: np.ndarray  # candidate - reference, above 0 is better; NaN if unknown
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
    scores = scored(task)
    difference = scores.better - scores.worse
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


def losses_of(ranked: Sequence[Ranked]) -> Iterator[TaskLosses]:
    """One for each task that lost documents; the worst are read first."""
    for r in ranked:
        rows = np.flatnonzero(lost(r))
        if not len(rows):
            continue
        worst = rows[np.argsort(r.difference[rows], kind="stable")]
        pairs = [(int(i), r.task.pair(int(i))) for i in worst[:READ]]
        kinds = Counter(_kind(r, i, pair) for i, pair in pairs)
        yield TaskLosses(
            task=r.task.task,
            lost=len(rows),
            read=len(pairs),
            kinds=tuple(kinds.most_common()),
            confusions=() if r.task.judged else tuple(_confusions([pair for _, pair in pairs])),
            examples=tuple(sample_ref(r, int(i)) for i in worst[:EXAMPLES]),
        )


def lost(r: Ranked) -> np.ndarray:
    """Documents that count as lost: by more than half of the score, or to the judge in both orders."""
    found: np.ndarray = r.urgent & (np.nan_to_num(r.difference) < 0)
    return found


def _kind(r: Ranked, i: int, pair: Pair) -> str:
    """The first that applies: how an answer ended says more than its text."""
    answers, text, other = r.task.answers[0], pair.candidate.chosen, pair.reference.chosen
    if answers.failed[i]:
        return "never obtained"
    if not text.strip():
        return "empty"
    if answers.filtered[i]:
        return "refused or filtered"
    if answers.truncated[i]:
        return "cut off"
    if broken := _broken(r, i):
        return f"fails {broken}"
    if len(text) >= LONG and len(text.encode()) >= LOOPED * len(zlib.compress(text.encode())):
        return "repeats itself"
    if len(text) >= TIMES * max(len(other), SHORT):
        return "much longer"
    if len(other) >= TIMES * max(len(text), SHORT):
        return "much shorter"
    return ANOTHER


def _broken(r: Ranked, i: int) -> str | None:
    """A check of form that the reference's answer passes and the candidate's fails."""
    for name in r.task.metrics[1:]:
        if name.startswith(("valid_", "has_")) and r.task.reference[name][i] == 1 and r.task.candidate[name][i] == 0:
            return name
    return None


def _confusions(pairs: Sequence[Pair]) -> Iterator[Confusion]:
    """Which right answer was confused with which other one, if both are short enough to be names."""
    counted: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        gold, answer = (" ".join(text.split()) for text in (pair.reference.right, pair.candidate.chosen))
        if gold and answer and max(len(gold), len(answer)) <= SHORT:
            counted[gold, answer] += 1
    for (gold, answer), count in counted.most_common(5):
        if count >= MANY:
            yield Confusion(gold=gold, answer=answer, count=count)
