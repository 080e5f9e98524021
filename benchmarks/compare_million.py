"""Two large runs, from files to verdict, against a plain json.loads loop over the same files.

    python benchmarks/compare_million.py                       100,000 samples an arm (1 GB of files), about a minute
    python benchmarks/compare_million.py --samples 1000000     the full measure: 10 GB of files, about eight minutes
    python benchmarks/compare_million.py --quick               10,000 samples
    python benchmarks/compare_million.py --samples 1000000 --short     lines of 1 kB: 2 GB of files

Files and rounds as in compare_read.py, which measures reading and pairing alone.
"""

from __future__ import annotations

import sys

from compare_read import side_by_side

OURS = """
import json, resource, sys, time
start = time.perf_counter()
from lm_eval_fr.compare import compare
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
pairing = pair_runs(find_run(sys.argv[1]), find_run(sys.argv[2]))
paired = time.perf_counter() - start
report = compare(pairing)
report.to_json(), report.to_text()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
result = report.tasks[0]
print(json.dumps({"seconds": time.perf_counter() - start, "paired": paired, "n": result.n,
                  "mib": sum(one.ru_maxrss for one in used) / 1024,
                  "cpu": sum(one.ru_utime + one.ru_stime for one in used), "verdict": result.verdict or "none",
                  "interval": [result.ci_low, result.ci_high], "method": result.paired.interval.method}))
"""


def main() -> None:
    loop, ours, samples, size = side_by_side(__doc__, OURS, repeat=2)
    if ours["n"] != samples:
        sys.exit(f"{ours['n']} of {samples} samples were compared")
    for label, found in (("json.loads loop, one process", loop), ("files to verdict", ours)):
        rate = size / found["seconds"] / 1e6
        print(f"{label:<32}{found['seconds']:8.2f} s{rate:8.0f} MB/s{found['cpu']:8.2f} s CPU{found['mib']:8.0f} MiB")
    print(f"{'  of which reading and pairing':<32}{ours['paired']:8.2f} s")
    print(f"{'ratio (aim: at least 4)':<32}{loop['seconds'] / ours['seconds']:8.1f}")
    print(f"{'of the memory limit (1,500 MB)':<32}{ours['mib'] * 1.048576 / 1500:8.0%}")
    print(f"{ours['verdict']}, {ours['interval']}, {ours['method']}")


if __name__ == "__main__":
    main()
