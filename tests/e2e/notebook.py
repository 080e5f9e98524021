"""Runs a notebook's cells without Jupyter: in one namespace, inside an event loop, the last expression of a cell shown.

.venv/bin/python -m tests.e2e.notebook examples/two_runs.ipynb      # runs it and writes its outputs anew
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


def run_cells(cells: list[Cell]) -> list[list[Cell]]:
    """The outputs of each code cell, in the current folder; an exception of a cell is raised."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    found = []
    for cell in cells:
        if cell["cell_type"] == "code":
            found.append(asyncio.run(_run("".join(cell["source"]), namespace)))
    return found


async def _run(source: str, namespace: dict[str, Any]) -> list[Cell]:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(tree, "<cell>", "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace) if last else None
    outputs: list[Cell] = []
    if text := printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)})
    if value is not None:
        outputs.append(
            {"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": _shown(value)}
        )
    return outputs


def _shown(value: Any) -> dict[str, Any]:
    shown = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_") and (html := value._repr_html_()):
        shown["text/html"] = html.splitlines(keepends=True)
    return shown


def rewrite(path: Path) -> None:
    """Runs the notebook in a folder of its own and stores what its cells show."""
    content = json.loads(path.read_text(encoding="utf-8"))
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            outputs = run_cells(content["cells"])
        finally:
            os.chdir(here)
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for number, (cell, shown) in enumerate(zip(code, outputs, strict=True), 1):
        cell["outputs"], cell["execution_count"] = shown, number
        for output in shown:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]).resolve())
