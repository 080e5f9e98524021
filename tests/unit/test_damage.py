"""scripts/damage.py: what it rounds, how far, and what the checkpoint says of it afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors import deserialize
from safetensors.numpy import save_file

from lm_eval_fr.arms.checkpoint import inspect_checkpoint
from scripts import damage
from tests.fakes.checkpoints import W4A16, make_checkpoint

RUNGS = ("whole", "int8", "nvfp4", "int4", "int3", "int2")
ROWS, COLUMNS, LAYERS = 24, 80, 4


def matrices(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(LAYERS)]
    drawn = {name: rng.standard_t(4, (ROWS, COLUMNS)).astype(np.float32) for name in names}
    drawn["model.embed_tokens.weight"] = rng.normal(size=(50, COLUMNS)).astype(np.float32)
    drawn["model.layers.0.input_layernorm.weight"] = rng.normal(size=COLUMNS).astype(np.float32)
    return drawn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_checkpoint(tmp_path / "whole")
    save_file(matrices(), made / "model.safetensors", {"format": "pt"})
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "whole.gguf"
    writer = gguf.GGUFWriter(path, arch="llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_token_list(["<s>", "é", "▁été"])
    for name, matrix in matrices().items():
        short = name.replace("model.layers.", "blk.").replace("model.", "")
        writer.add_tensor(short, matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def weights(checkpoint: Path) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in deserialize((checkpoint / "model.safetensors").read_bytes()):
        found[name] = damage.READERS[tensor["dtype"]](tensor["data"]).reshape(tensor["shape"])
    return found


def test_the_scales_are_all_that_e4m3_can_hold() -> None:
    bits = np.arange(1, 127)  # 0x7F is NaN
    exponent, mantissa = bits >> 3, bits & 7
    values = np.where(exponent == 0, mantissa * 2.0**-9, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    assert damage.E4M3.tolist() == values.tolist()
    assert damage.E4M3[-1] == 448


def test_values_that_nvfp4_holds_are_kept() -> None:
    row = np.tile(np.array([0, 0.5, -1, 1.5, -2, 3, 4, -6], dtype=np.float32), (1, 4)) * np.float32(448)
    assert damage.round_matrix(row, "nvfp4").tolist() == row.tolist()
    other = np.array([[5.0, -2.4, 0.2, 6.0] * 4], dtype=np.float32) * np.float32(448)
    assert (damage.round_matrix(other, "nvfp4") / 448).tolist() == [[4.0, -2.0, 0.0, 6.0] * 4]


def test_integers_have_as_many_steps_as_their_bits() -> None:
    block = np.linspace(-1, 1, 32, dtype=np.float32)[None]
    for bits in (2, 3, 4, 8):
        rounded = damage.round_matrix(block, f"int{bits}")
        assert len(np.unique(rounded)) <= 2**bits - 1
        assert np.abs(rounded - block).max() <= 0.5 / (2 ** (bits - 1) - 1) + 1e-6


def test_bfloat16_rounds_to_the_nearest_even() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, -3.14159], dtype=np.float32)
    stored = damage.READERS["BF16"](damage.to_bfloat16(values))
    assert stored.tolist() == [1.0, 1.0, 1.015625, -3.140625]


def test_the_rungs_are_a_ladder(folder: Path, tmp_path: Path) -> None:
    found = [damage.damage_folder(folder, tmp_path / f"to-{rung}", rung, 0.0, 1) for rung in RUNGS]
    errors = [made.error for made in found]
    assert errors == sorted(errors)
    assert errors[0] == 0 and 0.001 < errors[1] < 0.02 and errors[-1] > 0.4
    assert {made.matrices for made in found} == {LAYERS}


def test_only_the_layers_matrices_change_and_the_settings_say_so(folder: Path, tmp_path: Path) -> None:
    damage.damage_folder(folder, tmp_path / "int4", "int4", 0.5, 7)
    before, after = weights(folder), weights(tmp_path / "int4")
    changed = {name for name in before if not np.allclose(before[name], after[name], rtol=0.01)}
    assert len(changed) == LAYERS / 2
    assert all("mlp" in name for name in changed)
    said = inspect_checkpoint(tmp_path / "int4").quantization
    assert said.startswith("int4 values as bfloat16, 2 matrices, 2 of 4 layers untouched")
    assert len(json.loads((tmp_path / "int4/config.json").read_text())["lm_eval_fr_damage"]["layers_untouched"]) == 2


def test_a_gguf_file_is_rounded_alike(file: Path, folder: Path, tmp_path: Path) -> None:
    made = damage.damage_gguf(file, tmp_path / "int3.gguf", "int3", 0.0, 1)
    assert made.error == pytest.approx(damage.damage_folder(folder, tmp_path / "int3", "int3", 0.0, 1).error)
    reader = gguf.GGUFReader(tmp_path / "int3.gguf")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.mlp.up_proj.weight"] == "BF16" and kinds["embed_tokens.weight"] == "F32"
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["<s>", "é", "▁été"]
    assert reader.fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_BF16
    assert reader.fields["lm_eval_fr_damage.description"].contents() == str(made)
    assert damage.described(tmp_path / "int3.gguf") == str(made) and damage.described(file) == "none"
    assert damage.described(tmp_path / "int3") == str(made)


def test_what_cannot_be_rounded_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    four_bits = make_checkpoint(tmp_path / "four", quantization=W4A16)
    empty = make_checkpoint(tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\x00\x00")
    for arguments, says in (
        ([tmp_path / "none", tmp_path / "o"], "no such checkpoint"),
        ([four_bits, tmp_path / "o"], "quantised already: compressed-tensors"),
        ([empty, tmp_path / "o"], "no weights"),
        ([make_checkpoint(tmp_path / "flat"), tmp_path / "o"], "no layers among the weights"),
        ([tmp_path / "cut.gguf", tmp_path / "o.gguf"], "not a GGUF file, or truncated"),
        ([folder, folder], "exists already"),
        ([folder, tmp_path / "o", "--values", "int5"], "invalid choice: 'int5'"),
        ([folder, tmp_path / "o", "--untouched", "1.5"], "is not a share below 1"),
    ):
        flags = list(map(str, arguments)) + ([] if "--values" in arguments else ["--values", "int4"])
        assert damage.main(flags) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1
    assert not (tmp_path / "o").exists()
