"""What the tests of real engines share: the environments, one tiny model, real documents, and the table at the end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.engines import COMMAND_LIMIT, Record, run_command
from tests.e2e.environments import environment
from tests.e2e.material import data_folder

RECORD = pytest.StashKey[Record]()


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Record:
    """What ran on what."""
    return request.config.stash.setdefault(RECORD, Record())


@pytest.fixture(scope="session")
def vllm_python(record: Record) -> Path:
    return _built("vllm", record)


@pytest.fixture(scope="session")
def nvfp4_python(record: Record) -> Path:
    return _built("nvfp4", record)


@pytest.fixture(scope="session")
def tiny_model(shared_data: Path, nvfp4_python: Path, tmp_path_factory: pytest.TempPathFactory, record: Record) -> Path:
    """A random Llama of two layers whose tokenizer was trained on PIAF."""
    started = time.monotonic()
    folder = tmp_path_factory.mktemp("tiny")
    maker, texts = Path(__file__).with_name("tiny_model.py"), shared_data / "piaf" / "piaf-v1.0.json"
    run_command([nvfp4_python, maker, texts, folder], cwd=folder, limit=COMMAND_LIMIT)
    record.add("a tiny random Llama", "transformers", None, started, "bfloat16")
    return folder


@pytest.fixture(scope="session")
def documents(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --data-dir of real French documents."""
    return data_folder(shared_data, tmp_path_factory.mktemp("documents") / "data")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    record = config.stash.get(RECORD, None)
    if record is not None and record.rows:
        terminalreporter.section("what ran on what")
        for line in record.table():
            terminalreporter.write_line(line)


def _built(name: str, record: Record) -> Path:
    started = time.monotonic()
    python = environment(name)
    versions = run_command([python, "-c", VERSIONS], cwd=python.parent).strip()
    record.add(f"environment {name}", "pip", None, started, versions)
    return python


VERSIONS = """
from importlib.metadata import PackageNotFoundError, version
for name in ("vllm", "llmcompressor", "compressed-tensors", "transformers", "torch", "lm-eval"):
    try:
        print(name, version(name), end=", " if name != "lm-eval" else "")
    except PackageNotFoundError:
        pass
"""
