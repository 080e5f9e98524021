"""What the data could have shown, and what would settle the verdict: both by the verdict's own interval."""

from __future__ import annotations

from lm_eval_fr.stats.distributions import normal_point, t_point
from lm_eval_fr.stats.estimates import Difference, DocumentsNeeded
from lm_eval_fr.stats.planning import smallest, smallest_margin
from lm_eval_fr.stats.typical import Endless, Typical, of_difference

NO_DATA = "the single differences are not available"


def mde(difference: Difference, *, power: float = 0.8, reach: float | None = None) -> tuple[float | None, str | None]:
    """The smallest true loss that such data would have shown with probability `power`, or why there is none.

    Shown means that the whole interval is below 0; gains by symmetry. reach: the largest loss that the metric can have,
    None where that is not given: then a share's is the reference's mean.
    """
    if difference.interval.low is None or difference.units is None:
        return None, difference.interval.reason or NO_DATA
    sample, alpha = of_difference(difference, difference.units).mirrored, _alpha(difference)
    if isinstance(sample, Typical) and sample.sd == 0:
        return None, "no variance: what could have been detected is unknown"
    if isinstance(sample, Endless):
        found: float | None = _endless_mde(difference, alpha, power)
    else:
        found = smallest_margin(lambda loss: sample.shows(loss, 0.0, difference.n, alpha, power), 0.0)
        if reach is None:
            reach = 1.0 if difference.reference_mean is None else difference.reference_mean
    if found is None or (reach is not None and found > reach):
        return None, "no loss that the metric can reach would have been shown"
    return found, None


def _endless_mde(difference: Difference, alpha: float, power: float) -> float:
    """(t + z_power) standard errors; Bloom 1995, Evaluation Review 19:547-556."""
    df = (difference.clusters or difference.n) - 1
    return (t_point(alpha, df) + normal_point(1 - power)) * (difference.standard_error or 0.0)


def documents_needed(
    difference: Difference, margin: float, *, power: float = 0.8, available: int | None = None
) -> DocumentsNeeded:
    """Documents in total that would settle the verdict, if difference and spread stay as observed.

    available: documents in the data set; if more are needed, the reason says so.
    """
    estimate, units = difference.interval.estimate, difference.units
    if estimate is None or units is None or not difference.interval.defined:
        return DocumentsNeeded(None, difference.interval.reason or NO_DATA)
    if abs(estimate + margin) < 1e-3 * margin:
        return DocumentsNeeded(None, "the difference equals the margin: no number of documents settles it")
    sample, alpha, seen, ruled_out = of_difference(difference, units), _alpha(difference), estimate, -margin
    if estimate < -margin:
        sample, seen, ruled_out = sample.mirrored, -estimate, margin
    documents = smallest(lambda n: sample.shows(seen, ruled_out, n, alpha, power), difference.n + 1)
    if documents is None:
        return DocumentsNeeded(None, "more than are available")
    if available is None or documents <= available:
        return DocumentsNeeded(documents)
    why = f"the data set has {available:,} documents: only a wider margin or several answers each would settle it"
    return DocumentsNeeded(documents, why)


def _alpha(difference: Difference) -> float:
    return (1 - difference.interval.level) / 2
