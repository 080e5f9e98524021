"""Scores of one French answer against its golds: numbers in [0, 1], standard library only.

Text is compared as French tokens (`tokens`): Unicode NFKC and case folded, apostrophes unified, elisions split,
articles, punctuation and guillemets dropped, one number one token however it is written. A capital printed without its
accent is read as the accented letter where the other text has that (`read_as`). Only `f1_raw` keeps the coarser scale
of SQuAD-like harnesses, so that its numbers are comparable with theirs.
"""

from __future__ import annotations

import ast
import json
import re
import string
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

ARTICLES = frozenset(["le", "la", "les", "un", "une", "des", "du", "de", "au", "aux"])
ELIDED_ARTICLES = frozenset("ld")  # what remains of l' and d'; a bare l or d is a litre, a vitamin, a label: it is kept

# Only words that French elides before any vowel are split. aujourd'hui, quelqu'un, presqu'île, prud'homme, O'Connor
# are one word with an apostrophe in it: splitting them would let "un" be dropped out of "quelqu'un".
_ELISION = r"(?i:jusqu|lorsqu|puisqu|quoiqu|qu|[ldjmtsnc])'(?=[^\W_])"
_WORD = r"[^\W_]+(?:'[^\W_]+)*"
_NUMBER = r"[0-9]+(?:\.[0-9]+)+"
_TOKEN = re.compile(f"(?<![^\\W_]){_ELISION}|{_NUMBER}|{_WORD}")
_UNSPLIT = re.compile(f"{_NUMBER}|{_WORD}")
_GROUPED_DIGITS = re.compile(r"(?<![\w.,])[0-9]{1,3}(?: [0-9]{3})+(?!\w)")
_DECIMAL_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")
_DOTTED_LETTERS = re.compile(r"(?<![^\W_])(?:[^\W\d_]\.)+[^\W\d_](?![^\W_])")  # U.R.S.S. is URSS
_THREE_DIGITS = re.compile(r"[0-9]{3}(?!\w)")
# Before NFKC, which would make a space and a combining accent of U+00B4. Soft hyphens and zero-width marks vanish.
_CHARACTERS = str.maketrans(
    dict.fromkeys("’‘‛ʼʹ′´`＇", "'") | dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", "")
)
_NO_BARE_CAPITALS = re.compile(r"[^ACEIOUY]+")  # the others fold; French also prints these for À, Ç, É, Î, Ô, Ù, Ÿ
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)

_MOST_ARRAYS_TRIED = 64  # "[" in one answer: bounds the work that a runaway generation can cause


def _folded(text: str) -> str:
    """A fixed point of translation, NFKC and case folding: one pass is not always one (ﬓ, ŉ).

    Capitals that French also prints for an accented letter (`_BARE_CAPITALS`) stay: the other text decides what
    they stand for.
    """
    for _ in range(4):
        before, text = text, unicodedata.normalize("NFKC", text.translate(_CHARACTERS))
        text = _NO_BARE_CAPITALS.sub(lambda match: match[0].casefold(), text)
        if text == before:
            break
    return text


def _open_tokens(text: str) -> list[str]:
    """The tokens, folded except for bare capitals."""
    folded = _DOTTED_LETTERS.sub(lambda match: match[0].replace(".", ""), " ".join(_folded(text).split()))
    folded = _GROUPED_DIGITS.sub(lambda match: match[0].replace(" ", ""), folded)
    folded = _DECIMAL_COMMA.sub(".", folded)
    kept = []
    for token in _TOKEN.findall(folded):
        word = token.removesuffix("'")
        if word.lower() not in (ELIDED_ARTICLES if word != token else ARTICLES):
            kept.append(word)
    return kept or _UNSPLIT.findall(folded)


def tokens(text: str) -> list[str]:
    """The French tokens of a text, articles left out; a text of articles only keeps them ("Combien ? Un.")."""
    return [token.lower() for token in _open_tokens(text)]


def open_key(text: str) -> str:
    """The tokens as one string, with its bare capitals, for `read_as`; what is normalised already stays as it is."""
    parts: list[str] = []
    for token in _open_tokens(text):
        if parts:
            # "12, 345" must not be read as 12 345 the next time.
            split_number = len(parts[-1]) <= 3 and parts[-1].isdecimal() and _THREE_DIGITS.match(token)
            parts.append(", " if split_number else " ")
        parts.append(token)
    return "".join(parts)


def read_as(words: Sequence[str], others: Iterable[str]) -> list[str]:
    """`words` folded; one with bare capitals becomes the one of `others` that it can stand for ("Eveil": "éveil")."""
    plain = [word.lower() for word in words]
    if plain == list(words):
        return plain
    taken = set(plain)
    alike: dict[str, list[str]] = {}
    for other in others:
        alike.setdefault(unaccented(other.lower()), []).append(other)
    for place, word in enumerate(words):
        near = alike.get(unaccented(plain[place]), ()) if word != plain[place] else ()
        found = {other.lower() for other in near if _same(word, other)}
        if found and plain[place] not in found:
            plain[place] = min(found, key=lambda other: (other in taken, other))
    return plain


def read_both(prediction: Sequence[str], gold: Sequence[str]) -> tuple[list[str], list[str]]:
    read = read_as(prediction, gold)
    return read, read_as(gold, read)


def _same(one: str, other: str) -> bool:
    """Whether two words of one unaccented form differ only where one of them has a bare capital."""
    letters = zip(one, other, strict=False)
    return len(one) == len(other) and all(a.lower() == b.lower() or a.isupper() or b.isupper() for a, b in letters)


