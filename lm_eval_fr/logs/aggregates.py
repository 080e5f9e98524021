"""From what a sample holds of a metric to a document's score, checked against the aggregate that lm-eval printed.

A sample holds the ingredient of an aggregate: a number whose mean is printed, but also a log-likelihood whose
exponential is, the pair of gold and prediction of a corpus F1, the truth values of a document's instructions, or -1
where the metric is not about this document. A metric has a score for each document only where lm-eval's own
aggregation of these ingredients gives the printed number; the direction that lm-eval declares belongs to that number.

| aggregation in lm-eval 0.4.13 | a document's score | its name and direction |
|---|---|---|
| mean | the number | the metric's |
| nanmean | the number; NaN: not about this document | the metric's |
| median | the number | `<metric>_mean`, the metric's direction |
| perplexity | the log-likelihood | `log_likelihood`, higher is better |
| weighted_perplexity | log-likelihood a word or byte, weighted by their number | `log_likelihood_per_word`, higher |
| bits_per_byte | bits a byte, weighted by the bytes | the metric's, lower |
| brier_score | squared distance of the probabilities from the gold | the metric's, lower |
| a function of the task's | the first that gives the printed number: mean, mean without -1, mean without NaN, | |
| | share of all truth values (weighted by a document's number of them), mean of the responses, | |
| | quotient of sums, weighted mean | the metric's |
| f1, matthews_corrcoef, bleu, chrf, chrf++, ter, another function | none: it is made of all documents together | |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lm_eval_fr.logs.ingredients import (
    Array,
    Held,
    Strange,
    bits,
    brier,
    finite,
    pairs,
    quotients,
    responses,
    truths,
    weighted,
    without_nan,
    without_the_mark,
)

DEFAULT_AGGREGATION: Mapping[str, str] = {  # of lm-eval's own metrics, where a task names none
    "perplexity": "perplexity",
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
    "brier_score": "brier_score",
    "mcc": "matthews_corrcoef",
    "f1": "f1",
    "bleu": "bleu",
    "chrf": "chrf",
    "chrf++": "chrf++",
    "ter": "ter",
}
DEFAULT_METRICS: Mapping[str, tuple[str, ...]] = {  # of a task without metrics, by its kind of output
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
    "multiple_choice": ("acc", "acc_norm"),
    "generate_until": ("exact_match",),
}
LOWER_IS_BETTER = frozenset(("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter"))
HIGHER_IS_BETTER = frozenset(
    ("acc", "acc_norm", "acc_mutual_info", "acc_bytes", "exact_match", "mcc", "f1", "bleu", "chrf", "chrf++")
)
CORPUS = frozenset(("f1", "matthews_corrcoef", "bleu", "chrf", "chrf++", "ter"))
RELATIVE, ABSOLUTE = 1e-6, 1e-9
BELOW = (-math.inf, 0.0)  # a log-likelihood


@dataclass(frozen=True)
class DocumentScores:
    """One score per document, in file order. NaN: the metric is not about this document.

    name: the metric's, or the score's own if it is another quantity. rule: how it was computed; arms with
    different rules are not compared. weights: a document's part of the aggregate, None if all count the same:
    the aggregate is the weighted mean. ends: the smallest and the largest possible score, if known.
    """

    name: str
    metric: str
    rule: str
    higher_is_better: bool | None
    values: Array
    weights: Array | None = None
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class NoScores:
    """Why a metric has no score per document. broken: the files contradict each other or themselves."""

    metric: str
    reason: str
    broken: bool = False


@dataclass(frozen=True)
class Part:
    """One samples file's part of a task: rows [start, stop), and what lm-eval printed for them."""

    start: int
    stop: int
    printed: float | None


def document_scores(
    metric: str,
    aggregation: str | None,
    higher_is_better: bool | None,
    held: Held | None,
    parts: Sequence[Part],
    *,
    place: Callable[[int], str],
) -> DocumentScores | NoScores:
    """The scores of one metric, by the first rule of its aggregation that gives every printed aggregate.

    aggregation: lm-eval's name for it, None for a function of the task's own. held: what each sample holds, as numbers
    (NaN: nothing) or as it was logged (None: nothing); None where they are texts. place: names the place of a row.
    """
    if aggregation in CORPUS:
        return NoScores(metric, "computed from all documents together; none has a score of its own")
    if held is None:
        return NoScores(metric, "made of all documents' texts together by a function of the task's own")
    if any(part.printed is None for part in parts):
        return NoScores(metric, f"lm-eval printed no {metric} to check the documents against", broken=True)
    found, strange = None, ""
    for rule in _RULES.get(aggregation or "", _OWN):
        try:
            values, weights = rule.read(held)
        except Strange as no:
            strange = strange or f"the {metric} of this document is {no.shown}, {no.why} ({place(no.row)})"
            continue
        found = found or (rule, values, weights)
        if all(rule.gives(values, weights, part) for part in parts):
            direction = higher_is_better if rule.higher is None else rule.higher
            return DocumentScores(rule.name(metric), metric, rule.key, direction, values, weights, rule.ends)
    if aggregation not in _RULES:
        own = "printed by a function of the task's own, and not equal to the mean over documents"
        return NoScores(metric, own if found else f"a function of the task's own over all documents: {strange}")
    if found is None:
        return NoScores(metric, strange, broken=True)
    rule, values, weights = found
    part = next(part for part in parts if not rule.gives(values, weights, part))
    mine, printed = rule.of(values, weights, part), part.printed
    if math.isnan(mine):
        return NoScores(metric, f"no document has a value of {metric}", broken=True)
    what = f"the samples' {aggregation} of {metric} is {mine:.6g}, lm-eval printed {printed:.6g}"
    return NoScores(metric, f"{what}: one of the files was changed", broken=True)


