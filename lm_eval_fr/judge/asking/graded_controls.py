"""Graded controls: the study's own reference answers, each with a twin that has one planted fault."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from lm_eval_fr.judge.asking.planted_faults import IN_TURN, Kind, Length, plant
from lm_eval_fr.judge.asking.worklist import GRADED_TASK, Item, Work

MOST_READ = 20  # documents per requested control: otherwise answers without a sentence would all be read


@dataclass(frozen=True)
class GradedControls:
    """`items`: the good answer is in the candidate's place. `shortage`: why there are fewer than requested."""

    items: tuple[Item, ...] = ()
    wanted: int = 0
    shortage: str | None = None


def graded_controls(work: Work, wanted: int, seed: int) -> GradedControls:
    """At most `wanted` controls, one per document, and one per article while there are enough articles.

    Half of the damaged twins are longer than the good answer, half shorter. The same seed, documents and reference
    answers give the same controls, whatever the candidate's answers.
    """
    found: dict[Length, list[Item]] = {"longer": [], "shorter": []}
    quota: dict[Length, int] = {"longer": (wanted + 1) // 2, "shorter": wanted // 2}
    made: Counter[tuple[Length, Kind]] = Counter()
    stranger = ""
    for number, item in enumerate(_spread(work, seed)):
        left = [length for length in found if len(found[length]) < quota[length]]
        if not left or number >= MOST_READ * wanted:
            break
        left.sort(key=lambda length: len(found[length]))
        if (control := _control(item, left, made, stranger, seed)) is not None:
            length, kind, twin = control
            made[length, kind] += 1
            found[length].append(
                replace(
                    item,
                    task=GRADED_TASK,
                    doc_hash=f"{kind}/{item.doc_hash}",
                    cluster=item.cluster or item.doc_hash,
                    candidate=item.reference,
                    reference=twin,
                )
            )
        stranger = item.reference
    least = min(len(items) for items in found.values())
    # One more of either kind is not an imbalance that a judge could exploit by length; all of one kind would be.
    items = [item for of_length in found.values() for item in of_length[: least + 1]] if least else []
    few = f"{len(items)} of {wanted} graded controls can be made: too few documents, or too little in their answers"
    return GradedControls(tuple(items), wanted, few if len(items) < wanted else None)


def _control(
    item: Item, lengths: list[Length], made: Counter[tuple[Length, Kind]], stranger: str, seed: int
) -> tuple[Length, Kind, str] | None:
    """The most wanted fault among those that fit the answer."""
    random = Random(_rank(seed, item.task, item.doc_hash))
    source = f"{item.task_system or ''}\n{item.task_text}"
    for length in lengths:
        kinds = IN_TURN[length]
        for kind in sorted(dict.fromkeys(kinds), key=lambda kind: made[length, kind] / kinds.count(kind)):
            twin = plant(kind, length, item.reference, source, stranger, random)
            if twin is not None:
                return length, kind, twin
    return None


def _spread(work: Work, seed: int) -> Iterator[Item]:
    """The documents in a seeded order in which every article comes once before any comes twice."""
    rounds: Counter[str] = Counter()
    order = []
    ranked = ((_rank(seed, *place), article, where) for place, article, where in work.articles())
    for rank, article, where in sorted(ranked):
        order.append((rounds[article], rank, where))
        rounds[article] += 1
    for _, _, where in sorted(order):
        yield work.item(*where)


def _rank(seed: int, task: str, doc_hash: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{task}\n{doc_hash}".encode()).digest()[:8], "big")
