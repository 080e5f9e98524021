"""The 30 rules of M-IFEval French, one function each: whether a text follows an instruction.

They follow the publisher's scorer, its errors too, so that numbers stay comparable; tasks/ifeval/README.md lists the
errors. A function takes the text and the instruction's own arguments, under the data set's names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from lm_eval_fr.tasklib.metrics import unaccented

LANGUAGE_SEED = 0  # the publisher's detector is unseeded
RELATIONS = ("au moins", "moins de")
ANSWERS = ("Oui.", "Non.", "Peut-être.")

_LINE_OF_STARS = re.compile(r"\s?\*\*\*\s?")
_WORD = re.compile(r"\w+")
_PLACEHOLDER = re.compile(r"\[.*?\]")
_LINE = re.compile(r".*\n|.+")
_ITEM = re.compile(r"-|\*[^*]")
_HIGHLIGHT = re.compile(r"\*([^\n*]*)\*")
_DOUBLE_HIGHLIGHT = re.compile(r"\*\*([^\n*]*)\*\*")
_TITLE = re.compile(r"##[^\n]+##")
_FENCE = re.compile(r"```(?:json|Json|JSON)?")
_INFORMAL = re.compile(r"\b(?:tu|te|toi|ton|ta|tes)\b|\bt'(?=[^\W\d_])", re.IGNORECASE)
_ACCENTED = re.compile("[à-åç-ïñ-öù-ýÿ]", re.IGNORECASE)
_FIRST_WORD_END = re.compile(r"""[.,?!'"]""")
# The marks at which the publisher's tokeniser (the Penn Treebank's) cuts a word; not an apostrophe or a hyphen.
_BETWEEN_TOKENS = re.compile(r"""\s+|[:,](?!\d)|\.{2,}|--|[;@#$%&?!*()\[\]{}<>«»“”„"]""")
_MARKERS = {"P.P.S": re.compile(r"p\.\s?p\.\s?s"), "P.S.": re.compile(r"p\.\s?s\.")}
# What Punkt takes for the end of a sentence inside a run without white space: before a sign that it does not count as
# a word.
_END = re.compile(r"""(.*[.!?])(?=[)";}\]*:@'({\[!?]|$)""")
_NO_END = re.compile(r"\W*(?:MM?|Mmes?|Mlles?|Mr|Dr|Pr|Ste?|[^\W\d_])\.")
_NO_END_BEFORE_LOWER_CASE = re.compile(r"(?:\.\.|\b(?:etc|cf|ex)\.)$", re.IGNORECASE)
_CLOSING = re.compile(r"""["')\]}]*""")


def holds(relation: str, count: int, threshold: int) -> bool:
    return count >= threshold if relation == "au moins" else count < threshold


def existence(text: str, keywords: Sequence[str]) -> bool:
    return all(re.search(re.escape(word), text, re.IGNORECASE) for word in keywords)


def frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return holds(relation, len(re.findall(re.escape(keyword), text, re.IGNORECASE)), frequency)


def forbidden_words(text: str, forbidden_words: Sequence[str]) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return holds(let_relation, text.lower().count(letter.lower()), let_frequency)


def response_language(text: str, language: str) -> bool:
    return detected(text) in (language, None)


def number_sentences(text: str, num_sentences: int, relation: str) -> bool:
    return holds(relation, count_sentences(text), num_sentences)


def count_sentences(text: str) -> int:
    """Sentences roughly as Punkt finds them, without its data; a line break alone does not end one."""
    runs = list(re.finditer(r"\S+", text))
    count = 1 if runs else 0
    for run, following in zip_longest(runs, runs[1:]):
        end = _END.match(run[0])
        if end is None or _NO_END.fullmatch(end[1]):
            continue
        rest = text[run.start() + end.end() : run.end()]
        before = rest or (following[0] if following else "")
        if _NO_END_BEFORE_LOWER_CASE.search(end[1]) and not before[:1].isupper():
            continue
        count += following is not None or not _CLOSING.fullmatch(rest)
    return count


def number_paragraphs(text: str, num_paragraphs: int) -> bool:
    pieces = _LINE_OF_STARS.split(text)
    blank = [not piece.strip() for piece in pieces]
    return not any(blank[1:-1]) and blank.count(False) == num_paragraphs


def number_words(text: str, num_words: int, relation: str) -> bool:
    return holds(relation, len(_WORD.findall(text)), num_words)


def nth_paragraph_first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """The count is of non-blank paragraphs, the position is among all: the publisher's error."""
    paragraphs = text.split("\n\n")
    if sum(bool(paragraph.strip()) for paragraph in paragraphs) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    words = paragraphs[nth_paragraph - 1].split()
    if not words:
        return False
    word = _FIRST_WORD_END.split(words[0].lstrip("'").lstrip('"'))[0]
    return word.lower() == first_word.lower()


def number_placeholders(text: str, num_placeholders: int) -> bool:
    return sum(len(_PLACEHOLDER.findall(line[: line.rfind("]") + 1])) for line in text.split("\n")) >= num_placeholders


def postscript(text: str, postscript_marker: str) -> bool:
    marker = _MARKERS.get(postscript_marker) or re.compile(re.escape(postscript_marker.lower()))
    return marker.search(text.lower()) is not None


def number_bullet_lists(text: str, num_bullets: int) -> bool:
    return sum(_ITEM.match(line.lstrip()) is not None for line in _LINE.findall(text)) == num_bullets


def constrained_response(text: str) -> bool:
    return any(answer in text for answer in ANSWERS)


def number_highlighted_sections(text: str, num_highlights: int) -> bool:
    found = [*_HIGHLIGHT.findall(text), *_DOUBLE_HIGHLIGHT.findall(text)]
    return sum(bool(inside.strip()) for inside in found) >= num_highlights


def multiple_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d+", text)) >= num_sections


def json_format(text: str) -> bool:
    text = text.strip()
    opening = _FENCE.match(text)
    try:
        json.loads(text[opening.end() if opening else 0 :].removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    return any(found.strip("#").strip() for found in _TITLE.findall(text))


def two_responses(text: str) -> bool:
    pieces = [piece.strip() for piece in text.split("******")]
    answers = [piece for piece in pieces if piece]
    return all(pieces[1:-1]) and len(answers) == 2 and answers[0] != answers[1]


def repeat_prompt(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def capital_word_frequency(text: str, capital_frequency: int, capital_relation: str) -> bool:
    tokens = _BETWEEN_TOKENS.split(text)
    return holds(capital_relation, sum(token.isupper() for token in tokens), capital_frequency)


def french_capital(text: str) -> bool:
    return text.isupper() and detected(text.lower()) in ("fr", None)


def french_lowercase(text: str) -> bool:
    return text.islower() and detected(text) in ("fr", None)


def no_comma(text: str) -> bool:
    return "," not in text


def quotation(text: str) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] + text[-1] in ('""', "''", "«»")


def ethel_or_cedilla(text: str, forbidden_char: str) -> bool:
    return forbidden_char.lower() not in text.lower()


def informal_address(text: str) -> bool:
    return _INFORMAL.search(text) is not None


def no_accents(text: str) -> bool:
    return _ACCENTED.search(text) is None


def accents(text: str, word_to_accentuate: Mapping[str, str]) -> bool:
    words = _WORD.findall(text.lower())
    return all(word_to_accentuate.get(unaccented(word), word) == word for word in words)


def no_digits(text: str) -> bool:
    return re.search(r"\d", text) is None


def detected(text: str) -> str | None:
    """The code of the text's language by langdetect; None for a text without informative letters."""
    # To langdetect an asterisk is white space, and the loose readings differ in nothing else: half of them are free.
    return _detected(" ".join(text.replace("*", " ").split()))


@lru_cache(maxsize=1024)
def _detected(text: str) -> str | None:
    from langdetect.lang_detect_exception import LangDetectException

    detector = _detectors().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@lru_cache(maxsize=1)
def _detectors() -> Any:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.seed = LANGUAGE_SEED
    factory.load_profile(PROFILES_DIRECTORY)
    return factory


_FAMILIES: Mapping[str, tuple[Callable[..., bool], ...]] = {
    "keywords": (existence, frequency, forbidden_words, letter_frequency),
    "language": (response_language,),
    "length_constraints": (number_sentences, number_paragraphs, number_words, nth_paragraph_first_word),
    "detectable_content": (number_placeholders, postscript, informal_address, no_digits),
    "detectable_format": (
        number_bullet_lists,
        constrained_response,
        number_highlighted_sections,
        multiple_sections,
        json_format,
        title,
    ),
    "combination": (two_responses, repeat_prompt),
    "startend": (end_checker, quotation),
    "change_case": (capital_word_frequency, french_capital, french_lowercase),
    "punctuation": (no_comma,),
    "special_character": (ethel_or_cedilla, no_accents, accents),
}
RULES = {f"{family}:{rule.__name__}": rule for family, rules in _FAMILIES.items() for rule in rules}
