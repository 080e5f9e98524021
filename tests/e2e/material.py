"""Real questions and texts as the tests' servers know them: the data folder, and the answers that a server may give."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARTICLE_WORDS = 600


@dataclass(frozen=True)
class Question:
    question: str
    context: str
    gold: str
    title: str


def piaf_questions(shared: Path) -> dict[tuple[str, str], Question]:
    """Every question of the publisher's file by its paragraph and text."""
    found = {}
    for article in _piaf(shared):
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                context, text = paragraph["context"].strip(), asked["question"].strip()
                found[context, text] = Question(text, context, asked["answers"][0]["text"].strip(), article["title"])
    return found


def long_articles(shared: Path) -> dict[str, str]:
    """Title -> joined paragraphs, where these make an article of 600 words or more."""
    texts: dict[str, list[str]] = defaultdict(list)
    for article in _piaf(shared):
        texts[article["title"]] += [paragraph["context"] for paragraph in article["paragraphs"]]
    joined = {title: "\n\n".join(parts) for title, parts in texts.items()}
    return {title: text for title, text in joined.items() if len(text.split()) >= ARTICLE_WORDS}


def sib200_topics(shared: Path) -> dict[str, str]:
    """Text -> topic of the training split."""
    lines = (shared / "sib200" / "fra_Latn" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {text.strip(): category for _, category, text in rows}


def data_folder(shared: Path, folder: Path) -> Path:
    """A --data-dir of the real files: PIAF and SIB-200 as published, the long articles for analysis_fr."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "piaf-v1.0.json").symlink_to((shared / "piaf" / "piaf-v1.0.json").resolve())
    (folder / "sib200_fr.tsv").symlink_to((shared / "sib200" / "fra_Latn" / "train.tsv").resolve())
    with (folder / "analysis_fr.jsonl").open("w", encoding="utf-8") as out:
        for number, (title, text) in enumerate(long_articles(shared).items()):
            out.write(json.dumps({"id": f"a{number}", "title": title, "text": text}, ensure_ascii=False) + "\n")
    return folder


def _piaf(shared: Path) -> list[dict[str, Any]]:
    return json.loads((shared / "piaf" / "piaf-v1.0.json").read_text(encoding="utf-8"))["data"]
