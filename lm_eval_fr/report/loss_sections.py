"""What was lost: kinds of error, confusions, and examples of each task."""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Report, TaskLosses
from lm_eval_fr.report.sections import Examples, Part, Section, Table, section

MOST = 5  # tasks whose losses are told one by one


def lost_section(report: Report) -> Section | None:
    most = sorted(report.losses, key=lambda one: -one.lost)
    parts = [part for losses in most[:MOST] for part in _losses(losses)]
    left = sum(one.lost for one in most[MOST:])
    rest = f"{left:,} more documents were lost on {w.plural(len(most) - MOST, 'other task')}." if left else None
    return section("lost", "What was lost", [*parts, rest])


def _losses(one: TaskLosses) -> Iterator[Part]:
    of = f"{one.lost:,}" if one.read == one.lost else f"{one.lost:,}, of which the worst {one.read:,} were read"
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in one.kinds)
    yield f"{one.task}: {of} {'document' if one.lost == 1 else 'documents'} lost ({kinds})."
    if one.confusions:
        rows = tuple((c.gold, c.answer, w.count(c.count)) for c in one.confusions)
        yield Table(("right answer", "the candidate's answer", "times"), rows, left=(0, 1), names=(0, 1))
    judged = any(ref.outcome for ref in one.examples)
    keys = tuple((ref.task, ref.doc_hash) for ref in one.examples)
    yield Examples(keys, f"task={one.task}&show={'loss' if judged else 'lost'}", one.lost)
