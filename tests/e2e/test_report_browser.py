"""The HTML report in a real browser, from file://: nothing runs that is not ours, and everything of ours works."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.report.html_writer import render
from lm_eval_fr.report.judge_model import JudgeProfile, JudgeRubric
from lm_eval_fr.report.model import Caution, SampleRef, TaskLosses
from lm_eval_fr.report.sample_cards import Card, Samples
from tests.fakes.cards import HOSTILE, a_gold_card, hostile, ordinary
from tests.fakes.reports import a_full_report, a_judge, a_report, a_task

Open = Callable[..., "Visit"]
pytestmark = pytest.mark.slow


class Visit:
    """One page, and what it did that a report must not do."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.console.append(f"dialog: {dialog.message}"))

    def open(self, address: str) -> Visit:
        self.page.goto(address)
        self.page.wait_for_selector("html[data-samples=ready]", state="attached")
        return self

    def wait_for(self, selector: str, text: str) -> None:
        # Not wait_for_function: it needs eval, which the page's policy forbids.
        self.page.locator(selector, has_text=text).wait_for()

    def titles(self) -> list[str]:
        return self.page.locator("#list a .first span:first-child").all_inner_texts()

    def title(self) -> str:
        return self.page.locator("#sample-title").inner_text()

    def status(self) -> str:
        return self.page.locator("#status").inner_text()

    def check_quiet(self) -> None:
        assert self.console == []
        assert [url for url in self.requests if not url.startswith(("file://", "blob:"))] == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        reason = "no Chromium or no playwright: apt-get install chromium, pip install 'lm-eval-fr[test]'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Renders pairs into a file and opens it. `fragment` is what follows the file's name in the address."""
    pages = []

    def start(
        cards: tuple[Card, ...], *, fragment: str = "", script: str = "", report: Any = None, **page: Any
    ) -> Visit:
        path = tmp_path / "report.html"
        path.write_text(render(report or a_report(), Samples(cards=cards, total=len(cards))), encoding="utf-8")
        pages.append(chromium.new_page(**page))
        return Visit(pages[-1]).open(f"file://{path}{fragment}")

    yield start
    for page in pages:
        page.close()


@pytest.fixture
def ordinary_page(visit: Open) -> Visit:
    return visit(ordinary(), fragment="#samples", viewport={"width": 1280, "height": 900})


def test_it_opens_quietly_on_the_summary(visit: Open) -> None:
    shown = visit(ordinary(), viewport={"width": 1280, "height": 800})
    parts = shown.page.locator("[data-tab]:visible").evaluate_all("all => all.map(one => one.dataset.tab)")
    assert parts == ["summary"]
    box = shown.page.locator(".forest").first.bounding_box()
    assert box is not None and box["y"] + box["height"] <= 800, "verdict and forest fit the first screen"
    shown.page.get_by_role("link", name="Samples", exact=True).click()
    assert shown.status() == "60 pairs"
    assert shown.title().startswith("piaf_fr, document 0")
    assert not shown.page.locator("#samples-missing").is_visible()
    shown.check_quiet()


def test_tabs_are_in_the_address_and_under_keys(visit: Open) -> None:
    shown = visit(ordinary(), fragment="#judge")
    assert shown.page.locator("[data-tab]:visible").get_attribute("data-tab") == "judge"
    for key, name in (("4", "method"), ("2", "samples"), ("1", "summary")):
        shown.page.keyboard.press(key)
        shown.page.locator(f"[data-tab={name}]").wait_for()
        assert shown.page.url.endswith(f"#{name}")
    shown.page.go_back()
    shown.page.locator("[data-tab=samples]").wait_for()
    shown.check_quiet()


def test_a_count_of_the_forest_opens_its_samples(visit: Open) -> None:
    shown = visit(ordinary())
    shown.page.locator(".forest a", has_text="41 lost").first.click()
    shown.wait_for("#status", "5 of 60 pairs")
    assert "#samples?task=piaf_fr&show=lost" in shown.page.url
    assert shown.title().startswith("piaf_fr, document 0")
    shown.check_quiet()


