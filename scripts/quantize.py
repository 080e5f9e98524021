"""Makes an NVFP4 checkpoint of a model with llm-compressor.

    python scripts/quantize.py MODEL OUT [--scheme NVFP4|NVFP4A16] [--calibration FILE] [--samples N] [--tokens N]

MODEL: a local folder or a hub id. OUT: a new folder, in the compressed-tensors format that vLLM and transformers load.
NVFP4A16 rounds the weights and needs no text. NVFP4 also rounds activations (W4A4): their scales are calibrated on
French text, by default the articles that ship with lm-eval-fr, or the `text` column of a JSONL FILE (a plain text file
is cut at blank lines). Activations run in four bits only on Blackwell; elsewhere such a checkpoint runs weight-only.

Needs `pip install 'lm-eval-fr[quantize]'`. A GPU is used if there is one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval_fr.arms.checkpoint import find_checkpoint, inspect_checkpoint
from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.script import run_script, script_parser

if TYPE_CHECKING:
    import datasets

SCHEMES = ("NVFP4", "NVFP4A16")
NEEDS = ("torch", "transformers", "llmcompressor")
# The output projection is not rounded, as in vendors' checkpoints; nor are routers, whose rounding would
# send tokens to other experts.
IGNORE = ("lm_head", "re:.*mlp.gate$", "re:.*router.*")


def main(argv: list[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--scheme", choices=SCHEMES, default="NVFP4A16")
    parser.add_argument("--calibration", type=Path, help="JSONL with a `text` column, or plain text")
    parser.add_argument("--samples", type=int, default=256, help="the most calibration texts (default 256)")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of each at most (default 2048)")

    def work() -> None:
        arguments = parser.parse_args(argv)
        seconds = quantize(
            arguments.model,
            arguments.out,
            scheme=arguments.scheme,
            calibration=arguments.calibration,
            samples=arguments.samples,
            tokens=arguments.tokens,
        )
        print(f"{arguments.out}: {arguments.scheme}, {seconds:.0f} s")

    return run_script("quantize", work)


def quantize(
    model: str, out: Path, *, scheme: str, calibration: Path | None = None, samples: int = 256, tokens: int = 2048
) -> float:
    """Writes the checkpoint and returns the seconds it took.

    Raises UsageError (OUT exists, numbers) and InputError (MODEL or FILE cannot be read).
    """
    if samples < 1 or tokens < 1:
        raise UsageError("--samples and --tokens must be 1 or more")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise UsageError("exists already", where=out, remedy="give a new folder")
    texts = list(calibration_texts(calibration, samples)) if scheme == "NVFP4" else []
    check_checkpoint(model)
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UsageError(f"{missing[0]} is not installed", remedy="pip install 'lm-eval-fr[quantize]'")
    started = time.monotonic()
    loaded, tokenizer = _load(model)
    _compress(loaded, tokenizer, scheme, texts, tokens)
    loaded.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)
    return time.monotonic() - started


def check_checkpoint(model: str) -> None:
    """Raises InputError for a local folder that cannot be loaded, or is quantised already."""
    folder = find_checkpoint(model)
    if folder is None or folder != Path(model).expanduser():
        return  # transformers downloads what is missing
    found = inspect_checkpoint(folder)
    if found.format == "mistral":
        remedy = "give the checkpoint in the transformers format"
        raise InputError("only weights in Mistral's own format", where=folder, remedy=remedy)
    if found.quantization != "none":
        remedy = "give unquantised weights"
        raise InputError(f"quantised already ({found.quantization})", where=folder, remedy=remedy)


def calibration_texts(path: Path | None, limit: int) -> Iterator[str]:
    """Up to `limit` texts: of FILE, or the package's own French articles. Raises InputError."""
    if path is None:
        import lm_eval_fr.demo

        path = Path(lm_eval_fr.demo.__file__).parent / "data" / "analysis_fr.jsonl"
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError("calibration text cannot be read", where=path, remedy="UTF-8, JSONL or plain") from None
    texts = [text for text in _split(content, path) if text.strip()]
    if not texts:
        raise InputError("no calibration text", where=path)
    yield from texts[:limit]


def _split(content: str, path: Path) -> Iterator[str]:
    if path.suffix != ".jsonl":
        yield from content.split("\n\n")
        return
    for number, line in enumerate(content.splitlines(), 1):
        try:
            yield json.loads(line)["text"]
        except (json.JSONDecodeError, KeyError, TypeError):
            remedy = 'each line is an object: {"text": ...}'
            raise InputError("no `text` column", where=path, line=number, remedy=remedy) from None


def _load(model: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        return AutoModelForCausalLM.from_pretrained(model, dtype="auto", device_map=where), tokenizer
    except (OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"cannot be loaded: {first_line}", where=model, remedy="check the name or the folder"
        ) from None


def _compress(model: Any, tokenizer: Any, scheme: str, texts: list[str], tokens: int) -> None:
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    recipe = QuantizationModifier(targets="Linear", scheme=scheme, ignore=list(IGNORE))
    if not texts:
        oneshot(model=model, recipe=recipe)
        return
    data = _tokenised(tokenizer, texts, tokens)
    oneshot(model=model, recipe=recipe, dataset=data, max_seq_length=tokens, num_calibration_samples=len(data))


def _tokenised(tokenizer: Any, texts: list[str], tokens: int) -> datasets.Dataset:
    import datasets

    rows = [tokenizer(text, truncation=True, max_length=tokens)["input_ids"] for text in texts]
    return datasets.Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]})


if __name__ == "__main__":
    sys.exit(main())
