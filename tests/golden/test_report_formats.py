"""What people read of a report, word for word. LM_EVAL_FR_UPDATE_GOLDEN=1 rewrites the files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.report_sections import sections_of, sections_of_many
from lm_eval_fr.report.sample_cards import Samples
from tests.fakes.cards import ordinary
from tests.fakes.reports import a_report, many_reports

FOLDER = Path(__file__).parent


def page() -> str:
    """The HTML without style and script, which are files of their own, and the hashes of them."""
    cards = ordinary()[::12]
    whole = html.render(a_report(), Samples(cards=cards, total=len(cards)))
    whole = re.sub(r"(<style>).*?(</style>)", r"\1\2", whole, flags=re.DOTALL)
    whole = re.sub(r"(<script>).*?(</script>)", r"\1\2", whole, flags=re.DOTALL)
    return re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-", whole)


FORMATS = {
    "report.txt": lambda: text.render(sections_of(a_report())),
    "report.md": lambda: markdown.render(sections_of(a_report())),
    "report.html": page,
    "compare.json": lambda: to_json(a_report()),
    "report_many.txt": lambda: text.render(sections_of_many(many_reports())),
    "report_many.md": lambda: markdown.render(sections_of_many(many_reports())),
}


@pytest.mark.parametrize("name", FORMATS)
def test_format(name: str) -> None:
    now = FORMATS[name]()
    if os.environ.get("LM_EVAL_FR_UPDATE_GOLDEN"):
        (FOLDER / name).write_text(now, encoding="utf-8")
    assert now == (FOLDER / name).read_text(encoding="utf-8")
