"""The example notebook runs, and shows what is stored in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.notebook import run_cells

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def texts(outputs: list[dict[str, Any]]) -> Iterator[str]:
    """What a cell shows as text; pages and tables of HTML are the same in another form."""
    for output in outputs:
        yield "".join(output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"])


@pytest.mark.usefixtures("forked_arms")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_is_stored_in_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m tests.e2e.notebook examples/NAME.ipynb` stores it anew."""
    monkeypatch.chdir(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    stored = [cell["outputs"] for cell in content["cells"] if cell["cell_type"] == "code"]
    shown = run_cells(content["cells"])
    assert [list(texts(outputs)) for outputs in shown] == [list(texts(outputs)) for outputs in stored]
    assert any("text/html" in output.get("data", {}) for outputs in shown for output in outputs)
    assert str(ROOT) not in path.read_text(encoding="utf-8")
