"""docs/compare_json.md names every key that compare.json has, and no other."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from lm_eval_fr.compare import cautions, log_cautions
from lm_eval_fr.report import model

DOC = (Path(__file__).resolve().parents[2] / "docs" / "compare_json.md").read_text(encoding="utf-8")


def keys() -> set[str]:
    """Of the report's own types; parts that are there on request only are documented where they are asked for."""
    found = [item for item in vars(model).values() if dataclasses.is_dataclass(item)]
    kinds = [item for item in found if item.__module__ == model.__name__]
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def test_every_key_is_documented() -> None:
    named = set(re.findall(r"`(?:\w+\.)?(\w+)(?:\[\])?`", DOC))
    assert keys() - named == set()


def test_every_kind_of_warning_is_documented() -> None:
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in (cautions, log_cautions)]
    kinds = set(re.findall(r'kind="(\w+)"', "".join(sources)))
    listed = re.search(r"Kinds of warnings: ([^.]+)\.", DOC)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == kinds
