"""The demonstration corpus is what its README says: sizes, spans, labels, tags, Unicode form."""

import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lm_eval_fr

DATA = Path(lm_eval_fr.__file__).parent / "demo" / "data"
TOPICS = {"science/technology", "travel", "politics", "sports", "health", "entertainment", "geography"}
# fmt: off
SCENARIOS = {
    "alarm", "audio", "calendar", "cooking", "datetime", "email", "general", "iot", "lists",
    "music", "news", "play", "qa", "recommendation", "social", "takeaway", "transport", "weather",
}
# fmt: on
KINDS = ("PER", "LOC", "ORG", "MISC")
TAGS = ["O", *(f"{place}-{kind}" for kind in KINDS for place in "BIES")]


def rows(name: str) -> list[dict[str, Any]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def words(text: str) -> list[str]:
    return [word for word in text.split() if any(letter.isalnum() for letter in word)]


def flat(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def squad() -> list[dict[str, Any]]:
    document = json.loads((DATA / "piaf_fr.json").read_text(encoding="utf-8"))
    assert document["version"]
    return list(document["data"])


def questions() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for article in squad():
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield article["title"], paragraph["context"], qa


def entities(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Reads BIOES strictly: an entity that is not closed, or continued without being opened, fails."""
    found: list[tuple[str, str]] = []
    current: list[str] = []
    kind = ""
    for token, number in zip(row["tokens"], row["ner_tags"], strict=True):
        place, _, name = TAGS[number].partition("-")
        if place in "IE":
            assert current and kind == name, row
        else:
            assert not current, row
        kind = name
        if place != "O":
            current.append(token)
        if place in "ES":
            found.append((kind, " ".join(current).replace("' ", "'")))
            current = []
    assert not current, row
    return found


def test_articles_have_the_length_of_the_judged_task() -> None:
    articles = rows("analysis_fr.jsonl")
    assert len(articles) >= 20  # clusters: fewer make every interval wide
    for article in articles:
        assert set(article) == {"id", "title", "text", "licence"}
        assert article["licence"] == "MIT"
        assert 600 <= len(words(article["text"])) <= 1000, article["title"]
        paragraphs = article["text"].split("\n\n")
        assert 5 <= len(paragraphs) <= 8, article["title"]
        assert all(paragraph == paragraph.strip() and "\n" not in paragraph for paragraph in paragraphs)
    for column in ("id", "title", "text"):
        assert len({article[column] for article in articles}) == len(articles)


def test_no_two_articles_are_alike() -> None:
    runs = {}
    for article in rows("analysis_fr.jsonl"):
        tokens = flat(article["text"]).split()
        runs[article["title"]] = {tuple(tokens[i : i + 6]) for i in range(len(tokens) - 5)}
    for first, second in itertools.combinations(runs, 2):
        # A handful of six-word runs in common is the language; a shared sentence would give a dozen.
        assert len(runs[first] & runs[second]) <= 3, (first, second)


def test_answers_are_spans_of_paragraphs_of_the_articles() -> None:
    articles = {article["title"]: article["text"].split("\n\n") for article in rows("analysis_fr.jsonl")}
    asked = list(questions())
    assert len(asked) >= 6 * len(articles)
    assert set(Counter(title for title, _, _ in asked)) == set(articles)
    for title, context, qa in asked:
        assert context in articles[title]
        assert qa["question"].endswith(" ?")
        (answer,) = qa["answers"]
        start, text = answer["answer_start"], answer["text"]
        assert context[start : start + len(text)] == text
        assert text == text.strip() and 1 <= len(words(text)) <= 12, text
        assert re.search(rf"(?<!\w){re.escape(text)}(?!\w)", context), text
    assert len({qa["id"] for _, _, qa in asked}) == len(asked)
    assert len({flat(qa["question"]) for _, _, qa in asked}) == len(asked)


@pytest.mark.parametrize(
    ("name", "label", "identity", "columns", "labels"),
    [
        ("sib200_fr.jsonl", "category", "index_id", {"index_id", "category", "text"}, TOPICS),
        ("massive_scenario_fr.jsonl", "label", "id", {"id", "label", "label_text", "text", "lang"}, SCENARIOS),
    ],
)
def test_classification_labels(name: str, label: str, identity: str, columns: set[str], labels: set[str]) -> None:
    items = rows(name)
    assert len(items) >= 60
    assert all(set(item) == columns for item in items)
    counts = Counter(item[label] for item in items)
    assert set(counts) == labels
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({item[identity] for item in items}) == len(items)
    assert len({flat(item["text"]) for item in items}) == len(items)
    assert all(item.get("lang", "fr") == "fr" and item.get("label_text", item[label]) == item[label] for item in items)


def test_entities_are_well_formed() -> None:
    sentences = rows("wikiner_fr.jsonl")
    assert len(sentences) >= 60
    assert all(set(row) == {"tokens", "ner_tags"} for row in sentences)
    assert all(token and not re.search(r"\s", token) for row in sentences for token in row["tokens"])
    found = [entities(row) for row in sentences]
    assert sum(not names for names in found) >= 8
    by_kind = {kind: {text for names in found for k, text in names if k == kind} for kind in KINDS}
    assert all(len(by_kind[kind]) >= 25 for kind in ("PER", "LOC", "ORG"))
    # The kinds are not swapped: a place and an organisation that cannot be taken for one another.
    assert "Port-Léry" in by_kind["LOC"] and "Banque agricole du Nord" in by_kind["ORG"]
    assert not by_kind["LOC"] & by_kind["ORG"] and not by_kind["PER"] & by_kind["LOC"]
    assert len({tuple(row["tokens"]) for row in sentences}) == len(sentences)


def test_elisions_are_tokens_of_their_own() -> None:
    tokens = [token for row in rows("wikiner_fr.jsonl") for token in row["tokens"]]
    assert {"l'", "d'", "qu'", "aujourd'hui"} <= set(tokens)
    assert all(token.endswith("'") or token == "aujourd'hui" for token in tokens if "'" in token)


def test_every_text_is_composed_unicode_and_typography_is_mixed() -> None:
    files = [path for path in DATA.iterdir() if path.suffix in {".json", ".jsonl"}]
    everything = "".join(path.read_text(encoding="utf-8") for path in files)
    assert unicodedata.is_normalized("NFC", everything)
    assert "\ufffd" not in everything and "\r" not in everything
    for sign in ("’", "'", "« ", "«\u00a0", "é", "œ", "À"):
        assert sign in everything, sign
    for space in (" ", "\u00a0", "\u202f"):
        assert re.search(rf"\d{space}\d{{3}}\b", everything), space
    for space in ("\u00a0", "\u202f"):
        assert re.search(rf"\d{space}%", everything), space


def test_readme_gives_the_true_counts() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for name, unit in (("analysis_fr", "articles"), ("sib200_fr", "short texts"), ("wikiner_fr", "sentences")):
        assert f"{len(rows(name + '.jsonl'))} {unit}" in readme
    assert f"{len(rows('massive_scenario_fr.jsonl'))} requests" in readme
    assert f"{sum(1 for _ in questions())} questions" in readme
