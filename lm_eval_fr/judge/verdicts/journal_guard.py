"""A folder's journal and its judge.json belong together: the opened journal must contain what was paid for."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from lm_eval_fr.errors import InputError, JournalError
from lm_eval_fr.judge.verdicts.journal import Journal
from lm_eval_fr.judge.verdicts.judge_summary import FILE, read_summary

JOURNAL = "journal.sqlite"
RESTORE = f"copy back the {JOURNAL} that belongs to {FILE}, and {JOURNAL}-wal if there is one, or give another --out"


def open_journal(out: Path) -> Journal:
    """The folder's journal, a new one in a new folder.

    Raises JournalError if judge.json was written from another journal, or from more of this one: everything would
    be asked and paid for again.
    """
    path, summary = out / JOURNAL, None
    with suppress(InputError):  # a damaged one is rewritten
        summary = read_summary(out) if (out / FILE).exists() else None
    if summary is None:
        return Journal.open(path)
    if summary.usage.calls and not (path.exists() and path.stat().st_size):
        what = "is empty" if path.exists() else "is missing"
        raise JournalError(
            f"{what}, but {FILE} beside it rests on {summary.usage.calls:,} replies", where=path, remedy=RESTORE
        )
    with ExitStack() as opened:
        journal = opened.enter_context(Journal.open(path))
        mark, stored = summary.journal, journal.count()
        if mark is not None and mark.name != journal.name:
            raise JournalError(f"is not the journal that {FILE} was written from", where=path, remedy=RESTORE)
        least = summary.usage.calls if mark is None else mark.replies
        if stored < least:
            what = f"has {stored:,} replies, but {FILE} beside it was written from {least:,}"
            raise JournalError(what, where=path, remedy=RESTORE)
        opened.pop_all()
    return journal
