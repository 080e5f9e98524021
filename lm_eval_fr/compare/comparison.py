"""A report with the pairs behind it: what the Python API returns, with a method for every format."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from lm_eval_fr.compare.losses import Ranked
from lm_eval_fr.compare.pair_cards import samples_of
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.report import html_writer as html
from lm_eval_fr.report import json_writer as json
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report import words as w
from lm_eval_fr.report.ci_writers import to_badge, to_junit
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.report_sections import sections_of
from lm_eval_fr.report.terminal_writer import on_terminal, render_brief


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Report):
    """ranked: every pair as numbers; the texts are read when a page needs them."""

    pairing: Pairing = field(repr=False, compare=False)
    ranked: tuple[Ranked, ...] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Comparison of {self.candidate.name} against {self.reference.name}: {w.word(self.verdict)}>"

    def to_dict(self) -> dict[str, Any]:
        """compare.json as a dictionary."""
        return json.to_dict(self)

    def to_json(self) -> str:
        return json.to_json(self)

    def to_text(self, *, columns: int = 100, colour: bool = False) -> str:
        return text.render(sections_of(self), columns=columns, colour=colour)

    def to_brief(self, *, columns: int, colour: bool = False, plain: bool = False, rest: str = "--full") -> str:
        """At most fifteen lines for a terminal. plain: only ASCII. rest: where the rest is."""
        return render_brief(self, columns=columns, colour=colour, plain=plain, rest=rest)

    def on_terminal(self, stream: TextIO, *, full: bool = False, rest: str = "--full") -> str:
        """to_brief at the terminal's width; all of the text if `stream` is not a terminal, or if full. COLUMNS wins."""
        return on_terminal(stream, full=full, whole=self.to_text, brief=partial(self.to_brief, rest=rest))

    def to_markdown(self) -> str:
        return markdown.render(sections_of(self))

    def to_html(self, path: Path | str) -> None:
        """The page with its pairs in one file; the rest goes to <name>.samples.jsonl beside it.

        Raises UsageError where it cannot be written.
        """
        path = Path(path)
        page = html.Page(self)
        seed = self.provenance.seed or 0
        write_atomic(path, page.whole(samples_of(self.ranked, page.room, path.with_suffix(".samples.jsonl"), seed)))

    def to_junit(self) -> str:
        """JUnit XML: a test case per claim."""
        return to_junit(self)

    def to_badge(self) -> str:
        """The verdict as an SVG badge."""
        return to_badge(self)

    def _repr_html_(self) -> str:
        return html.fragment(sections_of(self))
