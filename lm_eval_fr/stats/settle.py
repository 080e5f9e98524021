"""What the data could have shown, and what would settle the verdict: both by the interval that gives it."""

from __future__ import annotations

import math
from collections.abc import Callable

from lm_eval_fr.stats.distributions import normal_point, normal_tail, t_point
from lm_eval_fr.stats.estimates import Difference, DocumentsNeeded, Verdict
from lm_eval_fr.stats.planning import smallest, smallest_margin
from lm_eval_fr.stats.typical import counted_power, of_units

NO_DATA = "the single differences are not at hand"


def mde(difference: Difference, *, power: float = 0.8, reach: float | None = None) -> tuple[float | None, str | None]:
    """The smallest true loss that such data would have shown to be one with probability `power`, or why there is none.

    Shown means that the whole interval is below 0; gains by symmetry. reach: the largest loss that the metric can have,
    None where that is not given: then a share's is the reference's mean.
    """
    if difference.interval.low is None or difference.units is None:
        return None, difference.interval.reason or NO_DATA
    shows = _shows_loss(difference, power)
    if shows is None:
        return None, "no variance: what could have been detected is unknown"
    unbounded = difference.kind == "unbounded"
    if reach is None and not unbounded:
        reach = 1.0 if difference.reference_mean is None else difference.reference_mean
    found = _unbounded_mde(difference, power) if unbounded else smallest_margin(shows, 0.0)
    if found is None or (reach is not None and found > reach):
        return None, "no loss that the metric can reach would have been shown"
    return found, None


def _shows_loss(difference: Difference, power: float) -> Callable[[float], bool] | None:
    """Whether a true loss of this size would have been shown; None without a spread to tell it from."""
    n, alpha = difference.n, _alpha(difference)
    if _counted(difference):
        assert difference.flips is not None
        changed = (difference.flips.lost + difference.flips.gained) / n

        def by_count(loss: float) -> bool:
            both = max(changed, loss)
            return counted_power(n, (both - loss) / 2, (both + loss) / 2, 0.0, alpha) >= power

        return by_count
    assert difference.units is not None
    sample = of_units(difference.units, difference.guarantee).mirrored
    if sample.sd == 0:
        return None
    return lambda loss: sample.shows(loss, 0.0, n, alpha, power)


def _unbounded_mde(difference: Difference, power: float) -> float:
    """(t + z_power) standard errors; Bloom 1995, Evaluation Review 19:547-556."""
    assert difference.standard_error is not None
    df = (difference.clusters or difference.n) - 1
    reach = t_point(_alpha(difference), df) + normal_point(1 - power)
    return reach * difference.standard_error


def documents_needed(
    difference: Difference, margin: float, *, power: float = 0.8, available: int | None = None
) -> DocumentsNeeded:
    """Documents in all with which the verdict would be settled, if difference and spread stay as observed.

    available: documents that the data set has; where more are needed, the reason says so.
    """
    estimate = difference.interval.estimate
    if estimate is None or difference.units is None or not difference.interval.defined:
        return DocumentsNeeded(None, None, None, power, difference.interval.reason or NO_DATA)
    room = estimate + margin
    towards: Verdict = "non_inferior" if room > 0 else "inferior"
    if abs(room) < 1e-3 * margin:
        return DocumentsNeeded(None, None, estimate, power, "the difference is the margin: no number settles it")
    documents = smallest(_settles(difference, margin, power), difference.n + 1)
    if documents is None:
        return DocumentsNeeded(None, towards, estimate, power, "more than can be had")
    reason = None
    if available is not None and documents > available:
        reason = (
            f"the data set has {available:,} documents: only a wider margin or several answers per document settle it"
        )
    return DocumentsNeeded(documents, towards, estimate, power, reason)


def _settles(difference: Difference, margin: float, power: float) -> Callable[[int], bool]:
    """Whether so many documents rule the margin out, on the side on which the estimate lies."""
    alpha = _alpha(difference)
    estimate, units = difference.interval.estimate, difference.units
    assert estimate is not None
    assert units is not None
    above = estimate > -margin
    if _counted(difference):
        assert difference.flips is not None
        lost, gained = difference.flips.lost / difference.n, difference.flips.gained / difference.n
        if above:
            return lambda n: counted_power(n, lost, gained, -margin, alpha) >= power
        return lambda n: counted_power(n, gained, lost, margin, alpha) >= power
    if difference.kind == "unbounded":
        assert difference.standard_error is not None
        sd, size = (
            difference.standard_error * math.sqrt(difference.n),
            difference.n / (difference.clusters or difference.n),
        )
        return lambda n: _student_power(n, n / size, abs(estimate + margin), sd, alpha) >= power
    sample = of_units(units, difference.guarantee)
    if above:
        return lambda n: sample.shows(estimate, -margin, n, alpha, power)
    return lambda n: sample.mirrored.shows(-estimate, margin, n, alpha, power)


def _student_power(documents: int, units: float, room: float, sd: float, alpha: float) -> float:
    return normal_tail(t_point(alpha, units - 1) - room * math.sqrt(documents) / sd)


def _counted(difference: Difference) -> bool:
    return difference.clusters is None and difference.kind in ("binary", "outcome")


def _alpha(difference: Difference) -> float:
    return (1 - difference.interval.level) / 2
