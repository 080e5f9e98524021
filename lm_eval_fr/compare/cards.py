"""The pairs that the HTML report shows: all of them, or what matters most and a fair sample of the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from lm_eval_fr.compare.main import read_judged
from lm_eval_fr.judge.outcome import PairVerdict
from lm_eval_fr.pairing import Pair, PairedTask, Pairing, task_as_asked
from lm_eval_fr.report import html
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.samples import Card, Samples, fit
from lm_eval_fr.stats.differences import LARGE

FILE_LIMIT = 5_000_000
"""Bytes that the HTML file stays under."""

_SLACK = 2_000  # the note, the file's name, longer counts


@dataclass(frozen=True)
class Ranked:
    """A task's pairs as numbers: what each is worth showing for, before any text is read."""

    task: PairedTask
    difference: np.ndarray  # candidate - reference, better being more; NaN where nothing is known
    urgent: np.ndarray  # lost, gained, lost before the judge, flipped
    verdicts: Mapping[int, PairVerdict]


def write_html(
    report: Report, pairing: Pairing, path: Path, *, judge_dir: Path | None = None, seed: int = 1234
) -> Samples:
    """The HTML report with its pairs; what does not fit is written beside it as `<name>.samples.jsonl`."""
    bare = len(html.render(report, Samples(cards=(), total=0)).encode())
    beside = path.with_suffix(".samples.jsonl")
    samples = collect(pairing, judge_dir=judge_dir, budget=FILE_LIMIT - bare - _SLACK, beside=beside, seed=seed)
    html.write(html.render(report, samples), path)
    return samples


def collect(pairing: Pairing, *, judge_dir: Path | None, budget: int, beside: Path, seed: int) -> Samples:
    """The cards that fit `budget` bytes; the others go to the file `beside`, one line a pair.

    Lost, gained, flipped and those that the judge preferred the reference for come first, largest difference first;
    then the rest in a random order that the seed fixes.
    """
    ranked = rank(pairing, judge_dir)
    order = _order(ranked, seed)
    total = len(order)
    cards, packed = fit((card_of(ranked[t], i) for t, i in order), budget)
    found = Samples(cards=_in_plan_order(cards, ranked), total=total, packed=packed)
    if len(cards) == total:
        beside.unlink(missing_ok=True)
        return found
    _write_rest(beside, ranked, set(order[: len(cards)]))
    urgent = sum(int(r.urgent.sum()) for r in ranked)
    return replace(found, note=_note(len(cards), urgent), beside=beside.name)


def rank(pairing: Pairing, judge_dir: Path | None) -> list[Ranked]:
    verdicts: dict[str, dict[str, PairVerdict]] = {}
    if judge_dir is not None:
        for verdict in read_judged(judge_dir, pairing).verdicts:
            verdicts.setdefault(verdict.task, {})[verdict.doc_hash] = verdict
    return [_rank(task, verdicts.get(task.task, {})) for task in pairing.tasks]


def _rank(task: PairedTask, verdicts: Mapping[str, PairVerdict]) -> Ranked:
    if task.judged:
        found = {i: verdicts[doc_hash] for i, doc_hash in enumerate(task.doc_hashes) if doc_hash in verdicts}
        difference = np.full(task.n, np.nan)
        urgent = np.zeros(task.n, dtype=bool)
        for i, verdict in found.items():
            difference[i] = np.nan if verdict.score is None else verdict.score
            urgent[i] = verdict.outcome in ("loss", "flip")
        return Ranked(task, difference, urgent, found)
    metric = task.metrics[0]
    sign = 1.0 if task.higher_is_better[metric] else -1.0
    difference = sign * (task.candidate[metric] - task.reference[metric])
    return Ranked(task, difference, np.abs(difference) > LARGE, {})


def _order(ranked: Sequence[Ranked], seed: int) -> list[tuple[int, int]]:
    """(task, document) of every pair, the most telling first."""
    tasks = np.concatenate([np.full(r.task.n, t) for t, r in enumerate(ranked)] or [np.empty(0, dtype=int)])
    documents = np.concatenate([np.arange(r.task.n) for r in ranked] or [np.empty(0, dtype=int)])
    urgent = np.concatenate([r.urgent for r in ranked] or [np.empty(0, dtype=bool)])
    size = np.concatenate([np.nan_to_num(np.abs(r.difference)) for r in ranked] or [np.empty(0)])
    chance = np.random.default_rng(seed).random(len(tasks))
    order = np.lexsort((chance, np.where(urgent, -size, 0.0), ~urgent))
    return list(zip(tasks[order].tolist(), documents[order].tolist(), strict=True))


def card_of(ranked: Ranked, i: int) -> Card:
    """Document i of the task with its texts, read from both arms' files."""
    task, verdict = ranked.task, ranked.verdicts.get(i)
    pair = task.pair(i)
    difference = float(ranked.difference[i])
    system, user = task_as_asked(pair.reference)
    return Card(
        task=task.task,
        position=i,
        doc_id=pair.doc_id,
        doc_hash=pair.doc_hash,
        cluster=pair.cluster,
        prompt=f"{system}\n\n{user}" if system else user,
        gold="" if task.judged else pair.reference.target,
        candidate=pair.candidate.answer,
        reference=pair.reference.answer,
        difference=None if np.isnan(difference) else difference,
        scores={name: (float(task.candidate[name][i]), float(task.reference[name][i])) for name in task.metrics},
        flags=tuple(_flags(ranked, i, pair)),
        verdicts={"candidate_first": verdict.candidate_first, "reference_first": verdict.reference_first}
        if verdict and verdict.outcome != "identical"
        else {},
        reasons=dict(verdict.reasons) if verdict else {},
    )


def _flags(ranked: Ranked, i: int, pair: Pair) -> Iterator[str]:
    task, verdict = ranked.task, ranked.verdicts.get(i)
    if not task.judged and ranked.urgent[i]:
        yield "lost" if ranked.difference[i] < 0 else "gained"
    if verdict is not None:
        yield verdict.outcome
    elif pair.candidate.answer == pair.reference.answer:
        yield "identical"
    if any(not sample.answer.strip() for sample in (pair.candidate, pair.reference)):
        yield "empty"
    if any(flags[i] for flags in task.truncated):
        yield "truncated"
    if any(flags[i] for flags in task.failed):
        yield "failed"


def _in_plan_order(cards: Sequence[Card], ranked: Sequence[Ranked]) -> tuple[Card, ...]:
    place = {r.task.task: t for t, r in enumerate(ranked)}
    return tuple(sorted(cards, key=lambda card: (place[card.task], card.position)))


def _note(shown: int, urgent: int) -> str:
    if shown >= urgent:
        return (
            f"All {urgent:,} that were lost, gained, flipped or lost before the judge are here; of the rest a random "
            "sample, fixed by the seed."
        )
    return (
        f"Of the {urgent:,} that were lost, gained, flipped or lost before the judge these are the ones with the "
        "largest difference; there is no room for the others."
    )


def _write_rest(path: Path, ranked: Sequence[Ranked], shown: set[tuple[int, int]]) -> None:
    """Every pair that is not shown, in the plan's order; whole or not at all."""
    encode = msgspec.json.Encoder().encode
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb", buffering=1 << 20) as out:
        for t, r in enumerate(ranked):
            for i in range(r.task.n):
                if (t, i) not in shown:
                    out.write(encode(card_of(r, i)) + b"\n")
    draft.replace(path)
