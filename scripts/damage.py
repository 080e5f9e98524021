"""Copies of a checkpoint whose layers are rounded to fewer values: a ladder of known damage.

    python scripts/damage.py MODEL OUT --values nvfp4
    python scripts/damage.py model.gguf damaged.gguf --values int3 --untouched 0.5

MODEL: a folder of safetensors, or a GGUF file; OUT: a new one of the same kind. The matrices of the layers are rounded
and written back as bfloat16, so that every engine runs them at the speed of whole weights; embeddings, norms and the
output projection are left alone. A record of this is written into config.json, or into the GGUF's metadata.

    whole   nothing is rounded: the ladder's reference, made the same way
    nvfp4   E2M1 values in blocks of 16, one E4M3 scale per block, one float32 scale per matrix: weight-only NVFP4
    int8, int4, int3, int2   round to nearest, symmetric, one scale per block of 32

A GGUF file needs `pip install 'lm-eval-fr[study]'`.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lm_eval_fr.arms.checkpoint import DAMAGE, inspect_checkpoint
from lm_eval_fr.arms.gguf_header import read_gguf_header
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.script import run_script, script_parser

Matrix = npt.NDArray[np.float32]

BLOCK, NVFP4_BLOCK = 32, 16
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)
# Every positive E4M3 value: 2^-9 to 448; zero is left out, since a scale of zero would erase its block.
E4M3 = np.array(
    [m * 2.0**-9 for m in range(1, 8)] + [(1 + m / 8) * 2.0**e for e in range(-6, 9) for m in range(8)][:-1],
    dtype=np.float32,
)
LAYER = re.compile(r"(?:^|\.)(?:layers|blk|h|blocks)\.(\d+)\.")


@dataclass(frozen=True)
class Damage:
    """What was rounded, for the checkpoint's own record. error: |rounded - whole| / |whole|, the mean over matrices."""

    values: str
    layers: int
    layers_untouched: tuple[int, ...]
    matrices: int
    error: float

    def __str__(self) -> str:
        kept = f", {len(self.layers_untouched)} of {self.layers} layers untouched" if self.layers_untouched else ""
        return f"{self.values} values as bfloat16, {self.matrices} matrices{kept}, relative error {self.error:.3f}"


def nearest(values: Matrix, levels: Matrix) -> Matrix:
    """Each value's nearest level; `levels` ascend."""
    return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)]


def round_nvfp4(blocks: Matrix) -> Matrix:
    """blocks: rows of 16 of one matrix."""
    top = np.float32(np.abs(blocks).max(initial=0.0) / (E2M1[-1] * E4M3[-1])) or np.float32(1)
    scaled = blocks / top
    scale = nearest(np.abs(scaled).max(axis=1, keepdims=True) / E2M1[-1], E4M3)
    return np.sign(scaled) * nearest(np.abs(scaled / scale), E2M1) * scale * top


def round_integers(bits: int) -> Callable[[Matrix], Matrix]:
    """To 2^bits - 1 symmetric steps; blocks: rows of 32."""
    top = np.float32(2 ** (bits - 1) - 1)

    def rounded(blocks: Matrix) -> Matrix:
        scale = np.abs(blocks).max(axis=1, keepdims=True) / top
        return np.round(blocks / np.where(scale > 0, scale, 1)) * scale

    return rounded


VALUES: dict[str, tuple[int, Callable[[Matrix], Matrix]]] = {
    "whole": (BLOCK, lambda blocks: blocks),
    "nvfp4": (NVFP4_BLOCK, round_nvfp4),
    **{f"int{bits}": (BLOCK, round_integers(bits)) for bits in (8, 4, 3, 2)},
}


def round_matrix(matrix: Matrix, values: str) -> Matrix:
    """Blocks run along the rows, as engines lay them out; a last short block counts as one."""
    size, rounding = VALUES[values]
    rows = matrix.reshape(-1, matrix.shape[-1])
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % size)))
    return rounding(padded.reshape(-1, size)).reshape(padded.shape)[:, : rows.shape[1]].reshape(matrix.shape)


class Rounding:
    """Rounds the matrices of a checkpoint one by one and remembers what it did."""

    def __init__(self, values: str, names: Sequence[str], untouched: float, seed: int) -> None:
        self.values = values
        self.layers = sorted({int(found[1]) for name in names if (found := LAYER.search(name))})
        if not self.layers:
            raise InputError("no layers among the weights", remedy="give the checkpoint of a decoder model")
        drawn = np.random.default_rng(seed).permutation(self.layers)[: round(untouched * len(self.layers))]
        self.untouched = tuple(sorted(int(layer) for layer in drawn))
        self.errors: list[float] = []

    def applies(self, name: str, dimensions: int) -> bool:
        return dimensions >= 2 and LAYER.search(name) is not None

    def round(self, name: str, matrix: Matrix) -> Matrix:
        found = LAYER.search(name)
        if found is None or int(found[1]) in self.untouched:
            return matrix
        rounded = round_matrix(matrix, self.values)
        norm = float(np.linalg.norm(matrix))
        self.errors.append(float(np.linalg.norm(rounded - matrix)) / norm if norm else 0.0)
        return rounded

    def damage(self) -> Damage:
        error = float(np.mean(self.errors)) if self.errors else 0.0
        return Damage(self.values, len(self.layers), self.untouched, len(self.errors), error)


