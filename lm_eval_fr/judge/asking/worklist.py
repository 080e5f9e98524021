"""What to judge, one pair at a time: the texts of a hundred thousand pairs are never in memory together."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from lm_eval_fr.errors import InputError
from lm_eval_fr.judge.asking.prompt import cache_key, renderer, request_body
from lm_eval_fr.judge.asking.protocol import ORDERS, Order, Profile, Question, Rubric, make_fences
from lm_eval_fr.judge.verdicts.journal import call_key

if TYPE_CHECKING:
    from lm_eval_fr.judge.options import JudgeOptions
    from lm_eval_fr.pairing import Pair, PairedTask, Pairing


Place = tuple[str, str]
"""Task and document, by its hash."""
GROSS_TASK, GRADED_TASK = "canary", "control"
"""The task names of controls; the doc_hash is the canary's id, or begins with the kind of fault that was planted."""


@dataclass(frozen=True, slots=True)
class Item:
    """One pair with its texts. `unit`: the number of its cluster (or document) in the order of looking."""

    task: str
    doc_id: int
    doc_hash: str
    cluster: str | None
    unit: int
    task_system: str | None
    task_text: str
    candidate: str
    reference: str

    @property
    def identical(self) -> bool:
        return self.candidate == self.reference

    @property
    def control(self) -> bool:
        """Whether the better answer, in the candidate's place, is known."""
        return self.task in (GROSS_TASK, GRADED_TASK)

    @property
    def gross(self) -> bool:
        """Whether it is a gross control: both its orders are always asked."""
        return self.task == GROSS_TASK

    @property
    def place(self) -> Place:
        return self.task, self.doc_hash


@dataclass(frozen=True)
class PlannedItems:
    """Pairs without a run: their texts are given, or stand in for answers still to come."""

    items: Sequence[Item]
    tasks: ClassVar[tuple[PairedTask, ...]] = ()
    unit_sizes: ClassVar[tuple[int, ...]] = ()

    @property
    def n(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def articles(self) -> Iterator[tuple[Place, str, tuple[int, int]]]:
        return ((item.place, item.cluster or item.doc_hash, (0, i)) for i, item in enumerate(self.items))

    def item(self, task: int, document: int) -> Item:
        return self.items[document]


@dataclass(frozen=True)
class Worklist:
    """The judged pairs of a pairing, in a fixed order. Every iteration rereads the texts."""

    tasks: tuple[PairedTask, ...]
    order: tuple[tuple[int, int, int], ...] | None  # (task, document, unit); None: as the tasks have them
    unit_sizes: tuple[int, ...]  # in the order of looking; empty where no decision is looked at

    @property
    def n(self) -> int:
        return sum(task.n for task in self.tasks)

    def item(self, task: int, document: int) -> Item:
        return _item(self.tasks[task].pair(document), -1)

    def articles(self) -> Iterator[tuple[Place, str, tuple[int, int]]]:
        """Each document's position, its article, and the index of its texts for `item`."""
        for number, task in enumerate(self.tasks):
            for document, doc_hash in enumerate(task.doc_hashes):
                article = doc_hash if task.clusters is None else task.cluster_names[task.clusters[document]]
                yield (task.task, doc_hash), article, (number, document)

    def __iter__(self) -> Iterator[Item]:
        if self.order is None:
            for task in self.tasks:
                for pair in task.pairs():
                    yield _item(pair, -1)
            return
        for number, document, unit in self.order:
            yield _item(self.tasks[number].pair(document), unit)


Work = Worklist | PlannedItems


def worklist(pairing: Pairing, *, by_unit: bool = False) -> Worklist:
    """The judged tasks' pairs. With `by_unit`, one cluster after the other, so that the judge can stop early.

    Clusters come in the order in which the plan's shuffled documents first name them; several tasks take turns, each at
    its share. Raises InputError when there is nothing to judge.
    """
    tasks = tuple(task for task in pairing.tasks if task.judged)
    if not any(task.n for task in tasks):
        names = ", ".join(task.task for task in pairing.tasks) or "none"
        raise InputError(
            f"no judged task in both runs (tasks found: {names})",
            where=f"{pairing.candidate.path} and {pairing.reference.path}",
            remedy="run analysis_fr or own_analysis_fr on both arms; the other tasks need no judge",
        )
    if not by_unit:
        return Worklist(tasks, None, ())
    turns = [
        ((rank + 0.5) / len(units), number, documents)
        for number, units in enumerate(_units(task) for task in tasks)
        for rank, documents in enumerate(units)
    ]
    turns.sort(key=lambda turn: turn[:2])
    order = [(number, doc, unit) for unit, (_, number, documents) in enumerate(turns) for doc in documents]
    return Worklist(tasks, tuple(order), tuple(len(documents) for _, _, documents in turns))


def _units(task: PairedTask) -> list[list[int]]:
    if task.clusters is None:
        return [[document] for document in range(task.n)]
    units: dict[int, list[int]] = {}
    for document, code in enumerate(task.clusters.tolist()):
        units.setdefault(code, []).append(document)
    return list(units.values())


def _item(pair: Pair, unit: int) -> Item:
    from lm_eval_fr.pairing import task_as_asked

    system, text = task_as_asked(pair.reference)
    return Item(
        task=pair.task,
        doc_id=pair.reference.doc_id,
        doc_hash=pair.reference.doc_hash,
        cluster=pair.cluster,
        unit=unit,
        task_system=system,
        task_text=text,
        candidate=pair.candidate.answer,
        reference=pair.reference.answer,
    )


class Questioner:
    """Writes the two questions of a pair for one judge and one rubric."""

    def __init__(self, profile: Profile, rubric: Rubric, salt: bytes) -> None:
        self.profile = profile
        self._salt = salt
        self._render = renderer(profile, rubric)

    def question(self, item: Item, order: Order) -> Question:
        answers = (item.candidate, item.reference)
        shown = answers if order == "candidate_first" else answers[::-1]
        fences = make_fences(self._salt, item.task_system, item.task_text, *shown)
        messages = self._render(item.task_system, item.task_text, *answers, order, fences)
        body = request_body(self.profile, messages)
        key = call_key(self.profile.dialect, body)
        if self.profile.cache_key:
            body["prompt_cache_key"] = cache_key(messages)
        return Question(key, body)

    def both(self, item: Item) -> dict[Order, Question]:
        """In the order of asking. A document's pair and its control begin with the reference's answer as A, and so pay
        for it once; the order of the two does not change the outcome."""
        orders = ORDERS if item.control else reversed(ORDERS)
        return {order: self.question(item, order) for order in orders}

    def again(self, item: Item, repeats: int) -> Iterator[Question]:
        """The questions of a pair again, until each has been asked `repeats` times in total."""
        for order in ORDERS:
            question = self.question(item, order)
            yield from (replace(question, repeat=number) for number in range(1, repeats))


def sample_of(work: Work, options: JudgeOptions, salt: bytes) -> frozenset[Place]:
    """The pairs that are asked `repeats` times, to measure the judge's noise; always the same ones."""

    def mark(place: Place) -> bytes:
        return hashlib.sha256(salt + place[0].encode() + place[1].encode()).digest()

    if options.repeats < 2:
        return frozenset()
    return frozenset(heapq.nsmallest(options.repeat_sample, (place for place, _, _ in work.articles()), key=mark))
