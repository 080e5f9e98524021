"""What was lost: kinds of error, confusions, and examples of each task."""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Report, TaskLosses
from lm_eval_fr.report.sections import Columns, Examples, Part, Section, Table, section
from lm_eval_fr.report.verdict_section import samples_filter

ANOTHER = "another answer"
MOST = 5  # tasks whose losses are told one by one


def lost_section(report: Report) -> Section | None:
    most = sorted(report.losses, key=lambda one: -one.lost)
    parts = [part for losses in most[:MOST] for part in _losses(losses)]
    left = sum(one.lost for one in most[MOST:])
    more = f"{w.plural(left, 'more document')} {'was' if left == 1 else 'were'} lost"
    rest = f"{more} on {w.plural(len(most) - MOST, 'other task')}." if left else None
    return section("lost", "What was lost", [*parts, rest])


def _losses(one: TaskLosses) -> Iterator[Part]:
    yield f"{one.task}: {w.plural(one.lost, 'document')} lost{_kinds(one)}."
    judged = any(ref.outcome for ref in one.examples)
    keys = tuple((ref.task, ref.doc_hash) for ref in one.examples)
    shown = samples_filter(task=one.task, show="loss" if judged else "lost")
    examples = Examples(keys, shown, one.lost)
    if one.confusions:
        rows = tuple((c.gold, c.answer, w.count(c.count)) for c in one.confusions)
        header = ("right answer", "the candidate's answer", "times")
        yield Columns((Table(header, rows, left=(0, 1), names=(0, 1)), examples))
    else:
        yield examples


def _kinds(one: TaskLosses) -> str:
    """How they went wrong, where there is more to say than that another answer was given."""
    if [kind for kind, _ in one.kinds] == [ANOTHER]:
        return ""
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in one.kinds)
    return f": {kinds}" if one.read == one.lost else f"; of the worst {one.read:,}: {kinds}"
