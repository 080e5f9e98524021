"""One part of a report, on its own: as text, and as what files were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lm_eval_fr.errors import UsageError
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report import json_writer as json
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report.destinations import STDOUT, Show, write_face
from lm_eval_fr.report.sections import Panel


@dataclass(frozen=True)
class Faces:
    """Where to write what. `-` is stdout, which then is that file's alone."""

    json_file: Path | None = None
    markdown_file: Path | None = None
    html_file: Path | None = None
    quiet: bool = False


NO_FILES = Faces()


def emit(panel: Panel, part: object, faces: Faces, *, title: str, show: Show, say: Show, colour: bool) -> None:
    if faces.json_file == STDOUT and faces.markdown_file == STDOUT:
        raise UsageError("--json - and --markdown - both want stdout", remedy="give one of them a file")
    if faces.html_file == STDOUT:
        raise UsageError("is a page for a browser", where="--html -", remedy="give it a file")
    for path, content in (
        (faces.json_file, lambda: json.part_to_json(panel.key, part)),
        (faces.markdown_file, lambda: markdown.panel_text(panel) + "\n"),
        (faces.html_file, lambda: html.render_parts(title, [panel])),
    ):
        if path is not None:
            write_face(path, content(), show=show, say=say)
    if not faces.quiet and STDOUT not in (faces.json_file, faces.markdown_file):
        show(text.render_panel(panel, colour=colour))
