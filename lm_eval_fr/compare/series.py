"""The estimate as documents came in, with the band that is valid at every look."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from lm_eval_fr.report.task_model import Series
from lm_eval_fr.stats import confidence_sequence
from lm_eval_fr.stats.arrays import cluster_codes

LOOKS = 200
UNITS = 5_000
"""Beyond this number, consecutive units are merged into blocks; a band over blocks is just as valid."""


def cumulative(
    differences: np.ndarray, clusters: np.ndarray | None, *, name: str, margin: float | None, level: float
) -> Series | None:
    """At most LOOKS points of the running mean and its band; None if there is no band.

    differences: candidate - reference in [-1, 1], better being more, in the plan's order.
    """
    n = len(differences)
    if n == 0:
        return None
    units = cluster_codes(clusters, n)
    unit: Literal["document", "cluster"] = "document" if units is None else "cluster"
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
    points = {name: getattr(found, name)[shown] for name in ("documents", "mean", "low", "high")}
    return Series(name=name, margin=margin, band=replace(found, unit=unit, **points))
