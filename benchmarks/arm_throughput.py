"""Requests per second of `hosted-chat` against lm-eval's own `local-chat-completions`, 64 at once, one local server.

    python benchmarks/arm_throughput.py [--quick] [--latency 0.05] [--concurrent 64]

Both clients run in this process with the same requests (French articles of about 1,000 words) and the same kind of
cache; the server runs in another one, so that its work is not measured with theirs. The limit is what the latency
allows. The two take turns, and the median of the rounds is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.fakes.server import FakeOpenAI
print(FakeOpenAI("Une réponse. " * 40, latency=float(sys.argv[2]), keep_calls=False).start().url, flush=True)
sys.stdin.read()
"""
SETTINGS = {"until": ["</s>"], "max_gen_toks": 256, "temperature": 0.0, "do_sample": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--concurrent", type=int, default=64)
    options = parser.parse_args()
    count, rounds = (640, 1) if options.quick else (2560, 5)
    command = [sys.executable, "-c", SERVER, str(ROOT), str(options.latency)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        rates: dict[str, list[float]] = {"local-chat-completions": [], "hosted-chat": []}
        for number in range(-1, rounds):  # the first round warms up
            for name, found in rates.items():
                rate = measure(name, url, count if number >= 0 else 128, options.concurrent)
                found += [rate] if number >= 0 else []
    finally:
        server.terminate()
        server.wait(10)
    report({name: statistics.median(found) for name, found in rates.items()}, options, count)


def measure(name: str, url: str, count: int, concurrent: int) -> float:
    from lm_eval.api.model import CachingLM
    from lm_eval.models.api_models import JsonChatStr
    from lm_eval.models.openai_completions import LocalChatCompletion

    from lm_eval_fr.arms.cache import AnswerCache
    from lm_eval_fr.models.hosted import HostedChat

    article = "La ville s'étend sur les deux rives du fleuve, au pied des collines. " * 80
    requests: list[Any] = [
        SimpleNamespace(args=(JsonChatStr(json.dumps([{"role": "user", "content": f"{n} {article}"}])), SETTINGS))
        for n in range(count)
    ]
    arguments = {"model": "fake-model", "base_url": f"{url}/chat/completions", "num_concurrent": concurrent}
    with tempfile.TemporaryDirectory() as folder:
        path, hosted = Path(folder) / "cache.db", name == "hosted-chat"
        theirs = None if hosted else CachingLM(LocalChatCompletion(**arguments), str(path))
        lm: Any = theirs or AnswerCache(HostedChat(**arguments), path)
        started = time.perf_counter()
        answers = lm.generate_until(requests)
        seconds = time.perf_counter() - started
        (lm if hosted else lm.dbdict).close()
    assert len(answers) == count and all(answers)
    return count / seconds


def report(rates: dict[str, float], options: argparse.Namespace, count: int) -> None:
    limit = options.concurrent / options.latency
    print(f"{count} requests, {options.concurrent} at once, {options.latency * 1000:.0f} ms each")
    for name, rate in {**rates, "limit by latency": limit}.items():
        print(f"{name:24} {rate:8.0f} requests/s")
    print(f"ratio to lm-eval's own   {rates['hosted-chat'] / rates['local-chat-completions']:8.2f}")
    print(f"share of the limit       {rates['hosted-chat'] / limit:8.2f}")


if __name__ == "__main__":
    main()
