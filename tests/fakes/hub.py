"""A data set laid out in a local folder as on the hub, loaded by the same `datasets.load_dataset` call."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def lay_out(
    folder: Path, rows: list[Mapping[str, Any]], name: str, split: str, *, lines: bool = False
) -> dict[str, Any]:
    """Returns a task's `metadata.dataset`. lines: JSONL instead of Parquet."""
    import datasets

    # `datasets` takes folders of one name and configuration for one data set, and would serve the first one's rows.
    folder = folder / uuid.uuid4().hex
    (folder / name).mkdir(parents=True)
    file = folder / name / f"{split}-00000-of-00001"
    if lines:
        write_rows(file.with_suffix(".jsonl"), rows)
    else:
        datasets.Dataset.from_list(list(rows)).to_parquet(file.with_suffix(".parquet"))
    entry = f"  - config_name: {name}\n    data_files:\n      - split: {split}\n        path: {name}/{split}-*"
    (folder / "README.md").write_text(f"---\nconfigs:\n{entry}\n---\n", encoding="utf-8")
    return {"path": str(folder), "name": name, "split": split, "revision": None}
