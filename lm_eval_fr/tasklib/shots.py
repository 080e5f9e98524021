"""Solved examples for base models: each document carries two others of its data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.documents import rank

if TYPE_CHECKING:
    import datasets

SHOTS = 2


def with_shots(
    dataset: datasets.Dataset,
    examples: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    groups: Sequence[str],
    seed: int,
) -> datasets.Dataset:
    """The documents with a column `shots`: two of `examples`, drawn with a seed from groups other than their own.

    groups: the article of each document, or its id if there are no articles. Not its label: examples that avoid the
    right label would give it away. Raises InputError if there are fewer than three groups.
    """
    if len(set(groups)) <= SHOTS:
        remedy = "give more documents, or run the task without examples"
        raise InputError(f"{SHOTS} examples from other articles need {SHOTS + 1} articles", remedy=remedy)
    drawn = [_draw(place, keys, groups, seed) for place in range(len(keys))]
    return dataset.add_column("shots", [[dict(examples[other]) for other in others] for others in drawn])


def _draw(place: int, keys: Sequence[str], groups: Sequence[str], seed: int) -> list[int]:
    found: list[int] = []
    taken, draw = {groups[place]}, 0
    while len(found) < SHOTS:
        other = rank(seed, f"shot {draw} of {keys[place]}") % len(keys)
        draw += 1
        if groups[other] not in taken:
            taken.add(groups[other])
            found.append(other)
    return found
