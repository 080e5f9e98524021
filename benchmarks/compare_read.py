"""Reading and pairing two large runs, against a plain json.loads loop over the same files.

    python benchmarks/compare_read.py                        100,000 samples an arm (1 GB of files), under a minute
    python benchmarks/compare_read.py --samples 1000000      the full measure: 10 GB of files, about eight minutes
    python benchmarks/compare_read.py --quick                10,000 samples
    python benchmarks/compare_read.py --short                lines of 1 kB instead of 5 kB

The runs are generated in a temporary folder (--folder names its parent) and removed. Each measure runs in a process of
its own; memory is the sum of the peaks of that process and of its child. --cores pins both to so many cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = "la ville où l’été finit très tôt, « belle » et déjà cœur de naïveté ; forêt, hôpital, école, garçon, à côté"
LINE_BYTES, SHORT_LINE_BYTES = 5000, 1000
ISO = "2026-01-01T12-00-00.000001"

LOOP = """
import json, resource, sys, time
start = time.perf_counter()
total = 0.0
for path in sys.argv[1:]:
    with open(path, "rb") as lines:
        for line in lines:
            total += json.loads(line)["f1"]
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time(),
                  "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
OURS = """
import json, resource, sys, time
start = time.perf_counter()
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs
pairing = pair_runs(find_run(sys.argv[1]), find_run(sys.argv[2]))
task = pairing.tasks[0]
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"seconds": time.perf_counter() - start, "n": task.n,
                  "mib": sum(one.ru_maxrss for one in used) / 1024,
                  "cpu": sum(one.ru_utime + one.ru_stime for one in used),
                  "clusters": len(task.cluster_names), "difference":
                  float((task.candidate["f1"] - task.reference["f1"]).mean())}))
"""


def side_by_side(description: str | None, program: str, *, repeat: int) -> tuple[dict, dict, int, int]:
    """Parses the flags, writes both runs, measures the loop and `program` in turn: (loop, ours, samples, bytes)."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000, help="samples of each arm")
    parser.add_argument("--quick", action="store_true", help="10,000 samples")
    parser.add_argument("--short", action="store_true", help="lines of 1 kB, as of short questions and answers")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    parser.add_argument("--repeat", type=int, default=repeat, help="rounds, in turn; the fastest of each counts")
    parser.add_argument("--cores", type=int, default=2)
    flags = parser.parse_args()
    samples = 10_000 if flags.quick else flags.samples
    line_bytes = SHORT_LINE_BYTES if flags.short else LINE_BYTES
    needed, free = 2 * samples * line_bytes, shutil.disk_usage(flags.folder or tempfile.gettempdir()).free
    if free < 1.2 * needed:
        sys.exit(f"{needed / 1e9:.0f} GB needed, {free / 1e9:.0f} GB free: use --folder or fewer --samples")
    with tempfile.TemporaryDirectory(dir=flags.folder, prefix="compare_") as name:
        start = time.perf_counter()
        arms = [generate(Path(name) / arm, arm, samples, short=flags.short) for arm in ("candidate", "reference")]
        files = [next(arm.glob("samples_*")) for arm in arms]
        size = sum(file.stat().st_size for file in files)
        print(f"two runs of {samples:,} samples, {size / 1e9:.2f} GB, written in {time.perf_counter() - start:.0f} s")
        rounds = [(measure(LOOP, files, flags.cores), measure(program, arms, flags.cores)) for _ in range(flags.repeat)]
    loop, ours = (min(found, key=lambda one: one["seconds"]) for found in zip(*rounds, strict=True))
    return loop, ours, samples, size


def main() -> None:
    loop, ours, samples, size = side_by_side(__doc__, OURS, repeat=3)
    if ours["n"] != samples:
        sys.exit(f"{ours['n']} of {samples} samples were paired")
    for label, found in (("json.loads loop, one process", loop), ("find_run + pair_runs", ours)):
        rate = size / found["seconds"] / 1e6
        print(f"{label:<30}{found['seconds']:8.2f} s{rate:8.0f} MB/s{found['cpu']:8.2f} s CPU{found['mib']:8.0f} MiB")
    print(f"{'ratio (aim: at least 4)':<30}{loop['seconds'] / ours['seconds']:8.1f}")
    print(f"{'of the memory limit (1,536 MiB)':<30}{ours['mib'] / 1536:8.0%}")


def measure(code: str, arguments: list[Path], cores: int) -> dict[str, float]:
    available = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=1800,
        preexec_fn=lambda: os.sched_setaffinity(0, available),
    )
    return json.loads(done.stdout)


def generate(folder: Path, arm: str, samples: int, *, short: bool = False) -> Path:
    """A run of one task, as lm-eval writes it, of lines of about 5 kB; of 1 kB if they are to be short."""
    width, longest = (60, 60) if short else (880, 1100)
    place = folder / f"org__{arm}"
    place.mkdir(parents=True)
    draw = random.Random(arm)
    shared = random.Random(1)
    texts = [" ".join(shared.choices(WORDS.split(), k=2000)) for _ in range(32)]
    settings = {"until": ["</s>"], "max_gen_toks": 1024, "temperature": 0.0, "do_sample": False}
    task_hash, total = hashlib.sha256(), 0.0
    with (place / f"samples_large_{ISO}.jsonl").open("w", encoding="utf-8", buffering=1 << 20) as file:
        for i in range(samples):
            context = texts[0][i % 500 : i % 500 + width]
            doc = {"id": str(i), "title": f"Article {i // 5}", "context": context, "question": f"Où est l’île n° {i} ?"}
            prompt = f"Lis le texte.\n\n{context}\n\n{doc['question']}\nRéponse :"
            answer = "Elle " + texts[i % 32][i % 700 : i % 700 + draw.randint(longest // 2, longest)]
            hashes = [_sha(text) for text in (json.dumps(doc, indent=2, ensure_ascii=False), prompt, str(i))]
            task_hash.update("".join(hashes).encode())
            score = draw.choice((0.0, 0.4, 0.6666666666666666, 1.0))
            total += score
            line = {
                "doc_id": i,
                "doc": doc,
                "target": str(i),
                "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}},
                "resps": [[answer]],
                "filtered_resps": [answer],
                "filter": "none",
                "metrics": ["f1", "exact_match"],
                **dict(zip(("doc_hash", "prompt_hash", "target_hash"), hashes, strict=True)),
                "f1": score,
                "exact_match": float(score == 1),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    metrics = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("f1", "exact_match")]
    results = {
        "results": {"large": {"f1,none": total / samples}},
        "configs": {"large": {"task": "large", "metric_list": metrics, "generation_kwargs": settings}},
        "versions": {"large": 1.0},
        "n-samples": {"large": {"original": samples, "effective": samples}},
        "config": {"model": "local-completions", "model_args": {"model": f"org/{arm}"}, "limit": None},
        "task_hashes": {"large": task_hash.hexdigest()},
        "model_name": f"org/{arm}",
    }
    (place / f"results_{ISO}.json").write_text(json.dumps(results), encoding="utf-8")
    return place


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
