"""The judge's outcomes as numbers: +1 win, -1 loss, 0 for everything undecided."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lm_eval_fr.errors import UsageError
from lm_eval_fr.stats.arrays import check_level, unusable, vector
from lm_eval_fr.stats.differences import summarise
from lm_eval_fr.stats.estimates import Flips, Guarantee, Preference
from lm_eval_fr.stats.shares import share_of


def net_win_rate(
    outcomes: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    margin: float | None = None,
    guarantee: Guarantee = "default",
) -> Preference:
    """Wins minus losses over all judged pairs, with its interval, and the share of wins among the decided ones.

    outcomes: +1, 0 or -1 per judged pair; pairs without a verdict are left out by the caller, who says how many.
    Without clusters the interval is the wider of t and Tango's score interval (t alone fails where nearly all decided
    pairs go one way) and the shares are exact binomial; with clusters all of it is clustered, the p-value too.
    50 wins, 60 ties, 40 losses: +6.7 points, 95 % [-5.8, +19.2].
    """
    scores = vector(outcomes, "outcomes")
    check_level(level)
    reason = unusable(scores)
    if reason is None and not np.isin(scores, (-1.0, 0.0, 1.0)).all():
        raise UsageError("a judge's outcome is +1, 0 or -1", remedy="leave out the pairs without a verdict")
    wins, losses, n = int((scores == 1).sum()), int((scores == -1).sum()), int(scores.size)
    flips = None if reason else Flips(losses, wins, "decided by the judge in both orders")
    labels = None if clusters is None else np.asarray(clusters)
    decided = scores != 0
    return Preference(
        n=n,
        wins=wins,
        ties=n - wins - losses,
        losses=losses,
        decided=wins + losses,
        win_share=share_of(scores[decided] > 0, clusters=None if labels is None else labels[decided], level=level),
        at_least_as_good=share_of(scores >= 0, clusters=labels, level=level),
        net_win=summarise(scores, "outcome", (None, None), flips, clusters, level, margin, guarantee, reason),
    )