def test_a_part_of_a_task_unfolds_and_its_count_opens_its_samples(visit: Open) -> None:
    cards = tuple(replace(card, strata=(f"length: {'4k' if i % 2 else '128k'}",)) for i, card in enumerate(ordinary()))
    shown = visit(cards, report=a_full_report())
    strata = shown.page.locator(".strata").first
    assert not strata.is_visible()
    shown.page.locator(".parts summary").first.click()
    strata.locator("tr", has_text="length: 128k").locator("a", has_text="41 lost").click()
    shown.wait_for("#status", "3 of 60 pairs")
    assert shown.page.get_by_label("Part", exact=True).input_value() == "length: 128k"
    shown.page.get_by_label("Part", exact=True).select_option("")
    assert shown.status() == "5 of 60 pairs"
    assert shown.page.url.endswith("#samples?task=piaf_fr&show=lost")
    shown.check_quiet()


def test_ten_claims_fit_the_first_screen(visit: Open) -> None:
    tasks = tuple(a_task(f"task_{i}", strata=a_full_report().tasks[0].strata) for i in range(9))
    report = replace(a_report(), tasks=tasks, warnings=())
    shown = visit(ordinary(), report=report, viewport={"width": 1280, "height": 800})
    box = shown.page.locator(".forest tr.claim").last.bounding_box()
    assert box is not None and box["y"] + box["height"] <= 800


def test_the_summary_shows_what_was_lost(visit: Open) -> None:
    shown = visit(ordinary(), report=a_full_report())
    example = shown.page.locator(".example").first
    example.wait_for()
    assert example.locator(".answers .text").count() == 2
    assert example.locator(".asked").inner_text() == "Question 0 : quelle est la ville ?", "without the shared text"
    example.locator(".ask a").click()
    shown.page.locator("#sample-title:visible").wait_for()
    shown.check_quiet()


def test_an_example_of_the_judges_says_which_answer_was_a(visit: Open) -> None:
    lost = next(card for card in ordinary() if "loss" in card.flags)
    example = SampleRef(task=lost.task, doc_id=lost.doc_id, doc_hash=lost.doc_hash, difference=-1.0, outcome="loss")
    report = a_report(
        losses=(TaskLosses(task=lost.task, lost=1, read=1, kinds=(), confusions=(), examples=(example,)),)
    )
    shown = visit(ordinary(), report=report)
    assert shown.page.locator(".example .reason").inner_text() == (
        "The judge, with the candidate as A: Plus fidèle au texte."
    )


def test_the_search_field_has_room_for_what_it_says(ordinary_page: Visit) -> None:
    boxes = [ordinary_page.page.locator(f"#{name}").bounding_box() for name in ("query", "task", "sort")]
    assert boxes[0]["width"] > 400
    assert len({(box["y"], box["height"]) for box in boxes}) == 1


def test_filters_have_counts_and_combine(ordinary_page: Visit) -> None:
    page = ordinary_page.page
    page.get_by_role("button", name="score dropped 5").click()
    assert ordinary_page.status() == "5 of 60 pairs"
    page.get_by_role("button", name="score rose 3").click()
    assert ordinary_page.status() == "8 of 60 pairs"
    page.get_by_label("Task").select_option("analysis_fr")
    assert ordinary_page.status() == "0 of 60 pairs: nothing matches, remove a filter"
    page.get_by_role("button", name="score dropped 0").click()
    page.get_by_role("button", name="score rose 0").click()
    assert ordinary_page.status() == "24 of 60 pairs"
    assert ordinary_page.title().startswith("analysis_fr"), "the pair shown is one of those listed"
    assert page.url.endswith("#samples?task=analysis_fr")
    ordinary_page.check_quiet()


def test_pairs_whose_answers_differ_can_be_shown_alone(ordinary_page: Visit) -> None:
    cards = ordinary()
    differ = sum(card.candidate != card.reference for card in cards)
    assert 0 < differ < len(cards)
    ordinary_page.page.get_by_role("button", name=f"answers differ {differ}").click()
    assert ordinary_page.status() == f"{differ} of {len(cards)} pairs"
    assert "answers differ" not in ordinary_page.page.locator("#sample .tag").all_inner_texts()


