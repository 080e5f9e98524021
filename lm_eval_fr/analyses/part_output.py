"""One part of a report, on its own: as text, and as what files were asked for."""

from __future__ import annotations

from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.destinations import Destinations, Show, deliver
from lm_eval_fr.report.json_writer import part_to_json
from lm_eval_fr.report.model import Extra


def emit(part: Extra, to: Destinations, *, title: str, show: Show, say: Show, colour: bool) -> None:
    deliver(
        to,
        json=lambda: part_to_json(part.key, part.data),
        markdown=lambda: markdown.render([part.section]),
        html=lambda path: write_atomic(path, html.render_sections(title, [part.section])),
        text=lambda: text.render([part.section], columns=text.asked_columns(), colour=colour).rstrip("\n"),
        show=show,
        say=say,
    )
