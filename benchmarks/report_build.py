"""Seconds and bytes of the HTML report for 2,000 and 100,000 pairs, and how long Chromium takes until the page is
usable.

    python benchmarks/report_build.py [--quick]        --quick: 500 and 5,000 pairs

A pair is 4 kB: a French text of 2 kB, and two answers of 1 kB that differ in a quarter of the words. Sentences are
drawn from the demo's articles. Limits: 2 s and 20 s to build, 5 MB, 0.5 s from opening the file to a list one can use.
The 100,000 do not fit: the build also writes the rest beside the report, as JSONL.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lm_eval_fr.compare import compare
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import pair_runs

ROOT = Path(__file__).resolve().parent.parent
ISO = "2026-01-01T12-00-00.000001"
READY = """
new MutationObserver(() => { window.usable ??= performance.now(); })
  .observe(document, {attributes: true, subtree: true, attributeFilter: ["data-samples"]});
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    flags = parser.parse_args()
    limits = {500: 2.0, 5_000: 20.0} if flags.quick else {2_000: 2.0, 100_000: 20.0}
    header = (
        ("build", 9),
        ("CPU", 9),
        ("limit", 7),
        ("shown", 8),
        ("bytes", 12),
        ("of 5 MB", 9),
        ("usable", 9),
        ("peak", 10),
    )
    print("   pairs" + "".join(f"{name:>{width}}" for name, width in header))
    for pairs, limit in limits.items():
        with tempfile.TemporaryDirectory(prefix="report_build_") as name:
            arms = [generate(Path(name) / arm, arm, pairs) for arm in ("candidate", "reference")]
            pairing = pair_runs(find_run(arms[0]), find_run(arms[1]))
            report = compare(pairing)
            page = Path(name) / "report.html"
            start, cpu = time.perf_counter(), time.process_time()
            report.to_html(page)
            seconds, cpu, size = time.perf_counter() - start, time.process_time() - cpu, page.stat().st_size
            usable = time_to_interactive(page)
            some = re.search(r"<p>([\d,]+) of [\d,]+ pairs", page.read_text(encoding="utf-8"))
            shown = int(some[1].replace(",", "")) if some else pairs
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        times = f"{seconds:>7.2f} s{cpu:>7.2f} s{limit:>5.0f} s"
        sizes = f"{shown:>8,}{size:>12,}{size / 5e6:>9.0%}"
        print(f"{pairs:>8,}{times}{sizes}{usable:>9}{peak:>6.0f} MiB")


def time_to_interactive(page: Path) -> str:
    """Milliseconds from the start of navigation to a filled list, the median of five, as Chromium's own clock says."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        return "no Chromium"
    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.add_init_script(READY)
            tab.goto(f"file://{page}")
            tab.wait_for_selector("html[data-samples=ready]", state="attached")
            found.append(tab.evaluate("window.usable"))
            tab.close()
        browser.close()
    return f"{sorted(found)[2]:.0f} ms"


def generate(folder: Path, arm: str, pairs: int) -> Path:
    """A run of one task as lm-eval writes it. Texts and gold are the same in both arms, answers mostly."""
    place = folder / f"org__{arm}"
    place.mkdir(parents=True)
    sentences = french_sentences()
    words = [word for sentence in sentences for word in sentence.split()]
    shared, own = random.Random(1), random.Random(arm)
    settings = {"until": ["</s>"], "max_gen_toks": 1024, "temperature": 0.0, "do_sample": False}
    total, task_hash = 0.0, hashlib.sha256()
    with (place / f"samples_large_{ISO}.jsonl").open("w", encoding="utf-8", buffering=1 << 20) as file:
        for i in range(pairs):
            context = prose(shared, sentences, 2000)
            answer = prose(shared, sentences, 1000)
            if arm == "candidate":
                answer = " ".join(own.choice(words) if own.random() < 0.25 else word for word in answer.split())
            doc = {"id": str(i), "title": f"Article {i // 5}", "context": context}
            prompt = f"Résume ce texte.\n\n{context}\n\nRésumé :"
            score = 1.0 if shared.random() < 0.9 or arm == "reference" else own.choice((0.0, 0.4, 1.0))
            hashes = [_sha(text) for text in (json.dumps(doc, indent=2, ensure_ascii=False), prompt, str(i))]
            task_hash.update("".join(hashes).encode())
            total += score
            line = {
                "doc_id": i,
                "doc": doc,
                "target": str(i),
                "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}},
                "resps": [[answer]],
                "filtered_resps": [answer],
                "filter": "none",
                "metrics": ["f1"],
                **dict(zip(("doc_hash", "prompt_hash", "target_hash"), hashes, strict=True)),
                "f1": score,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    results = {
        "results": {"large": {"f1,none": total / pairs}},
        "configs": {"large": {"task": "large", "metric_list": [{"metric": "f1"}], "generation_kwargs": settings}},
        "versions": {"large": 1.0},
        "n-samples": {"large": {"original": pairs, "effective": pairs}},
        "config": {"model": "local-completions", "model_args": {"model": f"org/{arm}"}, "limit": None},
        "task_hashes": {"large": task_hash.hexdigest()},
        "model_name": f"org/{arm}",
    }
    (place / f"results_{ISO}.json").write_text(json.dumps(results), encoding="utf-8")
    return place


def prose(draw: random.Random, sentences: list[str], size: int) -> str:
    text = ""
    while len(text) < size:
        text += draw.choice(sentences) + " "
    return text[:size]


def french_sentences() -> list[str]:
    lines = (ROOT / "lm_eval_fr/demo/data/analysis_fr.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["text"]) for line in lines if line.strip()]
    return [sentence.strip() + "." for text in texts for sentence in text.split(".") if len(sentence) > 20]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
