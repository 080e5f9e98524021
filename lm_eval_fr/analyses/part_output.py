"""One section of a report on its own: as text, and in the files that were requested."""

from __future__ import annotations

import sys

from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.terminal import in_brief, wants_colour
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.destinations import Destinations, deliver
from lm_eval_fr.report.json_writer import part_to_json
from lm_eval_fr.report.model import Extra
from lm_eval_fr.report.sections import Section


def emit(part: Extra, to: Destinations, *, title: str) -> None:
    deliver(
        to,
        json=lambda: part_to_json(part.key, part.data),
        markdown=lambda: markdown.render([part.section]),
        html=lambda path: write_atomic(path, html.render_sections(title, [part.section])),
        text=lambda: shown_part(part.section, to.full, rest="--full, or --html FILE"),
    )


def shown_part(section: Section, full: bool, rest: str = "--full") -> str:
    """As text for stdout: in the terminal's width, and cut to its beginning if long, unless full."""
    columns, colour = text.text_columns(sys.stdout), wants_colour(sys.stdout)
    return in_brief(
        text.render([section], columns=columns, colour=colour).rstrip("\n"), sys.stdout, full=full, rest=rest
    )
