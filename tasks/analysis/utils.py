"""analysis_fr: five analyses of long French articles, judged in pairs; there is no gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import datasets

from lm_eval_fr.tasklib.articles import stream_articles
from lm_eval_fr.tasklib.documents import (
    Settings,
    as_dataset,
    local_file,
    read_records,
    require_unique,
    spread_over_clusters,
)
from lm_eval_fr.tasklib.records import Record

TASK = "analysis_fr"
ARTICLES = 100  # taken from the stream when no file is given
MOST_WORDS = 1200
ANALYSES = {
    "three_points": (
        "Résume le texte en exactement trois points, un par ligne, chacun précédé d'un tiret. "
        "Chaque point énonce, en une ou deux phrases, une idée essentielle du texte."
    ),
    "key_entities": (
        "Relève les entités clés du texte : personnes, lieux, organisations, œuvres et dates. "
        "Donne-les en liste, une par ligne, et précise pour chacune, en une phrase, son rôle dans le texte."
    ),
    "faithful_summary": (
        "Rédige un résumé fidèle du texte, en 120 à 180 mots : toutes les idées principales y sont, "
        "et rien qui ne soit dans le texte."
    ),
    "verifiable_claims": (
        "Extrais du texte les affirmations factuelles vérifiables les plus importantes, entre cinq et huit. "
        "Donne-les en liste numérotée, chacune en une phrase qui se comprend sans le texte."
    ),
    "lay_explanation": (
        "Explique le sujet du texte à une personne qui n'y connaît rien, en 150 à 200 mots : phrases simples, "
        "termes techniques définis, et rien qui contredise le texte."
    ),
}


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    if local_file(settings) is None:
        records = list(islice(stream_articles(settings, MOST_WORDS), settings.limit("articles", ARTICLES)))
    else:
        records = read_records(settings)
    articles = [read_article(record) for record in records]
    require_unique(records, [article["id"] for article in articles])
    ids = [article["id"] for article in articles]
    order = spread_over_clusters(ids, ids, settings.seed)
    return {"test": as_dataset(settings, in_turn([articles[i] for i in order]))}


def in_turn(articles: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Five documents an article. The first N spread over N articles, with the analyses in turn."""
    kinds = list(ANALYSES)
    documents = []
    for round_ in range(len(kinds)):
        for position, article in enumerate(articles):
            kind = kinds[(position + round_) % len(kinds)]
            documents.append(
                {
                    "id": f"{article['id']}/{kind}",
                    "title": article["title"],
                    "analysis": kind,
                    "instruction": ANALYSES[kind],
                    "text": article["text"],
                    "url": article["url"],
                    "licence": article["licence"],
                }
            )
    return documents


def read_article(record: Record) -> dict[str, str]:
    optional = {field: str(record.values.get(field) or "") for field in ("url", "licence")}
    return {
        "id": record.identifier("id"),
        "title": record.text("title").strip(),
        "text": record.text("text").strip(),
        **optional,
    }


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Nothing to score: the judge reads the logged answers."""
    return {}
