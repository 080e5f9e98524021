"""Distances between next-token probabilities, in words and tables."""

from __future__ import annotations

import math

from lm_eval_fr.analyses.fidelity.fidelity_model import Distance, Estimate, Fidelity, Likely, Worst
from lm_eval_fr.report import words as w
from lm_eval_fr.report.sections import Part, Section, Table


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


def fidelity_section(found: Fidelity) -> Section:
    d = found.distance
    texts = f"{w.plural(d.documents, 'text')} in {w.plural(d.clusters, 'cluster')}, {d.tokens:,} tokens"
    header = ("arm", "KL mean", w.level_text(found.level), *d.percentiles, "same first")
    rows = [_row("candidate", d)] + ([_row("ref. rerun", found.floor)] if found.floor else [])
    agreement = w.interval(d.agreement.low, d.agreement.high, sign=False)
    parts: tuple[Part, ...] = (
        sentence(found),
        f"{found.candidate.model} against {found.reference.model}: {texts}, from {found.texts}.",
        Table(header, tuple(rows), caption="KL of single tokens in nats, a lower bound; mean with its interval."),
        f"Same first choice: {w.percent(d.agreement.value, 2)} {agreement}. Perplexity on this text: "
        f"{d.perplexity:.4g} against {d.reference_perplexity:.4g}, {perplexity_change(d.log_ratio)}.",
        *(_worst(number, one) for number, one in enumerate(found.worst, 1)),
        truncation(found),
        *found.notes,
    )
    return Section("fidelity", "Next-token fidelity", parts)


def _row(name: str, distance: Distance) -> tuple[str, ...]:
    return (
        name,
        nats(distance.divergence.value),
        bounds(distance.divergence),
        *(nats(value) for value in distance.percentiles.values()),
        w.percent(distance.agreement.value, 2),
    )


def _worst(number: int, one: Worst) -> str:
    return (
        f"Worst passage {number}, {one.document}, {nats(one.divergence)} nats a token: …{one.before}⟦{one.text}⟧ "
        f"At {one.token!r} ({nats(one.token_divergence)} nats) the candidate expects {likely(one.candidate)}; the "
        f"reference {likely(one.reference)}."
    )
