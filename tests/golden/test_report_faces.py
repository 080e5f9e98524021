"""What people read of a report, word for word. LM_EVAL_FR_UPDATE_GOLDEN=1 rewrites the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lm_eval_fr.report import json, markdown, text
from tests.fakes.reports import a_report, many_reports

FOLDER = Path(__file__).parent
FACES = {
    "report.txt": lambda: text.render(a_report()),
    "report.md": lambda: markdown.render(a_report()),
    "compare.json": lambda: json.to_json(a_report()),
    "report_many.txt": lambda: text.render_many(many_reports()),
    "report_many.md": lambda: markdown.render_many(many_reports()),
}


@pytest.mark.parametrize("name", FACES)
def test_face(name: str) -> None:
    now = FACES[name]()
    if os.environ.get("LM_EVAL_FR_UPDATE_GOLDEN"):
        (FOLDER / name).write_text(now, encoding="utf-8")
    assert now == (FOLDER / name).read_text(encoding="utf-8")
