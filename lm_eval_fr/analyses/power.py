"""`lm-eval-fr power`: how many documents a margin needs, or what margin N documents can establish, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.errors import InputError, UsageError, check_options
from lm_eval_fr.plan import LEVEL, as_guarantee, as_share
from lm_eval_fr.report.words import points

if TYPE_CHECKING:
    from lm_eval_fr.pairing import PairedTask
    from lm_eval_fr.stats import Guarantee, SamplePlan, Spread

DEFAULT_SPREADS = (0.15, 0.25)  # paired SD of F1-like scores
DEFAULT_FLIPS = (0.03, 0.05, 0.10)
DEFAULT_TIES = (0.6, 0.4, 0.2)
UNSTABLE = 0.5
NEEDED = "documents needed (in brackets: for the verdict's own interval) for a margin of"
MOST_SPREAD = 10_000.0  # of the sum of an article's scores; its distribution is computed in steps


@dataclasses.dataclass(frozen=True)
class PowerQuestion:
    """What the user asked: margins or documents (neither: both tables), and what is known about the tasks.

    sd, flips, ties: paired SD of a graded score, share of documents on which just one arm is right, share of pairs
    that the judge does not decide. cluster_size, weighted_size, icc: documents per article on average, in the
    article of a random document, and how similar their differences are. claims: how many claims like this one are made,
    all of which must hold. repeats: answers of each arm per document, up to so many; unstable: the part of a single
    answer's variance that another answer to the same document averages out.
    """

    margins: Sequence[float] = ()
    documents: Sequence[int] = ()
    sd: Sequence[float] = ()
    flips: Sequence[float] = ()
    ties: Sequence[float] = ()
    cluster_size: float = 1.0
    weighted_size: float | None = None
    icc: float = 0.0
    difference: float = 0.0
    level: float = LEVEL
    power: float = 0.8
    claims: int = 1
    repeats: int = 1
    unstable: float | None = None
    guarantee: Guarantee = "default"

    @property
    def assumed(self) -> dict[str, Any]:
        """What planning needs besides a spread and a margin or number of documents."""
        return {name: getattr(self, name) for name in ("difference", "level", "power", "claims", "guarantee")}


def power(*, pilot: tuple[str | Path, str | Path] | None = None, judge: str | Path | None = None, **asked: Any) -> str:
    """How many documents a margin needs, or what margin N documents can establish, as tables of text.

    pilot: two runs that show the spread; judge: with it, the judge's folder. asked: the fields of `Question`, named as
    the flags of `lm-eval-fr power`: power(margins="2%", sd=[0.25]). Raises UsageError.
    """
    check_options("power", asked, PowerQuestion)
    if judge is not None and pilot is None:
        raise UsageError("--judge goes with --pilot CANDIDATE REFERENCE")
    spreads = pilot_spreads(Path(pilot[0]), Path(pilot[1]), None if judge is None else Path(judge)) if pilot else ()
    for name in ("margins", "documents", "sd", "flips", "ties"):
        if name in asked:
            asked[name] = _several(name, asked[name])
    for name in ("icc", "difference", "level", "power", "unstable"):
        if asked.get(name) is not None:
            asked[name] = as_share(name, asked[name])
    if "guarantee" in asked:
        asked["guarantee"] = as_guarantee(asked["guarantee"])
    return answer(PowerQuestion(**asked), spreads)


def _several(name: str, given: Any) -> list[float]:
    """One value or several: documents are whole numbers, all others are shares."""
    values = [given] if isinstance(given, (str, int, float)) else list(given)
    shares = [as_share(name, value) for value in values]
    return [int(value) for value in shares] if name == "documents" else shares


def spreads_of(question: PowerQuestion) -> list[Spread]:
    """The given spreads, or the usual ones of every kind if none was given."""
    from lm_eval_fr.stats import exact_match_spread, judge_spread, score_spread

    named = bool(question.sd or question.flips or question.ties)
    article = max(question.cluster_size, question.weighted_size or 1.0)
    if not article * max([1.0, *map(abs, question.sd)]) <= MOST_SPREAD:
        what = "the spread within an article is too large to plan for"
        raise UsageError(what, where="--sd and --cluster-size", remedy="most scores lie between 0 and 1")
    kinds: tuple[tuple[Callable[..., Spread], Sequence[float], Sequence[float]], ...] = (
        (score_spread, question.sd, DEFAULT_SPREADS),
        (exact_match_spread, question.flips, DEFAULT_FLIPS),
        (judge_spread, question.ties, DEFAULT_TIES),
    )
    return [
        make(value, cluster_size=question.cluster_size, weighted_size=question.weighted_size, icc=question.icc)
        for make, given, usual in kinds
        for value in (given if named else usual)
    ]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a pilot shows about a task: the spread of single answers, and `unstable`, None if each arm answered once."""

    name: str
    spread: Spread
    unstable: float | None = None


def pilot_spreads(candidate: Path, reference: Path, judged: Path | None) -> list[Seen]:
    """The spreads that a pilot shows: one per task of the two runs, and one of the judge's verdicts."""
    from lm_eval_fr.judge.verdicts.outcome import clusters_of_pairs, read_verdicts
    from lm_eval_fr.logs import find_run
    from lm_eval_fr.pairing import pair_runs
    from lm_eval_fr.stats import judge_pilot_spread

    pairing = pair_runs(find_run(candidate), find_run(reference))
    found = [_pilot(task) for task in pairing.tasks if task.scored]
    if judged is not None:
        decided = [verdict for verdict in read_verdicts(judged) if verdict.score is not None]
        if not decided:
            raise InputError("no decided verdict", where=judged, remedy="judge the pilot first")
        spread = judge_pilot_spread([verdict.score or 0 for verdict in decided], clusters=clusters_of_pairs(decided))
        found.append(Seen("judge", spread))
    if not found:
        raise InputError("the pilot has no scored task", where=candidate, remedy="--judge DIR adds its verdicts")
    return found


