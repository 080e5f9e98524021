"""A checkpoint on this machine: is it complete, does its tokenizer fit, how is it quantised? No weights are read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.clean import at, inner, rows_at
from lm_eval_fr.io.reading import read_json

DOWNLOAD = "finish the download: `hf download MODEL`, or copy the whole folder again"
DAMAGE = "lm_eval_fr_damage"
"""Where scripts/damage.py writes what it rounded: a key of config.json, or a prefix of a GGUF's metadata."""
LFS_POINTER = b"version https://git-lfs"
MOST_PADDING = 0.5  # of the model's vocabulary that a tokenizer may leave unused before it counts as another model's


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the files of a model say; None for what they do not.

    quantization: in words, "none" for unquantised weights. revision: the hub's commit, or a digest of the files.
    chat_template_sha256: as lm-eval records it; None without a template of transformers'. name: what it calls itself.
    """

    quantization: str | None
    dtype: str | None
    revision: str
    chat_template_sha256: str | None
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Weights):
    """format: of the weights. tokenizer: "hf" (what transformers loads) or "mistral" (tekken.json alone)."""

    folder: Path
    format: Literal["transformers", "mistral"]
    tokenizer: Literal["hf", "mistral"]
    quantization: str

    @property
    def encodes_twice_by_default(self) -> bool:
        """Whether vLLM's `tokenizer_mode=auto` takes Mistral's tokenizer, which reads a rendered template as plain
        text: `[INST]` is then plain text instead of a special token."""
        return (self.folder / "tekken.json").is_file()


def find_checkpoint(model: str, revision: str | None = None) -> Path | None:
    """The folder of a local checkpoint or of one in the hub's cache; None when it would have to be downloaded.

    Raises InputError for what can only be a path but does not exist.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise InputError("no such checkpoint folder", where=folder, remedy="check the path")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError:
        raise InputError("neither a folder nor the name of a model on the hub", where=model) from None


def inspect_checkpoint(folder: Path, *, tokenizer: bool = True) -> Checkpoint:
    """Raises InputError for a checkpoint that cannot work: missing or truncated files; and, unless its tokenizer
    comes from elsewhere, no tokenizer or another model's."""
    loose = sorted(path for ending in ("incomplete", "part", "aria2") for path in folder.glob(f"*.{ending}"))
    if loose:
        raise InputError(f"download incomplete: found {loose[0].name}", where=folder, remedy=DOWNLOAD)
    config = _read_json(folder / "config.json") or _read_json(folder / "params.json")
    if config is None:
        remedy = "a checkpoint has config.json (transformers) or params.json (Mistral)"
        raise InputError("no config.json", where=folder, remedy=remedy)
    weights = _weights(folder)
    ours = [path for path in weights if not path.name.startswith("consolidated")]
    for path in ours or weights:
        _check_whole(path)
    kind = _tokenizer(folder) if tokenizer else "hf"
    if tokenizer and kind == "hf":
        _check_fit(folder, config)
    return Checkpoint(
        folder=folder,
        format="transformers" if ours else "mistral",
        tokenizer=kind,
        quantization=describe_quantization(config),
        dtype=_text_config(config, "dtype") or _text_config(config, "torch_dtype"),
        revision=_revision(folder),
        chat_template_sha256=_template_sha256(folder),
    )


def describe_quantization(config: Mapping[str, Any]) -> str:
    """A line such as "compressed-tensors nvfp4-pack-quantized W4A16", from config.json or params.json."""
    found = config.get("quantization_config") or config.get("quantization") or config.get("compression_config")
    if not isinstance(found, Mapping):
        damage = config.get(DAMAGE)
        return str(damage.get("description", "rounded")) if isinstance(damage, Mapping) else "none"
    method = str(found.get("quant_method") or found.get("qformat_weight") or "unnamed")
    words = [method]
    for name in ("quant_algo", "fmt", "format", "activation_scheme"):
        value = found.get(name)
        if isinstance(value, str) and value not in words:
            words.append(value)
    groups = inner(found, "config_groups").values()
    bits = sorted({_bits(group) for group in groups if isinstance(group, Mapping)})
    words += bits
    if not bits and isinstance(found.get("bits"), int):
        words.append(f"W{found['bits']}")
    if cache := at(found, "kv_cache_scheme", "num_bits"):
        words.append(f"KV{cache}")
    return " ".join(words)


def _bits(group: Mapping[str, Any]) -> str:
    """W4A16: bits of weights and activations; 16 where they are not rounded."""
    sizes = [(group.get(part) or {}).get("num_bits") or 16 for part in ("weights", "input_activations")]
    return "W{}A{}".format(*sizes)


