"""Reads a French prompt as a person would skim it: what is asked, about which text. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["question", "classification", "extraction", "object", "calculation", "analysis"]

TEMPLATE_MARKS = re.compile(r"\[/?(?:INST|SYSTEM_PROMPT)\]|<\|[^|<>\n]{1,40}\|>|</?s>")
SECTION = re.compile(
    r"^[ \t>*#]*(?P<name>text|texte|article|passage|extrait|document|contexte|question|énoncé|enonce|phrase|requête|"
    r"message|demande|consigne|tâche|analyse|catégorie|étiquette|label|thème|sujet|scénario|entités|réponse|problème|problem|schéma|objet)"
    r"(?:[ \t]+[^:\n]{1,40})?[ \t*]*:[ \t*]*(?P<rest>.*)$",
    re.IGNORECASE,
)
TAGGED = re.compile(r"<(?P<name>[a-zéè_]{3,20})>\s*(?P<body>.*?)\s*</(?P=name)>", re.DOTALL | re.IGNORECASE)
TEXT_NAMES = (
    "texte",
    "text",
    "article",
    "passage",
    "extrait",
    "document",
    "contexte",
    "phrase",
    "énoncé",
    "enonce",
    "problème",
    "problem",
)
SHORT_TEXT_NAMES = (*TEXT_NAMES, "requête", "message", "demande")
LIST_ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\d{1,2}[.)])[ \t]+(?P<item>.+)$", re.MULTILINE)
DEFINED = re.compile(r"^[«\"'`*]*(?P<label>[^:«»\"`*]{1,40}?)[»\"'`*]*[ \t]*(?::|—|–| - |=)[ \t]*(?P<definition>.+)$")
INLINE_LABELS = re.compile(
    r"(?:étiquettes?|catégories?|labels?|classes?|thèmes?|sujets?|choix|options?|réponses?)[^:\n]{0,60}:[ \t]*"
    r"(?P<list>[^\n]*,[^\n]*)",
    re.IGNORECASE,
)
ASKS_LABEL = re.compile(r"catégorie|étiquette|label|thème|sujet|classe|scénario|intention", re.IGNORECASE)
ASKS_ANALYSIS = re.compile(
    r"résum|synth[èé]|trois points|points (?:clés|essentiels|principaux)|entités|affirmations|vérifiab|expliqu|"
    r"vulgaris|profane|néophyte|analys",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Task:
    """What a prompt asks. `labels` maps each listed label to its definition ("" without one)."""

    kind: Kind
    passage: str
    question: str
    instruction: str
    labels: Mapping[str, str]


def read_prompt(prompt: str) -> Task:
    """Never fails: a prompt of an unknown shape is read as its longest part, and its last line as the question."""
    text = TEMPLATE_MARKS.sub("\n", prompt).strip()
    sections = _sections(text)
    passage = _passage(text, sections)
    around = text.replace(passage, "\n", 1) if passage else text
    asking = (line.strip() for line in reversed(around.splitlines()) if line.strip().endswith("?"))
    question = sections.get("question", "") or next(asking, "")
    labels = _labels(around) if ASKS_LABEL.search(around) else {}
    return Task(_kind(around, passage, sections, question, labels), passage, question, around.strip(), labels)


def _kind(around: str, passage: str, sections: Mapping[str, str], question: str, labels: Mapping[str, str]) -> Kind:
    if sections.get("question"):
        return "question"
    if sections.get("problème") or sections.get("problem"):
        return "calculation"
    if sections.get("schéma") and re.search(r"\bjson\b", around, re.IGNORECASE):
        return "object"
    if re.search(r"\bjson\b", around, re.IGNORECASE):
        return "extraction"
    if len(labels) >= 2:
        return "classification"
    if ASKS_ANALYSIS.search(around) or (not question and len(passage.split()) > 150):
        return "analysis"
    return "question"


def _sections(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if heading := SECTION.match(line):
            name = heading["name"].lower()
            found[name] = [heading["rest"]]
        elif name:
            found[name].append(line)
    sections = {name: "\n".join(lines).strip() for name, lines in found.items()}
    return sections | {tag["name"].lower(): tag["body"] for tag in TAGGED.finditer(text)}


def _passage(text: str, sections: Mapping[str, str]) -> str:
    named = [sections[name] for name in SHORT_TEXT_NAMES if sections.get(name)]
    if named:
        return max(named, key=len)
    if quoted := re.findall(r"«\s*([^»]{8,})\s*»", text):
        return str(max(quoted, key=len)).strip()
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    return max(paragraphs, key=len, default="")


def _labels(around: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for item in LIST_ITEM.finditer(around):
        defined = DEFINED.match(item["item"])
        label = (defined["label"] if defined else item["item"]).strip(" .;,«»\"'`*")
        if 0 < len(label) <= 40 and len(label.split()) <= 5:
            labels[label] = defined["definition"].strip() if defined else ""
    if len(labels) >= 2:
        return labels
    if inline := INLINE_LABELS.search(around):
        parts = re.split(r",|;|\bou\b", inline["list"])
        names = [part.strip(" .«»\"'`*") for part in parts]
        return {name: "" for name in names if 0 < len(name) <= 40}
    return labels
