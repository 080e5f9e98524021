"""llama.cpp's OpenAI-compatible server, from the `xllamacpp` wheel: nothing is compiled.

    pip install xllamacpp
    python scripts/serve_gguf.py model.gguf --port 8080 --name my-model

Prints one line when it listens; Ctrl-C or SIGTERM stops it. If you have `llama-server`, use that: it is the same.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from lm_eval_fr.errors import ArmError, InputError, UsageError
from lm_eval_fr.io.script import run_script, script_parser

HOST = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", help="the model's name in requests (default: the file's)")
    parser.add_argument("--context", type=int, default=4096, help="tokens per request (default 4096)")
    parser.add_argument("--slots", type=int, default=1, help="parallel requests (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="default 1: spinning threads slow a shared machine down")
    return run_script("serve_gguf", lambda: serve(parser.parse_args(argv)))


def serve(arguments: argparse.Namespace) -> None:
    """Until it is interrupted. Raises InputError (not a model), UsageError (port, package), ArmError (llama.cpp's)."""
    if min(arguments.context, arguments.slots, arguments.threads) < 1:
        raise UsageError("--context, --slots and --threads must be 1 or more")
    check_gguf(arguments.model)
    _check_port(arguments.port)
    try:
        import xllamacpp
    except ImportError:
        raise UsageError("llama.cpp is not installed", remedy="pip install 'lm-eval-fr[study]'") from None

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.hostnames = str(arguments.model), [HOST]
    settings.port, settings.model_alias = arguments.port, {arguments.name or arguments.model.stem}
    settings.n_parallel, settings.n_ctx = arguments.slots, arguments.context * arguments.slots
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = arguments.threads
    settings.use_jinja = True
    settings.swa_full = True  # otherwise a sliding-window model reads every prompt whole
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = xllamacpp.Server(settings)
    except RuntimeError as error:
        raise ArmError(f"llama.cpp cannot serve it: {error}", where=arguments.model) from None
    print(f"listening at {server.listening_address}", flush=True)
    stop.wait()


def check_gguf(path: Path) -> None:
    """Raises InputError."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path, remedy="give a GGUF file") from None
    if start != b"GGUF":
        raise InputError("not a GGUF file", where=path, remedy="give a GGUF file")


def _check_port(port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on {HOST}:{port}: {reason}", remedy="give another --port") from None


if __name__ == "__main__":
    sys.exit(main())
