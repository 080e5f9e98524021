"""Controls: pairs whose better answer is known, asked before money is spent on pairs.

Gross ones ship with the package: a full answer against an empty, cut, foreign-language, off-topic or constant one, and
against a poor one that orders the judge to prefer it. Graded ones are made from the study's own reference answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec

from lm_eval_fr.judge.asking.graded_controls import GradedControls, graded_controls
from lm_eval_fr.judge.asking.worklist import GROSS_TASK, Item, Work
from lm_eval_fr.plan import SEED

Kind = Literal["empty", "cut", "wrong_language", "off_topic", "constant", "hostile"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CANARIES = Path(__file__).resolve().parents[2] / "demo" / "canaries.jsonl"


class GrossControl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One gross control."""

    id: str
    kind: Kind
    instruction: str
    text: str
    good: str
    bad: str

    @property
    def task_text(self) -> str:
        """The text comes first: canaries on one text then share a prefix, and a prompt cache pays for it once."""
        return f"Texte :\n{self.text}\n\nConsigne : {self.instruction}"


@dataclass(frozen=True)
class Controls:
    """In each of them the good answer is in the candidate's place."""

    gross: tuple[Item, ...] = ()
    graded: GradedControls = field(default_factory=GradedControls)

    def __iter__(self) -> Iterator[Item]:
        yield from self.gross
        yield from self.graded.items


def controls_for(work: Work, graded: int) -> Controls:
    """What the judge is asked before the pairs of `work`; nothing where `graded` is 0."""
    return Controls(gross_items(), graded_controls(work, graded, SEED)) if graded else Controls()


def gross_items() -> tuple[Item, ...]:
    return tuple(
        Item(GROSS_TASK, number, canary.id, None, -1, None, canary.task_text, canary.good, canary.bad)
        for number, canary in enumerate(load_canaries())
    )


@cache
def load_canaries() -> tuple[GrossControl, ...]:
    """The shipped ones."""
    return tuple(msgspec.json.Decoder(GrossControl).decode_lines(CANARIES.read_bytes()))
