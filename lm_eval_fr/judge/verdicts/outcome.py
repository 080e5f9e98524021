"""What both orders together say about a pair, what all pairs say about the arms, and verdicts.jsonl.

A failure is a state, not a tie: `invalid` (replies without a verdict), `refused` (the judge or its server will
not judge this text) and `unjudged` (nothing was obtained) are counted separately, with the best and the worst headline
that they still allow.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.io.reading import convert, read_jsonl
from lm_eval_fr.judge.asking.protocol import VERDICTS, Order, Verdict
from lm_eval_fr.stats.judging import PairUsage

if TYPE_CHECKING:
    from hashlib import _Hash as Digest

VERDICT_FILE = "verdicts.jsonl"
Outcome = Literal["win", "loss", "tie", "flip", "split", "identical", "invalid", "refused", "unjudged"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
TIES: tuple[Outcome, ...] = ("tie", "flip", "split", "identical")
UNDECIDED: tuple[Outcome, ...] = ("invalid", "refused", "unjudged")
Judgement = Verdict | Literal["invalid", "refused"] | None
"""One order's result: a verdict, `invalid`, `refused`, or None if nothing was obtained or asked."""

HEADLINE: Mapping[Outcome, int | None] = {
    "win": 1,
    "loss": -1,
    **dict.fromkeys(TIES, 0),
    **dict.fromkeys(UNDECIDED),
}
"""A pair's score for the candidate; None, never 0, if the judge did not decide."""

_BOTH: Mapping[tuple[Judgement, Judgement], Outcome] = {
    ("A", "B"): "win",
    ("B", "A"): "loss",
    ("tie", "tie"): "tie",
    ("A", "A"): "flip",
    ("B", "B"): "flip",
    ("tie", "A"): "split",
    ("tie", "B"): "split",
    ("A", "tie"): "split",
    ("B", "tie"): "split",
}


def combine(candidate_first: Judgement, reference_first: Judgement, *, lazy: bool = False) -> Outcome:
    """The outcome of a pair. With `lazy`, one tie settles it: the other order cannot change the headline."""
    both = (candidate_first, reference_first)
    if both in _BOTH:
        return _BOTH[both]
    if lazy and "tie" in both:
        return "tie"
    if "refused" in both:
        return "refused"
    return "invalid" if "invalid" in both else "unjudged"


def possible_scores(candidate_first: Judgement, reference_first: Judgement) -> tuple[int, int]:
    """The lowest and highest headline score that the orders obtained so far still allow."""
    scores = [
        score
        for first in _completions(candidate_first)
        for second in _completions(reference_first)
        if (score := HEADLINE[_BOTH[first, second]]) is not None
    ]
    return min(scores), max(scores)


def _completions(judgement: Judgement) -> tuple[Judgement, ...]:
    return (judgement,) if judgement in VERDICTS else VERDICTS


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """One line of verdicts.jsonl. `cautions`: reasons to doubt the verdict."""

    task: str
    doc_id: int
    doc_hash: str
    outcome: Outcome
    candidate_first: Judgement = None
    reference_first: Judgement = None
    reasons: Mapping[str, str] = field(default_factory=dict)  # per order: the judge's reason, or what was wrong
    usage: PairUsage = field(default_factory=PairUsage)
    candidate_chars: int | None = None
    reference_chars: int | None = None
    cluster: str | None = None
    repeats: Mapping[Order, tuple[Judgement, ...]] = field(default_factory=dict)  # every asking, the first included
    cautions: tuple[str, ...] = ()

    @property
    def score(self) -> int | None:
        return HEADLINE[self.outcome]

    @property
    def bounds(self) -> tuple[int, int]:
        """The worst and the best score that this pair can still have."""
        score = self.score
        return possible_scores(self.candidate_first, self.reference_first) if score is None else (score, score)


def clusters_of_pairs(verdicts: Collection[PairVerdict]) -> list[str] | None:
    """A label per pair, where a pair without a cluster is one of its own; None if none has one."""
    if all(verdict.cluster is None for verdict in verdicts):
        return None
    return [verdict.cluster or f"{verdict.task}/{verdict.doc_hash}" for verdict in verdicts]


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many pairs had each outcome. The headline is win / tie / loss, with tie = tie + flip + split + identical."""

    n: int
    outcomes: Mapping[Outcome, int]
    best_score: int  # the sum of scores if every undecided pair went the candidate's way as far as it can
    worst_score: int

    @property
    def wins(self) -> int:
        return self.outcomes["win"]

    @property
    def losses(self) -> int:
        return self.outcomes["loss"]

    @property
    def ties(self) -> int:
        return sum(self.outcomes[name] for name in TIES)

    @property
    def judged(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def decided(self) -> int:
        return self.wins + self.losses

    @property
    def net_win(self) -> float | None:
        """(wins - losses) / judged pairs; None when no pair was judged."""
        return (self.wins - self.losses) / self.judged if self.judged else None

    @property
    def net_win_bounds(self) -> tuple[float, float] | None:
        """The worst and best net win over all n pairs, whatever the invalid and unjudged ones would have said."""
        return (self.worst_score / self.n, self.best_score / self.n) if self.n else None


def count(verdicts: Iterable[PairVerdict]) -> OutcomeCounts:
    outcomes: Counter[Outcome] = Counter()
    worst = best = 0
    for verdict in verdicts:
        outcomes[verdict.outcome] += 1
        low, high = verdict.bounds
        worst += low
        best += high
    return OutcomeCounts(outcomes.total(), {name: outcomes[name] for name in OUTCOMES}, best, worst)


def write_verdicts(path: Path, verdicts: Iterable[PairVerdict]) -> str:
    """Writes all lines or none, and returns the file's SHA-256."""
    encode = msgspec.json.Encoder().encode
    whole = hashlib.sha256()
    with atomic_file(path, durable=True) as out:
        for verdict in verdicts:
            line = encode(_as_line(verdict)) + b"\n"
            out.write(line)
            whole.update(line)
    return whole.hexdigest()


def _as_line(verdict: PairVerdict) -> dict[str, Any]:
    line = {name: getattr(verdict, name) for name in PairVerdict.__slots__}
    for name in ("candidate_chars", "reference_chars", "cluster", "repeats", "cautions"):
        if line[name] in (None, {}, ()):
            del line[name]
    if not verdict.usage.calls:
        line["usage"] = {}
    return line


def file_in(path: Path, name: str) -> Path:
    """The file of this name in the folder that `judge` wrote; `path` itself if it is a file.

    InputError for a folder without it, naming a subfolder that has it.
    """
    if not path.is_dir():
        return path
    if not (path / name).exists():
        inside = sorted(path.glob(f"*/{name}"))
        remedy = f"did you mean {inside[0].parent}?" if inside else "give the --out folder of `lm-eval-fr judge`"
        raise InputError(f"no {name} in this folder", where=path, remedy=remedy)
    return path / name


def read_verdicts(path: Path) -> list[PairVerdict]:
    """The verdicts of a file, or of the folder that `judge` wrote them to."""
    return list(iter_verdicts(file_in(path, VERDICT_FILE)))


def iter_verdicts(file: Path, digest: Digest | None = None) -> Iterator[PairVerdict]:
    """digest: is fed the whole file on the way."""
    remedy = "`lm-eval-fr judge` writes it, and rewrites it with --reparse"
    for number, value in read_jsonl(file, remedy=remedy, digest=digest):
        yield convert(value, PairVerdict, what="a verdict", where=file, line=number, remedy=remedy)
