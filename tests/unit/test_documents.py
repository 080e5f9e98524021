from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from lm_eval_fr.tasklib.documents import (
    Settings,
    local_file,
    read_records,
    require_unique,
    spread_over_clusters,
    spread_over_labels,
)
from lm_eval_fr.tasklib.records import Record, read_file
from lm_eval_fr.tasklib.sentences import cut_at_sentence


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_of_every_kind_of_file(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"id": "1", "text": '"Été'}, {"id": "2", "text": "deux\u2028lignes"}]
    write(tmp_path / "a.jsonl", "\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
    write(tmp_path / "b.json", json.dumps(rows))
    write(tmp_path / "c.tsv", "id\ttext\r\n" + "\r\n".join("\t".join(row.values()) for row in rows) + "\r\n")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    for name in ("a.jsonl", "b.json", "c.tsv", "d.parquet"):
        assert [dict(record.values) for record in read_file(tmp_path / name)] == rows, name


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", '{"id": 1}\n{"id": 2, "te\n', "a.jsonl:2: not JSON: "),
        ("a.jsonl", "[1, 2]\n", "a.jsonl:1: not a JSON object"),
        ("a.json", '{"data": ', "a.json:1: not JSON: "),
        ("a.json", '{"data": 1}', "a.json: not a list of JSON objects"),
        ("a.tsv", "id\ttext\n1\tx\n2\n", "a.tsv:3: 1 columns where the header has 2"),
        ("a.parquet", "PAR1", "a.parquet: not a Parquet file"),
        ("a.csv", "id", "a.csv: unknown kind of data file: .csv"),
    ],
)
def test_a_broken_file_is_one_line_with_its_place(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_file(write(tmp_path / name, content)))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"id": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        list(read_file(tmp_path / "a.jsonl"))


def test_fields_of_a_record() -> None:
    record = Record({"id": 7, "text": " oui ", "empty": " ", "flag": True}, "f.jsonl", 3, "piaf_fr")
    assert record.text("text") == " oui "
    assert record.identifier("id") == "7"
    for read in (lambda: record.text("empty"), lambda: record.text("id"), lambda: record.identifier("flag")):
        with pytest.raises(InputError, match=r"f.jsonl:3: piaf_fr: field .* must be non-empty text"):
            read()
    with pytest.raises(
        InputError, match=r'f.jsonl:3: piaf_fr: no field "question" \(rename or add it; the fields .*: id, text'
    ):
        record.text("question")


def test_the_models_arguments_do_not_choose_the_data() -> None:
    given = {
        "model": "mistral",
        "base_url": "http://x/v1",
        "path": "elsewhere",
        "name": "other",
        "split": "other",
        "revision": "main",  # of the model
        "seed": 3,
        "dataset": {"path": "AgentPublic/piaf", "name": "plain_text", "split": "train", "revision": "abc"},
    }
    settings = Settings.read("piaf_fr", given)
    assert settings.hub is not None
    assert (settings.hub.path, settings.hub.revision, settings.seed) == ("AgentPublic/piaf", "abc", 1234)
    assert settings.data is None
    assert local_file(settings) is None


@pytest.mark.parametrize("given", [{"order_seed": "x"}, {"order_seed": 1.5}, {"dataset": {"path": "p"}}])
def test_metadata_that_cannot_be_meant(given: dict[str, object]) -> None:
    with pytest.raises(InputError, match="sib200_fr: "):
        Settings.read("sib200_fr", given)


def test_limits_are_whole_numbers() -> None:
    settings = Settings.read("analysis_fr", {"articles": 0, "sentences": 5})
    assert settings.limit("sentences", 10) == 5
    assert settings.limit("unset", 10) == 10
    with pytest.raises(InputError, match="articles=0"):
        settings.limit("articles", 10)


