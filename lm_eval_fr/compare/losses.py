"""What was lost: of the documents that only the reference has right, how their answers went wrong."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from lm_eval_fr.compare.ranking import Ranked, sample_ref
from lm_eval_fr.pairing import Pair
from lm_eval_fr.report.answer_sections import ANOTHER
from lm_eval_fr.report.model import Confusion, TaskLosses

READ = 300  # documents of a task whose answers are read
EXAMPLES = 3
SHORT = 60  # characters of an answer that can be somebody's name for something
MANY = 2  # times that a confusion is worth a line
LONG, LOOPED = 400, 6  # characters, and how many times smaller a text that repeats itself gets
TIMES = 2.0  # as long, or as short, as the reference's answer


def losses_of(ranked: Sequence[Ranked]) -> Iterator[TaskLosses]:
    """One for each task of which documents were lost, the worst read first."""
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
    """Documents that a reader would call lost: by more than half, or with the judge in both orders."""
    found: np.ndarray = r.urgent & (np.nan_to_num(r.difference) < 0)
    return found


def _kind(r: Ranked, i: int, pair: Pair) -> str:
    """The first that applies: how an answer ended says more than what it says."""
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
    """A check of form that the reference's answer passes and the candidate's does not."""
    for name in r.task.metrics[1:]:
        if name.startswith(("valid_", "has_")) and r.task.reference[name][i] == 1 and r.task.candidate[name][i] == 0:
            return name
    return None


def _confusions(pairs: Sequence[Pair]) -> Iterator[Confusion]:
    """Which right answer was taken for which other one, where both are short enough to be names."""
    counted: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        gold, answer = (" ".join(text.split()) for text in (pair.reference.right, pair.candidate.chosen))
        if gold and answer and max(len(gold), len(answer)) <= SHORT:
            counted[gold, answer] += 1
    for (gold, answer), count in counted.most_common(5):
        if count >= MANY:
            yield Confusion(gold=gold, answer=answer, count=count)