def test_filters_and_search_come_back_with_the_address(visit: Open) -> None:
    shown = visit(ordinary(), fragment="#samples?show=lost&q=question+3&sort=plan")
    assert shown.titles() == ["piaf_fr 3"]
    assert shown.page.get_by_label("Search").input_value() == "question 3"
    assert shown.page.get_by_role("button", name="score dropped 1").get_attribute("aria-pressed") == "true"
    assert shown.page.get_by_label("Order", exact=True).input_value() == "plan"


def test_search_ignores_case_and_accents(ordinary_page: Visit) -> None:
    for query, found in (("ETONNAMMENT", 24), ("question 17", 1), ("fidèle texte", 24), ("xyzzy", 0)):
        ordinary_page.page.get_by_label("Search").fill(query)
        ordinary_page.wait_for("#status", f"{found} of 60 pairs")
        assert ordinary_page.status().startswith(f"{found} of 60 pairs")
        assert len(ordinary_page.titles()) == found


def test_sort_by_difference(ordinary_page: Visit) -> None:
    chooser = ordinary_page.page.get_by_label("Order", exact=True)
    assert ordinary_page.titles()[:5] == [f"piaf_fr {i}" for i in range(5)]
    assert ordinary_page.titles()[-1] == "analysis_fr 23"  # invalid: no difference, last in either direction
    chooser.select_option("gain")
    assert ordinary_page.titles()[:3] == [f"piaf_fr {i}" for i in range(5, 8)]
    assert ordinary_page.titles()[-1] == "analysis_fr 23"
    chooser.select_option("plan")
    assert ordinary_page.titles() == [f"piaf_fr {i}" for i in range(36)] + [f"analysis_fr {i}" for i in range(24)]


def test_keys_walk_through_the_pairs_and_the_address_follows(ordinary_page: Visit) -> None:
    page = ordinary_page.page
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert ordinary_page.title().startswith("piaf_fr, document 2")
    page.keyboard.press("k")
    assert ordinary_page.title().startswith("piaf_fr, document 1")
    address = page.url
    assert "doc=piaf_fr/" in address
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.get_by_label("Search").input_value() == "jk"


def test_a_pair_is_copied_as_json(visit: Open, chromium: Any) -> None:
    shown = visit(ordinary(), fragment="#samples", permissions=["clipboard-read", "clipboard-write"])
    shown.page.keyboard.press("c")
    shown.wait_for(".tools button", "Copied")
    copied = json.loads(shown.page.evaluate("navigator.clipboard.readText()"))
    assert (copied["task"], copied["doc_id"]) == ("piaf_fr", 0)
    assert copied["candidate"] == ordinary()[0].candidate
    shown.check_quiet()


def test_a_link_leads_to_its_pair(visit: Open) -> None:
    card = ordinary()[40]
    shown = visit(ordinary(), fragment=f"#samples?doc=analysis_fr/{card.doc_hash[:12]}")
    assert shown.title().startswith("analysis_fr, document 4")
    shown.page.locator("#list a").nth(1).click()
    shown.wait_for("#sample-title", "piaf_fr, document 1")
    shown.page.go_back()
    shown.wait_for("#sample-title", "analysis_fr")
    shown.check_quiet()


def test_a_link_to_nowhere_says_so(visit: Open) -> None:
    shown = visit(ordinary(), fragment="#samples?doc=piaf_fr/ffff")
    assert "piaf_fr/ffff is not in this file" in shown.status()
    visit(ordinary(), fragment="#%E0%A4%A").check_quiet()


def test_what_a_search_found_is_marked(ordinary_page: Visit) -> None:
    ordinary_page.page.get_by_label("Search").fill("fidele")
    ordinary_page.wait_for("#status", "24 of 60")
    assert ordinary_page.page.locator("mark.hit").first.inner_text().lower() == "fidèle"


def test_words_that_differ_are_marked_in_both(visit: Open) -> None:
    card = replace(
        a_gold_card(1), reference="la ville de Lyon fut fondée", candidate="la ville de Paris fut bien fondée"
    )
    shown = visit((card,), fragment="#samples")
    assert shown.page.locator("#sample mark.reference").all_inner_texts() == ["Lyon"]
    assert [text.strip() for text in shown.page.locator("#sample mark.candidate").all_inner_texts()] == [
        "Paris",
        "bien",
    ]


