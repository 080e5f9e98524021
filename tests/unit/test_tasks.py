"""Every task through lm-eval's own TaskManager, on real data where there is some and on small files elsewhere."""

from __future__ import annotations

import functools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.definitions import group_names, task_names, tasks_behind, tasks_dir
from tests.fakes.hub import lay_out, write_rows

DEMO = Path(__file__).resolve().parents[2] / "lm_eval_fr" / "demo" / "data"
OWN = {
    "own_qa_fr": {"id": "q", "input": "Combien ?", "gold": "12,5"},
    "own_classification_fr": {"id": "c", "input": "Super !", "gold": "positif"},
    "own_extraction_fr": {"id": "e", "input": "Qui ?", "gold": ["Zoé", "Ali"]},
    "own_analysis_fr": {"id": "a", "input": "Résume."},
}


def load(name: str, **metadata: Any) -> Any:
    """The lm-eval task, as `lm_eval run --include_path tasks --metadata ...` would build it."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False, metadata=metadata)
    return manager.load([name])["tasks"][name]


@pytest.fixture(scope="session")
def every_task(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All French tasks, ours on the demonstration's data."""
    folder = tmp_path_factory.mktemp("own")
    for name, row in OWN.items():
        write_rows(folder / f"{name}.jsonl", [row])
    french = [name for name in task_names() if not name.startswith("aime")]
    small = {"long_context_fr": {"lengths": [4096, 8192], "documents": 40}}
    return {name: load(name, data_dir=str(folder if name in OWN else DEMO), **small.get(name, {})) for name in french}


@pytest.fixture(scope="session")
def piaf(shared_data: Path) -> Any:
    return load("piaf_fr", data_dir=str(shared_data))


@pytest.fixture(scope="session")
def sib200(shared_data: Path) -> Any:
    return load("sib200_fr", data_dir=str(shared_data))


def test_every_task_keeps_the_rules_of_a_comparison(every_task: dict[str, Any]) -> None:
    for name, task in every_task.items():
        config = task.config
        assert config.generation_kwargs["until"] == (["\n"] if name.endswith("_shots") else ["</s>"]), name
        voting = name.endswith("_vote")
        assert config.generation_kwargs["temperature"] == (0.7 if voting else 0.0)
        assert config.generation_kwargs["do_sample"] is voting
        assert config.generation_kwargs["max_gen_toks"] >= 32
        assert "reasoning_effort" not in config.generation_kwargs
        assert callable(config.process_results)
        assert config.metadata["version"] in (1.0, 1.1)
        assert 0 <= config.metadata.get("chance", 0) < 0.2
        for field in config.metadata.get("strata", []):
            assert task.eval_docs[0][field]
        assert {"licence", "source"} <= config.metadata.keys()
        if "cluster" in config.metadata:
            assert task.eval_docs[0][config.metadata["cluster"]]
        if name not in OWN:
            assert {"path", "name", "split", "revision"} <= config.metadata["dataset"].keys()


def test_no_prompt_ends_in_white_space_and_every_gold_scores_one(every_task: dict[str, Any]) -> None:
    for name, task in every_task.items():
        primary = next(iter(task.aggregation()))
        for doc in task.eval_docs:
            prompt = task.doc_to_text(doc)
            assert prompt and prompt == prompt.strip(), name
            scores = task.process_results(doc, [task.doc_to_target(doc)])
            if name == "ifeval_fr":  # has no reference answer
                continue
            assert list(scores) == [metric for metric in task.aggregation() if metric != "bypass"]
            assert all(score == 1.0 for score in scores.values()), (name, doc, scores)
            assert all(isinstance(score, float) for score in scores.values())
        assert primary in {"f1", "exact_match", "set_f1", "prompt_strict", "recall", "field_f1", "bypass"}


@pytest.mark.parametrize("nothing", ["", " \n", None])
def test_a_failed_generation_scores_zero(every_task: dict[str, Any], nothing: str | None) -> None:
    for task in every_task.values():
        for doc in task.eval_docs:
            scores = task.process_results(doc, [nothing])
            assert not any(any(score) if isinstance(score, list) else score for score in scores.values())


