"""The text, Markdown and JSON of a report: widths, unknowns, colours, hostile text, the way back from JSON."""

from __future__ import annotations

import io
import json as stdlib_json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from lm_eval_fr.io.terminal import wants_colour
from lm_eval_fr.report import html_writer
from lm_eval_fr.report import markdown_writer as markdown
from lm_eval_fr.report import text_writer as text
from lm_eval_fr.report import words as w
from lm_eval_fr.report.charts import draw_forest
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.layout import width
from lm_eval_fr.report.model import Caution, Report
from lm_eval_fr.report.report_sections import sections_of, sections_of_many
from lm_eval_fr.report.sections import Part
from lm_eval_fr.report.verdict_section import forest_of
from tests.fakes.reports import (
    a_difference,
    a_full_report,
    a_judge,
    a_report,
    a_share,
    a_task,
    an_interval,
    many_reports,
)

KEYS = ["schema_version", "candidate", "reference", "plan_hash", "settings", "tasks", "judge", "noise", "overall"]
TASK_KEYS = [
    "task",
    "metric",
    "kind",
    "n",
    "clusters",
    "candidate_mean",
    "reference_mean",
    "difference",
    "ci_low",
    "ci_high",
    "margin",
    "verdict",
    "degradation_detected",
    "p_value",
    "recovery",
    "recovery_ci",
    "flips",
    "mde",
    "documents_needed",
    "method",
]
JUDGE_KEYS = [
    "n",
    "wins",
    "ties",
    "losses",
    "outcomes",
    "decided",
    "win_share",
    "win_share_ci",
    "p_value",
    "net_win",
    "net_win_ci",
    "at_least_as_good",
    "position",
    "usage",
    "verdict",
]


def shown_as_text(report: Report, **options: bool) -> str:
    return text.render(sections_of(report), **options)  # type: ignore[arg-type]


def pasted_of(report: Report) -> str:
    return markdown.render(sections_of(report))


def test_json_has_the_promised_keys_first_and_in_order() -> None:
    content = stdlib_json.loads(to_json(a_report()))
    assert list(content)[: len(KEYS)] == KEYS
    assert list(content["tasks"][0])[: len(TASK_KEYS)] == TASK_KEYS
    assert list(content["judge"])[: len(JUDGE_KEYS)] == JUDGE_KEYS
    assert list(content["overall"])[:2] == ["verdict", "sentence"]
    assert content["judge"]["win_share"] == 50 / 90


def test_json_refuses_nan_rather_than_writing_unknown() -> None:
    broken = a_task(paired=a_difference((float("nan"), 0.5)))
    with pytest.raises(ValueError, match=r"report\.tasks\[0\]\.candidate_mean is nan"):
        to_json(a_report(tasks=(broken,)))


def reports() -> list[Report]:
    long_name = "a_task_with_a_name_that_nobody_should_give_to_a_task_" * 3
    unknown = a_difference(ci=None, flips=None, p_value=None)
    nothing = replace(a_judge().preference, n=0, wins=0, ties=0, losses=0, decided=0, win_share=a_share(0, 0))
    empty = a_judge(preference=nothing, interval=an_interval(None, None, reason="no pair was judged"))
    return [
        a_report(),
        a_report(tasks=(), noise=None, warnings=(), notes=()),
        a_report(judge=None, plan_hash=None),
        a_report(judge=empty),
        a_report(tasks=(a_task(long_name, paired=unknown, recovery=(None, None)),)),
        a_report(tasks=(a_task(paired=a_difference(ci=(-1.0, 1.0), n=12_345_678, clusters=1_234_567)),)),
    ]


@pytest.mark.parametrize("report", reports())
def test_text_fits_the_page(report: Report) -> None:
    shown = shown_as_text(report)
    assert max(width(line) for line in shown.splitlines()) <= 100
    assert "None" not in shown
    assert "nan" not in shown
    assert not any(line != line.rstrip() for line in shown.splitlines())
    assert "None" not in pasted_of(report)


def test_many_fit_the_page() -> None:
    assert max(width(line) for line in text.render(sections_of_many(many_reports())).splitlines()) <= 100


def test_a_report_without_alarms_has_no_heading_for_them() -> None:
    calm = a_report(warnings=(Caution(kind="health", text="Ten answers are empty."),))
    for shown in (shown_as_text(calm), pasted_of(calm)):
        assert "read this first" not in shown.lower() and "Ten answers are empty." in shown
    alarmed = a_report(warnings=(Caution(kind="mismatch", text="The prompts differ."),))
    assert "READ THIS FIRST" in shown_as_text(alarmed)


