"""The exception tree. Every message is one line of printable text: what is wrong, where, and what to do.

LmEvalFrError               exit code 2 unless it says otherwise
├── UsageError              a flag, an argument or a combination of them
├── InputError              a file or a folder that cannot be read as what it should be
│   ├── PlanError           the study's plan
│   └── MismatchError       two runs that are not the same work; carries the name that `--allow` takes
├── ArmError                an arm that could not be run: unreachable server, wrong model, engine failure
├── JudgeError              a judge that cannot be used: key, model, endpoint, profile
│   └── JournalError        the judge's journal: in use, read-only, disk full
└── Unfinished              exit code 4: what was obtained is kept, rerun to resume
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

HERE = "a relative path starts in the working directory"  # the remedy for a missing path

# C0 and C1 controls, DEL, marks that turn the direction of writing, line separators and halves of characters.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, keep: str = "") -> str:
    """`text` with every character that could control a terminal as a JSON escape. keep: characters to leave."""
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy that suggests the known name nearest to `word`, or "" if none is near."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def check_options(function: str, given: Iterable[str], options: type) -> None:
    """UsageError for a keyword of `function` that is not a field of the dataclass `options`."""
    import dataclasses

    known = [field.name for field in dataclasses.fields(options)]
    if unknown := next((name for name in given if name not in known), None):
        raise UsageError(f"{function} has no option {unknown!r}", remedy=nearest(unknown, known))


class LmEvalFrError(Exception):
    """A failure that the user can fix.

    what: the failure. where: file (and line), flag or address. remedy: what to do about it.
    """

    exit_code = 2

    def __init__(
        self, what: str, *, where: str | Path | None = None, line: int | None = None, remedy: str = ""
    ) -> None:
        self.what = printable(" ".join(what.split()))
        self.where = None if where is None else printable(f"{where}:{line}" if line is not None else str(where))
        self.remedy = printable(" ".join(remedy.split()))
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.what}{advice}"


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP as an interrupt. signal: its number."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


class UsageError(LmEvalFrError):
    pass


class InputError(LmEvalFrError):
    pass


class PlanError(InputError):
    pass


class MismatchError(InputError):
    """Two runs that are not the same work. `kind` is the word that `--allow` takes."""

    def __init__(
        self,
        kind: str,
        what: str,
        *,
        where: str | Path | None = None,
        line: int | None = None,
        remedy: str = "",
    ) -> None:
        self.kind = kind
        super().__init__(
            what,
            where=where,
            line=line,
            remedy=remedy or f"--allow {kind} compares anyway, and the report says so",
        )


class ArmError(LmEvalFrError):
    pass


class JudgeError(LmEvalFrError):
    pass


class JournalError(JudgeError):
    pass


class Unfinished(LmEvalFrError):
    exit_code = 4