def test_groups(tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    assert group_names() == ("fr_all", "fr_gold", "fr_quality", "fr_sensitive")
    manager = TaskManager(
        include_path=str(tasks_dir()), include_defaults=False, metadata={"data_dir": str(DEMO), "lengths": 4096}
    )
    gold = {"piaf_fr", "massive_scenario_fr", "sib200_fr", "wikiner_fr"}
    assert set(manager.load(["fr_gold"])["tasks"]) == gold
    assert set(manager.load(["fr_quality"])["tasks"]) == gold | {"analysis_fr"}
    sensitive = {"ifeval_fr", "mgsm_cot_fr", "long_context_fr", "structured_fr"}
    assert set(manager.load(["fr_sensitive"])["tasks"]) == sensitive
    assert set(manager.load(["fr_all"])["tasks"]) == gold | {"analysis_fr"} | sensitive
    assert tasks_behind(["fr_all"]) == (*tasks_behind(["fr_quality"]), *tasks_behind(["fr_sensitive"]))  # type: ignore[misc]


def test_piaf_whole(piaf: Any) -> None:
    docs = list(piaf.eval_docs)
    assert len(docs) == 3835
    assert len({doc["title"] for doc in docs}) == 191
    assert len({doc["id"] for doc in docs}) == 3835
    assert len({doc["title"] for doc in docs[:50]}) == 50
    assert len({doc["title"] for doc in docs[:191]}) == 191
    for doc in docs[::4]:  # lm-eval compiles its template for each
        prompt = piaf.doc_to_text(doc)
        assert prompt == prompt.strip()
        target = piaf.doc_to_target(doc)
        assert target == target.strip()
        assert target in prompt
        assert set(piaf.process_results(doc, [target]).values()) == {1.0}
        assert not any(piaf.process_results(doc, [""]).values())


def test_piaf_order_has_a_seed(piaf: Any, shared_data: Path) -> None:
    again = load("piaf_fr", data_dir=str(shared_data), revision="main", model="x")
    other = load("piaf_fr", data_dir=str(shared_data), order_seed=7)
    first = piaf.eval_docs[:60]["id"]
    assert again.eval_docs[:60]["id"] == first
    assert other.eval_docs[:60]["id"] != first


def test_piaf_documents_are_the_same_from_file_and_from_the_hubs_form(
    piaf: Any, tmp_path: Path, hub_copy: Callable[..., dict[str, Any]]
) -> None:
    """The same bytes in the logs, so that two arms pair however each of them got the data."""
    rows = [piaf.eval_docs[i] for i in range(20)]
    for row in rows:
        row["answers"]["answer_start"] = [int(start) for start in row["answers"]["answer_start"]]
    hub = load("piaf_fr", dataset=hub_copy(rows, "plain_text", "train"), revision="of-the-model")
    lines = load("piaf_fr", data=str(write_rows(tmp_path / "rows.jsonl", reversed(rows))))
    as_logged = [json.dumps(doc, ensure_ascii=False) for doc in hub.eval_docs]
    assert as_logged == [json.dumps(doc, ensure_ascii=False) for doc in lines.eval_docs]
    assert sorted(as_logged) == sorted(json.dumps(row, ensure_ascii=False) for row in rows)


@pytest.fixture
def hub_copy(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    return functools.partial(lay_out, tmp_path / "hub")


def test_sib200_from_the_publishers_file(sib200: Any, shared_data: Path) -> None:
    docs = list(sib200.eval_docs)
    assert len(docs) == 701
    shares = Counter(doc["category"] for doc in docs)
    assert shares["science/technology"] == 176
    assert len(shares) == 7
    assert len({doc["category"] for doc in docs[:20]}) == 7
    for n in (50, 100, 300):
        for label, count in Counter(doc["category"] for doc in docs[:n]).items():
            assert abs(count - n * shares[label] / 701) <= 1.5
    lines = (shared_data / "sib200" / "fra_Latn" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert sorted(f"{doc['index_id']}\t{doc['category']}\t{doc['text']}" for doc in docs) == sorted(lines)
    for doc in docs:
        assert sib200.process_results(doc, [doc["category"]]) == {"exact_match": 1.0, "valid_label": 1.0}
    assert sib200.process_results({"category": "travel"}, ["Sports."]) == {"exact_match": 0.0, "valid_label": 1.0}
    assert sib200.process_results({"category": "travel"}, ["un voyage"]) == {"exact_match": 0.0, "valid_label": 0.0}


def test_massive_lists_its_labels_and_drops_repeated_texts(
    every_task: dict[str, Any], hub_copy: Callable[..., dict[str, Any]]
) -> None:
    task = every_task["massive_scenario_fr"]
    labels = {doc["label_text"] for doc in task.eval_docs}
    assert len(labels) == 18
    prompt = task.doc_to_text(task.eval_docs[0])
    assert all(f"- {label} : " in prompt for label in labels)
    rows = [
        {"id": "1", "label": "play", "label_text": "play", "text": "mets du jazz", "lang": "fr"},
        {"id": "2", "label": "music", "label_text": "music", "text": "mets du jazz", "lang": "fr"},
        {"id": "3", "label": "qa", "label_text": "qa", "text": "qui a écrit hamlet", "lang": "fr"},
    ]
    loaded = load("massive_scenario_fr", dataset=hub_copy(rows, "fr", "test"))
    assert {doc["id"]: doc["label_text"] for doc in loaded.eval_docs} == {"1": "play", "3": "qa"}


def test_a_changed_local_copy_is_read_anew(hub_copy: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    rows = [{"index_id": i, "category": "travel", "text": f"Voyage {i}"} for i in range(3)]
    dataset = hub_copy(rows, "fra_Latn", "train")
    assert len(load("sib200_fr", dataset=dataset).eval_docs) == 3
    shutil.rmtree(dataset["path"])
    shutil.copytree(hub_copy(rows[:2], "fra_Latn", "train")["path"], dataset["path"])
    assert len(load("sib200_fr", dataset=dataset).eval_docs) == 2


def wikiner_row(*pairs: tuple[str, int]) -> dict[str, Any]:
    return {"tokens": [token for token, _ in pairs], "ner_tags": [tag for _, tag in pairs]}


def test_wikiner_decodes_names_and_their_kinds(hub_copy: Callable[..., dict[str, Any]]) -> None:
    rows = [
        wikiner_row(
            ("L'", 0), ("Organisation", 9), ("des", 10), ("Nations", 10), ("unies", 11), ("siège", 0), ("à", 0),
            ("New", 5), ("York", 7), ("(", 0), ("et", 0), ("à", 0), ("Genève", 8), (")", 0), (",", 0), ("dit", 0),
            ("Ban", 1), ("Ki-moon", 3), ("à", 0), ("Genève", 8), (".", 0),
        ),
        wikiner_row(("Le", 0), ("prix", 13), ("Nobel", 15), ("d'", 0), ("hier", 0), (".", 0)),
    ]  # fmt: skip
    docs = {doc["id"]: doc for doc in load("wikiner_fr", dataset=hub_copy(rows, "default", "train")).eval_docs}
    first = docs["0"]
    assert first["text"] == (
        "L'Organisation des Nations unies siège à New York (et à Genève), dit Ban Ki-moon à Genève."
    )
    assert dict(zip(first["entities"], first["kinds"], strict=True)) == {
        "Organisation des Nations unies": "ORG",  # one public converter has ORG and LOC the other way round
        "New York": "LOC",
        "Genève": "LOC",
        "Ban Ki-moon": "PER",
    }
    assert docs["1"]["text"] == "Le prix Nobel d'hier."
    assert docs["1"]["entities"] == []  # MISC is not asked for


def test_wikiner_keeps_a_fair_share_of_sentences_without_a_name(tmp_path: Path) -> None:
    rows = [wikiner_row((f"Mot{i}", 8 if i % 2 else 0), (".", 0)) for i in range(100)]
    path = write_rows(tmp_path / "wikiner_fr.jsonl", [*rows, *rows])
    docs = list(load("wikiner_fr", data=str(path), sentences=40).eval_docs)
    assert len(docs) == 40
    assert len({doc["text"] for doc in docs}) == 40
    assert sum(not doc["entities"] for doc in docs) == 6
    assert 1 <= sum(not doc["entities"] for doc in docs[:20]) <= 4


def test_analysis_from_joined_piaf_paragraphs(piaf: Any, tmp_path: Path) -> None:
    paragraphs: dict[str, dict[str, None]] = {}
    for doc in piaf.eval_docs:
        paragraphs.setdefault(doc["title"], {})[doc["context"]] = None
    rows = [
        {"id": str(i), "title": title, "text": "\n\n".join(texts)}
        for i, (title, texts) in enumerate(sorted(paragraphs.items()))
        if len(" ".join(texts).split()) >= 600
    ]
    assert len(rows) == 36
    docs = list(load("analysis_fr", data=str(write_rows(tmp_path / "articles.jsonl", rows))).eval_docs)
    assert len(docs) == 5 * 36
    assert len({doc["title"] for doc in docs[:36]}) == 36
    assert len({doc["analysis"] for doc in docs[:5]}) == 5
    assert len({(doc["title"], doc["analysis"]) for doc in docs}) == 5 * 36


def test_analysis_streamed_in_the_hubs_form(hub_copy: Callable[..., dict[str, Any]]) -> None:
    sentence = "Cette ville de Bretagne compte un port et trois ponts. "  # ten words
    rows = [
        {"id": "1", "url": "https://fr.wikipedia.org/wiki/A", "title": "A", "text": sentence * 200},
        {"id": "2", "url": "u", "title": "Court", "text": sentence * 20},
        {"id": "3", "url": "u", "title": "Liste des ponts", "text": sentence * 100},
        {"id": "4", "url": "u", "title": "B", "text": sentence * 70},
        {"id": "5", "url": "u", "title": "C", "text": sentence * 70},
    ]
    dataset = hub_copy(rows, "20231101.fr", "train", lines=True)  # `datasets` ends a stream of Parquet with a 5 s sleep
    docs = list(load("analysis_fr", dataset=dataset).eval_docs)
    assert {doc["title"] for doc in docs} == {"A", "B", "C"}
    assert len(docs) == 15
    text = next(doc["text"] for doc in docs if doc["title"] == "A")
    assert len(text.split()) == 1200
    assert text.endswith("ponts.")
    assert docs[0]["licence"] == "CC BY-SA 3.0"
    assert len(load("analysis_fr", dataset=dataset, articles=2).eval_docs) == 10


def test_own_documents_as_the_model_gets_them(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "system": "Réponds en un mot.",
            "input": "Capitale ?\n",
            "gold": ["Paris", "Lutèce"],
            "cluster": "x",
        },
        {"id": 2, "input": "Deux ?", "gold": 2, "note": "ignored"},
        {"id": "3", "input": "Rien ?", "gold": ""},
    ]
    task = load("own_qa_fr", data=str(write_rows(tmp_path / "qa.jsonl", rows)))
    docs = {doc["id"]: doc for doc in task.eval_docs}
    assert task.doc_to_text(docs["1"]) == "Réponds en un mot.\n\nCapitale ?"
    assert task.doc_to_text(docs["2"]) == "Deux ?"
    assert task.doc_to_target(docs["2"]) == "2"
    assert task.process_results(docs["1"], ["lutèce !"])["exact_match"] == 1.0
    assert task.process_results(docs["3"], [""])["f1"] == 1.0  # nothing is the right answer here
    assert [docs[key]["cluster"] for key in "123"] == ["x", "2", "3"]


def test_own_labels_are_the_files_golds_unless_given(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "input": "a", "gold": "positif"},
        {"id": "2", "input": "b", "gold": "négatif"},
        {"id": "3", "input": "c", "gold": "oui", "labels": ["oui", "non"]},
    ]
    task = load("own_classification_fr", data=str(write_rows(tmp_path / "c.jsonl", rows)))
    docs = {doc["id"]: doc for doc in task.eval_docs}
    assert docs["1"]["labels"] == ["négatif", "oui", "positif"]
    assert task.process_results(docs["1"], ["Négatif."]) == {"exact_match": 0.0, "valid_label": 1.0}
    assert task.process_results(docs["3"], ["positif"]) == {"exact_match": 0.0, "valid_label": 0.0}


def test_own_extraction_takes_a_list_or_its_text(tmp_path: Path) -> None:
    rows = [{"id": "1", "input": "a", "gold": '["NVIDIA", "CNRS"]'}, {"id": "2", "input": "b", "gold": []}]
    task = load("own_extraction_fr", data=str(write_rows(tmp_path / "e.jsonl", rows)))
    docs = {doc["id"]: doc for doc in task.eval_docs}
    assert task.process_results(docs["1"], ['```json\n["cnrs"]\n```']) == {
        "set_f1": pytest.approx(2 / 3),
        "valid_json": 0.0,
    }
    assert task.process_results(docs["2"], ["[]"]) == {"set_f1": 1.0, "valid_json": 1.0}
    assert task.process_results(docs["2"], ["Il n'y en a pas."]) == {"set_f1": 0.0, "valid_json": 0.0}


PIAF_ROW = {"id": "1", "title": "T", "context": "C", "question": "Q ?", "answers": {"text": ["C"], "answer_start": [0]}}


UNANSWERED = {**PIAF_ROW, "id": "2", "answers": {"text": [], "answer_start": []}}
QUESTIONLESS = {key: value for key, value in PIAF_ROW.items() if key != "question"}
UNLISTED = {"id": "1", "input": "x", "gold": "oui", "labels": ["non"]}
BAD_DATA = [
    ("piaf_fr", [PIAF_ROW, UNANSWERED], "2: piaf_fr: no gold"),
    ("piaf_fr", [QUESTIONLESS], '1: piaf_fr: no field "question"'),
    ("piaf_fr", [PIAF_ROW, PIAF_ROW], '2: piaf_fr: id "1" was used before, at line 1'),
    ("sib200_fr", [{"index_id": 1, "category": "sport", "text": "x"}], '1: sib200_fr: unknown topic "sport"'),
    ("massive_scenario_fr", [{"id": "1", "label_text": "x", "text": "x"}], "1: massive_scenario_fr: unknown scenario"),
    ("wikiner_fr", [{"tokens": ["a"], "ner_tags": [17]}], '1: wikiner_fr: "ner_tags" must be numbers from 0 to 16'),
    ("wikiner_fr", [{"tokens": ["a"], "ner_tags": [0, 0]}], '1: wikiner_fr: "ner_tags" must be a list with one tag'),
    ("analysis_fr", [{"id": "1", "title": "T"}], '1: analysis_fr: no field "text"'),
    ("own_qa_fr", [{"id": "1", "input": "x"}], '1: own_qa_fr: no field "gold"'),
    ("own_qa_fr", [{"id": "1", "input": "x", "gold": None}], '1: own_qa_fr: "gold" must be the right answer'),
    ("own_extraction_fr", [{"id": "1", "input": "x", "gold": "Paris"}], '1: own_extraction_fr: "gold" must be a list'),
    ("own_classification_fr", [UNLISTED], '1: own_classification_fr: gold "oui" is not one of its labels'),
    ("own_analysis_fr", [], " own_analysis_fr: it has no documents"),
]


@pytest.mark.parametrize(("task", "rows", "complaint"), BAD_DATA)
def test_bad_data_is_one_line_with_its_place(
    tmp_path: Path, task: str, rows: list[Mapping[str, Any]], complaint: str
) -> None:
    path = write_rows(tmp_path / "data.jsonl", rows)
    with pytest.raises(InputError) as caught:  # lm-eval lets it through as it is
        load(task, data=str(path))
    assert f"{path}:{complaint}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_squad_shaped(tmp_path: Path) -> None:
    (tmp_path / "piaf_fr.json").write_text('{"data": [{"title": "T"}]}')
    with pytest.raises(InputError, match="not SQuAD-shaped: KeyError: 'paragraphs'"):
        load("piaf_fr", data_dir=str(tmp_path))


def test_own_tasks_ask_for_data() -> None:
    with pytest.raises(InputError, match=r"own_qa_fr needs your own data, and none was given .*data=FILE.jsonl"):
        load("own_qa_fr")


def test_an_absent_data_set_says_how_to_do_without_the_hub(tmp_path: Path) -> None:
    absent = {"path": str(tmp_path / "absent"), "name": None, "split": "train", "revision": None}
    with pytest.raises(InputError, match=r"hub data set .*absent: wikiner_fr: .* --data-dir DIR"):
        load("wikiner_fr", dataset=absent)


def test_a_hub_that_is_away_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look ahead `datasets` tries six times, for half a minute."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    away = {"path": "no/such-data-set", "name": None, "split": "train", "revision": None}
    says = r"wikiner_fr: 127\.0\.0\.1 cannot be reached, and the data set is not in the cache \(.*--data-dir DIR"
    with pytest.raises(InputError, match=says):
        load("wikiner_fr", dataset=away)
