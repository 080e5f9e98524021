"""docs/compare_json.md names every key that compare.json has, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lm_eval_fr
from lm_eval_fr.report.json_writer import to_json
from tests.fakes.reports import a_full_report, as_json, many_reports

DOC = (Path(__file__).resolve().parents[2] / "docs" / "compare_json.md").read_text(encoding="utf-8")
FREE = {"versions", "data", "profile", "rubric", "controls", "panel", "settings", "reasons", "value", "voting", "kinds"}
"""Keys whose content is somebody else's to name, or documented where it is asked for."""
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def keys(content: Any) -> Iterator[str]:
    if isinstance(content, list):
        for item in content:
            yield from keys(item)
    elif isinstance(content, dict):
        for key, item in content.items():
            yield key
            if key not in FREE:
                yield from keys(item)


def test_every_key_is_documented() -> None:
    named = set(re.findall(r"`(?:\w+\.)?(\w+)(?:\[\])?`", DOC))
    found = {*keys(as_json(a_full_report())), *keys(json.loads(to_json(many_reports())))}
    assert found - named == set()


def test_no_key_of_the_first_version_is_gone() -> None:
    first = json.loads((GOLDEN / "compare_v1_keys.json").read_text(encoding="utf-8"))
    now = as_json(a_full_report())

    def missing(then: Any, here: Any, path: str) -> Iterator[str]:
        if isinstance(then, list) and then:
            yield from missing(then[0], here[0], f"{path}[]")
        elif isinstance(then, dict):
            for key, item in then.items():
                if key in here:
                    yield from missing(item, here[key], f"{path}.{key}")
                else:
                    yield f"{path}.{key}"

    assert list(missing(first, now, "")) == []


def test_every_kind_of_warning_is_documented() -> None:
    modules = (Path(lm_eval_fr.__file__).parent / "compare").glob("*.py")
    kinds = {kind for path in modules for kind in re.findall(r'Caution\(kind="(\w+)"', path.read_text("utf-8"))}
    listed = re.search(r"Kinds of warnings: ([^.]+)\.", DOC)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == kinds
