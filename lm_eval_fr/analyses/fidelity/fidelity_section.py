"""Distances between next-token probabilities, in words and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from lm_eval_fr.analyses.fidelity.fidelity_model import (
    Band,
    Distance,
    Fidelity,
    FirstDivergence,
    Likely,
    TokenMean,
    Worst,
)
from lm_eval_fr.report import words as w
from lm_eval_fr.report.sections import Part, Section, Table

POSITION = "By position in the text, in tenths of what is compared."
ENTROPY = "By the reference's entropy in nats, in fifths of the tokens: where it is sure, and where it hesitates."


def nats(value: float | None) -> str:
    """Two or three significant digits."""
    if value is None:
        return w.UNKNOWN
    size = abs(value)
    return f"{value:.3f}" if size >= 0.1 else f"{value:.3g}" if size >= 0.001 else "0" if size == 0 else f"{value:.2g}"


def bounds(estimate: TokenMean) -> str:
    if estimate.low is None or estimate.high is None:
        return w.UNKNOWN
    return f"[{nats(estimate.low)}, {nats(estimate.high)}]"


def perplexity_change(ratio: TokenMean) -> str:
    """The ratio of perplexities as a percentage with its interval."""
    if ratio.value is None:
        return w.UNKNOWN
    value, low, high = (None if x is None else math.expm1(x) for x in (ratio.value, ratio.low, ratio.high))
    shown = f"{100 * value:+.2f} %" if value is not None else w.UNKNOWN
    return shown if low is None or high is None else f"{shown} [{100 * low:+.2f}, {100 * high:+.2f}]"


def likely(tokens: tuple[Likely, ...]) -> str:
    return ", ".join(f"{w.printable(repr(one.text))} {100 * one.probability:.1f} %" for one in tokens)


def sentence(found: Fidelity) -> str:
    """The result in words that stand alone."""
    distance, floor = found.distance, found.floor
    at_least = f"at least {nats(distance.divergence.value)} nats per token"
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


def fidelity_section(found: Fidelity) -> Section:
    return Section("fidelity", "Next-token fidelity", tuple(_parts(found)))


def _parts(found: Fidelity) -> Iterator[Part]:
    d, level = found.distance, w.level_text(found.level)
    yield sentence(found)
    texts = f"{w.plural(d.documents, 'text')} in {w.plural(d.clusters, 'cluster')}, {d.tokens:,} tokens"
    yield f"{found.candidate.model} against {found.reference.model}: {texts}, from {found.texts}."
    header = ("arm", "KL mean", level, *d.percentiles, "same first")
    rows = tuple(_row(name, one) for name, one in (("candidate", d), ("ref. rerun", found.floor)) if one is not None)
    yield Table(header, rows, caption="KL of single tokens in nats, a lower bound; mean with its interval.")
    if d.reverse is not None:
        reverse = f"{nats(d.reverse.value)} {bounds(d.reverse)}"
        yield f"The other way, KL(candidate || reference): {reverse} nats per token, also a lower bound."
    low = d.agreement_at_least
    at_least = "" if low is None else f", at least {w.percent(low, 2)} ({level}, one-sided)"
    yield (
        f"Same first choice: {w.percent(d.agreement.value, 2)}{at_least}. Perplexity on this text: {d.perplexity:.4g} "
        f"against {d.reference_perplexity:.4g}, {perplexity_change(d.log_ratio)}."
    )
    if found.unscored_tokens:
        yield _unscored(found)
    if found.first_divergence is not None:
        yield _first(found.first_divergence)
    if found.by_position:
        yield _bands("part of the text", found.by_position, level, lambda end: f"{100 * end:.0f}", " %", POSITION)
    if found.by_entropy:
        yield _bands("entropy", found.by_entropy, level, lambda end: f"{end:.2f}", "", ENTROPY)
    yield from (_worst(number, one) for number, one in enumerate(found.worst, 1))
    yield (
        f"Servers list the {found.top} most likely tokens of a position. Tokens that both list are compared one by "
        f"one and all others as one, so the divergence is a lower bound; both lists share {w.percent(d.covered, 2)} "
        f"of the reference's probability on average, {w.percent(d.covered_low, 1)} in the worst hundredth of tokens."
    )
    yield from found.notes


def _row(name: str, distance: Distance) -> tuple[str, ...]:
    return (
        name,
        nats(distance.divergence.value),
        bounds(distance.divergence),
        *(nats(value) for value in distance.percentiles.values()),
        w.percent(distance.agreement.value, 2),
    )


def _unscored(found: Fidelity) -> str:
    said = "; ".join(
        f"{'reference rerun' if role == 'rerun' else role} {one.no_probability} of probability 0 (-9999), "
        f"{one.not_a_number} not a number"
        for role, one in found.unscored.items()
    )
    return f"{w.plural(found.unscored_tokens, 'token')} without a log-probability, left out of every mean: {said}."


def _first(found: FirstDivergence) -> str:
    what, greedy = "texts", ""
    if found.basis == "answers":
        what, greedy = "answers", ", where greedy answers diverge"
    half = found.tokens.get("p50")
    when = f"half of them by token {half}" if half is not None else "fewer than half of them"
    where = f"{found.diverged} of {found.documents} {what}"
    return f"First divergence: the first choices differ somewhere in {where}, {when}{greedy}."


def _bands(
    name: str, bands: tuple[Band, ...], level: str, end: Callable[[float], str], unit: str, caption: str
) -> Table:
    header = (name, "tokens", "KL mean", level, "reverse", "same first", "at least")
    rows = tuple(
        (
            f"{end(band.low)}-{end(band.high)}{unit}",
            f"{band.tokens:,}",
            nats(band.divergence.value),
            bounds(band.divergence),
            nats(band.reverse.value),
            w.percent(band.agreement, 2),
            w.percent(band.agreement_at_least, 2),
        )
        for band in bands
    )
    return Table(header, rows, caption=caption)


def _worst(number: int, one: Worst) -> str:
    return (
        f"Worst passage {number}, {one.document}, {nats(one.divergence)} nats per token: …{one.before}⟦{one.text}⟧ "
        f"At {one.token!r} ({nats(one.token_divergence)} nats) the candidate expects {likely(one.candidate)}; the "
        f"reference {likely(one.reference)}."
    )
