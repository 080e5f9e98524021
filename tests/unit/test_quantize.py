"""scripts/quantize.py up to where llm-compressor begins; the checkpoint itself is made in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.errors import InputError
from scripts.quantize import calibration_texts, main
from tests.fakes.checkpoints import W4A16, make_checkpoint, make_mistral_checkpoint


def test_french_text_by_default() -> None:
    texts = list(calibration_texts(None, 5))
    assert len(texts) == 5
    assert all(len(text.split()) > 100 for text in texts)
    assert any(" é" in text or "é " in text for text in texts)


def test_texts_of_the_user(tmp_path: Path) -> None:
    rows, plain = tmp_path / "t.jsonl", tmp_path / "t.txt"
    rows.write_text('{"text": "Un."}\n{"text": " "}\n{"text": "Deux.", "id": 2}\n', encoding="utf-8")
    plain.write_text("Un.\n\nDeux,\ntrois.\n\n\n", encoding="utf-8")
    assert list(calibration_texts(rows, 9)) == ["Un.", "Deux."]
    assert list(calibration_texts(plain, 9)) == ["Un.", "Deux,\ntrois."]
    assert list(calibration_texts(rows, 1)) == ["Un."]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"text": "a"}\n{"txt": "b"}\n', "t.jsonl:2: no `text` column"),
        (b'{"text": "a"}\n[1]\n', "t.jsonl:2: no `text` column"),
        (b'{"text": "a"\n', "t.jsonl:1: no `text` column"),
        (b'{"text": " "}\n', "no calibration text"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_texts_that_cannot_be_used(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(calibration_texts(path, 9))
    assert says in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        list(calibration_texts(tmp_path / "no.jsonl", 9))


def test_what_is_refused_before_a_model_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = make_checkpoint(tmp_path / "half", shards=2)
    (half / "model-00001-of-00002.safetensors").unlink()
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    quantised = make_checkpoint(tmp_path / "q", quantization=W4A16)
    mistral = make_mistral_checkpoint(tmp_path / "mistral")
    out = str(tmp_path / "out")
    for arguments, says in (
        ([str(half), out], "download incomplete: model-00001-of-00002.safetensors missing (finish the download"),
        ([str(tmp_path / "no"), out], "no such checkpoint folder"),
        ([str(quantised), out], "quantised already (compressed-tensors nvfp4-pack-quantized W4A16)"),
        ([str(mistral), out], "only weights in Mistral's own format"),
        ([str(half), str(full)], "exists already (give a new folder)"),
        ([str(half), out, "--samples", "0"], "--samples and --tokens must be 1 or more"),
        ([str(half), out, "--scheme", "NVFP4", "--calibration", str(tmp_path / "no.txt")], "cannot be read"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1
        assert not Path(out).exists()
