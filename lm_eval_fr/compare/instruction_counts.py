"""Which kinds of instructions a change of serving breaks, counted over all of a task's documents; descriptive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from lm_eval_fr.pairing import Pair, PairedTask
from lm_eval_fr.report.task_model import InstructionKind

# IFEval's name, and its translations', for a document's kinds in the order of its verdicts.
KINDS = "instruction_id_list"
MOST_READ = 20_000  # documents whose lines are read again


def instructions_of(task: PairedTask) -> tuple[InstructionKind, ...]:
    """The kinds, most losses first; () if the task's documents contain no instructions."""
    metric = _metric(task)
    if metric is None or not task.n or KINDS not in task.pair(0).reference.doc:
        return ()
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for pair in task.pairs(range(min(task.n, MOST_READ))):
        for kind, candidate, reference in _verdicts(pair, metric):
            found = counts[kind]
            for i, true in enumerate((True, candidate, reference, reference and not candidate)):
                found[i] += true
    rows = (InstructionKind(kind, n, mine, theirs, lost) for kind, (n, mine, theirs, lost) in counts.items())
    return tuple(sorted(rows, key=lambda row: (row.gained - row.lost, -row.lost, row.kind)))


def _metric(task: PairedTask) -> str | None:
    """The first score with one truth value per instruction."""
    scores = task.sides[1].log.metrics
    return next((score.name for score in scores if score.shape == "list" and score.aggregation is None), None)


def _verdicts(pair: Pair, metric: str) -> Iterator[tuple[str, bool, bool]]:
    """Skips a document whose lists differ in length: an answer that was never obtained may have none."""
    kinds = pair.reference.doc.get(KINDS)
    kept = [sample.lists.get(metric, ()) for sample in (pair.candidate, pair.reference)]
    if isinstance(kinds, Sequence) and all(len(values) == len(kinds) for values in kept):
        for kind, candidate, reference in zip(kinds, *kept, strict=True):
            yield str(kind), candidate > 0, reference > 0
