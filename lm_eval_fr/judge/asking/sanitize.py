"""Makes a text safe to show between fences: nothing in it can be taken for the prompt's own structure.

Three steps, each enough for most tricks and none relied on alone. `clean` drops what cannot be seen; `defang` puts a
middle dot into what imitates a fence, a role, a label or a model's control token, and leaves it readable; `quote`
starts every line with "> ", so that no line of the text can be one of ours, whatever it says.
"""

from __future__ import annotations

import functools
import re
import unicodedata

MARK = "·"
QUOTE = "> "

_LINE_ENDS = re.compile("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# What no reader sees: controls, zero-width and direction marks, tags, variation selectors, Hangul and Braille blanks.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")

_OPEN, _CLOSE, _BAR = "<＜﹤‹", ">＞﹥›", "|｜│¦"
_NAMES = (
    r"(?:answer|r[ée]ponse|response|system|syst[èe]me|user|assistant|developer|human|instructions?|task|demande|"
    r"consigne|verdict|judge|juge|prompt|document|source|think|tool_call|tool_response|output|fence|"
    r"start_of_turn|end_of_turn|bos|eos|pad|unk|sys|s)(?![a-zé])"
)
# Every repetition is bounded: an answer of 100 kB must not be able to keep the expression busy.
_TOKENS = re.compile(
    rf"[{_OPEN}](?=\s{{0,3}}[{_BAR}])|[{_BAR}](?=\s{{0,3}}[{_CLOSE}])"  # <|im_start|>, <｜User｜>
    rf"|[{_OPEN}]{{1,2}}(?=\s{{0,3}}/?\s{{0,3}}{_NAMES}[^{_CLOSE}\n]{{0,80}}[{_CLOSE}])"
    r"|\[(?=/?\s{0,3}(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|CONTROL|THINK|MODEL_SETTINGS)\b)"
    r"|(?<![\w·])(?=verdict\b ?[\"'“”»]? ?[:=])",
    re.IGNORECASE,
)

_DECORATION = "#*_~=+<>|-[](){}\"'`«»“”•:.,/\\ \t0123456789°)"
_AB = r"(?:[ab12]|un|deux|one|two|first|second)\b"
_LABEL = re.compile(
    r"(?:la |the |de |end of |begin(?:ning)? of |fin de |debut de )*(?:la |the )?"
    rf"(?:(?:reponse|answer|response|candidate?|option|modele|model|assistant|output|sortie)\s*[:#n°_-]*\s*{_AB}"
    r"|(?:system|systeme|assistant|user|utilisateur|developer|developpeur|human|humain|juge|judge|arbitre|tool|outil"
    r"|instructions?|consignes?|demande|new task|nouvelle tache|prompt)"
    r"(?:\s+(?:message|prompt|override|note))?\s*[\]\)>*_]*\s*[:>=]"
    r"|(?:verdict|winner|gagnant|vainqueur|final|score|note finale|resultat|meilleure reponse|better answer)"
    r"\b[^a-z]{0,6}[:=]"
    r"|(?:debut|fin|begin|end|start|stop)\b.{0,40}?(?:[=#*-]{3}|reponse|answer|demande|consigne|system))"
)
_RULE = re.compile(r"\s*(?:([=*_~<>|-])\1{4,}|#{7,})")
# Letters that look Latin and are not: enough to read a disguised label as the label.
_LOOKS_LATIN = str.maketrans("аеорсухіѕвнкмтγαοεινρτυωıℓ", "aeopcyxisbhkmtyaoeivptuwil")


@functools.lru_cache(maxsize=16)  # both orders of a pair show the same texts, one right after the other
def neutralise(text: str, fence: str, *, labels: bool = True) -> str:
    """The text as the judge may be shown it, without the code `fence`.

    Without `labels` its own headings stay as they are: a task says "Consigne :" and means it.
    """
    text = defang(clean(text), labels=labels)
    half = len(fence) // 2
    return text.replace(fence, fence[:half] + MARK + fence[half:])


def clean(text: str) -> str:
    """Line ends made one kind, unseen characters dropped, half characters replaced."""
    text = _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", text)


def defang(text: str, *, labels: bool = True) -> str:
    """A middle dot before or inside everything that imitates structure."""
    text = _TOKENS.sub(_split, text)
    if not labels:
        return text
    return "\n".join(MARK + line if line[:1] != MARK and _imitates(line) else line for line in text.split("\n"))


def quote(text: str) -> str:
    return "\n".join(QUOTE + line if line else ">" for line in text.split("\n"))


def unquote(lines: list[str]) -> str:
    return "\n".join(line[len(QUOTE) :] if line.startswith(QUOTE) else line[1:] for line in lines)


def _split(match: re.Match[str]) -> str:
    return match.group() + MARK


def _imitates(line: str) -> bool:
    head = line[:160]
    rule = _RULE.match(head)
    bare = head.lstrip(_DECORATION + MARK)
    folded = "".join(c for c in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(c))
    label = _LABEL.match(folded.casefold().translate(_LOOKS_LATIN))
    # A rule alone underlines a Markdown title and stays; a rule with a word in it looks like a fence.
    return bool(label) or bool(rule and rule.group().strip() != head.strip() and bare[:1].isalpha())
