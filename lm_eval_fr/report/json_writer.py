"""compare.json: the report's fields as they are, floats not rounded, unknown as null."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import convert, parse_json
from lm_eval_fr.report.model import SCHEMA_VERSION, ManyReport, Report


def to_json(report: Report | ManyReport) -> str:
    """The report as indented JSON in a fixed order of keys. Raises ValueError on a number that JSON cannot hold."""
    content = msgspec.to_builtins(report)
    _refuse_nan(content, "report")
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def part_to_json(name: str, part: object) -> str:
    """One part of a report under the key that it has in compare.json."""
    content = {"schema_version": SCHEMA_VERSION, name: msgspec.to_builtins(part)}
    _refuse_nan(content, name)
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def from_json(text: str | bytes, *, where: str | Path = "compare.json") -> Report:
    """The report that `to_json` wrote. Raises InputError for another file or another schema version."""
    remedy = "give the file that --json wrote"
    report = convert(
        parse_json(text, where=where, remedy=remedy), Report, what="a comparison", where=where, remedy=remedy
    )
    if report.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"schema version {report.schema_version}, this program writes and reads {SCHEMA_VERSION}",
            where=where,
            remedy="compare again with this version",
        )
    return report


def _refuse_nan(content: Any, path: str) -> None:
    """NaN would silently become null, which means unknown; here it means a defect."""
    if isinstance(content, float):
        if not math.isfinite(content):
            raise ValueError(f"{path} is {content}")
    elif isinstance(content, dict):
        for key, item in content.items():
            _refuse_nan(item, f"{path}.{key}")
    elif isinstance(content, list | tuple):
        for i, item in enumerate(content):
            _refuse_nan(item, f"{path}[{i}]")