def test_the_judge_in_both_orders(visit: Open) -> None:
    shown = visit(ordinary()[36:38], fragment="#samples")
    shown.page.keyboard.press("j")
    rows = shown.page.locator(".orders tbody tr").all_inner_texts()
    assert [" ".join(row.split()) for row in rows] == [
        "candidate A: the candidate Plus fidèle au texte.",
        "reference B: the candidate Réponse plus complète.",
    ]


def test_hostile_texts_stay_texts(visit: Open) -> None:
    evil = HOSTILE[1] + HOSTILE[2] + HOSTILE[3] + HOSTILE[8]
    report = a_report()
    report = replace(
        report,
        candidate=replace(report.candidate, name=evil, model=evil, path=evil),
        warnings=(Caution(kind=evil, text=evil),),
        notes=(evil,),
        judge=a_judge(
            profile=JudgeProfile(name=evil, model=evil, shutdown=evil),
            rubric=JudgeRubric(name=evil, sha256=evil, text=evil),
        ),
        provenance=replace(report.provenance, command=evil, plan=evil, versions={evil: evil}, data=({evil: evil},)),
    )
    shown = visit(hostile(), report=report, fragment="#samples")
    seen = []
    for _ in HOSTILE:
        seen.append(shown.page.locator("#sample .answers .text").last.inner_text()[:40])
        shown.page.keyboard.press("j")
    assert len(set(seen)) == len(HOSTILE)
    assert shown.page.evaluate("window.hacked") is None
    assert shown.page.locator("script").count() == 2
    assert shown.page.locator("#sample img, #sample svg, #sample a:not(.back), #sample style").count() == 0
    shown.page.keyboard.press("4")
    shown.page.locator("#provenance").wait_for()
    shown.page.keyboard.press("2")
    shown.page.get_by_label("Search").fill("{{ 7 * 7 }}")
    shown.wait_for("#status", "2 of")
    shown.check_quiet()


@pytest.mark.parametrize("width", [1280, 390])
def test_names_of_any_length_leave_the_page_its_width(visit: Open, width: int) -> None:
    name = "organisation/" + "modele-" * 40
    report = a_full_report()
    tasks = tuple(
        replace(task, task=f"leaderboard_mmlu_pro_{'computer_science_' * 3}{task.task}") for task in report.tasks
    )
    report = replace(report, tasks=tasks, candidate=replace(report.candidate, name=name))
    shown = visit(hostile(), report=report, viewport={"width": width, "height": 844})
    for tab in ("samples", "summary"):
        shown.page.goto(f"{shown.page.url.split('#')[0]}#{tab}")
        shown.page.locator(f"[data-tab={tab}]").wait_for()
        shown.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width, tab
    links = [shown.page.locator("nav a").nth(i).bounding_box() for i in range(4)]
    assert len({box["y"] for box in links}) == 1 and all(box["height"] < 50 for box in links)
    drawing, named = (shown.page.locator(f".claim {one}").first.bounding_box() for one in ("td.drawing", ".name"))
    assert width < 900 or named["x"] + named["width"] <= drawing["x"]


def test_both_answers_begin_at_the_same_height(visit: Open) -> None:
    report = a_report(candidate=replace(a_report().candidate, name="a name of two lines " * 5))
    shown = visit(ordinary(), report=report, fragment="#samples", viewport={"width": 1280, "height": 800})
    boxes = [shown.page.locator("#sample .answers .text").nth(i).bounding_box() for i in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]


def test_long_answers_scroll_together(visit: Open) -> None:
    card = replace(a_gold_card(1), reference="mot " * 4000, candidate="mot " * 2000)
    shown = visit((card,), fragment="#samples", viewport={"width": 1280, "height": 800})
    boxes = shown.page.locator("#sample .answers .text")
    boxes.first.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    shown.page.wait_for_timeout(200)
    ends = boxes.nth(1).evaluate("box => [box.scrollTop, box.scrollHeight - box.clientHeight]")
    assert ends[0] > 0 and abs(ends[0] - ends[1]) < 5


