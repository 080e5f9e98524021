"""Wall time of judging 3,000 pairs at concurrency 64 and 0.5 s latency, against 2 x pairs x latency / concurrency.

    python benchmarks/judge_throughput.py [--quick]

The server runs in a process of its own on the same machine; the time is of the whole `judge_runs`: reading the pairs,
rendering, calling, storing every reply on disk, writing the verdicts. Aim: at most 1.1 times the ideal.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._judging import fixed_verdict, french_text, serving
from tests.fakes.judging import judge, pair, write_profile, write_runs


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="300 pairs")
    arguments.add_argument("--concurrency", type=int, default=64)
    arguments.add_argument("--latency", type=float, default=0.5)
    given = arguments.parse_args()
    pairs = 300 if given.quick else 3000
    with tempfile.TemporaryDirectory() as folder, serving(fixed_verdict, latency=given.latency) as url:
        root = Path(folder)
        texts = [french_text(5000, i) for i in range(pairs)]
        answers = [[french_text(1200, seed * pairs + i) for i in range(pairs)] for seed in (1, 2)]
        pairing = pair(*write_runs(root, *answers, texts=texts))
        profile = write_profile(root, url, timeout=60)
        started = time.perf_counter()
        cpu = time.process_time()
        summary, _ = judge(pairing, root / "out", profile, concurrency=given.concurrency)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert summary.usage.calls == 2 * pairs, summary
    ideal = 2 * pairs * given.latency / given.concurrency
    print(f"{pairs:,} pairs, concurrency {given.concurrency}, latency {given.latency:g} s")
    print(f"ours            {seconds:7.1f} s   ({1000 * cpu / summary.usage.calls:.1f} ms of CPU a call)")
    print(f"ideal           {ideal:7.1f} s   (2 x pairs x latency / concurrency)")
    print(f"ratio           {seconds / ideal:7.2f}     (aim: at most 1.1)")


if __name__ == "__main__":
    main()
