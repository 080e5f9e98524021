"""Checkpoint folders as transformers and Mistral lay them out: real headers, a few bytes of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

W4A16 = {
    "quant_method": "compressed-tensors",
    "format": "nvfp4-pack-quantized",
    "config_groups": {"group_0": {"weights": {"num_bits": 4}, "input_activations": None}},
    "kv_cache_scheme": None,
}
W4A4 = W4A16 | {"config_groups": {"group_0": {"weights": {"num_bits": 4}, "input_activations": {"num_bits": 4}}}}
TEMPLATE = "{{ bos_token }}{% for m in messages %}[INST]{{ m['content'] }}[/INST]{% endfor %}"


def write_weights(path: Path, size: int = 64) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))


def write_tokenizer(folder: Path, tokens: int, extra: int = 1) -> None:
    model = {"type": "BPE", "vocab": {f"t{number}": number for number in range(tokens - extra)}, "merges": []}
    added = [{"id": tokens - extra + number, "content": f"<{number}>", "special": True} for number in range(extra)]
    (folder / "tokenizer.json").write_text(json.dumps({"model": model, "added_tokens": added}))


def make_checkpoint(
    folder: Path,
    *,
    vocabulary: int = 100,
    tokens: int | None = None,
    shards: int = 1,
    quantization: Mapping[str, Any] | None = None,
    tekken: bool = False,
) -> Path:
    """A checkpoint in the transformers format; with `tekken`, Mistral's files lie beside as on the hub."""
    folder.mkdir(parents=True)
    config: dict[str, Any] = {"model_type": "llama", "vocab_size": vocabulary, "dtype": "bfloat16"}
    if quantization is not None:
        config["quantization_config"] = dict(quantization)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    write_tokenizer(folder, tokens or vocabulary)
    if shards == 1:
        write_weights(folder / "model.safetensors")
    else:
        names = [f"model-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1)]
        for name in names:
            write_weights(folder / name)
        index = {"metadata": {}, "weight_map": {f"layer.{i}": name for i, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if tekken:
        (folder / "tekken.json").write_text("{}")
        write_weights(folder / "consolidated.safetensors")
    return folder


def make_mistral_checkpoint(folder: Path) -> Path:
    """Mistral's own format alone: no tokenizer.json, no config.json."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"dim": 64, "vocab_size": 100, "quantization": W4A4}))
    (folder / "tekken.json").write_text("{}")
    write_weights(folder / "consolidated.safetensors")
    return folder
