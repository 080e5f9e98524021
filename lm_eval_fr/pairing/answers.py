"""How the answers of both arms ended: empty, cut, filtered, with a reasoning part, never obtained; and whether
the arms differ by more than chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lm_eval_fr.logs.columns import Columns
from lm_eval_fr.logs.task_log import TaskLog
from lm_eval_fr.pairing.joining import HexColumn
from lm_eval_fr.report.arm_model import Health

Flags = npt.NDArray[np.bool_]
State = Literal["failed", "empty", "truncated", "filtered", "reasoning", "interrupted"]
STATES: tuple[State, ...] = ("failed", "empty", "truncated", "filtered", "reasoning", "interrupted")


@dataclass(frozen=True, eq=False)
class Answers:
    """One arm's answers, a flag a document for each state.

    failed, empty, truncated: see Health. filtered: refused or cut by a content filter. reasoning: the answer contains
    reasoning, or the usage counts it. interrupted: ended for another reason named by the server.
    """

    failed: Flags
    empty: Flags
    truncated: Flags
    filtered: Flags
    reasoning: Flags
    interrupted: Flags

    def of(self, state: State) -> Flags:
        flags: Flags = getattr(self, state)
        return flags

    @property
    def health(self) -> Health:
        empty, truncated, failed = (int(flags.sum()) for flags in (self.empty, self.truncated, self.failed))
        return Health(answers=len(self.failed), empty=empty, truncated=truncated, failed=failed)

    def rows(self, rows: Flags | npt.NDArray[np.intp]) -> Answers:
        return Answers(**{state: self.of(state)[rows] for state in STATES})


@dataclass(frozen=True)
class Imbalance:
    """One arm has more answers in this state than the other: p of McNemar's exact test over the documents."""

    state: State
    candidate: int
    reference: int
    p_value: float


def read_answers(log: TaskLog, columns: Columns, rows: npt.NDArray[np.intp]) -> Answers:
    """The states of the answers in these rows: by the record of the replies where the arm kept one."""
    failed, empty = columns.missing[rows].copy(), columns.empty[rows]
    reasoning = columns.reasoning[rows].copy()
    if not log.replies:
        none = np.zeros(len(rows), dtype=bool)
        return Answers(failed, empty & ~failed, columns.cut_looking[rows], none, reasoning, none)
    known = [log.replies.get(name) for name in HexColumn(columns.doc_hash[rows])]
    filtered, truncated, interrupted = (
        np.array([one is not None and one.end == end for one in known], dtype=bool)
        for end in ("filtered", "truncated", "interrupted")
    )
    failed |= np.array([one is not None and one.failed for one in known], dtype=bool)
    failed &= ~filtered
    reasoning |= np.array([one is not None and bool(one.reasoning) for one in known], dtype=bool)
    return Answers(
        failed=failed,
        empty=empty & ~failed,
        truncated=truncated & ~failed,
        filtered=filtered,
        reasoning=reasoning & ~failed,
        interrupted=interrupted & ~failed,
    )


def imbalances(candidate: Answers, reference: Answers) -> Iterator[Imbalance]:
    """Every state in which the arms differ, with its test."""
    from lm_eval_fr.stats.proportions import mcnemar_exact  # scipy, which reading and pairing never need

    for state in STATES:
        mine, theirs = candidate.of(state), reference.of(state)
        only_mine, only_theirs = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
        if only_mine != only_theirs:
            p_value = mcnemar_exact(only_theirs, only_mine)
            yield Imbalance(state, int(mine.sum()), int(theirs.sum()), p_value)
