from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.convert_own_data import main
from tests.unit.test_tasks import load

SYSTEM = "Réponds uniquement par un tableau JSON."
MIXED = f"""# Un commentaire
{{"id": "e1", "type": "extraction", "system": "{SYSTEM}", "input": "Qui ?", "gold": ["Ada", "Zoé"]}}
  # un autre
{{"id": "e2", "type": "extraction", "input": "Où ?", "gold": "Rennes, Brest"}}
{{"id": "c1", "type": "classification", "input": "Bof.", "gold": "négatif", "labels": ["positif", "négatif"]}}

{{"id": "q1", "type": "qa", "input": "Combien ?", "gold": "128 Go", "cluster": "fiche"}}
{{"id": "j1", "type": "judge", "system": "Tu es un analyste.", "input": "Résume."}}
{{"input": "Analyse."}}
"""


def test_each_type_goes_to_its_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "mixed.jsonl", tmp_path / "own"
    source.write_text(MIXED, encoding="utf-8")
    assert main([str(source), "--out", str(out)]) == 0
    assert f"{out}/own_extraction_fr.jsonl: 2 documents" in capsys.readouterr().out
    assert sorted(path.stem for path in out.iterdir()) == [
        "own_analysis_fr",
        "own_classification_fr",
        "own_extraction_fr",
        "own_qa_fr",
    ]
    extraction = load("own_extraction_fr", data_dir=str(out))
    docs = {doc["id"]: doc for doc in extraction.eval_docs}
    assert extraction.doc_to_text(docs["e1"]) == f"{SYSTEM}\n\nQui ?"
    assert docs["e2"]["gold"] == ["Rennes", "Brest"]
    assert load("own_classification_fr", data_dir=str(out)).eval_docs[0]["labels"] == ["positif", "négatif"]
    assert load("own_qa_fr", data_dir=str(out)).eval_docs[0]["cluster"] == "fiche"
    analysis = [json.loads(line) for line in (out / "own_analysis_fr.jsonl").read_text().splitlines()]
    assert [document["id"] for document in analysis] == ["j1", "ex9"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"type": "quiz", "input": "x"}', 'mixed.jsonl:2: unknown type "quiz" (the types are: qa, '),
        ('{"type": "qa", "input": "x"}', 'mixed.jsonl:2: no field "gold"'),
        ('{"type": "qa", "input": "x", "gold": null}', 'mixed.jsonl:2: "gold" is missing'),
        ('{"type": "judge"}', 'mixed.jsonl:2: no field "input"'),
        ('{"type": "judge", "inp', "mixed.jsonl:2: not JSON: "),
        ('{"id": "a", "input": "x"}\n{"id": "a", "input": "y"}', 'mixed.jsonl:3: id "a" was used before, at line 2'),
        ("", "mixed.jsonl: it holds no documents"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, complaint: str) -> None:
    source = tmp_path / "mixed.jsonl"
    source.write_text(f"# Titre\n{line}", encoding="utf-8")
    assert main([str(source), "--out", str(tmp_path / "own")]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "own").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "mixed.jsonl"
    source.write_text(MIXED, encoding="utf-8")
    assert main([str(source), "--out", str(tmp_path)]) == 0
    assert main([str(source), "--out", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