@dataclass(frozen=True)
class Kinds:
    """Metrics of which each document has exactly one (RULER's lengths), as one score.

    about: what the metrics' names say. names: of the metrics. codes: index of each document's own among them.
    """

    about: str
    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    score: DocumentScores


def scores_by_kind(found: Sequence[DocumentScores | NoScores]) -> Kinds | None:
    kinds = [one for one in found if isinstance(one, DocumentScores) and one.rule == _MARKED.key]
    if len(kinds) < 2 or len({one.higher_is_better for one in kinds}) > 1:
        return None
    values = np.stack([one.values for one in kinds])
    present = ~np.isnan(values)
    if not (present.sum(axis=0) == 1).all():
        return None
    codes = present.argmax(axis=0).astype(np.int32)
    score = values[codes, np.arange(values.shape[1])]
    about = "length" if all(one.metric.isdigit() for one in kinds) else "part"
    names = tuple(one.metric for one in kinds)
    rule = f"each document's one metric of {', '.join(names)}"
    return Kinds(about, names, codes, DocumentScores("score", "score", rule, kinds[0].higher_is_better, score))


@dataclass(frozen=True)
class _Rule:
    """read: what the samples hold -> scores and weights; raises Strange where they hold something else.

    higher: whether higher is better, whatever the task declares; None where the task decides.
    """

    key: str
    read: Callable[[Held], tuple[Array, Array | None]]
    print: Callable[[float], float] = float
    middle: Literal["mean", "median"] = "mean"
    name: Callable[[str], str] = str
    higher: bool | None = None
    ends: tuple[float, float] | None = None

    def of(self, values: Array, weights: Array | None, part: Part) -> float:
        """What lm-eval prints for this part."""
        rows = slice(part.start, part.stop)
        values, weights = values[rows], None if weights is None else weights[rows]
        there = ~np.isnan(values)
        if not there.any():
            return math.nan
        if self.middle == "median":
            return float(np.sort(values[there])[there.sum() // 2])
        with np.errstate(all="ignore"):
            middle = float(np.average(values[there], weights=None if weights is None else weights[there]))
        try:
            return self.print(middle)
        except OverflowError:
            return math.inf

    def gives(self, values: Array, weights: Array | None, part: Part) -> bool:
        """Whether it gives what lm-eval printed; lm-eval adds float32 values in float32."""
        return _close(self.of(values, weights, part), part.printed) or (
            self is _MEAN and _close(_single_mean(values[part.start : part.stop]), part.printed)
        )


def _single_mean(values: Array) -> float:
    """lm-eval's mean of numpy float32 values, whose running sum loses digits; NaN where the values are not float32."""
    values = values[~np.isnan(values)]
    with np.errstate(all="ignore"):
        single = values.astype(np.float32)
    if not len(single) or not np.array_equal(single, values):
        return math.nan
    return float(np.cumsum(single, dtype=np.float32)[-1] / np.float32(len(single)))


def _close(mine: float, printed: float | None) -> bool:
    return printed is not None and math.isclose(mine, printed, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _minus_exp(mean: float) -> float:
    return math.exp(-mean)


def _per_unit(metric: str) -> str:
    unit = metric.removesuffix("_perplexity")
    return f"log_likelihood_per_{unit if unit in ('word', 'byte') else 'unit'}"


_MEAN = _Rule("mean", finite)
_NAN_MEAN = _Rule("mean without NaN", without_nan)
_MARKED = _Rule("mean without -1", without_the_mark)
_TRUTHS = _Rule("share of all truth values", truths, ends=(0.0, 1.0))
_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "mean": (_MEAN,),
    "nanmean": (_NAN_MEAN,),
    "median": (_Rule("median", finite, middle="median", name="{}_mean".format),),
    "perplexity": (
        _Rule("log-likelihood", finite, _minus_exp, name=lambda _: "log_likelihood", higher=True, ends=BELOW),
    ),
    "weighted_perplexity": (
        _Rule("log-likelihood a unit", pairs, _minus_exp, name=_per_unit, higher=True, ends=BELOW),
    ),
    "bits_per_byte": (_Rule("bits a byte", bits, higher=False, ends=(0.0, math.inf)),),
    "brier_score": (_Rule("Brier score", brier, higher=False, ends=(0.0, 2.0)),),
}
AGGREGATIONS = CORPUS | _RULES.keys()
_OWN = (
    _MEAN,
    _MARKED,
    _NAN_MEAN,
    _TRUTHS,
    _Rule("mean of the responses", responses),
    _Rule("quotient of sums", quotients),
    _Rule("weighted mean", weighted),
)
