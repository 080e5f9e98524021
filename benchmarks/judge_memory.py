"""Resident memory of judging 100,000 pairs, against 500 MB.

    python benchmarks/judge_memory.py [--quick]

A process of its own pairs the runs and judges them on a local server, in both orders; it prints the peak resident
size before judging (the paired runs) and after it (verdicts and figures written). Takes about ten
minutes; --quick: 10,000 pairs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LIMIT = 500.0  # MB
PATIENCE = 3600.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="10,000 pairs")
    arguments.add_argument("--pairs", type=int)
    arguments.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.worker:
        work(*(Path(path) for path in given.worker[:3]), given.worker[3])
        return
    from benchmarks._judging import fixed_verdict, serving
    from tests.fakes.judging import write_profile

    pairs = given.pairs or (10_000 if given.quick else 100_000)
    with tempfile.TemporaryDirectory() as folder, serving(fixed_verdict) as url:
        root = Path(folder)
        candidate, reference = write(root, pairs)
        profile = write_profile(root, url, concurrency=64, timeout=60)
        command = [sys.executable, __file__, "--worker", str(candidate), str(reference), str(root / "out"), profile]
        subprocess.run(command, check=True, timeout=PATIENCE)


def write(root: Path, pairs: int) -> tuple[Path, Path]:
    """The runs, each written by a process that ends: their texts must not count."""
    from benchmarks._judging import french_text
    from tests.fakes.judging import write_runs

    stems = [french_text(1500, seed) for seed in range(50)]
    texts = [f"Résume le texte n° {i} : {stems[i % 50]}" for i in range(pairs)]
    answers = [[f"{stems[(i + arm) % 50][:800]} {arm} {i}" for i in range(pairs)] for arm in (1, 2)]
    titles = [f"article {i % (pairs // 5)}" for i in range(pairs)]
    return write_runs(root, *answers, texts=texts, titles=titles)


def work(candidate: Path, reference: Path, out: Path, profile: str) -> None:
    from tests.fakes.judging import options, pair

    started = time.perf_counter()
    pairing = pair(candidate, reference)
    paired = resident()
    from lm_eval_fr.judge.session import judge_runs

    summary = judge_runs(pairing, out, options(profile))
    most, n = resident(), summary.planned
    assert summary.finished, summary.left
    print(f"{n:,} pairs, {summary.usage.calls:,} calls, {time.perf_counter() - started:.0f} s")
    print(f"paired          {paired:7.0f} MB")
    print(f"judged          {most:7.0f} MB   ({(most - paired) * 1e6 / n:.0f} bytes a pair)")
    print(f"limit           {LIMIT:7.0f} MB")
    print(f"ratio           {most / LIMIT:7.2f}      (aim: under 1)")


def resident() -> float:
    """The greatest resident size so far, in MB. (getrusage would count what the parent had when it forked.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
