"""A ladder of known damage on one real model: does the tool see it, and in order? `make study` runs this.

    python -m scripts.ladder plans/ladder.yaml --out study-out [--data-dir DIR] [--only ARM]...

Every arm of the ladder is made (scripts/damage.py), served (llama.cpp; transformers and vLLM for the same weights in
other engines), asked through `lm-eval-fr run`, and held against the reference by `lm-eval-fr compare`. What is done is
not done again: run the same command to resume. OUT/ladder.md is the table, OUT/<arm>/report.html each report.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec

from lm_eval_fr.errors import ArmError, InputError, LmEvalFrError, UsageError
from lm_eval_fr.io.reading import convert, read_json, read_yaml
from scripts.damage import VALUES, damage_folder, damage_gguf
from scripts.real_models import MODELS, convert_to_bf16, fetch_model

ROOT = Path(__file__).resolve().parents[1]
START_LIMIT = 120.0  # seconds until a server answers
ARM_LIMIT = 7200.0  # seconds an arm may take
AT_ONCE = 2  # arms: llama.cpp takes one thread each
REMEDY = "see plans/ladder.yaml"


class ArmOfLadder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    values: str
    untouched: float = 0.0
    engine: Literal["llama.cpp", "hf", "vllm"] = "llama.cpp"
    limit: int | None = None


class Ladder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str
    tasks: dict[str, int]  # task -> documents
    margins: dict[str, float]
    reference: str
    arms: dict[str, ArmOfLadder]


@dataclass(frozen=True)
class Study:
    ladder: Ladder
    out: Path
    data_dir: Path | None

    def checkpoint(self, arm: ArmOfLadder) -> Path:
        """The weights of an arm, made if they are not there: a GGUF file, or a folder for the other engines."""
        whole = fetch_model(self.ladder.model, self.out / "models")
        kept = f"{arm.values}-{arm.untouched:g}"
        if arm.engine == "llama.cpp":
            target = self.out / "models" / f"{self.ladder.model}-{kept}.gguf"
            if not target.exists():
                damage_gguf(whole, target, arm.values, arm.untouched, 1234)
            return target
        folder = convert_to_bf16(whole, self.out / "models" / f"{self.ladder.model}-bf16")
        target = self.out / "models" / f"{self.ladder.model}-{kept}"
        if not target.exists():
            damage_folder(folder, target, arm.values, arm.untouched, 1234)
        return target

    def answer(self, name: str) -> None:
        """One arm's answers, unless they are there."""
        arm, folder = self.ladder.arms[name], self.out / name / "run"
        if (folder / "done").exists():
            return
        checkpoint = self.checkpoint(arm)
        samples = {task: list(range(min(arm.limit or most, most))) for task, most in self.ladder.tasks.items()}
        flags = ["--samples", msgspec.json.encode(samples).decode(), "--output_path", str(folder)]
        flags += ["--tasks", ",".join(samples), *(("--data-dir", str(self.data_dir)) if self.data_dir else ())]
        started = time.monotonic()
        with serving(arm, checkpoint, self.out / name) as (python, model):
            command = [python, "-m", "lm_eval_fr", "run", *model, *flags]
            log = self.out / name / "run.log"
            with log.open("wb") as out:
                code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, timeout=ARM_LIMIT).returncode
        if code:
            raise ArmError(f"the arm {name} stopped", where=log, remedy="read its last lines and run again to resume")
        (folder / "done").write_text(f"{time.monotonic() - started:.0f} seconds\n")

    def compare(self, name: str) -> dict[str, Any]:
        """The arm against the reference: compare.json as it is."""
        reference = self.out / self.ladder.reference / "run"
        margins = [part for task, margin in self.ladder.margins.items() for part in ("--margin", f"{task}={margin}")]
        files = [part for kind in ("json", "markdown", "html") for part in (f"--{kind}", str(self._file(name, kind)))]
        allow = ["--allow", "documents"] if self.ladder.arms[name].limit else []
        command = [sys.executable, "-m", "lm_eval_fr", "compare", str(self.out / name / "run"), str(reference)]
        done = subprocess.run([*command, *margins, *files, *allow, "--quiet"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ArmError(f"{name}: {done.stderr.strip().splitlines()[-1]}", where=self.out / name)
        found = read_json(self._file(name, "json"))
        return dict(found)

    def _file(self, name: str, kind: str) -> Path:
        ending = {"json": "compare.json", "markdown": "report.md", "html": "report.html"}
        return self.out / name / ending[kind]


@contextlib.contextmanager
def serving(arm: ArmOfLadder, checkpoint: Path, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The Python that runs the arm, and the flags that name its model; a server lives as long as the context."""
    if arm.engine != "llama.cpp":
        arguments: dict[str, Any] = {"pretrained": str(checkpoint), "dtype": "bfloat16"}
        if arm.engine == "vllm":
            arguments |= {"enforce_eager": True, "max_model_len": 4096, "gpu_memory_utilization": 0.3}
        model = ["--model", arm.engine, "--model_args", msgspec.json.encode(arguments).decode()]
        yield environment_of(arm.engine), model
        return
    port = _free_port()
    command = [sys.executable, str(ROOT / "scripts/serve_gguf.py"), str(checkpoint), "--port", str(port)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, "--name", checkpoint.stem], stdout=log, stderr=log)
    try:
        _wait_until_healthy(process, port, folder / "server.log")
        url = f"http://127.0.0.1:{port}/v1/completions"
        arguments = {"model": checkpoint.stem, "base_url": url, "tokenized_requests": False, "tokenizer_backend": None}
        yield sys.executable, ["--model", "local-completions", "--model_args", msgspec.json.encode(arguments).decode()]
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment_of(engine: str) -> str:
    """The Python of the environment that `make e2e` builds for this engine."""
    python = ROOT / {"hf": ".venv-nvfp4", "vllm": ".venv-vllm"}[engine] / "bin" / "python"
    if not python.exists():
        build = f"python tests/e2e/environments.py {'vllm' if engine == 'vllm' else 'nvfp4'}"
        raise UsageError(f"no environment for {engine}", where=python.parents[1], remedy=f"build it: {build}")
    return str(python)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + START_LIMIT
    while time.monotonic() < ends and process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply,
        ):
            if reply.status == 200:
                return
        time.sleep(0.5)
    raise ArmError("the server did not come up", where=log, remedy="read its last lines")


def read_ladder(path: Path) -> Ladder:
    """Raises InputError."""
    ladder = convert(read_yaml(path, remedy=REMEDY), Ladder, what="ladder", where=path, remedy=REMEDY)
    if ladder.model not in MODELS:
        raise InputError(f"no model is called {ladder.model!r}", where=path, remedy=f"choose from {', '.join(MODELS)}")
    if ladder.reference not in ladder.arms:
        raise InputError(f"no arm is called {ladder.reference!r}", where=path, remedy=REMEDY)
    for name, arm in ladder.arms.items():
        if arm.values not in VALUES:
            known = ", ".join(VALUES)
            raise InputError(f"{name}: unknown values {arm.values!r}", where=path, remedy=f"choose from {known}")
    return ladder


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row an arm and task, in the ladder's order."""
    lines = [
        "| arm | task | n | candidate | reference | difference | 95 % interval | verdict |",
        "|---|---|" + "--:|" * 5 + "---|",
    ]
    for name, report in found.items():
        for row in report["tasks"]:
            cells = [name, row["task"], row["n"], *(_points(row[key]) for key in ("candidate_mean", "reference_mean"))]
            interval = f"[{_points(row['ci_low'], sign=True)}, {_points(row['ci_high'], sign=True)}]"
            cells += [_points(row["difference"], sign=True), interval, str(row["verdict"]).replace("_", "-")]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _points(value: float | None, *, sign: bool = False) -> str:
    return "unknown" if value is None else f"{100 * value:{'+' if sign else ''}.1f}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy="--help lists the flags")


def main(argv: Sequence[str] | None = None) -> int:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ladder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("study-out"))
    parser.add_argument("--data-dir", type=Path, help="instead of the hub")
    parser.add_argument("--only", action="append", metavar="ARM", help="this arm and the reference (several: repeat)")
    try:
        arguments = parser.parse_args(argv)
        ladder = read_ladder(arguments.ladder)
        data_dir = arguments.data_dir.resolve() if arguments.data_dir else None
        study = Study(ladder, arguments.out.resolve(), data_dir)
        run_ladder(study, arguments.only or list(ladder.arms))
    except LmEvalFrError as error:
        print(f"ladder: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ladder: interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 0


def run_ladder(study: Study, names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in study.ladder.arms]:
        raise UsageError(f"no arm is called {unknown[0]!r}", where="--only", remedy=REMEDY)
    wanted = list(dict.fromkeys([study.ladder.reference, *names]))
    for name in wanted:  # one after another: arms may share a checkpoint
        study.checkpoint(study.ladder.arms[name])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, _ in zip(wanted, pool.map(study.answer, wanted), strict=True):
            print(f"{name}: answered", file=sys.stderr, flush=True)
    found = {name: study.compare(name) for name in wanted if name != study.ladder.reference}
    (study.out / "ladder.md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    sys.exit(main())
