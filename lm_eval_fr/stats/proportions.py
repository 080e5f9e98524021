"""Yes-or-no outcomes: Tango's score interval, exact McNemar, exact binomial with Clopper-Pearson."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import Array, check_level
from lm_eval_fr.stats.bounds import lower_limit, upper_limit
from lm_eval_fr.stats.distributions import clopper_pearson, even_binomial_p, normal_tail
from lm_eval_fr.stats.estimates import Proportion


@dataclass(frozen=True, slots=True)
class Tango:
    """Score test and interval for a difference of paired proportions.

    Tango 1998, Statistics in Medicine 17:891-908, equation 8 and the appendix's closed form for the
    restricted maximum-likelihood estimate. Valid for very few discordant pairs, even none.
    """

    lost: int
    gained: int
    n: int
    name: str = "Tango score"

    def score(self, c: float) -> float:
        """Standard normal where the true difference is c."""
        return float(tango_score(np.array(self.lost), np.array(self.gained), self.n, c))

    def p_above(self, c: float) -> float:
        return normal_tail(self.score(c))

    def p_below(self, c: float) -> float:
        return normal_tail(-self.score(c))

    def interval(self, level: float) -> tuple[float, float]:
        alpha, mean = (1 - level) / 2, (self.gained - self.lost) / self.n
        return lower_limit(self.p_above, alpha, -1.0, mean), upper_limit(self.p_below, alpha, mean, 1.0)


def tango_score(lost: npt.NDArray[np.int64], gained: npt.NDArray[np.int64], n: int, c: float) -> Array:
    """The score for any number of outcomes at once; infinite where the hypothesis c allows no variance."""
    b = (2 * n - gained + lost) * c - gained - lost
    loss_rate = (np.sqrt(np.maximum(b * b + 8 * n * lost * c * (1 - c), 0.0)) - b) / (4 * n)
    variance = np.maximum(n * (2 * loss_rate + c * (1 - c)), 0.0)
    excess = gained - lost - n * c
    with np.errstate(divide="ignore", invalid="ignore"):
        score = excess / np.sqrt(variance)
    return np.where(variance > 0, score, np.where(excess == 0, 0.0, np.copysign(np.inf, excess)))


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact p of McNemar's test: binomial over the discordant documents. 1 if there are none."""
    check_count(gained, lost + gained)
    return even_binomial_p(gained, lost + gained)


def binomial_share(count: int, of: int, level: float = 0.95) -> Proportion:
    """Share with Clopper-Pearson (1934) limits, and the exact two-sided binomial p against one half."""
    check_level(level)
    check_count(count, of)
    method = "exact binomial, Clopper-Pearson"
    if of == 0:
        return Proportion(count, of, None, None, None, None, level, method, "nothing to take a share of")
    low, high = clopper_pearson(count, of, level)
    return Proportion(count, of, count / of, low, high, even_binomial_p(count, of), level, method)


def check_count(count: int, of: int) -> None:
    if not 0 <= count <= of:
        raise UsageError(f"a count of {count} out of {of} is impossible")
