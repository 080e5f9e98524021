"""10,000 cluster-bootstrap draws of the recovery over a million documents, against resampling the documents.

    python benchmarks/stats_bootstrap.py [--quick]

Limit: 10 s. Peer: the plain bootstrap, which draws a million indices per draw; it is timed on a few draws and scaled.
The two intervals are printed as well: with a million documents they must agree to the fourth digit.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from sys import path

import numpy as np

path.insert(0, str(Path(__file__).resolve().parent.parent))

from lm_eval_fr.stats import recovery_interval

LIMIT = 10.0
DRAWS = 10_000


def plain(candidate: np.ndarray, reference: np.ndarray, draws: int) -> tuple[float, np.ndarray]:
    generator, started, ratios = np.random.default_rng(1), time.perf_counter(), np.empty(draws)
    for i in range(draws):
        rows = generator.integers(0, candidate.size, candidate.size)
        ratios[i] = candidate[rows].sum() / reference[rows].sum()
    return time.perf_counter() - started, ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100,000 documents")
    n = 100_000 if parser.parse_args().quick else 1_000_000
    generator = np.random.default_rng(0)
    reference = generator.random(n)
    candidate = np.clip(reference - 0.01 + generator.normal(0, 0.15, n), 0, 1)
    print(f"{DRAWS:,} draws over {n:,} documents; limit {LIMIT:g} s")
    for name, clusters in (
        ("every document its own", None),
        ("200,000 articles of 5", np.arange(n) // 5),
        ("200 articles", np.arange(n) % 200),
    ):
        started = time.perf_counter()
        found = recovery_interval(candidate, reference, clusters=clusters, draws=DRAWS, seed=1)
        seconds = time.perf_counter() - started
        print(
            f"  {name:24} {seconds:6.2f} s   {seconds / LIMIT:5.2f} of the limit   [{found.low:.5f}, {found.high:.5f}]"
        )
    few = 40 if n == 1_000_000 else 400
    seconds, ratios = plain(candidate, reference, few)
    whole = seconds / few * DRAWS
    found = recovery_interval(candidate, reference, draws=DRAWS, seed=1)
    spread = 3.92 * ratios.std(ddof=1)
    started = time.perf_counter()
    recovery_interval(candidate, reference, draws=DRAWS, seed=1)
    ours = time.perf_counter() - started
    print(f"  plain bootstrap          {whole:6.0f} s   (from {few} draws): ours takes 1/{whole / ours:.0f} of it")
    print(f"  width: ours {found.high - found.low:.5f}, plain {spread:.5f} (+- {spread / (2 * few) ** 0.5:.5f})")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
