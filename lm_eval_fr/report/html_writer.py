"""The report as one HTML file that needs no network, no server and no other file.

A content security policy inside it allows its own style and script, by their hashes, and nothing else. Texts of a run
are escaped by the template or travel as JSON that the script shows with textContent.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.report import charts as plots
from lm_eval_fr.report import control_words as controls
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report import words as w
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.optional_sections import panels_of
from lm_eval_fr.report.sample_cards import FLAGS, Samples, pack
from lm_eval_fr.report.sections import Panel, draw

SIGNS = {"non_inferior": "✓", "inferior": "✗", "inconclusive": "?", None: "?"}


def render(report: Report, samples: Samples | None = None) -> str:
    """The whole page. Without `samples` it has no browser of pairs, and no script at all."""
    style, script = _page_file("report.css"), _page_file("samples.js")
    packed = (samples.packed or pack(samples.cards)) if samples else None
    judge, forest = report.judge, plots.forest(report)
    return _template().render(
        report=report,
        judge=judge,
        samples=samples,
        provenance=report.provenance,
        packed=packed,
        # pack() leaves nothing in it that HTML would read.
        packed_text=Markup(packed.text) if packed else "",
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script if samples else None),
        title=w.titled(report),
        level=w.level_text(report.level),
        one_sided=w.one_sided(report.level),
        signs=SIGNS,
        flags=FLAGS,
        plan_changed=any(caution.kind == "plan_changed" for caution in report.warnings),
        forest=forest,
        has_clusters=bool(judge and judge.clusters) or any(task.clusters for task in report.tasks),
        has_cut=any(row.cut_low or row.cut_high for row in forest.rows),
        has_floor=bool(report.noise and any(floor.floor for floor in report.noise.floors)),
        bar=plots.judge_bar(judge) if judge else (),
        win_axis=plots.share_axis(judge.win_share, judge.win_share_ci) if judge else None,
        headline=w.headline(judge) if judge else "",
        cost=text.cost(judge) if judge else "",
        controls=controls.sentences(judge) if judge else [],
        panels=panels_of(report),
        draw=draw,
        curves=[plots.curve(series, report.level) for series in report.cumulative],
        settings=sorted(report.settings, key=lambda s: (not s.differs or s.expected, not s.differs)),
        **_WORDS,
    )


def render_parts(title: str, panels: Sequence[Panel]) -> str:
    """A page of some parts of a report, without a verdict."""
    style = _page_file("report.css")
    return _template("parts.html.j2").render(
        title=title, panels=panels, draw=draw, style=Markup(style), policy=_policy(style, None), **_WORDS
    )


def write(page: str, path: Path) -> None:
    """The page as a file, whole or not at all."""
    write_atomic(path, page)


def _typeset(show: Callable[..., str]) -> Callable[..., str]:
    """With a real minus sign and a dash for the unknown: a browser has the letters that a terminal may lack."""

    def shown(*args: Any, **kwargs: Any) -> str:
        return "–" if (text := show(*args, **kwargs)) == w.UNKNOWN else _MINUS.sub("−", text)

    return shown


_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_NUMBERS = (w.signed, w.plain, w.percent, w.count, w.interval, w.bounds, w.p_value)
_WORDS: dict[str, Any] = {show.__name__: _typeset(show) for show in _NUMBERS} | {
    "word": w.word,
    "p_equals": w.p_equals,
    "value": w.value,
    "unknowns": w.unknowns,
    "typeset": _typeset(str),
}


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
def _template(name: str = "report.html.j2") -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_page_file),
    )
    return environment.from_string(_page_file(name))