def test_a_data_folder_is_searched_by_task_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no data for piaf_fr \(put one of these files there: piaf_fr.jsonl, "):
        local_file(Settings.read("piaf_fr", {"data_dir": str(tmp_path)}))
    write(tmp_path / "piaf_fr.jsonl", "")
    assert local_file(Settings.read("piaf_fr", {"data_dir": str(tmp_path)})) == tmp_path / "piaf_fr.jsonl"
    with pytest.raises(InputError, match="no such data folder"):
        local_file(Settings.read("piaf_fr", {"data_dir": str(tmp_path / "absent")}))


def test_a_data_file_wins_and_is_relative_to_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.jsonl", '{"id": "1"}')
    settings = Settings.read("own_qa_fr", {"data": "mine.jsonl", "data_dir": "absent"})
    assert [dict(record.values) for record in read_records(settings)] == [{"id": "1"}]
    with pytest.raises(InputError, match=r"absent.jsonl: own_qa_fr: no such data file"):
        local_file(Settings.read("own_qa_fr", {"data": "absent.jsonl"}))


def test_one_file_for_one_task_of_a_group(tmp_path: Path) -> None:
    write(tmp_path / "piaf_fr.jsonl", "")
    given = {"data": {"analysis_fr": str(tmp_path / "articles.jsonl")}, "data_dir": str(tmp_path)}
    assert Settings.read("analysis_fr", given).data == tmp_path / "articles.jsonl"
    assert local_file(Settings.read("piaf_fr", given)) == tmp_path / "piaf_fr.jsonl"


def test_one_id_twice_names_both_lines() -> None:
    records = [Record({"id": "a"}, "f.jsonl", line) for line in (1, 4)]
    with pytest.raises(InputError, match=r'f.jsonl:4: id "a" was used before, at line 1'):
        require_unique(records, ["a", "a"])


def test_the_first_documents_come_from_as_many_clusters_as_possible() -> None:
    clusters = ["a"] * 50 + ["b"] * 5 + ["c"]
    keys = [str(i) for i in range(len(clusters))]
    order = spread_over_clusters(keys, clusters, seed=1)
    assert sorted(order) == list(range(len(keys)))
    assert {clusters[i] for i in order[:3]} == {"a", "b", "c"}
    assert Counter(clusters[i] for i in order[:11]) == {"a": 5, "b": 5, "c": 1}


def test_every_prefix_has_about_the_shares_of_the_whole() -> None:
    labels = ["often"] * 80 + ["rare"] * 20
    keys = [str(i) for i in range(100)]
    order = spread_over_labels(keys, labels, seed=1)
    assert sorted(order) == list(range(100))
    for n in range(1, 101):
        assert abs(sum(labels[i] == "rare" for i in order[:n]) - n * 0.2) <= 1.0


@pytest.mark.parametrize("spread", [spread_over_clusters, spread_over_labels])
def test_the_order_depends_on_the_seed_and_not_on_the_files_order(spread: object) -> None:
    keys = [str(i) for i in range(60)]
    groups = [str(i % 7) for i in range(60)]
    forward = [keys[i] for i in spread(keys, groups, 1)]  # type: ignore[operator]
    backward = [keys[::-1][i] for i in spread(keys[::-1], groups[::-1], 1)]  # type: ignore[operator]
    assert forward == backward
    assert forward != [keys[i] for i in spread(keys, groups, 2)]  # type: ignore[operator]
    assert forward != keys


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("Un deux. Trois quatre.", 10, "Un deux. Trois quatre."),
        ("Un deux. Trois quatre.", 3, "Un deux."),
        ("Il dit : « Non ! » Puis il partit loin.", 8, "Il dit : « Non ! »"),
        ("M. Dupont naquit en 52 av. J.-C. à Rome et mourut.", 8, ""),
        ("Mme X. vint. Elle partit vite.", 4, "Mme X. vint."),
        ("Ils sont 5. Puis six.", 4, "Ils sont 5."),
        ("Fin… Suite ? Oui ! Non.", 3, "Fin… Suite ?"),
        ("Un paragraphe.\n\nUn autre, bien plus long.", 4, "Un paragraphe."),
        ("sans aucun point du tout", 2, ""),
    ],
)
def test_cut_at_a_sentence(text: str, most: int, expected: str) -> None:
    assert cut_at_sentence(text, most) == expected
