"""A checkpoint that cannot work is refused from its files, before an engine spends minutes on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lm_eval_fr.arms.checkpoint import describe_quantization, find_checkpoint, inspect_checkpoint
from lm_eval_fr.errors import InputError
from tests.fakes.checkpoints import (
    TEMPLATE,
    W4A4,
    W4A16,
    make_checkpoint,
    make_mistral_checkpoint,
    write_tokenizer,
)


def test_a_whole_checkpoint(tmp_path: Path) -> None:
    found = inspect_checkpoint(make_checkpoint(tmp_path / "m", shards=3, quantization=W4A16))
    assert found.format == "transformers"
    assert found.tokenizer == "hf"
    assert found.quantization == "compressed-tensors nvfp4-pack-quantized W4A16"
    assert found.dtype == "bfloat16"
    assert not found.encodes_twice_by_default


def test_the_template_is_hashed_as_lm_eval_does(tmp_path: Path) -> None:
    from lm_eval.utils import hash_string

    assert inspect_checkpoint(make_checkpoint(tmp_path / "m")).chat_template_sha256 == hash_string(TEMPLATE)


def test_a_template_inside_the_tokenizer_configuration(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m")
    beside = inspect_checkpoint(folder).chat_template_sha256
    (folder / "chat_template.jinja").unlink()
    assert inspect_checkpoint(folder).chat_template_sha256 is None
    for template in (TEMPLATE, [{"name": "tool_use", "template": "x"}, {"name": "default", "template": TEMPLATE}]):
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
        assert inspect_checkpoint(folder).chat_template_sha256 == beside


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "none"),
        ({"quantization_config": W4A4}, "compressed-tensors nvfp4-pack-quantized W4A4"),
        ({"quantization_config": {**W4A4, "kv_cache_scheme": {"num_bits": 8}}}, "nvfp4-pack-quantized W4A4 KV8"),
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, "modelopt NVFP4"),
        ({"quantization_config": {"quant_method": "fp8", "fmt": "e4m3"}}, "fp8 e4m3"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq W4"),
        ({"quantization": {"qformat_weight": "fp8_e4m3"}}, "fp8_e4m3"),
    ],
)
def test_quantisation_in_words(config: dict[str, object], words: str) -> None:
    assert describe_quantization(config).endswith(words)


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        inspect_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return caught.value.what


def test_half_downloaded(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m", shards=4)
    second, third = folder / "model-00002-of-00004.safetensors", folder / "model-00003-of-00004.safetensors"
    content = second.read_bytes()
    second.write_bytes(content[:-1])
    assert refused(folder) == f"download incomplete: {len(content) - 1:,} of {len(content):,} bytes"
    second.write_bytes(content[:20])
    assert refused(folder) == "download incomplete: its header is truncated"
    second.unlink()
    assert refused(folder) == "download incomplete: model-00002-of-00004.safetensors missing"
    third.unlink()
    assert refused(folder) == "download incomplete: model-00002-of-00004.safetensors and 1 more missing"


def test_what_downloaders_leave_behind(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m")
    (folder / "model.safetensors.incomplete").touch()
    assert "found model.safetensors.incomplete" in refused(folder)
    (folder / "model.safetensors.incomplete").unlink()
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    assert "git-lfs" in refused(folder)
    (folder / "model.safetensors").write_bytes(b"\x05\x00\x00\x00\x00\x00\x00\x00hello and more")
    assert refused(folder) == "not a safetensors file"
    (folder / "model.safetensors").unlink()
    assert "no weights" in refused(folder)
    (folder / "config.json").write_text('{"vocab_size": ')
    assert refused(folder).startswith("not JSON: ")
    (folder / "config.json").unlink()
    assert refused(folder) == "no config.json"


@pytest.mark.skipif(sys.platform != "linux", reason="the longest path is Linux's")
def test_a_folder_that_the_system_does_not_let_us_look_into(tmp_path: Path) -> None:
    folder = Path((str(tmp_path) + ("/" + "m" * 199) * 25)[:4086])  # Linux takes 4095 bytes, a file's name included
    folder.mkdir(parents=True)
    assert refused(folder).startswith("cannot be read: ")


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m", vocabulary=100, tokens=90)
    inspect_checkpoint(folder)  # some padding is usual
    write_tokenizer(folder, 101)
    assert refused(folder) == "the tokenizer does not fit the model: it has a token 100, the model only 100 tokens"
    write_tokenizer(folder, 40)
    assert refused(folder) == "the tokenizer does not fit the model: 40 tokens for a vocabulary of 100"
    (folder / "tokenizer.json").unlink()
    assert refused(folder) == "no tokenizer (tokenizer.json)"


def test_the_vocabulary_of_a_multimodal_model_is_one_level_down(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m")
    (folder / "config.json").write_text(json.dumps({"text_config": {"vocab_size": 50, "dtype": "bfloat16"}}))
    assert "does not fit" in refused(folder)


def test_mistral_formats(tmp_path: Path) -> None:
    both = inspect_checkpoint(make_checkpoint(tmp_path / "both", tekken=True))
    assert (both.format, both.tokenizer, both.encodes_twice_by_default) == ("transformers", "hf", True)
    alone = inspect_checkpoint(make_mistral_checkpoint(tmp_path / "alone"))
    assert (alone.format, alone.tokenizer, alone.encodes_twice_by_default) == ("mistral", "mistral", True)
    assert alone.quantization == "compressed-tensors nvfp4-pack-quantized W4A4"


def test_a_checkpoint_made_again_is_another(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m")
    first = inspect_checkpoint(folder).revision
    assert inspect_checkpoint(make_checkpoint(tmp_path / "copy")).revision == first
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert inspect_checkpoint(folder).revision != first


def test_where_a_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_checkpoint(tmp_path / "m")
    assert find_checkpoint(str(folder)) == folder
    for missing in (str(tmp_path / "no"), "./no/such", "~/no-such-model", "a/b/c"):
        with pytest.raises(InputError, match="no such checkpoint folder"):
            find_checkpoint(missing)
    with pytest.raises(InputError, match="neither a folder nor"):
        find_checkpoint("not a name")


def test_the_hub_cache_names_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert find_checkpoint("org/model") is None
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = make_checkpoint(tmp_path / "models--org--model" / "snapshots" / commit)
    refs = tmp_path / "models--org--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    assert find_checkpoint("org/model") == snapshot
    assert inspect_checkpoint(snapshot).revision == commit