def unaccented(word: str) -> str:
    if word.isascii():
        return word
    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))


def _overlap(prediction: Collection[str], gold: Collection[str]) -> int:
    return (Counter(prediction) & Counter(gold)).total()


def _bag_f1(prediction: Collection[str], gold: Collection[str]) -> float:
    if not prediction and not gold:
        return 1.0
    return 2 * _overlap(prediction, gold) / (len(prediction) + len(gold))


def _raw_tokens(text: str) -> list[str]:
    return text.lower().translate(_ASCII_PUNCTUATION).split()


def token_f1(prediction: str, golds: Iterable[str]) -> float:
    """F1 of the bags of French tokens, the best over the golds. No gold at all is an empty gold."""
    predicted = _open_tokens(prediction)
    return max(_bag_f1(*read_both(predicted, _open_tokens(gold))) for gold in list(golds) or [""])


def f1_raw(prediction: str, golds: Iterable[str]) -> float:
    """F1 on the coarse scale: lower case, ASCII punctuation dropped, split on white space; the best over the golds."""
    predicted = _raw_tokens(prediction)
    return max(_bag_f1(predicted, _raw_tokens(gold)) for gold in list(golds) or [""])


def exact_match(prediction: str, golds: Iterable[str]) -> float:
    """1.0 if the French tokens are those of one of the golds, in order."""
    predicted = _open_tokens(prediction)
    return float(any(_equal(predicted, _open_tokens(gold)) for gold in list(golds) or [""]))


def _equal(one: Sequence[str], other: Sequence[str]) -> bool:
    read = read_both(one, other)
    return read[0] == read[1]


def gold_recall(prediction: str, golds: Iterable[str]) -> float:
    """Share of a gold's tokens that the prediction holds, the best over the golds: a long answer is not punished."""
    predicted = _open_tokens(prediction)
    best = 0.0
    for gold in list(golds) or [""]:
        given, wanted = read_both(predicted, _open_tokens(gold))
        best = max(best, _overlap(given, wanted) / len(wanted) if wanted else float(not given))
    return best


def match_label(prediction: str, labels: Iterable[str]) -> str | None:
    """The label that equals the whole answer after normalisation; None if there is none."""
    predicted = _open_tokens(prediction)
    return next((label for label in labels if _equal(_label_tokens(label), predicted)), None)


_label_tokens = lru_cache(4096)(_open_tokens)  # every answer is held against the same few labels


def item_keys(items: Iterable[str]) -> list[str]:
    """One key per named thing, for `read_as`. An item without a letter or digit still counts as given."""
    return sorted({open_key(item) or item.strip() for item in items if item.strip()})


def set_f1(prediction: Iterable[str], gold: Iterable[str]) -> float:
    """F1 of two sets of strings, compared after normalisation; two empty sets are equal."""
    return _bag_f1(*map(set, read_both(item_keys(prediction), item_keys(gold))))


def is_json_array(text: str) -> bool:
    """Whether the whole text is a JSON array of strings, with nothing around it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def parse_json_array(text: str) -> list[str] | None:
    """The array of strings in the text, code fences and prose around it allowed; None if there is none.

    Python's quotes (['a', "l'autre"]) are read too: what was found is scored, and `is_json_array` says whether the
    format was right. The first array with a string wins, then one of numbers ("[1]" may be a footnote), then an empty
    one ("[ ]" may be a box to tick). An array that never closes does not count: the answer was cut.
    """
    best: list[str] | None = None
    for opening in [match.start() for match in re.finditer(r"\[", text)][:_MOST_ARRAYS_TRIED]:
        items = _array_at(text, opening)
        if items is None:
            continue
        if any(isinstance(item, str) for item in items):
            return [item if isinstance(item, str) else json.dumps(item) for item in items]
        best = best or [json.dumps(item) for item in items]
    return best


def _array_at(text: str, opening: int) -> list[str | int | float] | None:
    try:
        value, _ = json.JSONDecoder().raw_decode(text, opening)
    except (ValueError, RecursionError):
        value = _python_list_at(text, opening)
    if not isinstance(value, list) or not all(type(item) in (str, int, float) for item in value):
        return None
    return value


def _python_list_at(text: str, opening: int) -> object:
    closing = text.find("]", opening)
    if closing < 0:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in an answer does not concern the user
            return ast.literal_eval(text[opening : closing + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def span_scores(answer: str, golds: Sequence[str]) -> dict[str, float]:
    """All scores of a short answer, primary first. Saying nothing is 0, unless nothing is a gold."""
    if not answer.strip() and all(gold.strip() for gold in golds):
        return {"f1": 0.0, "exact_match": 0.0, "gold_recall": 0.0, "f1_raw": 0.0}
    return {
        "f1": token_f1(answer, golds),
        "exact_match": exact_match(answer, golds),
        "gold_recall": gold_recall(answer, golds),
        "f1_raw": f1_raw(answer, golds),
    }


def label_scores(answer: str, gold: str, labels: Iterable[str]) -> dict[str, float]:
    """All scores of a classification, primary first."""
    label = match_label(answer, labels)
    return {
        "exact_match": float(label is not None and exact_match(label, [gold])),
        "valid_label": float(label is not None),
    }


def list_scores(answer: str, gold: Iterable[str]) -> dict[str, float]:
    """All scores of an extraction, primary first. No array at all is 0, even where nothing is to be found."""
    items = parse_json_array(answer)
    return {"set_f1": 0.0 if items is None else set_f1(items, gold), "valid_json": float(is_json_array(answer))}
