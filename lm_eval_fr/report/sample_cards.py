"""The pairs that a report shows: what is known about each, and how an HTML file embeds them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PLAIN_LIMIT = 200_000
"""Up to this many bytes the pairs are embedded as readable JSON; above, deflated."""

LEVEL = 6  # of zlib: 9 takes twice as long for one part in three hundred

FLAGS: Mapping[str, tuple[str, str]] = {
    "lost": ("score dropped", "right in the reference, wrong in the candidate; a graded metric fell by more than 0.5"),
    "gained": ("score rose", "wrong in the reference, right in the candidate; a graded metric rose by more than 0.5"),
    "loss": ("judge preferred the reference", "in both orders"),
    "win": ("judge preferred the candidate", "in both orders"),
    "tie": ("judge: tie", "a tie in both orders, or in the only order asked"),
    "flip": ("judge: order-decided", "the first answer, or the second, was preferred in both orders: counted as a tie"),
    "split": ("judge: tie in one order", "a preference in the other order: counted as a tie"),
    "invalid": ("judge: no verdict", "a reply had no verdict: counted separately, never as a tie"),
    "refused": ("judge refused", "the judge would not answer: counted separately, never as a tie"),
    "unjudged": ("not judged", "a reply of the judge was never obtained: counted separately, never as a tie"),
    "identical": ("identical answers", "both answers are the same, byte for byte"),
    "different": ("answers differ", "in as little as one letter"),
    "empty": ("empty answer", "an answer is empty"),
    "truncated": ("cut off", "an answer looks cut off"),
    "failed": ("never obtained", "an answer was never obtained: it scores 0"),
}
"""A pair's flag: its name for people, and what it means. The page finds `different` itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One pair with its texts. `position` is its place in the plan's order within the task."""

    task: str
    position: int
    doc_id: int
    doc_hash: str
    prompt: str
    gold: str
    candidate: str
    reference: str
    difference: float | None = None
    cluster: str | None = None
    strata: tuple[str, ...] = ()
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    verdicts: Mapping[str, str | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packed:
    """Pairs as text that is safe inside a <script> element: without `<`, `>` or `&`."""

    encoding: Literal["json", "deflate"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The embedded part of `total` pairs; `note` says what was left out and `beside` names the file that has it.

    packed: the cards as embedded, if already known.
    """

    cards: tuple[Card, ...]
    total: int
    note: str | None = None
    beside: str | None = None
    packed: Packed | None = None


def pack(cards: Sequence[Card], *, plain_limit: int = PLAIN_LIMIT) -> Packed:
    content = payload(cards)
    plain = json.dumps(content, separators=(",", ":"), allow_nan=False)
    if len(plain) <= plain_limit:
        return Packed("json", plain.translate(_INERT))
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Packed("deflate", base64.b64encode(zlib.compress(raw.encode("utf-8", "replace"), LEVEL)).decode())


_INERT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def payload(cards: Sequence[Card]) -> dict[str, Any]:
    """What the page's script reads. Neighbours share texts, which compresses well; `o` restores the plan's order."""
    tasks = list(dict.fromkeys(card.task for card in cards))
    ordered = sorted(cards, key=lambda card: (tasks.index(card.task), card.cluster or "", card.position))
    prompts: dict[str, int] = {}
    parts: dict[str, int] = {}
    rows = [_row(card, tasks, prompts, parts) for card in ordered]
    return {"tasks": tasks, "prompts": list(prompts), "parts": list(parts), "cards": rows}


def _row(card: Card, tasks: list[str], prompts: dict[str, int], parts: dict[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "t": tasks.index(card.task),
        "o": card.position,
        "i": card.doc_id,
        "h": card.doc_hash[:12],
        "p": prompts.setdefault(card.prompt, len(prompts)),
        "r": card.reference,
        "d": card.difference,
    }
    if card.candidate != card.reference:
        row["c"] = card.candidate
    optional = {
        "g": card.gold,
        "k": card.cluster,
        "a": [parts.setdefault(name, len(parts)) for name in card.strata],
        "s": dict(card.scores),
        "f": list(card.flags),
        "v": dict(card.verdicts),
        "w": dict(card.reasons),
    }
    return row | {key: item for key, item in optional.items() if item}


def fit(cards: Iterable[Card], budget: int) -> tuple[list[Card], Packed]:
    """As many of the first cards, in the order given, as make at most `budget` bytes when packed; at least one."""
    kept = _about(cards, budget)
    packed = pack(kept)
    while len(packed.text) > budget and len(kept) > 1:
        kept = kept[: max(1, min(len(kept) - 1, int(len(kept) * budget / len(packed.text) * 0.99)))]
        packed = pack(kept)
    return kept, packed


def _about(cards: Iterable[Card], budget: int) -> list[Card]:
    """A few more cards than fit, by a quick compression that does worse than the real one."""
    squeeze = zlib.compressobj(1)
    kept: list[Card] = []
    used = 0
    for card in cards:
        kept.append(card)
        row = json.dumps(_row(card, [card.task], {}, {}) | {"p": card.prompt}, ensure_ascii=False)
        used += len(squeeze.compress(row.encode("utf-8", "replace")))
        if used * 4 // 3 > budget * 1.3:
            break
    return kept
