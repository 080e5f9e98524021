"""Sections as one HTML file that needs no network, no server and no other file.

A content security policy inside it allows its own style and script, by their hashes, and nothing else. Texts of a run
are escaped by the template or travel as JSON that the script shows with textContent.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lm_eval_fr.report import charts
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.report_sections import sections_of
from lm_eval_fr.report.sample_cards import FLAGS, Samples, pack
from lm_eval_fr.report.sections import Claim, Section

FILE_LIMIT = 5_000_000
"""Bytes that the HTML file stays under."""

SCRIPTS = ("texts.js", "samples.js")
SIGNS = {"non_inferior": "✓", "inferior": "✗", "inconclusive": "?", "no_verdict": "?", None: "?"}
_SLACK = 2_000  # the note, the file's name


class Page:
    """A report's page, rendered once: the pairs are inserted once it is known how many fit."""

    def __init__(self, report: Report, *, browser: bool = True) -> None:
        """browser: whether it shows pairs; without them it has no script at all."""
        self._place = secrets.token_hex(16)  # no text of a run can hold it
        self._report = report
        self._page = _render(
            "report.html.j2",
            w.titled(report),
            sections_of(report),
            script="".join(map(_page_file, SCRIPTS)) if browser else None,
            report=report,
            samples=Markup(self._place),
            flags=FLAGS,
        )

    @property
    def room(self) -> int:
        """Bytes that are left for the pairs."""
        return FILE_LIMIT - len(self._page.encode("utf-8", "replace")) - _SLACK

    def whole(self, samples: Samples | None = None) -> str:
        return self._page.replace(self._place, _pairs(samples, self._report) if samples else "")


def render(report: Report, samples: Samples | None = None) -> str:
    """The whole page. Without `samples` it has no browser of pairs."""
    return Page(report, browser=samples is not None).whole(samples)


def render_sections(title: str, sections: Sequence[Section]) -> str:
    """A page with some sections of a report, without a verdict."""
    return _render("sections.html.j2", title, sections)


def fragment(sections: Sequence[Section]) -> str:
    """For a notebook: the sections with their style, without a page around them."""
    return _render("fragment.html.j2", "", sections)


def _render(template: str, title: str, sections: Sequence[Section], script: str | None = None, **more: Any) -> str:
    style = _page_file("report.css")
    return _template(template).render(
        title=title,
        sections=sections,
        style=Markup(style),
        browser=script is not None,
        script=None if script is None else Markup(script),
        policy=_policy(style, script),
        signs=SIGNS,
        charts=charts,
        kind=lambda part: type(part).__name__,
        word=w.word,
        typeset=_typeset,
        about=_about,
        **more,
    )


def _pairs(samples: Samples, report: Report) -> str:
    """What the script reads, and the text shown without it."""
    packed = samples.packed or pack(samples.cards)
    shown, total = len(samples.cards), samples.total
    told = f"All {total:,} pairs." if shown == total else f"{shown:,} of {total:,} pairs are in this file."
    told += f" {samples.note}" if samples.note else ""
    told += f" Beside this file: {samples.beside}." if samples.beside else ""
    elsewhere = f"; {samples.beside} has the others as text" if samples.beside else ""
    return (
        f"<p>{escape(told)}</p>\n"
        f'<p id="samples-missing">The samples need JavaScript to be shown{escape(elsewhere)}.</p>\n'
        f'<script type="application/json" id="samples-data" data-encoding="{packed.encoding}" '
        f'data-candidate="{escape(report.candidate.name)}" data-reference="{escape(report.reference.name)}">'
        f"{packed.text}</script>"  # pack() leaves nothing in it that HTML would interpret
    )


def _typeset(text: object) -> str:
    """With a real minus sign, a dash for the unknown and no line break before a percent sign."""
    return "–" if text == w.UNKNOWN else _PERCENT.sub("\u00a0%", _MINUS.sub("−", str(text)))


def _about(claim: Claim) -> str:
    """The line under a claim's name: both arms' values, and the number of documents."""
    candidate, _, reference = claim.values.partition(" / ")
    n, _, clusters = claim.n.partition(" in ")
    judged = candidate.endswith(" won")
    values = f"{candidate}, {reference}" if judged else f"{claim.metric} {candidate} against {reference}".lstrip()
    return _typeset(f"{values} · n = {n}{f', {clusters} clusters' if clusters else ''}")


_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_PERCENT = re.compile(r"(?<=\d) %")


def _policy(style: str, script: str | None) -> str:
    parts = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", f"style-src {_digest(style)}"]
    if script is not None:
        parts.append(f"script-src {_digest(script)}")
    return "; ".join(parts)


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _page_file(name: str) -> str:
    return files("lm_eval_fr.report").joinpath("page", name).read_text(encoding="utf-8")


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_page_file),
    )
    return environment.get_template(name)