def test_a_folded_prompt_says_what_was_asked(ordinary_page: Visit) -> None:
    folded = ordinary_page.page.locator("#sample details")
    assert folded.locator(".asked").inner_text() == "Question 0 : quelle est la ville ?"
    assert not folded.locator(".text").is_visible()
    folded.locator("summary").click()
    assert "Texte : " in folded.locator(".text").inner_text()


def test_characters_that_turn_text_around_are_shown(visit: Open) -> None:
    shown = visit((replace(a_gold_card(1), candidate="\u202eabc\x07", reference="abc"),), fragment="#samples")
    assert shown.page.locator("#sample .hidden-character").all_inner_texts() == ["U+202E", "U+0007"]


def test_no_short_line_turns_the_page_around(visit: Open) -> None:
    """Right answers, prompts and reasons also stand in one line among our own words."""
    shown = visit((replace(a_gold_card(1), gold="\u202eabc", prompt="\u2067Question ?"),), fragment="#samples")
    page = shown.page.locator("#samples").inner_text()
    assert "\ufffdabc" in page and "\ufffdQuestion" in page
    assert not set(page) & set("\u202e\u2067")


def many(count: int) -> tuple[Card, ...]:
    long = ordinary()[40].candidate * 3
    return tuple(replace(a_gold_card(i), candidate=long, gold=f"or {i}") for i in range(count))


def test_many_pairs_are_packed_and_unpacked(visit: Open) -> None:
    shown = visit(many(400), fragment="#samples")
    assert shown.page.locator("#samples-data").get_attribute("data-encoding") == "deflate"
    assert shown.status() == "400 pairs"
    assert len(shown.titles()) == 150
    shown.page.get_by_role("button", name="Show more (250 left)").click()
    assert len(shown.titles()) == 300
    shown.check_quiet()


def test_an_old_browser_is_told_why(chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(a_report(), Samples(cards=many(400), total=400, beside="report.samples.jsonl")))
    page = chromium.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(f"file://{path}#samples")
    page.locator("#samples-missing", has_text="too old").wait_for()
    assert "report.samples.jsonl" in page.locator("#samples-missing").inner_text()
    page.close()


def test_without_javascript_all_but_the_samples_is_there(chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(a_report(), Samples(cards=ordinary(), total=60)))
    page = chromium.new_page(java_script_enabled=False)
    page.goto(f"file://{path}")
    assert page.get_by_text("The samples need JavaScript").is_visible()
    assert page.locator(".forest tbody tr").count() == 4
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_accessible_at_any_width_and_in_the_dark(visit: Open, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    report = a_full_report()
    shown = visit(ordinary(), report=report, viewport={"width": width, "height": 844}, color_scheme=scheme)
    for tab in ("summary", "samples", "judge", "method"):
        shown.page.goto(f"{shown.page.url.split('#')[0]}#{tab}")
        shown.page.locator(f"[data-tab={tab}]").wait_for()
        shown.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width, tab
        found = Axe().run(shown.page).response["violations"]
        assert [(tab, one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


def test_the_keyboard_alone_reaches_a_pair(visit: Open) -> None:
    shown = visit(ordinary())
    page = shown.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("2")
    page.locator("#list a").nth(2).focus()
    page.keyboard.press("Enter")
    shown.wait_for("#sample-title", "piaf_fr, document 2")
    page.locator("#sample:focus").wait_for()


@pytest.mark.parametrize("claims", [1, 10])
def test_paper_shows_all_tabs_but_the_samples_on_five_pages(visit: Open, claims: int) -> None:
    report = a_full_report()
    more = tuple(replace(report.tasks[0], task=f"task_{i}") for i in range(1, claims))
    shown = visit(ordinary(), report=replace(report, tasks=(*report.tasks, *more)))
    page = shown.page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    for tab in ("summary", "judge", "method"):
        assert page.locator(f"[data-tab={tab}]").is_visible()
    assert not page.locator("#sample").is_visible()
    assert page.pdf().count(b"/Type /Page\n") <= 5
