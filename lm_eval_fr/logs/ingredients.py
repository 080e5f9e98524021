"""What samples hold of a metric, read as scores and weights: numbers, pairs, truth values, probabilities."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

Held: TypeAlias = Array | Sequence[Any]  # numbers (NaN: nothing), or values as logged (None: nothing)
NOT_ABOUT_THIS = -1.0  # RULER: a document of 4,096 tokens under the metric of 8,192


class Strange(Exception):
    def __init__(self, row: int, value: Any, why: str) -> None:
        self.row, self.why = row, why
        text = f"{value:g}" if isinstance(value, float) else repr(value)
        self.shown = text if len(text) <= 60 else f"{text[:60]}…"


def number_of(value: Any) -> float | None:
    """A number as lm-eval logs it; number types unknown to JSON are logged as text."""
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str):
        try:
            return {"True": 1.0, "False": 0.0}.get(value) if value in ("True", "False") else float(value)
        except ValueError:
            return None
    return None


def numbers_of(held: Held) -> Array:
    """One number each; NaN where a sample holds nothing."""
    if isinstance(held, np.ndarray):
        return held
    found = np.empty(len(held))
    for row, value in enumerate(held):
        number = math.nan if value is None else number_of(value)
        if number is None:
            raise Strange(row, value, "not a number")
        found[row] = number
    return found


def finite(held: Held) -> tuple[Array, None]:
    numbers = numbers_of(held)
    for row in np.flatnonzero(~np.isfinite(numbers)).tolist():
        if np.isinf(numbers[row]) or (not isinstance(held, np.ndarray) and held[row] is not None):
            raise Strange(row, float(numbers[row]), "not a finite number")
    return numbers, None


def without_nan(held: Held) -> tuple[Array, None]:
    numbers = numbers_of(held)
    for row in np.flatnonzero(np.isinf(numbers)).tolist():
        raise Strange(row, float(numbers[row]), "not a finite number")
    return numbers, None


def without_the_mark(held: Held) -> tuple[Array, None]:
    numbers, _ = finite(held)
    return np.where(numbers == NOT_ABOUT_THIS, np.nan, numbers), None


def pairs(held: Held) -> tuple[Array, Array]:
    """(a log-likelihood, the words or bytes it is of) -> log-likelihood a unit, units."""
    sums, units = _twos(held, "not a log-likelihood with a number of units", least=np.nextafter(0.0, 1.0))
    return sums / units, np.nan_to_num(units)


def quotients(held: Held) -> tuple[Array, Array]:
    """(a sum, the number of its terms) -> their mean, their number; NaN for a document without terms."""
    sums, terms = _twos(held, "not a sum with a number of terms")
    terms = np.where(terms == 0, np.nan, terms)
    return sums / terms, np.nan_to_num(terms)


def weighted(held: Held) -> tuple[Array, Array]:
    """(a number, its weight) -> the number, its weight; NaN for a document of no weight."""
    values, weights = _twos(held, "not a number with a weight")
    return np.where(weights == 0, np.nan, values), np.nan_to_num(weights)


def _twos(held: Held, otherwise: str, *, least: float = 0.0) -> tuple[Array, Array]:
    """Two numbers a document, the second one at least `least`; NaN where a sample holds nothing."""
    found = np.full((2, len(held)), np.nan)
    for row, value in enumerate(held):
        if value is None or (isinstance(held, np.ndarray) and math.isnan(value)):
            continue
        known = [number_of(item) for item in value] if isinstance(value, (list, tuple)) else []
        two = [number for number in known if number is not None and math.isfinite(number)]
        if len(known) != 2 or len(two) != 2 or two[1] < least:
            raise Strange(row, value, otherwise)
        found[:, row] = two
    return found[0], found[1]


def bits(held: Held) -> tuple[Array, Array]:
    values, weights = pairs(held)
    return -values / math.log(2), weights


def truths(held: Held) -> tuple[Array, Array]:
    """The truth values of a document's instructions -> their share, their number."""
    values, weights = np.full(len(held), np.nan), np.zeros(len(held))
    for row, value in enumerate(held):
        if value is None:
            continue
        if not isinstance(value, list) or not value or not all(item in (0, 1, "True", "False") for item in value):
            raise Strange(row, value, "not a list of truth values")
        truths = [number_of(item) or 0.0 for item in value]
        values[row], weights[row] = sum(truths) / len(truths), len(truths)
    return values, weights


def responses(held: Held) -> tuple[Array, None]:
    """One number for each of a document's responses -> their mean."""
    values = np.full(len(held), np.nan)
    for row, value in enumerate(held):
        numbers = [number_of(item) for item in value] if isinstance(value, list) and value else [number_of(value)]
        if value is None:
            continue
        known = [number for number in numbers if number is not None and math.isfinite(number)]
        if len(known) < len(numbers):
            raise Strange(row, value, "not a number for each response")
        values[row] = math.fsum(known) / len(known)
    return values, None


def brier(held: Held) -> tuple[Array, None]:
    values = np.full(len(held), np.nan)
    for row, value in enumerate(held):
        if value is None:
            continue
        gold, shares = value if isinstance(value, list) and len(value) == 2 else (None, None)
        numbers = array_of(shares)
        if not isinstance(gold, int) or numbers is None or not -len(numbers) <= gold < len(numbers):
            raise Strange(row, value, "not a gold answer with the probabilities of all")
        numbers[gold] -= 1
        values[row] = float((numbers**2).sum())
    return values, None


def array_of(value: Any) -> Array | None:
    """A list of numbers, or the text that lm-eval makes of a numpy array."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval("[" + ", ".join(value.strip("[] \n").replace(",", " ").split()) + "]")
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    if not isinstance(value, list) or not value:
        return None
    numbers = [number_of(item) for item in value]
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    return np.array(known) if len(known) == len(numbers) else None
