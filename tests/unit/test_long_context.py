"""long_context_fr: windows of a text, facts in it, questions about them, and what they are worth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.haystack import Haystack, render
from lm_eval_fr.tasklib.tokenizing import CHARACTERS_PER_TOKEN, TokenCount
from tests.fakes.hub import lay_out, write_rows
from tests.unit.test_tasks import DEMO, load

SMALL = {"lengths": [4096, 8192], "documents": 80}
SENTENCE = "La rivière monta dans la nuit jusqu'au seuil de la maison. "


@pytest.fixture(scope="module")
def demo() -> Any:
    return load("long_context_fr", data_dir=str(DEMO), **SMALL)


def write_book(folder: Path, sentences: int) -> Path:
    path = folder / "long_context_fr.txt"
    path.write_text("".join(f"Au jour {number}, on se tut. {SENTENCE}" for number in range(sentences // 2)), "utf-8")
    return path


def test_the_needles_stand_in_the_text_where_the_document_says(demo: Any) -> None:
    for doc in demo.eval_docs:
        prompt = demo.doc_to_text(doc)
        assert prompt == prompt.strip()
        limit = int(doc["length"].removesuffix("k")) * 1024
        assert 0.85 * limit < len(prompt) / CHARACTERS_PER_TOKEN + 256 <= limit
        places = [prompt.index(needle["sentence"]) for needle in doc["needles"]]
        by_place = sorted(doc["needles"], key=lambda needle: needle["place"])
        assert [prompt.index(needle["sentence"]) for needle in by_place] == sorted(places)
        assert doc["question"] in prompt
        for needle in doc["needles"]:
            before = prompt[: prompt.index(needle["sentence"])].rstrip()
            assert before.endswith((".", "!", "?", "…", "»", "”", '"', ")")), before[-40:]


def test_each_kind_asks_about_what_it_should(demo: Any) -> None:
    kinds = Counter(doc["kind"] for doc in demo.eval_docs)
    assert kinds == {"one": 20, "several": 20, "none": 20, "count": 20}
    for doc in demo.eval_docs:
        asked = [needle["sentence"] for needle in doc["needles"] if needle["asked"]]
        others = [needle["sentence"] for needle in doc["needles"] if not needle["asked"]]
        told = sum(answer in sentence for answer in doc["answers"] for sentence in asked)
        if doc["kind"] == "none":
            assert not asked and not doc["answers"] and len(others) == 4
        elif doc["kind"] == "count":
            assert doc["answers"] == [str(len(asked))] and not others and 3 <= len(asked) <= 9
        else:
            assert told == len(asked) == len(doc["answers"]) == (1 if doc["kind"] == "one" else 4)
        assert [value for value in doc["distractors"] if any(value in sentence for sentence in others)] == doc[
            "distractors"
        ]


def test_the_depth_of_a_single_fact_is_balanced(demo: Any) -> None:
    single = [doc for doc in demo.eval_docs if doc["kind"] == "one"]
    assert Counter((doc["length"], doc["depth"]) for doc in single) == {
        (length, f"{depth}-{depth + 20}%"): 2 for length in ("4k", "8k") for depth in range(0, 100, 20)
    }
    for doc in single:
        (needle,) = (needle for needle in doc["needles"] if needle["asked"])
        share = 100 * (needle["place"] - doc["start"]) / (doc["end"] - doc["start"])
        low, high = map(int, doc["depth"].removesuffix("%").split("-"))
        assert low - 3 <= share <= high + 3
    first = [(doc["length"], doc["kind"]) for doc in demo.eval_docs][:16]
    assert len(set(first)) == 8


def test_the_same_seed_makes_the_same_documents(demo: Any) -> None:
    again = load("long_context_fr", data_dir=str(DEMO), **SMALL, model="x", max_model_len=8192)
    assert list(again.eval_docs) == list(demo.eval_docs)
    assert list(load("long_context_fr", data_dir=str(DEMO), **SMALL, order_seed=7).eval_docs) != list(demo.eval_docs)


def answer_scores(demo: Any, kind: str, form: str) -> dict[str, float]:
    doc = next(doc for doc in demo.eval_docs if doc["kind"] == kind)
    values = {f"v{number}": value for number, value in enumerate([*doc["answers"], *doc["distractors"]])}
    return demo.process_results(doc, [form.format(**values)])  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "form", "recall", "exact"),
    [
        ("one", "{v0}", 1, 1),
        ("one", "Le numéro {v0}.", 1, 1),
        ("one", "{v0} ou {v1}", 1, 0),
        ("one", "{v1}", 0, 0),
        ("one", "aucun", 0, 0),
        ("several", "{v3} ; {v2} ; {v1} ; {v0}", 1, 1),
        ("several", "{v0}, {v1}", 0.5, 0),
        ("several", "{v0}, {v1}, {v2}, {v3}, {v4}", 1, 0),
        ("none", "Aucun.", 1, 1),
        ("none", "aucune", 1, 1),
        ("none", "Le texte ne le dit pas.", 1, 0),
        ("none", "Ce n’est pas mentionné.", 1, 0),
        ("none", "aucun, sinon {v0}", 0, 0),
        ("none", "{v0}", 0, 0),
        ("none", "3", 0, 0),
        ("count", "{v0}", 1, 1),
        ("count", "1, 2, 3, puis {v0}", 1, 0),
        ("count", "Il y en a {v0}.", 1, 1),
        ("count", "{v0} puis 99", 0, 0),
    ],
)
def test_what_an_answer_is_worth(demo: Any, kind: str, form: str, recall: float, exact: float) -> None:
    assert answer_scores(demo, kind, form) == {"recall": recall, "exact_match": exact}


def test_windows_hold_whole_sentences_and_so_many_tokens() -> None:
    text = "".join(f"Le jour {number} fut long. « Quoi ? » dit-elle. " for number in range(2000))
    haystack, draw = Haystack.of(text, TokenCount(None)), Random(1)
    for _ in range(50):
        start, end = haystack.window(1000, draw) or (0, 0)
        window = render(haystack.digest, start, end, [])
        assert 950 <= len(window) / CHARACTERS_PER_TOKEN <= 1001
        assert window.startswith(("Le jour", "« Quoi")) and window.endswith((".", "»"))
        assert "« Quoi ?" not in {text[place - 8 : place] for place in haystack.inside(start, end)}
    assert haystack.window(haystack.tokens + 1, draw) is None
    assert Haystack.of(text, TokenCount(None)).window(1000, Random(3)) == haystack.window(1000, Random(3))


def test_tokens_are_counted_by_the_tokenizer_that_is_named(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.save(str(tmp_path / "tokenizer.json"))
    task = load("long_context_fr", data_dir=str(DEMO), lengths=[2048], documents=8, tokenizer=str(tmp_path))
    for doc in task.eval_docs:
        count = len(task.doc_to_text(doc).split())
        assert 2048 * 0.97 - 320 < count <= 2048 - 256
    with pytest.raises(InputError, match=r"cannot be loaded|is missing"):
        load("long_context_fr", data_dir=str(DEMO), lengths=[2048], tokenizer=str(tmp_path / "nowhere"))


def test_a_text_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = write_book(tmp_path, 800)
    with pytest.raises(InputError) as caught:
        load("long_context_fr", data_dir=str(tmp_path), lengths="2048,131072")
    assert str(caught.value) == (
        f"{path.parent}: long_context_fr: 131,072 tokens are asked for, and the text holds about "
        f"{len(path.read_text('utf-8').strip()) / CHARACTERS_PER_TOKEN:,.0f} (a longer text, or "
        """--metadata '{"lengths": [4096, 8192]}')"""
    )
    (tmp_path / "long_context_fr.txt").write_text("mot " * 20_000, "utf-8")
    with pytest.raises(InputError, match="too few sentences in a stretch of 2,048 tokens"):
        load("long_context_fr", data_dir=str(tmp_path), lengths=2048)


@pytest.mark.parametrize("name", ["max_model_len", "max_length"])
def test_a_length_beyond_the_models_context_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        load("long_context_fr", data_dir=str(DEMO), **{name: 16384})
    assert str(caught.value) == (
        f"long_context_fr: prompts of 131,072 tokens are asked for, and this model takes 16,384 ({name}) "
        """(--metadata '{"lengths": [4096, 8192, 16384]}', for both arms)"""
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lengths": [100]}, "metadata lengths=100 must be a whole number of at least 1024"),
        ({"lengths": "4k"}, 'metadata lengths="4k" must be a whole number of at least 1024'),
        ({"kinds": ["une"]}, "metadata kinds: no 'une'"),
        ({"documents": 0}, "metadata documents=0 must be a whole number"),
    ],
)
def test_wishes_that_cannot_be_kept(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load("long_context_fr", data_dir=str(DEMO), **given)


def test_articles_are_streamed_until_they_are_long_enough(tmp_path: Path) -> None:
    rows = [{"id": str(i), "url": "u", "title": f"Ville {i}", "text": SENTENCE * 120} for i in range(40)]
    dataset = lay_out(tmp_path, rows, "20231101.fr", "train", lines=True)
    task = load("long_context_fr", dataset=dataset, lengths=[4096], documents=4)
    assert len(task.eval_docs) == 4
    assert {doc["kind"] for doc in task.eval_docs} == {"one", "several", "none", "count"}


def test_a_text_that_names_the_places_uses_other_ones(tmp_path: Path) -> None:
    rows = [{"title": "Castelbruc et Vaudrecy", "text": SENTENCE * 600}]
    task = load("long_context_fr", data=str(write_rows(tmp_path / "a.jsonl", rows)), lengths=[2048], documents=40)
    assert not any(name in doc["question"] for doc in task.eval_docs for name in ("Castelbruc", "Vaudrecy"))


def test_a_long_real_text(shared_data: Path) -> None:
    task = load("long_context_fr", data_dir=str(shared_data), lengths=[131072], documents=20)
    lengths = [len(task.doc_to_text(doc)) for doc in task.eval_docs]
    assert all(0.97 * 131072 < length / CHARACTERS_PER_TOKEN < 131072 for length in lengths)
    assert len({doc["start"] for doc in task.eval_docs}) == 20
