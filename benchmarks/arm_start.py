"""Seconds to the first request: `lm-eval-fr run` against `lm_eval run --include_path`, same task, same server;
and of a whole run of three documents against `import lm_eval.evaluator` alone.

    python benchmarks/arm_start.py [--quick] [--rounds 3]

Also `lm-eval-fr --help` against `lm_eval --help`. Both commands run as a user runs them, in turns, on the demo's
questions and a local server that notes when the first POST arrives. --quick: one round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
BIN = Path(sys.executable).parent
DATA = ROOT / "lm_eval_fr" / "demo" / "data"
PATIENCE = 180.0  # seconds for one command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    first: dict[str, list[float]] = {"lm-eval-fr run": [], "lm_eval run --include_path": []}
    whole: dict[str, list[float]] = {"lm-eval-fr run, 3 documents": [], "import lm_eval.evaluator": []}
    helps: dict[str, list[float]] = {"lm-eval-fr --help": [], "lm_eval --help": []}
    for _ in range(rounds):
        for name, found in first.items():
            found.append(first_request(name))
        for name, found in whole.items():
            with tempfile.TemporaryDirectory() as out:
                found.append(timed(three_documents(out) if name.startswith("lm-eval-fr") else IMPORT))
        for name, found in helps.items():
            program, flag = name.split()
            found.append(timed([str(BIN / program), flag]))
    show("to the first request", first, "aim: 10 times faster or more")
    show("in all", whole, f"that is {shares(whole):.2f} times the import; aim: 1.5 at most")
    show("to the help text", helps, "aim: under 0.15 s")


IMPORT = [sys.executable, "-c", "import lm_eval.evaluator"]


def three_documents(out: str) -> list[str]:
    asked = ["--model", "fr-baseline", "--tasks", "piaf_fr", "--limit", "3", "--data-dir", str(DATA)]
    return [str(BIN / "lm-eval-fr"), "run", *asked, "--output_path", out]


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return time.perf_counter() - started


def shares(measured: dict[str, list[float]]) -> float:
    ours, theirs = (statistics.median(found) for found in measured.values())
    return ours / theirs


def first_request(name: str) -> float:
    """Starts the command and ends it when its first request has arrived."""
    from tests.fakes.server import FakeOpenAI

    with FakeOpenAI("Paris") as server, tempfile.TemporaryDirectory() as out:
        model_args = (
            f"model=fake-model,base_url={server.url}/completions,tokenizer_backend=none,tokenized_requests=False"
        )
        shared = ["--model", "local-completions", "--model_args", model_args, "--tasks", "piaf_fr", "--limit", "10"]
        shared += ["--output_path", out]
        if name == "lm-eval-fr run":
            command = [str(BIN / "lm-eval-fr"), "run", *shared, "--data-dir", str(DATA)]
        else:
            command = [str(BIN / "lm_eval"), "run", *shared, "--include_path", str(ROOT / "tasks"), "--log_samples"]
            command += ["--metadata", f"data_dir={DATA}"]
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            while not server.calls and process.poll() is None and time.monotonic() - started < PATIENCE:
                time.sleep(0.005)
        finally:
            process.kill()
            _, told = process.communicate(timeout=30)
        if not server.calls:
            sys.exit(f"{name}: no request arrived\n{told[-2000:]}")
        return server.calls[0].at - started


def show(what: str, measured: dict[str, list[float]], aim: str) -> None:
    ours, theirs = (statistics.median(found) for found in measured.values())
    for name, found in measured.items():
        print(f"{name:28} {statistics.median(found):7.2f} s {what} (best {min(found):.2f}, worst {max(found):.2f})")
    print(f"{'ratio':28} {theirs / ours:7.1f}   {aim}\n")


if __name__ == "__main__":
    main()
