"""200 documents of 128k tokens made, and their prompts rendered one by one: the aim is under 20 s and 500 MB.

    python benchmarks/long_context_build.py [--text BOOK.txt] [--tokenizer FOLDER] [--documents N]

Without --text: the demonstration's articles, repeated to the length that is needed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from lm_eval_fr.demo import plan_path
from lm_eval_fr.tasklib.definitions import tasks_dir

AIM_SECONDS, AIM_BYTES = 20.0, 500e6
LENGTH = 131_072


def task() -> Any:
    """The task's own functions, as lm-eval loads them."""
    spec = importlib.util.spec_from_file_location("long_context", tasks_dir() / "long_context" / "utils.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def long_text(folder: Path) -> Path:
    lines = (plan_path().parent / "data" / "analysis_fr.jsonl").read_text(encoding="utf-8").splitlines()
    text = "\n\n".join(json.loads(line)["text"] for line in lines)
    path = folder / "text.txt"
    path.write_text("\n\n".join([text] * 25), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--tokenizer")
    parser.add_argument("--documents", type=int, default=200)
    given = parser.parse_args()
    module = task()
    with tempfile.TemporaryDirectory() as folder:
        text = given.text or long_text(Path(folder))
        started = time.perf_counter()
        wish = {"lengths": [LENGTH], "documents": given.documents, "tokenizer": given.tokenizer}
        documents = module.load(data=str(text), **wish)["test"]
        built = time.perf_counter()
        characters = sum(len(module.doc_to_text(document)) for document in documents)
        ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{len(documents)} documents of {LENGTH:,} tokens: made in {built - started:.1f} s, ", end="")
    print(f"{characters / 1e6:,.0f} million characters rendered in {ended - built:.1f} s, peak {peak / 1e6:.0f} MB")
    print(f"the aim is {AIM_SECONDS:.0f} s and {AIM_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
