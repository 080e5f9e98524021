"""Where the arms differ: by place in the text, by how sure the reference is, and at which token first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lm_eval_fr.analyses.fidelity.fidelity_model import Band, FirstDivergence
from lm_eval_fr.analyses.fidelity.fidelity_summary import Compared, at_least, clusters_of, joined, mean_of
from lm_eval_fr.analyses.fidelity.scored import Keys

DECILES = 10
ENTROPY_BANDS = 5
REACHED = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def by_position(texts: Sequence[Compared], *, level: float) -> tuple[Band, ...]:
    """By tenths of the text that is compared; a token that was left out keeps its place."""
    place = np.concatenate([one.places / len(one.tokens) for one in texts])
    codes = np.minimum((place * DECILES + 1e-9).astype(np.int64), DECILES - 1)
    return _bands(texts, codes, [(i / DECILES, (i + 1) / DECILES) for i in range(DECILES)], level)


def by_entropy(texts: Sequence[Compared], *, level: float) -> tuple[Band, ...]:
    """By fifths of the tokens, in the order of the reference's entropy (nats); equal ones stay together."""
    entropy = joined(texts, "entropy")
    edges = np.quantile(entropy, np.arange(1, ENTROPY_BANDS) / ENTROPY_BANDS)
    codes = np.searchsorted(edges, entropy, side="left")
    ends = [
        (float(entropy[codes == code].min()), float(entropy[codes == code].max())) if (codes == code).any() else (0, 0)
        for code in range(ENTROPY_BANDS)
    ]
    return _bands(texts, codes, ends, level)


def _bands(
    texts: Sequence[Compared], codes: Keys, ends: Sequence[tuple[float, float]], level: float
) -> tuple[Band, ...]:
    """Those that hold a token."""
    clusters = clusters_of(texts)
    divergence, reverse, agree = (joined(texts, name) for name in ("divergence", "reverse", "agree"))
    return tuple(
        Band(
            low=low,
            high=high,
            tokens=int(inside.sum()),
            divergence=mean_of(divergence[inside], clusters[inside], level),
            reverse=mean_of(reverse[inside], clusters[inside], level),
            agreement=float(agree[inside].mean()),
            agreement_at_least=at_least(agree[inside], clusters[inside], level),
        )
        for code, (low, high) in enumerate(ends)
        if (inside := codes == code).any()
    )


def first_divergence(texts: Sequence[Compared], *, answers: bool) -> FirstDivergence:
    """answers: the texts are a run's own. Quantiles by Kaplan and Meier (1958, JASA 53:457-481): a text in which the
    first choices never part says only that they do not part before its end.
    """
    firsts = [one.first_divergence for one in texts]
    seen = np.array([first if first is not None else len(one.tokens) for first, one in zip(firsts, texts, strict=True)])
    parted = np.array([first is not None for first in firsts])
    return FirstDivergence(
        basis="answers" if answers else "first_choices",
        documents=len(texts),
        diverged=int(parted.sum()),
        tokens=_reached(seen, parted),
    )


def _reached(seen: Keys, parted: np.ndarray) -> dict[str, int | None]:
    """By which token a share of the texts has parted; None where that many were not seen to."""
    found: dict[str, int | None] = dict.fromkeys(REACHED)
    together = 1.0
    for token in np.unique(seen[parted]).tolist():
        together *= 1 - float((parted & (seen == token)).sum()) / float((seen >= token).sum())
        for name, share in REACHED.items():
            if found[name] is None and (1 - together >= share or math.isclose(1 - together, share)):
                found[name] = token
    return found
