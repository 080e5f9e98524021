"""The verdict over all tasks and the judge, in words that do not grow with the number of tasks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lm_eval_fr.compare.compare_options import CompareOptions
from lm_eval_fr.compare.task_rows import NO_MARGIN
from lm_eval_fr.report import words as w
from lm_eval_fr.report.judge_model import JudgeResult
from lm_eval_fr.report.model import Conclusion
from lm_eval_fr.report.task_model import TaskResult, verdict_of
from lm_eval_fr.stats import Assessment, Overall, overall

JUDGE = "the judge"
NOT_CLAIMED = (
    "Not claimed: that the arms are equal, or that this holds for other tasks, prompts, languages or settings than "
    "those compared."
)
FIX_A_MARGIN = "fix the largest loss that you accept before you look further: --margin 2% accepts two points."
TOO_NEAR = "the margin is more than half of what the reference has above chance: a loss could not have shown"
MOST = 3  # the most claims that the sentence names


@dataclass(frozen=True)
class Stated:
    """One claim, with its unit in words."""

    name: str
    assessment: Assessment
    unit: str
    scale: float
    reason: str = ""

    @property
    def where(self) -> str:
        return f"with {JUDGE}" if self.name == JUDGE else f"on {self.name}"

    @property
    def blind(self) -> bool:
        """Whether no loss is seen and the reference is too near chance for any number of documents to show one."""
        assay = self.assessment.assay
        near = assay is not None and assay.holds is False and not assay.short_of_documents
        return near and not self.assessment.degradation_detected

    @property
    def limit(self) -> str:
        return w.plain(self.assessment.margin, self.scale)

    @property
    def at_most(self) -> str:
        """The largest loss that is still possible."""
        return self._loss(self.assessment.interval.low)

    @property
    def at_least(self) -> str:
        return self._loss(self.assessment.interval.high)

    def _loss(self, end: float | None) -> str:
        """With enough digits to tell it from the margin."""
        if end is None:
            return w.UNKNOWN
        loss = max(-end, 0.0)
        decimals = w.decimals_beside(loss, self.assessment.margin, self.scale)
        return w.plain(loss, self.scale, decimals=decimals)


def conclude(
    tasks: Sequence[TaskResult],
    judge: JudgeResult | None,
    options: CompareOptions,
    available: Mapping[str, int | None],
) -> Conclusion:
    """The intersection-union over all claims; without claims, no verdict and the reason.

    available: how many documents each task has in all, where that is on record.
    """
    level = options.level
    claims = {claim.name: claim for claim in _claims(tasks, judge)}
    if not claims:
        sentence = _without_claims(tasks, judge, options)
        return Conclusion(found=None, sentence=sentence, advice=FIX_A_MARGIN, not_claimed=NOT_CLAIMED)
    found = overall({name: claim.assessment for name, claim in claims.items()})
    undecided = [claims[name] for name in found.undecided]
    said: Mapping[str, Callable[[], str]] = {
        "non_inferior": lambda: _non_inferior(list(claims.values())),
        "inferior": lambda: _inferior([claims[name] for name in found.inferior], undecided),
        "inconclusive": lambda: _inconclusive(undecided),
        "no_verdict": lambda: _no_verdict(undecided),
    }
    confidence = f" at {w.level_text(level)} confidence" if found.verdict != "no_verdict" else ""
    return Conclusion(
        found=found,
        sentence=f"{w.word(found.verdict).capitalize()}{confidence}: {said[found.verdict]()}",
        advice=_advice(found, claims, tasks, available),
        ruled_out=tuple(
            f"{claim.name}: a loss of {claim.limit} {claim.unit} or more (at most {claim.at_most} is left)"
            for claim in claims.values()
            if claim.assessment.verdict == "non_inferior"
        ),
        not_claimed=NOT_CLAIMED,
    )


def _without_claims(tasks: Sequence[TaskResult], judge: JudgeResult | None, options: CompareOptions) -> str:
    if options.margins or not (tasks or judge):
        return "No verdict: nothing that was compared has a margin."
    shown = [
        f"{w.plain(t.establishes, t.scale)} {w.unit(t)} on {t.task}"
        for t in tasks
        if t.establishes and not t.group and t.reasons.get("verdict") == NO_MARGIN
    ]
    could = f" These data could establish a margin of {_listed(shown)}." if shown else ""
    return f"No verdict: no margin was given, so nothing is claimed.{could}"


def _claims(tasks: Sequence[TaskResult], judge: JudgeResult | None) -> Iterator[Stated]:
    """The claims of groups, of tasks without a group, and of the judge."""
    for t in tasks:
        if t.assessment is not None and not t.group:
            yield Stated(t.task, _decided(t.assessment), w.unit(t), t.scale, t.reasons.get("verdict", ""))
    if judge is not None and judge.assessment is not None:
        reason = judge.held_back or judge.reasons.get("verdict", "")
        yield Stated(JUDGE, _decided(judge.assessment), "points of net win rate", 100.0, reason)


def _decided(assessment: Assessment) -> Assessment:
    return replace(assessment, verdict=verdict_of(assessment) or assessment.verdict)


def _advice(
    found: Overall, claims: Mapping[str, Stated], tasks: Sequence[TaskResult], available: Mapping[str, int | None]
) -> str:
    """What to do next."""
    lost = {t.task: t.paired.flips.lost for t in tasks if t.paired.flips and not t.group}
    if found.verdict == "inferior":
        worst = _worst_first([claims[name] for name in found.inferior])[0]
        count = lost.get(worst.name)
        read = f"the {count:,} documents lost on {worst.name}" if count else f"what was lost {worst.where}"
        return f"read {read}; keep the reference for this kind of work, or try a milder recipe."
    if found.verdict == "non_inferior":
        rest = f"; read the {sum(lost.values()):,} lost documents before you make it" if sum(lost.values()) else ""
        return f"nothing here speaks against the change for this kind of work{rest}."
    if all(claims[name].blind for name in found.undecided):
        return "compare on tasks that the reference does well: more documents of these cannot show a loss."
    if found.verdict == "no_verdict":
        return "fix what prevents a verdict, then compare again."
    needed = {
        name: claims[name].assessment.documents_needed
        for name in found.undecided
        if claims[name].assessment.documents_needed
    }
    counts = {name: one.documents for name, one in needed.items() if one and one.documents}
    if not counts:
        return "run more documents of the undecided tasks; meanwhile, read what was lost."
    beyond = {name: count for name, count in counts.items() if count > (available.get(name) or math.inf)}
    name, most = max((beyond or counts).items(), key=lambda item: item[1])
    unit = "pairs for the judge" if name == JUDGE else f"documents of {name}"
    if beyond:
        return (
            f"{name} has {available[name]:,} documents and would need about {most:,} if the difference "
            "stays what it is: add documents, or plan a wider margin for the next study."
        )
    return f"run about {most:,} {unit} in total; that would settle it if the difference stays what it is."


def _listed(parts: Sequence[str], more: str = "more") -> str:
    rest = len(parts) - MOST
    return "; ".join(parts[:MOST]) + (f"; and {rest:,} {more}" if rest > 0 else "")


def _named(claims: Sequence[Stated]) -> str:
    names = [claim.name for claim in claims]
    if len(names) > MOST:
        judged = " and the judge" if JUDGE in names else ""
        return f"{len(names) - bool(judged):,} tasks{judged}"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _on(claims: Sequence[Stated]) -> str:
    """Where, in words: "on a_fr and b_fr, and with the judge"."""
    tasks = [claim for claim in claims if claim.name != JUDGE]
    if len(tasks) == len(claims):
        return f"on {_named(claims)}"
    return f"on {_named(tasks)}, and with {JUDGE}" if tasks else f"with {JUDGE}"


def _worst_first(claims: Sequence[Stated]) -> list[Stated]:
    """Sorted by the largest loss still possible, in margins."""
    return sorted(claims, key=lambda claim: (claim.assessment.interval.low or 0.0) / claim.assessment.margin)


def _at_worst(claims: Sequence[Stated]) -> str:
    """The largest possible loss in margins, where it is, and that margin."""
    worst = _worst_first(claims)[0]
    return f"at worst up to {worst.at_most} {worst.unit} {worst.where}, where the margin is {worst.limit}"


def _losses(detected: Sequence[Stated]) -> str:
    def said(claim: Stated) -> str:
        return f"{claim.at_least} to {claim.at_most} {claim.unit} {claim.where}"

    return _listed(list(map(said, _worst_first(detected))))


def _non_inferior(claims: Sequence[Stated]) -> str:
    detected = [claim for claim in claims if claim.assessment.degradation_detected]
    also = f" A loss smaller than the margin is detected: {_losses(detected)}." if detected else ""
    return f"the candidate loses less than the margin {_on(claims)}; {_at_worst(claims)}.{also}"


def _inferior(worse: Sequence[Stated], undecided: Sequence[Stated]) -> str:
    most = min(worse, key=lambda claim: (claim.assessment.interval.high or 0.0) / claim.assessment.margin)
    loss, margin = f"at least {most.at_least} {most.unit}", f"where the margin is {most.limit}"
    alone = [claim for claim in undecided if claim.assessment.verdict == "inferior"]
    open_ = [claim for claim in undecided if claim.assessment.verdict != "inferior"]
    rest = f" Inferior alone, but not after Holm's correction: {_named(alone)}." if alone else ""
    rest += f" Not decided: {_named(open_)}." if open_ else ""
    one = f": {loss} {most.where}, {margin}"
    several = f" {_on(worse)}, most {most.where}: {loss}, {margin}"
    return f"the candidate loses more than the margin{several if len(worse) > 1 else one}.{rest}"


def _inconclusive(undecided: Sequence[Stated]) -> str:
    alone = [claim for claim in undecided if claim.assessment.verdict == "inferior"]
    parts = (
        [f"{_named(alone)} alone lose more than the margin, but not after Holm's correction over all"] if alone else []
    )
    rest = [claim for claim in undecided if not claim.reason and claim not in alone]
    if rest:
        parts.append(f"a loss larger than the margin cannot be ruled out {_on(rest)}; {_at_worst(rest)}")
    without = [claim for claim in undecided if claim.reason]
    parts += [f"nothing is decided {_on(alike)} ({why})" for why, alike in _by_reason(without)]
    detected = [claim for claim in undecided if claim.assessment.degradation_detected]
    seen = "This is not evidence that nothing was lost, nor that something was."
    if detected:
        seen = f"A loss is detected, and whether it is larger than the margin is open: {_losses(detected)}."
    return f"{_listed(parts, 'undecided')}. {seen}"


def _no_verdict(undecided: Sequence[Stated]) -> str:
    unknown = [c for c in undecided if c.assessment.verdict == "no_verdict"]
    said = [f"{_named(alike)} ({why})" for why, alike in _by_reason(unknown)]
    return f"nothing can be claimed about {_listed(said)}."


def _by_reason(claims: Sequence[Stated]) -> Iterable[tuple[str, list[Stated]]]:
    """Groups claims with the same reason; several claims too near chance count as one reason, whatever the numbers.

    A reason's last part, in brackets, is left to the claim's own row.
    """
    near = [claim for claim in claims if claim.assessment.assay and claim.reason == claim.assessment.assay.reason]
    of_reason: dict[str, list[Stated]] = {}
    for claim in claims:
        brief = re.sub(r" \([^()]*\)$", "", claim.reason)
        why = TOO_NEAR if len(near) > 1 and claim in near else brief
        of_reason.setdefault(why, []).append(claim)
    return of_reason.items()