def test_the_seed_studys_judge_line() -> None:
    shown = shown_as_text(a_report())
    assert "p = 0.343" in shown
    assert "[44.7, 66.0]" in shown
    assert "(73 %)" in shown


def test_colours_only_when_asked() -> None:
    assert "\033" not in shown_as_text(a_report())
    coloured = shown_as_text(a_report(), colour=True)
    assert "\033[1;33mINCONCLUSIVE\033[0m" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == shown_as_text(a_report())


def test_no_color_and_pipes_turn_colours_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())


HOSTILE = "<script>alert(1)</script> | \033[2J ![x](http://e/x) `` ` @torvalds **b** \u202e\n# h"


def test_hostile_names_stay_text() -> None:
    report = a_report()
    report = replace(
        report,
        candidate=replace(report.candidate, name=HOSTILE, model=HOSTILE),
        warnings=(Caution(kind="x", text=HOSTILE),),
        provenance=replace(report.provenance, command=HOSTILE),
    )
    shown = shown_as_text(report)
    assert "\033" not in shown
    assert "\u202e" not in shown
    pasted = pasted_of(report)
    assert not re.search(r"(?<!\\)<script", pasted.replace(markdown.code(HOSTILE), ""))
    assert not re.search(r"(?<!\\)\]\(http", pasted.replace(markdown.code(HOSTILE), ""))
    assert not re.search(r"(?<!`)@torvalds", pasted.replace(markdown.code(HOSTILE), ""))
    assert markdown.code(HOSTILE).startswith("```")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0.0"), (-0.0001, "0.0"), (0.0149, "+1.5"), (-0.02, "-2.0"), (None, "-")]
)
def test_signed_points(value: float | None, shown: str) -> None:
    assert w.signed(value) == shown


def test_p_values_never_say_zero() -> None:
    assert w.p_equals(0.0) == "p < 0.001"
    assert w.p_value(0.3428) == "0.343"
    assert w.p_value(None) == "-"


def test_markdown_stays_small_with_many_settings() -> None:
    report = a_report()
    huge = tuple(replace(report.settings[1], name=f"setting {i}", candidate="x" * 10_000) for i in range(1000))
    assert len(pasted_of(replace(report, settings=huge)).encode()) < 1_000_000


def test_a_report_without_cautions_has_no_empty_strip() -> None:
    quiet = a_report(warnings=())
    assert not {"alarms", "warnings"} & {one.key for one in sections_of(quiet)}
    assert 'class="alarm"' not in html_writer.render(quiet) and "READ THIS FIRST" not in shown_as_text(quiet)


@pytest.mark.parametrize(("low", "cut"), [(-0.04, False), (-0.4, True)])
def test_parts_widen_the_forest_up_to_a_limit(low: float, cut: bool) -> None:
    """A part of twice the margin is drawn whole; one of twenty ends in an arrow, and its claim stays legible."""
    report = a_full_report()
    wide = replace(report.tasks[0].strata[0], paired=a_difference(ci=(low, 0.0)))
    (claim, *_) = draw_forest(forest_of(replace(report, tasks=(replace(report.tasks[0], strata=(wide,)),)))).claims
    assert claim.strata[0].cut_low is cut and not claim.cut_low
    assert claim.high is not None and claim.low is not None and claim.high - claim.low > 10


def test_what_a_judge_sees_is_drawn_from_the_smallest_damage_up() -> None:
    page = html_writer.render(a_full_report())
    places = [page.index(f">{size}</text>") for size in ("word", "sentence", "passage", "gross")]
    assert places == sorted(places)


def test_a_notebook_names_the_arms_that_no_bar_shows() -> None:
    shown = html_writer.fragment(sections_of(a_report()))
    assert '<p class="soft">small-4-NVFP4 against mistral-small-2603</p>' in shown


def test_no_verdict_has_a_mark_of_its_own() -> None:
    kept = a_report(tasks=(a_task(), a_task("blind_fr", verdict="no_verdict")))
    assert "its row says why" in html_writer.render(kept)
    assert "its row says why" not in html_writer.render(a_report(tasks=(a_task(),)))


def test_the_page_knows_every_kind_of_part() -> None:
    """A kind that the template does not name would be left out of the page in silence."""
    template = (Path(html_writer.__file__).parent / "page" / "parts.html.j2").read_text(encoding="utf-8")
    assert [kind.__name__ for kind in get_args(Part) if f"what == '{kind.__name__}'" not in template] == []
