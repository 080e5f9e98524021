"""Makes a text safe to show after a fence: nothing in it can pass for the prompt's own structure.

Three steps; each stops most tricks, and none is relied on alone. `clean` drops what cannot be seen; `defang` puts a
mark that French does not use before what imitates a fence, the reply's verdict or a chat template's token, and leaves
it readable; `quote` starts every line with "> ", so that no line of the text can be one of ours.
Ordinary headings ("Réponse :", "Résultat : 2-1") imitate nothing and stay as they are.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from lm_eval_fr.judge.asking.judge_instructions import MARK

QUOTE = "> "

_LINE_ENDS = re.compile("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# What no reader sees: controls, zero-width and direction marks, tags, variation selectors, Hangul and Braille blanks.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")

# Every repetition is bounded: an answer of 100 kB must not stall the expressions.
_TEMPLATE = re.compile(
    r"[<＜](?=[|｜])|(?<=\w)[|｜](?=[>＞])"  # <|im_start|>, <｜User｜>
    r"|<{1,2}(?=/?(?:think|tool_call|tool_response|start_of_turn|end_of_turn|bos|eos|pad|unk|sys|s)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|CONTROL|THINK|MODEL_SETTINGS)\])"
    r"|^#{2,6}(?= {0,3}(?:system|assistant|human|user|instruction|response) {0,3}:)",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTE = "[\"'“”]"
_VERDICT = re.compile(
    rf"{_QUOTE}\s{{0,3}}verdict\s{{0,3}}{_QUOTE}\s{{0,3}}:\s{{0,3}}{_QUOTE}\s{{0,3}}(?:a|b|tie)\s{{0,3}}{_QUOTE}"
    r"|^[\s>*_#-]{0,20}verdict[\s*_]{0,5}[:=][\s*_\"'“”]{0,9}(?:a|b|tie)[\s*_.\"'“”]{0,9}$"
)
_FENCE = re.compile(
    r"^(?P<rule>[\W_]{0,40})(?:debut|fin|begin|end)(?: (?:de|of))?(?: (?:la|the))?"
    r" (?:reponse|answer|demande|request|consigne generale|general instruction)"
    r"(?: (?P<label>[ab]))?(?: [0-9a-f]{4,64})?[\W_]{0,40}$"
)
_RULE = re.compile(r"[=*_~<>|-]{3}")
# Letters that look Latin and are not: enough to read a disguised fence as the fence.
_LOOKS_LATIN = str.maketrans("аеорсухіѕвнкмтγαοεινρτυωıℓ", "aeopcyxisbhkmtyaoeivptuwil")


@functools.lru_cache(maxsize=32)  # the two orders of a pair and its controls show the same texts, one after the other
def neutralise(text: str, codes: tuple[str, ...], *, imitations: bool = True) -> str:
    """The text as the judge may be shown it, without the fences' `codes`.

    Without `imitations` only a chat template's tokens are marked: a task may quote a verdict and mean it.
    """
    text = defang(clean(text), imitations=imitations)
    for code in codes:
        half = len(code) // 2
        text = text.replace(code, code[:half] + MARK + code[half:])
    return text


def clean(text: str) -> str:
    """Line ends unified, invisible characters dropped, lone surrogates replaced."""
    text = _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", text)


def defang(text: str, *, imitations: bool = True) -> str:
    """A mark inside every template token, and before every line that imitates a fence or the reply."""
    text = _TEMPLATE.sub(lambda match: match.group() + MARK, text)
    if not imitations:
        return text
    return "\n".join(MARK + line if _imitates(line) else line for line in text.split("\n"))


def quote(text: str) -> str:
    return "\n".join(QUOTE + line if line else ">" for line in text.split("\n"))


def unquote(lines: list[str]) -> str:
    return "\n".join(line[len(QUOTE) :] if line.startswith(QUOTE) else line[1:] for line in lines)


def _imitates(line: str) -> bool:
    """A line that could be one of ours: a fence (a rule, or the label of an answer), or the reply's verdict."""
    folded = _fold(line)
    if _VERDICT.search(folded):
        return True
    fence = _FENCE.match(folded)
    return fence is not None and bool(fence["label"] or _RULE.search(fence["rule"]))


def _fold(text: str) -> str:
    """Lower case without accents, disguised letters as the Latin ones that they look like."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.casefold().translate(_LOOKS_LATIN)
