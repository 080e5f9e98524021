"""What answers cost in both arms, how lost documents went wrong, and what one language loses beyond another."""

from __future__ import annotations

from collections.abc import Iterator

from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Report, TaskLosses
from lm_eval_fr.report.sections import Examples, Part, Section, SideBySide, Table, Word, section
from lm_eval_fr.report.task_model import AnswerCosts, Cost, LanguageTax, verdict_of
from lm_eval_fr.report.verdict_section import samples_filter

ANSWERS = ("task", "per answer", "candidate", "reference", "ratio", "interval")


def answers_section(report: Report) -> Section | None:
    judged = report.judge.tasks if report.judge else ()
    found = [*((t.task, t.answers) for t in report.tasks), *((t.task, t.answers) for t in judged)]
    costs = [(task, answers) for task, answers in found if answers is not None]
    rows = tuple(row for task, answers in costs for row in _rows(task, answers))
    sources = {cost.source for _, answers in costs if (cost := answers.tokens) is not None and cost.source}
    counted = f"Tokens {'; '.join(sorted(sources))}." if sources else ""
    return section("answers", "What an answer costs", (Table(ANSWERS, rows, left=(0, 1)), counted) if rows else ())


def _rows(task: str, found: AnswerCosts) -> Iterator[tuple[str, ...]]:
    for name, cost in (("tokens", found.tokens), ("of them reasoning", found.reasoning), ("seconds", found.seconds)):
        if cost is not None:
            yield (task, name, *_means(cost, 1.0), *_ratio(cost))
    if found.truncated is not None and (found.truncated.candidate or found.truncated.reference):
        yield (task, "share cut off, %", *_means(found.truncated, 100.0), "", "")


def _means(cost: Cost, scale: float) -> tuple[str, str]:
    return w.plain(cost.candidate, scale), w.plain(cost.reference, scale)


def _ratio(cost: Cost) -> tuple[str, str]:
    if cost.ratio is None or cost.ratio.estimate is None or cost.ratio.low is None or cost.ratio.high is None:
        return w.UNKNOWN, w.UNKNOWN
    return f"{cost.ratio.estimate:.2f}", f"[{cost.ratio.low:.2f}, {cost.ratio.high:.2f}]"


def language_tax_section(report: Report) -> Section | None:
    if not report.language_tax:
        return None
    level = w.level_text(report.level)
    header = ("task", "beside", "n", "loss there", "loss beside", "tax", level, "margin", "verdict")
    lead = (
        "The language tax: what the candidate loses in the first task beyond its loss in the second, on the "
        "same questions. Below 0 the first language loses more."
    )
    return section(
        "language_tax", "Language tax", (lead, Table(header, tuple(map(_tax, report.language_tax)), left=(0, 1)))
    )


def _tax(tax: LanguageTax) -> tuple[str | Word, ...]:
    paired = tax.paired
    margin = None if tax.assessment is None else tax.assessment.margin
    return (
        tax.task,
        tax.parallel,
        w.count(paired.n),
        w.signed(paired.candidate_mean),
        w.signed(paired.reference_mean),
        w.signed(paired.interval.estimate),
        w.interval(paired.interval.low, paired.interval.high),
        w.plain(margin),
        Word(verdict_of(tax.assessment)),
    )


ANOTHER = "another answer"
MOST = 5  # tasks whose losses are listed one by one


def lost_section(report: Report) -> Section | None:
    most = sorted(report.losses, key=lambda one: -one.lost)
    parts = [part for losses in most[:MOST] for part in _losses(losses)]
    left = sum(one.lost for one in most[MOST:])
    more = f"{w.plural(left, 'more document')} {'was' if left == 1 else 'were'} lost"
    rest = f"{more} on {w.plural(len(most) - MOST, 'other task')}." if left else None
    return section("lost", "What was lost", [*parts, rest])


def _losses(one: TaskLosses) -> Iterator[Part]:
    yield f"{one.task}, {w.plural(one.lost, 'document')} lost{_kinds(one)}."
    judged = any(ref.outcome for ref in one.examples)
    keys = tuple((ref.task, ref.doc_hash) for ref in one.examples)
    shown = samples_filter(task=one.task, show="loss" if judged else "lost")
    examples = Examples(keys, shown, one.lost)
    if one.confusions:
        rows = tuple((c.gold, c.answer, w.count(c.count)) for c in one.confusions)
        header = ("right answer", "answered", "times")
        yield SideBySide((Table(header, rows, left=(0, 1), names=(0, 1)), examples))
    else:
        yield examples


def _kinds(one: TaskLosses) -> str:
    """How they went wrong, if there is more to say than that the answer was different."""
    if [kind for kind, _ in one.kinds] == [ANOTHER]:
        return ""
    kinds = ", ".join(f"{kind} ({number:,})" for kind, number in one.kinds)
    return f": {kinds}" if one.read == one.lost else f"; of the worst {one.read:,}: {kinds}"
