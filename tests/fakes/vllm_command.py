"""Stands in for the `vllm` command: logs as vLLM 0.32 does, listens, answers. FAKE_VLLM says how it misbehaves.

    ok | dies | silent (never healthy) | empty | reasons | doubled | letters | ends (after the first answer) | child

"letters": marks of the template are encoded as plain text, as Mistral's tokenizer does with a rendered prompt.
"child": starts another process that ignores SIGTERM, writes its id into FAKE_VLLM_CHILD, and ends without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODE = os.environ.get("FAKE_VLLM", "ok")
BOS, USER, END, ASSISTANT = 1, 3, 4, 5
MARKS = {BOS: "<s>", USER: "<|user|>", END: "<|end|>", ASSISTANT: "<|assistant|>"}
LOG = """\
INFO 11-21 18:25:58 [api_utils.py:286] non-default args: {{'model': {model!r}}}
(EngineCore pid=10741) INFO 11-21 18:26:17 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: \
model={model!r}, speculative_config=None, tokenizer_mode={mode}, revision=None, dtype=torch.bfloat16, \
max_seq_len=16384, quantization=compressed-tensors, quantization_config=None, kv_cache_dtype=fp8, device_config=cuda
INFO 11-21 18:26:18 [__init__.py:1240] Using FlashInferCutlassNvFp4LinearKernel for NVFP4 GEMM
INFO 11-21 18:26:18 [nvfp4.py:270] Using 'FLASHINFER_CUTLASS' NvFp4 MoE backend out of potential backends: ['MARLIN'].
INFO 11-21 18:26:18 [cuda.py:507] Using TRITON_MLA attention backend out of potential backends: ['TRITON_MLA'].
"""


def encode(text: str, marks_are_letters: bool) -> list[int]:
    """One token a mark, one a character."""
    tokens: list[int] = []
    while text:
        mark = next((number for number, name in MARKS.items() if text.startswith(name)), None)
        if mark is not None and not marks_are_letters:
            tokens.append(mark)
            text = text[len(MARKS[mark]) :]
        else:
            tokens.append(ord(text[0]) + 100)
            text = text[1:]
    return tokens


def decode(tokens: list[int]) -> str:
    return "".join(MARKS.get(token, chr(token - 100) if token >= 100 else "") for token in tokens)


def encode_chat(messages: list[dict[str, str]]) -> list[int]:
    tokens = [BOS, BOS] if MODE == "doubled" else [BOS]
    for message in messages:
        tokens += [USER, *encode(message["content"], True), END]
    return [*tokens, ASSISTANT]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health" and MODE != "silent":
            self.reply({})
        elif self.path == "/version":
            self.reply({"version": "0.32.0"})
        else:
            self.reply({"error": {"message": "not there"}}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            tokens = encode_chat(body["messages"]) if "messages" in body else encode(body["prompt"], MODE == "letters")
            self.reply({"count": len(tokens), "max_model_len": 16384, "tokens": tokens})
        elif self.path == "/detokenize":
            self.reply({"prompt": decode(body["tokens"])})
        else:
            self.reply(self.complete(body))
            if MODE == "ends":
                threading.Timer(0.2, os._exit, [3]).start()

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        text = {"empty": "", "reasons": ""}.get(MODE, "Paris.")
        message = {"role": "assistant", "content": text}
        if MODE == "reasons":
            message["reasoning"] = "Voyons."
        count = len(encode_chat(body["messages"]))
        usage = {"prompt_tokens": count, "completion_tokens": 2, "total_tokens": count + 2}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}

    def reply(self, body: Any, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


def value(flag: str, default: str = "") -> str:
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else default


def main() -> None:
    print(LOG.format(model=sys.argv[2], mode=value("--tokenizer-mode", "auto")), flush=True)
    if MODE == "dies":
        print("(EngineCore pid=1) ERROR 11-21 [core.py:1] ValueError: No available memory for the cache blocks.")
        print("INFO [utils.py:628] [shutdown] Process manager: send sigterm to process EngineCore")
        sys.exit(1)
    if MODE == "child":
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        Path(os.environ["FAKE_VLLM_CHILD"]).write_text(str(child.pid))
    server = ThreadingHTTPServer((value("--host"), int(value("--port"))), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    time.sleep(600)


if __name__ == "__main__":
    main()
