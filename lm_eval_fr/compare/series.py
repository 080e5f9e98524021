"""The estimate as documents came in, with the band that is valid at every look."""

from __future__ import annotations

import numpy as np

from lm_eval_fr.report.model import Series
from lm_eval_fr.stats import confidence_sequence
from lm_eval_fr.stats.arrays import cluster_codes

LOOKS = 200
UNITS = 5_000
"""More units than this are taken in blocks of consecutive ones: the band is then by block, and as valid."""


def cumulative(
    differences: np.ndarray, clusters: np.ndarray | None, *, name: str, margin: float | None, level: float
) -> Series | None:
    """At most LOOKS points of the running mean and its band; None where there is no band.

    differences: candidate - reference in [-1, 1], better being more, in the plan's order.
    """
    n = len(differences)
    if n == 0:
        return None
    units = cluster_codes(clusters, n)
    clustered = units is not None
    if units is None:
        units = np.arange(n)
    count = int(units.max()) + 1
    if count > UNITS:
        units //= -(-count // UNITS)
    found = confidence_sequence(differences, clusters=units, level=level)
    if found.reason or not len(found.documents):
        return None
    last = len(found.documents) - 1
    shown = np.unique(np.linspace(0, last, min(LOOKS, last + 1)).round().astype(int))
    return Series(
        name=name,
        unit="clusters" if clustered else "documents",
        at=tuple(int(k) for k in found.documents[shown]),
        estimate=tuple(float(v) for v in found.mean[shown]),
        low=tuple(float(v) for v in found.low[shown]),
        high=tuple(float(v) for v in found.high[shown]),
        margin=margin,
        sign_changes=found.sign_changes,
        method=found.method,
    )
