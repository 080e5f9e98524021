"""The pairs that the HTML report shows: all, or the most important ones and a fair sample of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from lm_eval_fr.compare.losses import Ranked
from lm_eval_fr.compare.task_scores import DIGITS
from lm_eval_fr.errors import UsageError
from lm_eval_fr.io.files import atomic_file
from lm_eval_fr.logs.samples import OpenFiles
from lm_eval_fr.pairing import Pair, PairedTask, task_as_asked
from lm_eval_fr.report.sample_cards import Card, Samples, fit

REST_LIMIT = 100_000
"""The most pairs that are written beside the report: the runs themselves have them all."""
TELLING = "with a lost or gained score, a loss with the judge or an order-decided verdict"


def samples_of(ranked: Sequence[Ranked], room: int, beside: Path, seed: int) -> Samples:
    """The cards that fit into `room` bytes; the others go to the file `beside`, one line per pair.

    `TELLING` pairs come first, largest difference first; then the rest in a random order fixed by the seed. Raises
    UsageError if the file cannot be written.
    """
    order = _order(ranked, seed)
    total = len(order)
    with OpenFiles() as files:
        cards, packed = fit((card_of(ranked[t], i, files) for t, i in order), room)
    found = Samples(cards=_in_plan_order(cards, ranked), total=total, packed=packed)
    try:
        if len(cards) == total:
            beside.unlink(missing_ok=True)
            return found
        rest = order[len(cards) :][:REST_LIMIT]
        _write_rest(beside, ranked, sorted(rest))
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=beside, remedy="give another path") from None
    note = _note(len(cards), sum(int(r.urgent.sum()) for r in ranked))
    if len(rest) < total - len(cards):
        note += f" The file beside holds {len(rest):,} of the others; the runs' own samples have them all."
    return replace(found, note=note, beside=beside.name)


def _order(ranked: Sequence[Ranked], seed: int) -> list[tuple[int, int]]:
    """(task, document) of every pair, the most telling first."""
    tasks = np.concatenate([np.full(r.task.n, t) for t, r in enumerate(ranked)] or [np.empty(0, dtype=int)])
    documents = np.concatenate([np.arange(r.task.n) for r in ranked] or [np.empty(0, dtype=int)])
    urgent = np.concatenate([r.urgent for r in ranked] or [np.empty(0, dtype=bool)])
    size = np.concatenate([np.nan_to_num(np.abs(r.difference)) for r in ranked] or [np.empty(0)])
    chance = np.random.default_rng(seed).random(len(tasks))
    order = np.lexsort((chance, np.where(urgent, -size, 0.0), ~urgent))
    return list(zip(tasks[order].tolist(), documents[order].tolist(), strict=True))


def card_of(ranked: Ranked, i: int, files: OpenFiles | None = None) -> Card:
    """Document i of the task with its texts, read from both arms' files (files: those that stay open)."""
    task, verdict = ranked.task, ranked.verdicts.get(i)
    pair = task.pair(i, files)
    difference = float(ranked.difference[i])
    system, user = task_as_asked(pair.reference)
    return Card(
        task=task.task,
        position=i,
        doc_id=pair.doc_id,
        doc_hash=pair.doc_hash,
        cluster=pair.cluster,
        strata=tuple(strata.called(strata.codes[i]) for strata in task.strata),
        prompt=f"{system}\n\n{user}" if system else user,
        gold="" if task.judged else pair.reference.right,
        candidate=pair.candidate.shown,
        reference=pair.reference.shown,
        difference=None if np.isnan(difference) else difference,
        scores={name: _scores(task, name, i) for name in task.metrics},
        flags=tuple(_flags(ranked, i, pair)),
        verdicts={"candidate_first": verdict.candidate_first, "reference_first": verdict.reference_first}
        if verdict and verdict.outcome != "identical"
        else {},
        reasons=dict(verdict.reasons) if verdict else {},
    )


def _scores(task: PairedTask, metric: str, i: int) -> tuple[float, float]:
    candidate, reference = float(task.candidate[metric][i]), float(task.reference[metric][i])
    if metric in task.shares:
        share = float(task.shares[metric][i])
        return round(candidate / share, DIGITS), round(reference / share, DIGITS)
    return candidate, reference


def _flags(ranked: Ranked, i: int, pair: Pair) -> Iterator[str]:
    task, verdict = ranked.task, ranked.verdicts.get(i)
    if not task.judged and ranked.urgent[i]:
        yield "lost" if ranked.difference[i] < 0 else "gained"
    if verdict is not None:
        yield verdict.outcome
    elif pair.candidate.shown == pair.reference.shown:
        yield "identical"
    if any(not sample.chosen.strip() for sample in (pair.candidate, pair.reference)):
        yield "empty"
    if any(answers.truncated[i] for answers in task.answers):
        yield "truncated"
    if any(answers.failed[i] for answers in task.answers):
        yield "failed"


def _in_plan_order(cards: Sequence[Card], ranked: Sequence[Ranked]) -> tuple[Card, ...]:
    place = {r.task.task: t for t, r in enumerate(ranked)}
    return tuple(sorted(cards, key=lambda card: (place[card.task], card.position)))


def _note(shown: int, urgent: int) -> str:
    if shown >= urgent:
        return f"All {urgent:,} pairs {TELLING} are shown; the rest are a random sample, fixed by the seed."
    return f"Of the {urgent:,} pairs {TELLING}, those with the largest difference are shown; the others do not fit."


def _write_rest(path: Path, ranked: Sequence[Ranked], places: Sequence[tuple[int, int]]) -> None:
    """Writes the pairs at these places (task, document), one line each; the whole file or none."""
    with atomic_file(path) as out, OpenFiles() as files:
        for t, i in places:
            out.write(msgspec.json.encode(card_of(ranked[t], i, files)) + b"\n")
