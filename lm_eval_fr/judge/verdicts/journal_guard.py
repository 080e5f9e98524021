"""A folder's journal and its judge.json belong together: what was paid for must be in the one that is opened."""

from __future__ import annotations

from pathlib import Path

from lm_eval_fr.errors import InputError, JournalError
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import FILE, JudgeSummary, read_summary

JOURNAL = "journal.sqlite"
RESTORE = f"copy back the {JOURNAL} that belongs to {FILE}, and {JOURNAL}-wal if there is one, or give another --out"


def open_journal(out: Path) -> Journal:
    """The folder's journal, a new one in a new folder.

    Raises JournalError where judge.json was written from another journal, or from more of this one: everything would be
    asked and paid again.
    """
    path, summary = out / JOURNAL, _summary(out)
    if summary is not None and summary.usage.calls and not (path.exists() and path.stat().st_size):
        what = "is empty" if path.exists() else "is missing"
        raise JournalError(
            f"{what}, and {FILE} beside it rests on {summary.usage.calls:,} replies", where=path, remedy=RESTORE
        )
    journal = Journal.open(path)
    try:
        if summary is not None:
            _check(journal, summary)
    except BaseException:
        journal.close()
        raise
    return journal


def _check(journal: Journal, summary: JudgeSummary) -> None:
    mark, stored = summary.journal, journal.count()
    if mark is not None and mark.name != journal.name:
        raise JournalError(f"is not the journal that {FILE} was written from", where=journal.path, remedy=RESTORE)
    least = summary.usage.calls if mark is None else mark.replies
    if stored < least:
        what = f"holds {stored:,} replies, and {FILE} beside it was written from {least:,}"
        raise JournalError(what, where=journal.path, remedy=RESTORE)


def _summary(out: Path) -> JudgeSummary | None:
    """None where there is none to hold the journal against; one that is damaged is written anew."""
    try:
        return read_summary(out) if (out / FILE).exists() else None
    except InputError:
        return None