def damage_folder(source: Path, out: Path, values: str, untouched: float, seed: int) -> Damage:
    """A folder of safetensors. Raises InputError for a checkpoint that is not whole, or rounded already."""
    if (quantization := inspect_checkpoint(source).quantization) != "none":
        raise InputError(f"quantised already: {quantization}", where=source, remedy="give unquantised weights")
    files = {file: _header(file) for file in sorted(source.glob("*.safetensors"))}
    rounding = Rounding(values, [name for header in files.values() for name in header], untouched, seed)
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of an interrupted call
    draft.mkdir(parents=True)
    for file, header in files.items():
        _round_file(file, header, draft / file.name, rounding)
    for path in source.iterdir():
        if path.suffix != ".safetensors" and path.is_file():
            shutil.copy(path, draft / path.name)
    damage = rounding.damage()
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config[DAMAGE] = {"description": str(damage), **asdict(damage)}
    (draft / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(out)
    return damage


def _header(file: Path) -> dict[str, Any]:
    """name -> {dtype, shape, data_offsets}: a safetensors file begins with its length and this as JSON."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _round_file(file: Path, header: Mapping[str, Any], out: Path, rounding: Rounding) -> None:
    rounded = {name for name in header if _rounds(name, header[name], rounding)}
    written: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, entry in header.items():
        start, end = end, end + (2 * math.prod(entry["shape"]) if name in rounded else _size(entry))
        dtype = "BF16" if name in rounded else entry["dtype"]
        written[name] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": [start, end]}
    content = json.dumps(written).encode()
    content += b" " * (-len(content) % 8)
    with file.open("rb") as source, out.open("wb") as target:
        first = 8 + int.from_bytes(source.read(8), "little")
        target.write(len(content).to_bytes(8, "little") + content)
        for name, entry in header.items():
            source.seek(first + entry["data_offsets"][0])
            data = source.read(_size(entry))
            if name in rounded:
                whole = READERS[entry["dtype"]](data).reshape(entry["shape"])
                data = to_bfloat16(rounding.round(name, whole))
            target.write(data)


def _rounds(name: str, entry: Mapping[str, Any], rounding: Rounding) -> bool:
    return entry["dtype"] in READERS and rounding.applies(name, len(entry["shape"]))


def _size(entry: Mapping[str, Any]) -> int:
    start, end = entry["data_offsets"]
    return int(end - start)


def _bfloat16(data: bytes) -> Matrix:
    return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)


READERS: dict[str, Callable[[bytes], Matrix]] = {
    "BF16": _bfloat16,
    "F16": lambda data: np.frombuffer(data, np.float16).astype(np.float32),
    "F32": lambda data: np.frombuffer(data, np.float32).copy(),
}


def to_bfloat16(matrix: Matrix) -> bytes:
    """Round to nearest, ties to even."""
    bits = np.ascontiguousarray(matrix, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


def damage_gguf(source: Path, out: Path, values: str, untouched: float, seed: int) -> Damage:
    """A GGUF file; however its layers are stored, they count as the whole weights. Raises InputError."""
    try:
        import gguf
    except ImportError:
        remedy = "pip install 'lm-eval-fr[study]'"
        raise UsageError("a GGUF file needs the gguf package", where=source, remedy=remedy) from None
    try:
        reader = gguf.GGUFReader(source)
    except (OSError, ValueError, IndexError, KeyError, UnicodeDecodeError):
        raise InputError("not a GGUF file, or truncated", where=source, remedy="download it again") from None
    rounding = Rounding(values, [tensor.name for tensor in reader.tensors], untouched, seed)
    draft = out.with_name(f".{out.name}.draft")
    writer = gguf.GGUFWriter(draft, arch=str(reader.fields["general.architecture"].contents()))
    _copy_metadata(reader, writer)
    rounded = gguf.GGMLQuantizationType.BF16
    for tensor in reader.tensors:
        if rounding.applies(tensor.name, len(tensor.shape)):
            whole = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            data = gguf.quants.quantize(rounding.round(tensor.name, whole), rounded)
            writer.add_tensor(tensor.name, data, raw_dtype=rounded)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    damage = rounding.damage()
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_string(f"{DAMAGE}.description", str(damage))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    draft.replace(out)
    return damage


def described(checkpoint: Path) -> str:
    """What a folder or a GGUF file says was done to it."""
    if checkpoint.is_dir():
        return inspect_checkpoint(checkpoint).quantization
    return str(read_gguf_header(checkpoint).get(f"{DAMAGE}.description", "none"))


def _copy_metadata(reader: Any, writer: Any) -> None:
    import gguf

    for field in reader.fields.values():
        if field.name in ("general.architecture", "general.file_type") or field.name.startswith(("GGUF.", DAMAGE)):
            continue  # the writer writes these itself, and the layers are no longer stored as the source says
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)


def main(argv: Sequence[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("model", type=Path, help="a folder of safetensors, or a GGUF file")
    parser.add_argument("out", type=Path, help="a new folder or file")
    parser.add_argument("--values", choices=list(VALUES), required=True)
    parser.add_argument("--untouched", type=float, default=0.0, help="share of the layers left unrounded (default 0)")
    parser.add_argument("--seed", type=int, default=1234, help="of the choice of layers (default 1234)")

    def work() -> None:
        arguments = parser.parse_args(argv)
        if arguments.out.exists():
            raise UsageError("exists already", where=arguments.out, remedy="give a new name")
        if not 0 <= arguments.untouched < 1:
            raise UsageError(f"{arguments.untouched:g} is not a share below 1", where="--untouched")
        if not arguments.model.exists():
            raise InputError("no such checkpoint", where=arguments.model, remedy="check the path")
        kind = damage_gguf if arguments.model.is_file() else damage_folder
        damage = kind(arguments.model, arguments.out, arguments.values, arguments.untouched, arguments.seed)
        print(f"{arguments.out}: {damage}")

    return run_script("damage", work)


if __name__ == "__main__":
    sys.exit(main())
