"""What `lm-eval-fr fidelity` found, typed. Field names are the keys of its JSON.

Divergences are in nats per token, shares are fractions, log ratios are natural logarithms; nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMean:
    """A mean over tokens with its interval, clustered by document; bounds are None where `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """One arm against the reference, over the same tokens.

    divergence: KL(reference || arm), reverse: KL(arm || reference), both lower bounds. percentiles: of single tokens,
    by name. agreement_at_least: the one-sided lower bound of `agreement`, which needs no upper bound. covered: the
    share of the reference's probability that the tokens listed by both hold, on average and in the worst hundredth
    of tokens. log_ratio: of perplexities, ln(arm / reference).
    """

    tokens: int
    documents: int
    clusters: int
    divergence: TokenMean
    percentiles: dict[str, float]
    agreement: TokenMean
    log_ratio: TokenMean
    perplexity: float
    reference_perplexity: float
    covered: float
    covered_low: float
    reverse: TokenMean | None = None
    agreement_at_least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The tokens between two limits: shares of the text, or the reference's entropy in nats."""

    low: float
    high: float
    tokens: int
    divergence: TokenMean
    reverse: TokenMean
    agreement: float
    agreement_at_least: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstDivergence:
    """The first token of a text at which the arms' most likely tokens differ.

    basis: "answers" where the texts are a run's answers; a greedy run would have continued differently there. tokens:
    the token by which a tenth, half and nine tenths of the texts have diverged; None if fewer did.
    """

    basis: Literal["answers", "first_choices"]
    documents: int
    diverged: int
    tokens: dict[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Tokens to which an arm gave no log-probability: left out of every mean.

    no_probability: -9999 or less, what a server writes for the logarithm of 0. not_a_number: NaN, null, infinite, or
    above 0.
    """

    no_probability: int
    not_a_number: int


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
    first_divergence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityArm:
    url: str
    model: str
    dialect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """floor: the reference against itself, asked twice; excess: the candidate's divergence beyond it.
    by_position: tenths of the text; by_entropy: fifths of the tokens. unscored: by arm; unscored_tokens: in one arm or
    more.
    """

    schema_version: int = SCHEMA_VERSION
    candidate: FidelityArm
    reference: FidelityArm
    texts: str
    top: int
    level: float
    distance: Distance
    floor: Distance | None
    excess: TokenMean | None
    worst: tuple[Worst, ...]
    documents: tuple[DocumentDistance, ...]
    empty: int
    refused: dict[str, str]
    unaligned: tuple[str, ...]
    compared_by: Literal["id", "text"]
    by_position: tuple[Band, ...] = ()
    by_entropy: tuple[Band, ...] = ()
    first_divergence: FirstDivergence | None = None
    unscored: dict[str, Unscored] = field(default_factory=dict)
    unscored_tokens: int = 0
    notes: tuple[str, ...] = ()
    command: str | None = None
    created: str | None = None