def answer(question: PowerQuestion, pilot: Sequence[Seen] = ()) -> str:
    """The tables as text. pilot: what a pilot shows; if empty, the question's spreads, or the usual ones."""
    from lm_eval_fr.stats import documents_for_margin, margin_for_documents

    seen = pilot or [Seen(_WORDS[spread.kind], spread) for spread in spreads_of(question)]
    names = [f"{one.name}{': ' if pilot else ', '}{one.spread.label}" for one in seen]
    spreads, assumed = [one.spread for one in seen], question.assumed
    nothing = not (question.margins or question.documents)
    blocks = [_heading(question)]
    if margins := question.margins or ((0.01, 0.02, 0.05, 0.10) if nothing else ()):
        cells = [[_documents(documents_for_margin(m, spread, **assumed)) for m in margins] for spread in spreads]
        header = [points(m) for m in margins]
        blocks.append(_table(NEEDED, header, names, cells))
    if counts := question.documents or ((50, 150, 500, 1000, 2000) if nothing else ()):
        cells = [[_margin(margin_for_documents(n, spread, **assumed)) for n in counts] for spread in spreads]
        header = [f"{n:,}" for n in counts]
        blocks.append(_table("margin (points) that N documents establish, N =", header, names, cells))
    if question.repeats > 1:
        blocks += [_repeats(question, margin, seen, names) for margin in question.margins or (0.02,)]
    blocks.append(
        "In brackets: for the verdict's own interval, which also allows for losses too rare to have been seen.\n"
        "Judge margins are points of net win rate; one document is one pair, judged in both orders."
    )
    return "\n\n".join(blocks)


def _repeats(question: PowerQuestion, margin: float, seen: Sequence[Seen], names: Sequence[str]) -> str:
    """More documents or more answers: what several answers per document save, and what they cost."""
    from lm_eval_fr.stats import documents_for_margin, repeated

    counts = sorted({question.repeats, *(k for k in (1, 2, 4, 8, 16) if k < question.repeats)})
    cells, labels = [], []
    for one, name in zip(seen, names, strict=True):
        unstable = next(share for share in (question.unstable, one.unstable, UNSTABLE) if share is not None)
        labels.append(f"{name}, {100 * unstable:.3g} %")
        spreads = [repeated(one.spread, k, unstable) for k in counts]
        needed = [documents_for_margin(margin, spread, **question.assumed).documents_guarded for spread in spreads]
        cells.append(
            ["out of reach" if n is None else f"{n:,} ({2 * k * n:,})" for k, n in zip(counts, needed, strict=True)]
        )
    title = (
        f"documents (answers of both arms) for a margin of {points(margin)}, by the part of a single answer's "
        "variance that is within documents; answers per document ="
    )
    return _table(title, [f"{k}" for k in counts], labels, cells)


_WORDS = {"score": "F1-like score", "exact_match": "exact match", "judge": "judge"}


def _pilot(task: PairedTask) -> Seen:
    """From the first answers only, if there are several: `repeats` asks what the others save."""
    from lm_eval_fr.stats import pilot_spread, variance_components

    metric = task.metrics[0]
    candidate, reference, unstable = task.candidate[metric], task.reference[metric], None
    if task.each is not None:
        unstable = variance_components(task.each[0][metric], task.each[1][metric]).unstable
        candidate, reference = task.each[0][metric][0], task.each[1][metric][0]
    return Seen(task.task, pilot_spread(candidate, reference, clusters=task.clusters), unstable)


def _heading(question: PowerQuestion) -> str:
    alpha = (1 - question.level) / 2
    lines = [
        f"Non-inferiority, one-sided {100 * alpha:g} % (the {100 * question.level:g} % interval), "
        f"power {100 * question.power:g} %, true difference {points(question.difference)}"
    ]
    if question.claims > 1:
        lines.append(f"{question.claims} claims like this one, and the power is that of all of them together")
    if question.guarantee == "worst-case":
        lines.append("Guarantee worst-case: whole articles may be lost unseen")
    if question.cluster_size > 1:
        factor = 1 + ((question.weighted_size or question.cluster_size) - 1) * question.icc
        lines.append(
            f"Clusters of {question.cluster_size:g} documents with an ICC of {question.icc:g}: "
            f"{factor:.2f} times the independent documents"
        )
    return "\n".join(lines)


def _documents(plan: SamplePlan) -> str:
    if plan.documents is None:
        return "out of reach"
    guarded = plan.documents_guarded
    return f"{plan.documents:,}" + (f" ({guarded:,})" if guarded not in (None, plan.documents) else "")


def _margin(plan: SamplePlan) -> str:
    if plan.margin is None:
        return "none"
    first, guarded = f"{100 * plan.margin:.1f}", plan.margin_guarded
    second = None if guarded is None else f"{100 * guarded:.1f}"
    return first + (f" ({second})" if second not in (None, first) else "")


def _table(title: str, header: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    from lm_eval_fr.report.layout import table

    return "\n".join([title, *table(["", *header], [[name, *row] for name, row in zip(names, cells, strict=True)])])
