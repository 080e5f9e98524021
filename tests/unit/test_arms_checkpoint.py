"""A checkpoint that an engine would choke on is refused in a second, whatever the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm_eval_fr.arms.checkpoint import Checkpoint
from lm_eval_fr.arms.flags import parse_call
from lm_eval_fr.arms.harness import run_arm
from lm_eval_fr.arms.preflight import checkpoint_of
from lm_eval_fr.errors import InputError
from lm_eval_fr.io.redaction import Redactor
from tests.fakes.checkpoints import W4A16, make_checkpoint, make_mistral_checkpoint, write_tokenizer


def flags(folder: Path | str, model: str = "vllm", arguments: str = "", *more: str) -> list[str]:
    given = f"pretrained={folder}" + (f",{arguments}" if arguments else "")
    return ["--model", model, "--model_args", given, "--tasks", "piaf_fr", "--output_path", "out", *more]


def found(*arguments: object) -> Checkpoint | None:
    return checkpoint_of(parse_call(flags(*arguments), Redactor(())))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["vllm", "hf"])
def test_a_half_downloaded_checkpoint_stops_the_run(tmp_path: Path, model: str) -> None:
    folder = make_checkpoint(tmp_path / "m", shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError) as caught:
        run_arm(flags(folder, model))
    assert caught.value.exit_code == 2
    assert "download incomplete: model-00002-of-00002.safetensors missing (finish the download" in str(caught.value)
    with pytest.raises(InputError, match="no such checkpoint folder"):
        run_arm(flags(tmp_path / "no", model))


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m")
    write_tokenizer(folder, 300)
    with pytest.raises(InputError, match="the tokenizer does not fit the model"):
        found(folder)
    assert found(folder, "vllm", "tokenizer=elsewhere") is not None


def test_a_tokenizer_that_would_encode_twice(tmp_path: Path) -> None:
    both, alone = make_checkpoint(tmp_path / "both", tekken=True), make_mistral_checkpoint(tmp_path / "alone")
    with pytest.raises(InputError, match=r"as plain text \(add tokenizer_mode=hf to --model_args\)"):
        found(both)
    assert found(both, "vllm", "tokenizer_mode=hf") is not None
    assert found(both, "hf") is not None  # transformers takes its own
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        found(alone, "vllm", "tokenizer_mode=hf")


def test_a_template_that_is_not_there(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "m", quantization=W4A16)
    assert found(folder, "vllm", "", "--apply_chat_template") is not None
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="it has no chat template"):
        found(folder, "vllm", "", "--apply_chat_template")
    assert found(folder) is not None


def test_what_is_not_looked_at(tmp_path: Path) -> None:
    assert found("org/never-downloaded") is None
    assert found(tmp_path, "vllm", "load_format=dummy") is None
    assert found(tmp_path, "fr-baseline") is None
