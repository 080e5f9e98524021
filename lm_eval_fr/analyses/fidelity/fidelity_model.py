"""What `lm-eval-fr fidelity` found, typed. Field names are the keys of its JSON.

Divergences are in nats a token, shares are fractions, log ratios are natural logarithms; nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
