"""Writes an NVFP4 checkpoint's weights as bfloat16, for engines without a kernel for them. In the nvfp4 environment:

    python dequantise.py CHECKPOINT OUT

What is left of the quantisation is the rounding of the weights; activations run in bfloat16.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    dequantise(arguments.checkpoint, arguments.out)


def dequantise(checkpoint: Path, out: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, CompressedTensorsConfig

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    whole = CompressedTensorsConfig(dequantize=True)
    loaded = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16, quantization_config=whole)
    with torch.inference_mode():
        loaded(torch.tensor([[0, 1]]))  # weights are unpacked at their first use
    weights = {name: value for name, value in loaded.state_dict().items() if not _is_scale(name)}
    config = AutoConfig.from_pretrained(checkpoint)
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(weights)  # every weight, and nothing else
    plain.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _is_scale(name: str) -> bool:
    return name.rsplit(".", 1)[-1] not in ("weight", "bias")


if __name__ == "__main__":
    main()
