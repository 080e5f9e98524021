"""The header of a GGUF file is read without a package, and a hostile one is refused before it costs anything."""

from __future__ import annotations

import os
import struct
from hashlib import sha256
from pathlib import Path

import pytest

from lm_eval_fr.arms.gguf_header import (
    MOST_ENTRIES,
    MOST_HEADER,
    MOST_ITEMS,
    MOST_TEXT,
    describe_gguf,
    is_gguf,
    read_gguf_header,
)
from lm_eval_fr.errors import InputError
from tests.fakes.engines import TEMPLATE, gguf_file

METADATA = {
    "general.architecture": "llama",
    "general.name": "Petit modèle",
    "general.file_type": 15,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.ggml.tokens": ["<s>", "été", ""],
    "tokenizer.ggml.scores": [0.0, -1.0],
    "tokenizer.chat_template": TEMPLATE,
}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_single_values_are_read_and_lists_passed_over(tmp_path: Path, version: int) -> None:
    found = read_gguf_header(written(tmp_path, gguf_file(METADATA, version=version)))
    assert found == {name: value for name, value in METADATA.items() if not isinstance(value, list)}


def test_what_it_says_of_the_model(tmp_path: Path) -> None:
    found = describe_gguf(written(tmp_path, gguf_file(METADATA)))
    assert (found.name, found.quantization, found.dtype) == ("Petit modèle", "Q4_K_M", None)
    assert found.chat_template_sha256 == sha256(TEMPLATE.encode()).hexdigest()
    other = describe_gguf(written(tmp_path, gguf_file(METADATA, tail=b"\x01" * 64)))
    assert other.revision != found.revision


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"general.file_type": 1}, ("none", "float16")),
        ({"general.file_type": 32}, ("none", "bfloat16")),
        ({"general.file_type": 32, "lm_eval_fr_damage.description": "int2 values"}, ("int2 values", "bfloat16")),
        ({"general.file_type": 7}, ("Q8_0", None)),
        ({"general.file_type": 4321}, (None, None)),
        ({"general.file_type": "Q4_0"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_how_the_weights_are_stored(
    tmp_path: Path, metadata: dict[str, object], expected: tuple[str | None, str | None]
) -> None:
    found = describe_gguf(written(tmp_path, gguf_file(metadata)))
    assert (found.quantization, found.dtype) == expected


def test_a_name_cannot_steer_a_terminal(tmp_path: Path) -> None:
    found = describe_gguf(written(tmp_path, gguf_file({"general.name": "a\x1b[2J\nb" + "é" * 500})))
    assert found.name is not None and found.name.isprintable() and len(found.name) <= 200


START = b"GGUF" + struct.pack("<IQ", 3, 0)
NAME = struct.pack("<Q", 1) + b"a"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "truncated"),
        (b"GGML" + b"\x00" * 60, "not a GGUF file"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "GGUF version 50331648"),
        (START + struct.pack("<Q", MOST_ENTRIES + 1), "4,097 entries"),
        (START + struct.pack("<Q", 1), "truncated"),
        (START + struct.pack("<QQ", 1, MOST_TEXT + 1), "a text of 1,048,577 bytes"),
        (START + struct.pack("<Q", 1) + NAME + struct.pack("<IQ", 8, 2**63), "a text of 9,223,372"),
        (START + struct.pack("<Q", 1) + NAME + struct.pack("<I", 13), "type 13"),
        (START + struct.pack("<Q", 1) + NAME + struct.pack("<IIQ", 9, 4, MOST_ITEMS + 1), "implausible"),
        (START + struct.pack("<Q", 1) + NAME + struct.pack("<IIQ", 9, 9, 1), "type 9"),
        (START + struct.pack("<Q", 1) + NAME + struct.pack("<IIQ", 9, 10, 1000), "truncated"),
        (START + struct.pack("<Q", 1) + NAME + struct.pack("<IIQQ", 9, 8, 1, 2**62), "truncated"),
        (gguf_file(METADATA)[:90], "truncated"),
    ],
)
def test_a_hostile_header_is_one_line(tmp_path: Path, content: bytes, what: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=what) as caught:
        describe_gguf(path)
    assert "\n" not in str(caught.value)


def test_a_header_beyond_all_measure_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, START + struct.pack("<Q", 1) + NAME + struct.pack("<IIQQ", 9, 8, 1, MOST_HEADER))
    os.truncate(path, 1 << 40)  # a sparse file
    with pytest.raises(InputError, match="truncated or implausible"):
        read_gguf_header(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.gguf"
    os.mkfifo(fifo)
    assert not is_gguf(fifo) and not is_gguf(tmp_path) and not is_gguf(Path("/nul\x00l")) and not is_gguf(Path("/no"))
    assert is_gguf(written(tmp_path, gguf_file({})))
