"""What a running server tells of its model: six engines' dialects, and servers that lie, hang on or know nothing."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lm_eval_fr.arms.server_dialects import ServedModel
from lm_eval_fr.arms.server_manifest import ask_server, hold_to_earlier
from lm_eval_fr.cli import main
from lm_eval_fr.errors import ArmError, UsageError
from lm_eval_fr.io.http import Server
from tests.fakes import engines
from tests.fakes.engines import Dialect, EngineServer, gguf_file


def asked(dialect: Dialect, model: str | None = None, **raw: Any) -> ServedModel:
    with EngineServer(dialect, raw.get("raw")) as server:
        return ask_server(Server(f"{server.url}/v1/chat/completions"), model)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (engines.LLAMA_CPP, ("llama.cpp", "b6789-0123abcd", "smollm2.gguf", "Q4_K_M", None, 512)),
        (engines.VLLM, ("vllm", "0.32.0", "org/no-such-model", None, None, 4096)),
        (engines.SGLANG, ("sglang", "0.5.6", "org/no-such-model", None, None, 32768)),
        (engines.OLD_SGLANG, ("sglang", None, "org/no-such-model", None, None, 8192)),
        (engines.TENSORRT_LLM, ("tensorrt-llm", "1.2.0", "no-such-model", None, None, None)),
        (engines.OLLAMA, ("ollama", "0.12.6", None, "Q4_K_M", None, 4096)),
        (engines.LM_STUDIO, ("lm-studio", None, None, "Q4_0", None, 4096)),
        (engines.OLD_LM_STUDIO, ("lm-studio", None, None, "none", "bfloat16", 8192)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_each_engine_in_its_own_words(dialect: Dialect, expected: tuple[object, ...]) -> None:
    found = asked(dialect)
    assert (
        found.engine,
        found.engine_version,
        found.model,
        found.quantization,
        found.dtype,
        found.max_model_len,
    ) == expected
    assert found.served_name == dialect.replies["/v1/models"]["data"][0]["id"]
    assert found.start.asked[0] == "/v1/models" and len(found.start.asked) > 1


def test_what_only_one_engine_tells() -> None:
    assert asked(engines.LLAMA_CPP).chat_template_sha256 == sha256(engines.TEMPLATE.encode()).hexdigest()
    assert asked(engines.OLLAMA).revision == "a80c4f17acd5"
    found = asked(engines.SGLANG)
    assert (found.engine_quantization, found.kv_cache_dtype) == ("fp8", "auto")
    assert "sk-" not in json.dumps(found.fields())


def test_damage_that_ollama_shows_is_the_quantisation() -> None:
    shown = {**engines.OLLAMA.replies["/api/show"]}
    shown["model_info"] = {"general.file_type": 32, "lm_eval_fr_damage.description": "int3 values as bfloat16"}
    found = asked(Dialect({**engines.OLLAMA.replies, "/api/show": shown}))
    assert (found.quantization, found.dtype) == ("int3 values as bfloat16", "bfloat16")


def test_a_router_of_llama_cpp_is_asked_for_the_model() -> None:
    props = {**engines.LLAMA_CPP.replies["/props"], "role": "router"}
    with EngineServer(Dialect({**engines.LLAMA_CPP.replies, "/props": props})) as server:
        assert ask_server(Server(f"{server.url}/v1"), "smollm2").engine == "llama.cpp"
        assert "/props?model=smollm2" in [question.path for question in server.asked]


def naming(path: Path | str) -> Dialect:
    props = {**engines.LLAMA_CPP.replies["/props"], "model_path": str(path)}
    return Dialect({**engines.LLAMA_CPP.replies, "/props": props})


def test_a_gguf_file_on_this_machine_is_read(tmp_path: Path) -> None:
    damage = "nvfp4 values as bfloat16, 126 matrices, relative error 0.09"
    metadata = {"general.name": "Petit", "general.file_type": 32, "lm_eval_fr_damage.description": damage}
    (tmp_path / "m.gguf").write_bytes(gguf_file(metadata))
    found = asked(naming(tmp_path / "m.gguf"))
    assert (found.model, found.quantization, found.dtype) == ("Petit", damage, "bfloat16")
    assert found.revision is not None and found.start.files == str(tmp_path / "m.gguf")


@pytest.mark.parametrize("content", [b"", b"GGUF", gguf_file({"a": 1})[:20], b"not one at all"])
def test_a_file_that_is_none_leaves_the_servers_word(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    assert asked(naming(tmp_path / "m.gguf")).quantization == "Q4_K_M"


@pytest.mark.parametrize(
    "path", ["m.gguf", "../m.gguf", "/dev/zero", "/proc/self/mem", "/nul\x00.gguf", "/" + "a" * 5000]
)
def test_no_other_file_is_opened(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name is relative to the server's folder, which is not ours."""
    monkeypatch.chdir(tmp_path)
    Path("m.gguf").write_bytes(gguf_file({"general.file_type": 7}))
    found = asked(naming(path))
    assert (found.quantization, found.revision) == ("Q4_K_M", None)


def test_a_checkpoint_folder_on_this_machine_is_read(checkpoint: Path) -> None:
    row = engines.listed("served", "vllm", root=str(checkpoint), max_model_len=4096)
    found = asked(Dialect({**engines.VLLM.replies, "/v1/models": row}))
    assert found.quantization == "none" and found.dtype == "bfloat16" and found.model == checkpoint.name
    assert found.revision is not None and found.revision.startswith("files:")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "petit"
    folder.mkdir()
    (folder / "config.json").write_text('{"dtype": "bfloat16"}')
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\x00\x00")
    return folder


