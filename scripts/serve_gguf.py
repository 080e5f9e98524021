"""llama.cpp's OpenAI-compatible server, out of the `xllamacpp` wheel: nothing is compiled.

    pip install xllamacpp
    python scripts/serve_gguf.py model.gguf --port 8080 --name my-model

Prints one line when it listens; Ctrl-C or SIGTERM stops it. Where you have `llama-server`, use that: it is the same.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", help="the model's name in requests (default: the file's)")
    parser.add_argument("--context", type=int, default=4096, help="tokens a request may hold (default 4096)")
    parser.add_argument("--slots", type=int, default=1, help="requests at once (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="default 1: spinning threads slow a shared machine down")
    arguments = parser.parse_args(argv)
    with arguments.model.open("rb") as file:
        if file.read(4) != b"GGUF":
            parser.error(f"{arguments.model}: not a GGUF file")
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.hostnames = str(arguments.model), ["127.0.0.1"]
    settings.port, settings.model_alias = arguments.port, {arguments.name or arguments.model.stem}
    settings.n_parallel, settings.n_ctx = arguments.slots, arguments.context * arguments.slots
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = arguments.threads
    settings.use_jinja = True
    settings.swa_full = True  # otherwise a sliding-window model reads every prompt whole
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = xllamacpp.Server(settings)
    print(f"listening at {server.listening_address}", flush=True)
    stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
