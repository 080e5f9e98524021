"""What `lm-eval-fr fidelity` found, and how people read it. Field names are the keys of its JSON.

Divergences are in nats a token, shares are fractions, log ratios are natural logarithms; nothing is rounded.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Literal

from lm_eval_fr.report import words as w

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over tokens with its interval, clustered by document; bounds are None where `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """One arm against the reference, over the same tokens.

    divergence: KL(reference || arm), a lower bound. percentiles: of single tokens, by name. covered: the share of the
    reference's probability that the tokens listed by both hold, in the mean and in the worst hundredth of tokens.
    log_ratio: of perplexities, ln(arm / reference).
    """

    tokens: int
    documents: int
    clusters: int
    divergence: Estimate
    percentiles: dict[str, float]
    agreement: Estimate
    log_ratio: Estimate
    perplexity: float
    reference_perplexity: float
    covered: float
    covered_low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Likely:
    text: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A passage where the arms are far apart: its text, and the token at which they are farthest."""

    document: str
    before: str
    text: str
    divergence: float
    token: str
    token_divergence: float
    candidate: tuple[Likely, ...]
    reference: tuple[Likely, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDistance:
    document: str
    cluster: str
    tokens: int
    divergence: float
    agreement: float
    log_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityArm:
    url: str
    model: str
    dialect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """floor: the reference against itself, asked twice; excess: the candidate's divergence beyond it."""

    schema_version: int = SCHEMA_VERSION
    candidate: FidelityArm
    reference: FidelityArm
    texts: str
    top: int
    level: float
    distance: Distance
    floor: Distance | None
    excess: Estimate | None
    worst: tuple[Worst, ...]
    documents: tuple[DocumentDistance, ...]
    empty: int
    refused: dict[str, str]
    unaligned: tuple[str, ...]
    compared_by: Literal["id", "text"]
    notes: tuple[str, ...] = ()
    command: str | None = None
    created: str | None = None


def nats(value: float | None) -> str:
    """Two or three significant digits."""
    if value is None:
        return w.UNKNOWN
    size = abs(value)
    return f"{value:.3f}" if size >= 0.1 else f"{value:.3g}" if size >= 0.001 else "0" if size == 0 else f"{value:.2g}"


def bounds(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return w.UNKNOWN
    return f"[{nats(estimate.low)}, {nats(estimate.high)}]"


def perplexity_change(ratio: Estimate) -> str:
    """The ratio of perplexities as a percentage with its interval."""
    if ratio.value is None:
        return w.UNKNOWN
    value, low, high = (None if x is None else math.expm1(x) for x in (ratio.value, ratio.low, ratio.high))
    shown = f"{100 * value:+.2f} %" if value is not None else w.UNKNOWN
    return shown if low is None or high is None else f"{shown} [{100 * low:+.2f}, {100 * high:+.2f}]"


def likely(tokens: tuple[Likely, ...]) -> str:
    return ", ".join(f"{w.printable(repr(one.text))} {100 * one.probability:.1f} %" for one in tokens)


def sentence(found: Fidelity) -> str:
    """What it comes to, in words that stand alone."""
    distance, floor = found.distance, found.floor
    at_least = f"at least {nats(distance.divergence.value)} nats a token"
    text = (
        f"The candidate's next-token probabilities are {at_least} from the reference's, and its first choice is the "
        f"reference's at {w.percent(distance.agreement.value, 2)} of {distance.tokens:,} tokens."
    )
    if floor is None or found.excess is None or found.excess.low is None:
        return f"{text} How far the reference is from itself was not measured (--rerun)."
    itself = f"Asked twice, the reference is {nats(floor.divergence.value)} from itself"
    if found.excess.low > 0:
        return f"{text} {itself}: the distance exceeds the noise by {nats(found.excess.value)} {bounds(found.excess)}."
    return f"{text} {itself}: the distance cannot be told from noise."


def truncation(found: Fidelity) -> str:
    d = found.distance
    return (
        f"Servers list the {found.top} most likely tokens of a position. Tokens that both list are compared singly and "
        f"all others as one, so the divergence is a lower bound; both lists share {w.percent(d.covered, 2)} of the "
        f"reference's probability in the mean, {w.percent(d.covered_low, 1)} at the worst hundredth of tokens."
    )


def render(found: Fidelity, *, columns: int = 100) -> str:
    blocks = [_head(found, columns), _numbers(found), _worst(found, columns), _notes(found, columns)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _wrap(text: str, columns: int, indent: str = "  ", first: str | None = None) -> list[str]:
    lead = indent if first is None else first
    return textwrap.wrap(w.printable(text), columns, initial_indent=lead, subsequent_indent=indent)


def _head(found: Fidelity, columns: int) -> list[str]:
    lines = [f"FIDELITY  {w.printable(found.candidate.model)} against {w.printable(found.reference.model)}"]
    lines += _wrap(sentence(found), columns)
    texts = f"{w.plural(found.distance.documents, 'text')} in {w.plural(found.distance.clusters, 'cluster')}"
    return lines + _wrap(f"{texts}, {found.distance.tokens:,} tokens, from {found.texts}", columns)


def _numbers(found: Fidelity) -> list[str]:
    header = ["", "KL mean", w.level_text(found.level), *found.distance.percentiles, "same first"]
    rows = [header, _row("candidate", found.distance)]
    if found.floor is not None:
        rows.append(_row("ref. rerun", found.floor))
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["DISTANCE from the reference, KL in nats a token (a lower bound)"]
    for row in rows:
        cells = [cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    agreement, d = found.distance.agreement, found.distance
    if agreement.low is not None and agreement.high is not None:
        lines.append(
            f"  same first choice: {w.percent(agreement.value, 2)} "
            f"{w.interval(agreement.low, agreement.high, sign=False)}"
        )
    shown = f"{d.perplexity:.4g} against {d.reference_perplexity:.4g}, {perplexity_change(d.log_ratio)}"
    return [*lines, f"  perplexity on this text: {shown}"]


def _row(name: str, distance: Distance) -> list[str]:
    return [
        name,
        nats(distance.divergence.value),
        bounds(distance.divergence),
        *(nats(value) for value in distance.percentiles.values()),
        w.percent(distance.agreement.value, 2),
    ]


def _worst(found: Fidelity, columns: int) -> list[str]:
    lines = ["WORST PASSAGES, by mean divergence"] if found.worst else []
    for number, one in enumerate(found.worst, 1):
        head = f"{number}. {one.document}, {nats(one.divergence)} nats a token: …{one.before}⟦{one.text}⟧"
        lines += _wrap(head, columns, indent="     ", first="  ")
        lines += _wrap(f"at {one.token!r} ({nats(one.token_divergence)} nats)", columns, indent="     ")
        lines += _wrap(f"candidate  {likely(one.candidate)}", columns, indent="       ")
        lines += _wrap(f"reference  {likely(one.reference)}", columns, indent="       ")
    return lines


def _notes(found: Fidelity, columns: int) -> list[str]:
    lines = _wrap(truncation(found), columns)
    for note in found.notes:
        lines += _wrap(note, columns)
    return ["NOTES", *lines]
