"""What each engine reports about the model that it serves, besides the OpenAI protocol that all of them speak.

    llama.cpp      /props: model_path, model_ftype, n_ctx, chat_template, build_info
    vLLM           /version; /v1/models: root, max_model_len
    SGLang         /server_info (once /get_server_info): its arguments, its keys among them, and its version
    TensorRT-LLM   /version
    Ollama         /api/version, /api/show, /api/tags, /api/ps
    LM Studio      /api/v1/models (0.4), /api/v0/models (before)

A server may answer anything (LM Studio answers 200 to every path), so an engine is identified by the fields of its
reply; only the fields named here are kept.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lm_eval_fr.arms.checkpoint import DAMAGE, template_sha256
from lm_eval_fr.arms.gguf_header import FILE_TYPES, WHOLE, stored_as
from lm_eval_fr.arms.manifest import ModelFacts
from lm_eval_fr.io.clean import at, count_at, inner, one_line, rows_at

MOST_TOKENS = 10**9
Ask = Callable[..., Mapping[str, Any]]
"""ask(path, body=None): the JSON object that the server answers, {} if there is none."""


@dataclass(frozen=True, kw_only=True)
class AskedStart:
    """What differs between two starts of the same server. asked: the paths that answered.

    files: where its weights are, as it names them.
    """

    made: str = ""
    base_url: str = ""
    asked: tuple[str, ...] = ()
    files: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServedModel(ModelFacts):
    """As a running server tells it."""

    start: AskedStart = AskedStart()

    def fields(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    def __str__(self) -> str:
        """One line: what is known, and what is not."""
        engine = " ".join(filter(None, (self.engine or "an unknown engine", self.engine_version)))
        stored = {None: "precision not disclosed", "none": f"unquantised weights ({self.dtype or 'dtype unknown'})"}
        words = stored.get(self.quantization, str(self.quantization))
        rounded = f", rounded to {self.engine_quantization} while loading" if self.engine_quantization else ""
        context = f", context {self.max_model_len:,}" if self.max_model_len else ""
        return f"{self.served_name} on {engine}: {words}{rounded}{context}"


def llama_cpp(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    props = ask("/props")
    if props.get("role") == "router":
        props = ask(f"/props?model={quote(name, safe='')}")
    settings = inner(props, "default_generation_settings")
    if not ("model_path" in props or "n_ctx" in settings):
        return None
    quantization, dtype = _gguf_words(_text(props, "model_ftype") or _text(row, "meta", "ftype"))
    return ServedModel(
        engine="llama.cpp",
        engine_version=_text(props, "build_info"),
        quantization=quantization,
        dtype=dtype,
        max_model_len=_tokens(settings, "n_ctx"),
        chat_template_sha256=template_sha256(_text(props, "chat_template", most=None)),
        model=_text(props, "model_path", most=None),
    )


def sglang(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    info = ask("/server_info") or ask("/get_server_info")
    arguments = inner(info, "server_args") or info
    path = _text(arguments, "model_path", most=None)
    if path is None:
        path = _text(ask("/model_info") or ask("/get_model_info"), "model_path", most=None)
    if path is None:
        return None
    dtype = _text(arguments, "dtype")
    return ServedModel(
        engine="sglang",
        engine_version=_text(info, "version"),
        engine_quantization=_text(arguments, "quantization"),
        dtype=None if dtype == "auto" else dtype,  # the engine was left to choose
        kv_cache_dtype=_text(arguments, "kv_cache_dtype"),
        max_model_len=_tokens(row, "max_model_len") or _tokens(arguments, "context_length"),
        revision=_text(arguments, "revision"),
        model=path,
    )


def vllm(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    if row.get("owned_by") != "vllm":
        return None
    return ServedModel(
        engine="vllm",
        engine_version=_text(ask("/version"), "version"),
        max_model_len=_tokens(row, "max_model_len"),
        model=_text(row, "root", most=None),
    )


def tensorrt_llm(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    if row.get("owned_by") != "tensorrt_llm":
        return None
    version = _text(ask("/version"), "version")
    return ServedModel(engine="tensorrt-llm", engine_version=version, model=_text(row, "id", most=None))


def ollama(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    shown = ask("/api/show", {"model": name})
    details, metadata = inner(shown, "details"), inner(shown, "model_info")
    if not details:
        return None
    quantization, dtype = _gguf_words(_text(details, "quantization_level"))
    if isinstance(damage := metadata.get(f"{DAMAGE}.description"), str):
        quantization, dtype = stored_as(metadata.get("general.file_type"), damage)
    return ServedModel(
        engine="ollama",
        engine_version=_text(ask("/api/version"), "version"),
        quantization=quantization,
        dtype=dtype,
        # of the loaded model: Ollama may give it less than its own length
        max_model_len=_tokens(_ollama_row(ask("/api/ps"), name), "context_length"),
        revision=_text(_ollama_row(ask("/api/tags"), name), "digest"),
        chat_template_sha256=template_sha256(_text(shown, "template", most=None)),
    )


def _ollama_row(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    full = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return next((row for row in rows_at(content, "models") if row.get("name") == full), {})


def lm_studio(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    for model in rows_at(ask("/api/v1/models"), "models"):
        loaded = {str(one.get("id")): inner(one, "config") for one in rows_at(model, "loaded_instances")}
        if name in loaded or name == model.get("key"):
            running = loaded.get(name) or next(iter(loaded.values()), {})
            return _of_lm_studio(_text(model, "quantization", "name"), _tokens(running, "context_length"))
    for model in rows_at(ask("/api/v0/models"), "data"):
        if name == model.get("id") and "quantization" in model:
            return _of_lm_studio(_text(model, "quantization"), _tokens(model, "loaded_context_length"))
    return None


def _of_lm_studio(stored: str | None, context: int | None) -> ServedModel:
    quantization, dtype = _gguf_words(stored)
    return ServedModel(engine="lm-studio", quantization=quantization, dtype=dtype, max_model_len=context)


Dialect = Callable[[Ask, str, Mapping[str, Any]], ServedModel | None]
# By the owner in the list of models; Ollama and LM Studio do not name their engine there.
BY_OWNER: Mapping[str, Dialect] = {
    "llamacpp": llama_cpp,
    "vllm": vllm,
    "sglang": sglang,
    "tensorrt_llm": tensorrt_llm,
    "library": ollama,
    "organization_owner": lm_studio,
}


def told_by(ask: Ask, name: str, row: Mapping[str, Any]) -> ServedModel | None:
    """The first engine that recognises itself. row: the model's row in the list of models, {} if there is none."""
    likely = BY_OWNER.get(str(row.get("owned_by")))
    order = (likely, *(dialect for dialect in BY_OWNER.values() if dialect is not likely))
    return next((told for dialect in order if dialect and (told := dialect(ask, name, row))), None)


def _gguf_words(stored: str | None) -> tuple[str | None, str | None]:
    """(quantization, dtype) from an engine's word for it: "Q4_K - Medium", "all F32", "BF16", "4bit"."""
    if stored is None:
        return None, None
    words = stored.removeprefix("all ").removeprefix("mostly ").removesuffix(" (guessed)").strip()
    dtype = {"F32": WHOLE[0], "F16": WHOLE[1], "BF16": WHOLE[32], "FP16": WHOLE[1], "FP32": WHOLE[0]}.get(words.upper())
    kind, dash, size = words.partition(" - ")
    short = f"{kind}_{size[:1]}" if dash else words
    return ("none" if dtype else short if short in FILE_TYPES.values() else words), dtype


def _text(content: Mapping[str, Any], *path: str, most: int | None = 200) -> str | None:
    """most: characters of one printable line; None for a value that is not shown."""
    value = at(content, *path)
    if not isinstance(value, str) or not value.strip():
        return None
    return value if most is None else one_line(value, most)


def _tokens(content: Mapping[str, Any], name: str) -> int | None:
    return count_at(content, name, most=MOST_TOKENS) or None
