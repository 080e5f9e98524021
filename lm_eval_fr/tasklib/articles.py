"""Long articles of a French Wikipedia stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lm_eval_fr.tasklib.documents import Settings, load_hub, require_hub
from lm_eval_fr.tasklib.records import Record
from lm_eval_fr.tasklib.sentences import cut_at_sentence

LICENCE = "CC BY-SA 3.0"
LEAST_WORDS = 600
_SHUFFLE_BUFFER = 2000


def stream_articles(settings: Settings, most_words: int | None) -> Iterator[Record]:
    """The long articles of a seeded shuffle, cut at a sentence. Downloads only what it reads."""
    hub = require_hub(settings)
    rows = load_hub(settings, hub, streaming=True).shuffle(seed=settings.seed, buffer_size=_SHUFFLE_BUFFER)
    return long_articles(rows, most_words, hub.path, settings.task)


def long_articles(rows: Iterable[Mapping[str, Any]], most_words: int | None, where: str, task: str) -> Iterator[Record]:
    """Lists and disambiguation pages are left out."""
    for row in rows:
        if row["title"].startswith("Liste ") or "(homonymie)" in row["title"]:
            continue
        text = row["text"] if most_words is None else cut_at_sentence(row["text"], most_words)
        if len(text.split()) >= LEAST_WORDS:
            yield Record({**row, "text": text, "licence": LICENCE}, f"{where}, article {row['id']}", task=task)