def _weights(folder: Path) -> list[Path]:
    """Every file of weights that exists or should. Raises InputError when one is missing."""
    found = sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
    wanted: set[str] = set()
    for index in sorted(folder.glob("*.safetensors.index.json")):
        content = _read_json(index) or {}
        if not isinstance(content.get("weight_map"), dict):
            raise InputError("not an index of weights", where=index, remedy=DOWNLOAD)
        wanted |= set(content["weight_map"].values())
    missing = sorted(wanted - {path.name for path in found})
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"download incomplete: {missing[0]}{more} missing", where=folder, remedy=DOWNLOAD)
    if not found:
        raise InputError("no weights (*.safetensors)", where=folder, remedy=DOWNLOAD)
    return found


def _check_whole(path: Path) -> None:
    """A safetensors file states its length in its header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise InputError("a git-lfs pointer instead of the file", where=path, remedy="git lfs pull")
        if path.suffix != ".safetensors":
            return
        length = int.from_bytes(start[:8], "little")
        if 8 + length > size:
            raise InputError("download incomplete: its header is truncated", where=path, remedy=DOWNLOAD)
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise InputError("not a safetensors file", where=path, remedy=DOWNLOAD) from None
    whole = 8 + length + max(ends, default=0)
    if size < whole:
        raise InputError(f"download incomplete: {size:,} of {whole:,} bytes", where=path, remedy=DOWNLOAD)


def _tokenizer(folder: Path) -> Literal["hf", "mistral"]:
    if any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")):
        return "hf"
    if (folder / "tekken.json").is_file():
        return "mistral"
    raise InputError("no tokenizer (tokenizer.json)", where=folder, remedy=DOWNLOAD)


def _check_fit(folder: Path, config: Mapping[str, Any]) -> None:
    size = _text_config(config, "vocab_size")
    tokenizer = _read_json(folder / "tokenizer.json")
    if not isinstance(size, int) or tokenizer is None:
        return
    ids = _token_ids(tokenizer)
    if not ids:
        raise InputError("not a tokenizer", where=folder / "tokenizer.json", remedy=DOWNLOAD)
    largest = max(ids)
    remedy = "copy the tokenizer files that belong to these weights"
    if largest >= size:
        what = f"the tokenizer does not fit the model: it has a token {largest}, the model only {size} tokens"
        raise InputError(what, where=folder / "tokenizer.json", remedy=remedy)
    if len(ids) < MOST_PADDING * size:
        what = f"the tokenizer does not fit the model: {len(ids)} tokens for a vocabulary of {size}"
        raise InputError(what, where=folder / "tokenizer.json", remedy=remedy)


def _token_ids(tokenizer: Mapping[str, Any]) -> set[int]:
    vocabulary = at(tokenizer, "model", "vocab")
    ids: set[int] = set()
    if isinstance(vocabulary, dict):
        ids |= set(vocabulary.values())
    elif isinstance(vocabulary, list):
        ids |= set(range(len(vocabulary)))
    return ids | {token["id"] for token in tokenizer.get("added_tokens") or ()}


def _text_config(config: Mapping[str, Any], name: str) -> Any:
    """A setting of the language model; multimodal checkpoints have it one level down."""
    found = config.get(name)
    return at(config, "text_config", name) if found is None else found


def _revision(folder: Path) -> str:
    """The hub's commit where the folder is a snapshot of its cache, else a digest of names, sizes and configuration."""
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", ".bin"):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(first_and_last(path))
        elif path.name in ("config.json", "params.json", "tokenizer.json", "tekken.json"):
            digest.update(path.read_bytes())
    return f"files:{digest.hexdigest()[:16]}"


def first_and_last(path: Path, span: int = 1 << 16) -> bytes:
    with path.open("rb") as file:
        start = file.read(span)
        file.seek(max(0, os.fstat(file.fileno()).st_size - span))
        return start + file.read(span)


def _template_sha256(folder: Path) -> str | None:
    beside = folder / "chat_template.jinja"
    if beside.is_file():
        template: Any = beside.read_text(encoding="utf-8")
    else:
        template = (_read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
        if isinstance(template, list):
            named = {str(entry.get("name")): entry.get("template") for entry in rows_at(template)}
            template = named.get("default")
    return template_sha256(template)


def template_sha256(template: object) -> str | None:
    """The digest of a chat template as lm-eval records it; None if it is not a text."""
    return hashlib.sha256(template.encode("utf-8", "replace")).hexdigest() if isinstance(template, str) else None


def _read_json(path: Path) -> dict[str, Any] | None:
    """None where the file does not exist. Raises InputError where it cannot be read."""
    with suppress(OSError):  # reading says why it cannot be looked at
        if not path.exists():
            return None
    content = read_json(path, remedy=DOWNLOAD, nan=True)
    if not isinstance(content, dict):
        raise InputError("not a JSON object", where=path, remedy=DOWNLOAD)
    return content