def test_steering_characters_and_wrong_types_are_not_passed_on() -> None:
    replies = {
        **engines.LLAMA_CPP.replies,
        "/props": {
            "default_generation_settings": {"n_ctx": -5},
            "model_path": ["a"],
            "model_ftype": "Q4\x1b[2J\nK" + "x" * 9000,
            "build_info": {"a": 1},
            "chat_template": 7,
        },
    }
    found = asked(Dialect(replies))
    assert found.quantization is not None and found.quantization.isprintable() and len(found.quantization) <= 200
    assert (found.max_model_len, found.engine_version, found.chat_template_sha256, found.model) == (None,) * 4


HTML = (200, {"Content-Type": "text/html"}, b"<html>It works!</html>")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (HTML, "not a model server"),
        ((404, {}, b"no"), "not a model server"),
        ((200, {}, b'{"data": [{"id": 1}, 2]}'), "not a model server"),
        ((302, {"Location": "http://example.com/v1/models"}, b""), "redirects to example.com, which is not followed"),
        ((200, {}, b" " * (5 << 20)), "larger than 4 MB"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * (64 << 20))), "larger than 4 MB"),
        (
            (401, {}, b'{"error": {"message": "Invalid API key"}}'),
            "it needs a key: name its variable with --key-env NAME",
        ),
    ],
    ids=["page", "nothing", "no names", "redirect", "long", "bomb", "key"],
)
def test_what_is_no_model_server_is_one_line(raw: tuple[int, dict[str, str], bytes], what: str) -> None:
    with EngineServer(engines.LLAMA_CPP, {"/v1/models": raw}) as server:
        done = CliRunner().invoke(main, ["manifest", server.url])
    assert done.exit_code == 2 and what in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_a_dead_address_and_what_is_no_address() -> None:
    with EngineServer(engines.VLLM) as server:
        url = server.url
    for address, what in ((url, "no server answers"), ("not a url", "is not an address"), ("http://a:b@c", "password")):
        done = CliRunner().invoke(main, ["manifest", address])
        assert done.exit_code == 2 and what in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_later_page_that_redirects_or_floods_is_left_out() -> None:
    elsewhere = (302, {"Location": "http://example.com/props"}, b"")
    found = asked(engines.LLAMA_CPP, raw={"/props": elsewhere})
    assert found.engine is None and found.quantization is None
    assert asked(engines.LLAMA_CPP, raw={"/props": (200, {}, b"[" * 200_000)}).engine is None


def test_several_models_and_one_that_is_not_there() -> None:
    rows = {"data": [{"id": "a", "owned_by": "vllm"}, {"id": "b", "owned_by": "vllm"}]}
    dialect = Dialect({"/v1/models": rows, "/version": {"version": "0.32.0"}}, (404, {}))
    with pytest.raises(UsageError, match="2 models") as caught:
        asked(dialect)
    assert "--model a | b" in str(caught.value)
    assert asked(dialect, "b").served_name == "b"
    with pytest.raises(ArmError, match="no model 'c'"):
        asked(dialect, "c")


def test_the_key_goes_to_the_server_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = "sk-a-key-of-the-server-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    with EngineServer(engines.VLLM) as other:
        elsewhere = (307, {"Location": f"{other.url}/props"}, key.encode())
        with EngineServer(engines.LLAMA_CPP, {"/props": elsewhere}) as server:
            made = tmp_path / "manifest.json"
            done = CliRunner().invoke(main, ["manifest", server.url, "--key-env", "MY_KEY", "--json", str(made)])
    assert done.exit_code == 0, done.stderr
    assert {question.headers.get("Authorization") for question in server.asked} == {f"Bearer {key}"}
    assert not other.asked
    assert key not in done.output + made.read_text()
    done = CliRunner().invoke(main, ["manifest", server.url, "--key-env", "NO_SUCH_KEY"])
    assert done.exit_code == 2 and "NO_SUCH_KEY is empty" in done.stderr


def test_what_is_shown_and_written(tmp_path: Path) -> None:
    made = tmp_path / "manifest.json"
    with EngineServer(engines.LLAMA_CPP) as server:
        done = CliRunner().invoke(main, ["manifest", server.url, "--json", str(made)])
    assert done.exit_code == 0, done.stderr
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert shown["quantization"] == "Q4_K_M" and shown["dtype"] == "unknown" and shown["max_model_len"] == "512"
    content = json.loads(made.read_text())
    assert content["engine"] == "llama.cpp" and content["start"]["base_url"] == f"{server.url}/v1"


def test_an_arm_is_held_to_the_server_that_answered_first(tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "key.served.json"
    found = asked(engines.LLAMA_CPP)
    hold_to_earlier(found, kept)
    hold_to_earlier(asked(engines.LLAMA_CPP), kept)
    hold_to_earlier(asked(engines.LLAMA_CPP, raw={"/props": (500, {}, b"")}), kept)  # a server that says less
    other = {**engines.LLAMA_CPP.replies["/props"], "model_ftype": "Q8_0"}
    with pytest.raises(ArmError, match="quantization was Q4_K_M and is now Q8_0") as caught:
        hold_to_earlier(asked(Dialect({**engines.LLAMA_CPP.replies, "/props": other})), kept)
    assert "another --output_path" in str(caught.value)
