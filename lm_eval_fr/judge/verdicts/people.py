"""People's labels and the judge's verdicts: how far they agree, and what people would say about all pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import convert, read_jsonl
from lm_eval_fr.judge.asking.worklist import Place
from lm_eval_fr.judge.verdicts.outcome import PairVerdict
from lm_eval_fr.judge.verdicts.panel import Label, agreement, majority, seen_label
from lm_eval_fr.stats.judging import People
from lm_eval_fr.stats.ppi import PeopleNetWin, people_net_win

SCORES = {"win": 1, "tie": 0, "loss": -1}
ONE_LINE = 'one JSON object per line, whose label is "win", "tie" or "loss"'


class HumanLabel(msgspec.Struct, frozen=True):
    """One line of a labels file. `doc_hash` or `doc_id` identifies the document; other keys are ignored."""

    task: str
    label: Label
    doc_hash: str | None = None
    doc_id: int | None = None
    who: str | None = None


def read_labels(path: Path) -> tuple[HumanLabel, ...]:
    """Human labels: {"task", "doc_hash" or "doc_id", "label": "win" | "tie" | "loss", "who"?}, one JSON object a line.

    "win" means that the candidate's answer is better.
    """
    labels = []
    for number, value in read_jsonl(path, remedy=ONE_LINE):
        label = convert(value, HumanLabel, what="a label", where=path, line=number, remedy=ONE_LINE)
        if label.doc_hash is None and label.doc_id is None:
            raise InputError("does not name a document", where=path, line=number, remedy="give doc_hash or doc_id")
        labels.append(label)
    if not labels:
        raise InputError("holds no label", where=path)
    return tuple(labels)


def people(
    verdicts: Iterable[PairVerdict], labels: Sequence[HumanLabel], judge: str = "judge", level: float = 0.95
) -> People:
    """Labels of a pair by several people are settled by majority; a draw is a tie. A label given twice counts once."""
    judged = {(verdict.task, verdict.doc_hash): verdict for verdict in verdicts}
    by_id = {(verdict.task, verdict.doc_id): place for place, verdict in judged.items()}
    distinct = dict.fromkeys((_place(label, by_id), label.who, label.label) for label in labels if label.who)
    cast = [(place, label) for place, _, label in distinct]
    cast += [(_place(label, by_id), label.label) for label in labels if not label.who]
    votes: dict[Place, Counter[Label]] = {}
    for place, label in cast:
        votes.setdefault(place, Counter())[label] += 1
    said: dict[Place, Label | None] = {place: majority(counted) or "tie" for place, counted in votes.items()}
    known = {place: label for place, label in said.items() if place in judged}
    of_judge = {place: seen_label(judged[place].outcome) for place in known}
    agreed = agreement(judge, of_judge, "people", known, level)
    return People(
        **{field.name: getattr(agreed, field.name) for field in fields(agreed)},
        net_win=_net_win(judged, known, level),
        whose=_whose(labels, len(known)),
        labels=len(labels),
        pairs=len(known),
        unknown=len(said) - len(known),
        warnings=_warnings(labels, said, known, len(labels) - len(cast)),
    )


def _place(label: HumanLabel, by_id: dict[tuple[str, int], Place]) -> Place:
    if label.doc_hash is not None:
        return label.task, label.doc_hash
    return by_id.get((label.task, label.doc_id or 0), (label.task, f"doc_id {label.doc_id}"))


def _net_win(judged: dict[Place, PairVerdict], known: dict[Place, Label | None], level: float) -> PeopleNetWin:
    """Over the pairs that the judge decided: on the others there is nothing to correct."""
    decided = {place: verdict for place, verdict in judged.items() if verdict.score is not None}
    both = [place for place in decided if place in known]
    rest = [place for place in decided if place not in known]
    return people_net_win(
        [SCORES[label] for place in both if (label := known[place]) is not None],
        [decided[place].score or 0 for place in both],
        [decided[place].score or 0 for place in rest],
        clusters=[decided[place].cluster or "/".join(place) for place in (*both, *rest)] or None,
        level=level,
    )


def _whose(labels: Sequence[HumanLabel], pairs: int) -> str:
    names = {label.who for label in labels if label.who}
    who = f"the {len(names)} people" if len(names) > 1 else "the one person" if names else "the people"
    return f"{who} who labelled {pairs:,} pairs, taken to be a random part of all"


def _warnings(
    labels: Sequence[HumanLabel], said: dict[Place, Label | None], known: dict[Place, Label | None], twice: int
) -> tuple[str, ...]:
    found = []
    if unknown := [place for place in said if place not in known]:
        task, document = unknown[0]
        found.append(
            f"{len(unknown):,} of {len(said):,} labelled documents are not among the judged pairs, the first is "
            f"{document[:24]} of {task}: their labels are left out"
        )
    if twice:
        found.append(f"{twice:,} labels by the same person on the same pair are repeated: they count once")
    return tuple(found)
