"""The verdict over all tasks and the judge, and the words that cannot be misread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Overall, TaskResult
from lm_eval_fr.stats import Assessment, overall

JUDGE = "the judge"
SCOPE = (
    "that the arms are equal, or that this holds for other tasks, prompts, languages or settings than those compared"
)


@dataclass(frozen=True)
class Claim:
    """One difference held against its margin, and how people call its unit."""

    name: str
    assessment: Assessment
    unit: str
    scale: float
    held_back: str | None = None

    def loss(self, bound: float | None) -> str:
        """A bound of the difference as the loss that it is."""
        return "unknown" if bound is None else f"{w.plain(max(-bound, 0.0), self.scale)} {self.unit}"

    @property
    def limit(self) -> str:
        return w.plain(self.assessment.margin, self.scale)


def claim_of(result: TaskResult, assessment: Assessment) -> Claim:
    return Claim(result.task, assessment, w.unit(result), result.scale)


def judge_claim(assessment: Assessment, held_back: str | None) -> Claim:
    return Claim(JUDGE, assessment, "points of net win rate", 100.0, held_back)


def overall_of(claims: Mapping[str, Claim], level: float) -> Overall:
    """The intersection-union over all claims; None and the reason where there is no claim at all."""
    if not claims:
        sentence = "No verdict: nothing that was compared has both a margin and an interval."
        return Overall(verdict=None, sentence=sentence, not_claimed=f"Not claimed: {SCOPE}.")
    found = overall({name: claim.assessment for name, claim in claims.items()})
    undecided = {name: claims[name] for name in found.undecided}
    worse = {name: claims[name] for name in found.inferior}
    sentence = {
        "non_inferior": _non_inferior,
        "inferior": lambda *_: _inferior(worse, undecided, level),
        "inconclusive": lambda *_: _inconclusive(undecided, level),
    }[found.verdict](claims, level)
    ruled_out = tuple(
        f"{claim.name}: a loss of {claim.limit} {claim.unit} or more (at most {_at_most(claim)} is left)"
        for claim in claims.values()
        if claim.assessment.verdict == "non_inferior"
    )
    return Overall(verdict=found.verdict, sentence=sentence, ruled_out=ruled_out, not_claimed=f"Not claimed: {SCOPE}.")


def _at_most(claim: Claim) -> str:
    low = claim.assessment.interval.low
    return w.plain(max(-low, 0.0), claim.scale) if low is not None else "unknown"


def _confidence(level: float) -> str:
    return f"at {w.level_text(level)} confidence"


def _non_inferior(claims: Mapping[str, Claim], level: float) -> str:
    detected = [claim for claim in claims.values() if claim.assessment.degradation_detected]
    small = "".join(
        f" A loss inside the margin is there all the same: {claim.name} loses "
        f"{w.plain(-(claim.assessment.interval.high or 0.0), claim.scale)} to "
        f"{w.plain(-(claim.assessment.interval.low or 0.0), claim.scale)} {claim.unit}."
        for claim in detected
    )
    *others, last = [claim.name for claim in claims.values()]
    where = f"{', '.join(others)} and {last}" if others else last
    return f"Non-inferior {_confidence(level)}: on {where} the candidate loses less than the margin.{small}"


def _inferior(worse: Mapping[str, Claim], undecided: Mapping[str, Claim], level: float) -> str:
    parts = [
        f"at least {claim.loss(claim.assessment.interval.high)} on {claim.name} (margin {claim.limit})"
        for claim in worse.values()
    ]
    alone = [claim.name for claim in undecided.values() if claim.assessment.verdict == "inferior"]
    open_ = [claim.name for claim in undecided.values() if claim.assessment.verdict != "inferior"]
    rest = f" Inferior on its own, but not after Holm's correction: {', '.join(alone)}." if alone else ""
    rest += f" Not decided: {', '.join(open_)}." if open_ else ""
    return f"Inferior {_confidence(level)}: the candidate loses more than the margin: {'; '.join(parts)}.{rest}"


def _inconclusive(undecided: Mapping[str, Claim], level: float) -> str:
    parts = []
    for claim in undecided.values():
        interval = claim.assessment.interval
        if claim.held_back:
            parts.append(f"nothing is decided on {claim.name} ({claim.held_back})")
        elif interval.low is None:
            parts.append(f"nothing can be said of {claim.name} ({interval.reason})")
        elif claim.assessment.verdict == "inferior":
            parts.append(f"{claim.name} alone loses more than its margin, but not after Holm's correction over all")
        else:
            needed = claim.assessment.documents_needed
            more = f", about {needed.documents:,} documents would settle it" if needed and needed.documents else ""
            parts.append(
                f"a loss of up to {claim.loss(interval.low)} on {claim.name} cannot be ruled out "
                f"(margin {claim.limit}{more})"
            )
    return (
        f"Inconclusive {_confidence(level)}: {'; '.join(parts)}. "
        "This is no evidence that nothing was lost, and none that something was."
    )
