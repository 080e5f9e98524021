from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr.errors import InputError, Unfinished, UsageError
from scripts.build_evalset import Choice, Client, build, plain_text
from tests.fakes.mediawiki import Article, FakeMediaWiki, Trouble, maxlag, too_many
from tests.waiting import LIMIT

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_evalset.py"
SENTENCE = "Cette ville de Bretagne compte un port et trois ponts. "  # ten words


def article(page: int, sentences: int = 8, **more: Any) -> Article:
    extract = f"Intro {page}.\n\n\n== Histoire ==\n{SENTENCE * sentences}\n\n== Notes et références ==\nSource {page}."
    return Article(page, f"Article {page}", extract, **more)


ARTICLES = [
    *(article(page) for page in range(1, 9)),
    article(9, sentences=2),
    article(10, redirect=True),
    article(11, namespace=14),
    Article(12, "Formules", f"Soit {{\\displaystyle x}}. {SENTENCE * 5}"),
]


def choice(wiki: FakeMediaWiki, **changes: Any) -> Choice:
    settings = {"source": "featured", "articles": 5, "least": 50, "most": 60, "seed": 1, **changes}
    return Choice(api=wiki.api, **settings)


def run(wiki: FakeMediaWiki, out: Path, **changes: Any) -> tuple[list[dict[str, Any]], list[float]]:
    waits: list[float] = []
    client = Client(wiki.api, "test@example.org", sleep=waits.append)
    build(client, choice(wiki, **changes), out, say=lambda line: None)
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()], waits


def test_articles_with_their_provenance(tmp_path: Path) -> None:
    with FakeMediaWiki(ARTICLES) as wiki:
        rows, _ = run(wiki, tmp_path / "a.jsonl")
    assert len({row["id"] for row in rows}) == 5
    for row in rows:
        page = int(row["id"])
        assert row["title"] == f"Article {page}"
        assert row["revision"] == 10_000 + page
        assert row["url"] == f"https://fr.wikipedia.org/wiki/Article_{page}"
        assert row["licence"] == "CC BY-SA 4.0"
        assert row["source"] == "featured"
        assert row["words"] == len(row["text"].split()) == 53
        assert row["text"].endswith("ponts.")
        assert "Notes" not in row["text"]
        assert "Histoire\n\nCette ville" in row["text"]
    assert wiki.most_in_flight == 1
    assert all(asked["maxlag"] == "5" for asked in wiki.asked)
    assert all(agent.startswith("lm-eval-fr/") and "(test@example.org)" in agent for agent in wiki.agents)
    assert sum(asked.get("list") == "categorymembers" for asked in wiki.asked) == 4  # continued to the end


def test_the_choice_has_a_seed(tmp_path: Path) -> None:
    with FakeMediaWiki(ARTICLES) as wiki:
        first = [row["id"] for row in run(wiki, tmp_path / "a.jsonl")[0]]
        assert [row["id"] for row in run(wiki, tmp_path / "b.jsonl")[0]] == first
        assert [row["id"] for row in run(wiki, tmp_path / "c.jsonl", seed=2)[0]] != first


def test_random_articles_are_seeded_too(tmp_path: Path) -> None:
    with FakeMediaWiki(ARTICLES) as wiki:
        rows, _ = run(wiki, tmp_path / "a.jsonl", source="random", articles=4)
        again, _ = run(wiki, tmp_path / "b.jsonl", source="random", articles=4)
    assert [row["id"] for row in rows] == [row["id"] for row in again]
    assert {int(row["id"]) for row in rows} <= set(range(1, 9))  # neither short, nor a redirect, nor a category


def test_what_it_writes_is_what_the_task_reads(tmp_path: Path) -> None:
    from tests.unit.test_tasks import load

    with FakeMediaWiki(ARTICLES) as wiki:
        run(wiki, tmp_path / "a.jsonl")
    docs = load("analysis_fr", data=str(tmp_path / "a.jsonl")).eval_docs
    assert len(docs) == 25
    assert docs[0]["licence"] == "CC BY-SA 4.0"
    assert docs[0]["url"].startswith("https://fr.wikipedia.org/wiki/")


def every_third(what: Trouble) -> Callable[[int, dict[str, str]], Trouble | None]:
    return lambda number, parameters: what if number % 3 == 1 else None


@pytest.mark.parametrize(
    ("trouble", "wait"),
    [
        (maxlag(3), 3.0),
        (too_many("2"), 2.0),
        (Trouble(503, "<html>", {"Retry-After": "7"}), 7.0),
        (Trouble(502, "<html>"), 1.0),
        (Trouble(drop=True), 1.0),
    ],
)
def test_a_busy_server_is_waited_for(tmp_path: Path, trouble: Trouble, wait: float) -> None:
    with FakeMediaWiki(ARTICLES, trouble=every_third(trouble)) as wiki:
        rows, waits = run(wiki, tmp_path / "a.jsonl")
    assert len(rows) == 5
    assert set(waits) == {wait}


def test_a_server_that_stays_busy_leaves_what_was_obtained(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    with FakeMediaWiki(ARTICLES, trouble=lambda number, _: maxlag() if number > 7 else None) as wiki:
        with pytest.raises(Unfinished, match=r"in 8 tries \(rerun later"):
            run(wiki, out)
        kept = out.read_text(encoding="utf-8").splitlines()
        assert 1 <= len(kept) < 5
        before = len(wiki.asked)
        wiki.trouble = lambda number, parameters: None
        rows, _ = run(wiki, out)
        fetched = [asked["pageids"] for asked in wiki.asked[before:] if "pageids" in asked]
    assert [json.dumps(row, ensure_ascii=False) for row in rows[: len(kept)]] == kept
    assert not {row["id"] for row in rows[: len(kept)]} & set(fetched)  # nothing is fetched twice
    with FakeMediaWiki(ARTICLES) as other:
        assert [row["id"] for row in run(other, tmp_path / "b.jsonl")[0]] == [row["id"] for row in rows]


def test_a_line_cut_by_a_crash_is_taken_back(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    with FakeMediaWiki(ARTICLES) as wiki:
        rows, _ = run(wiki, out)
        content = out.read_bytes()
        out.write_bytes(content[: len(content) - 40])
        assert run(wiki, out)[0] == rows
        count = wiki.count
        assert run(wiki, out)[0] == rows
        assert wiki.count == count  # complete: nothing is asked


def test_other_settings_do_not_mix(tmp_path: Path) -> None:
    with FakeMediaWiki(ARTICLES) as wiki:
        run(wiki, tmp_path / "a.jsonl")
        with pytest.raises(UsageError, match="was begun with other settings"):
            run(wiki, tmp_path / "a.jsonl", seed=9)
        (tmp_path / "b.jsonl").write_text("mine")
        with pytest.raises(UsageError, match="exists already"):
            run(wiki, tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("trouble", "complaint"),
    [
        (
            Trouble(200, "<html>", {"Content-Type": "text/html; charset=utf-8"}),
            "HTTP 200 with text/html, not the API's",
        ),
        (Trouble(404, "<html>", {"Content-Type": "text/html"}), "HTTP 404 with text/html"),
        (Trouble(200, '{"error": {"code": "badvalue", "info": "Unknown."}}'), "badvalue: Unknown."),
        (Trouble(200, "{}"), "an answer without query.categorymembers"),
        (Trouble(200, "[]"), "HTTP 200 with no content type"),
    ],
)
def test_what_is_no_api_is_said_in_one_line(tmp_path: Path, trouble: Trouble, complaint: str) -> None:
    with FakeMediaWiki(ARTICLES, trouble=lambda number, parameters: trouble) as wiki:
        with pytest.raises(InputError) as caught:
            run(wiki, tmp_path / "a.jsonl")
        assert wiki.count == 1
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_articles(tmp_path: Path) -> None:
    with FakeMediaWiki(ARTICLES) as wiki, pytest.raises(InputError, match="only 8 of 20 articles are long enough"):
        run(wiki, tmp_path / "a.jsonl", articles=20)


def test_a_very_long_wait_is_the_users(tmp_path: Path) -> None:
    with FakeMediaWiki(ARTICLES, trouble=lambda number, parameters: too_many("7200")) as wiki:
        with pytest.raises(Unfinished, match="asks to wait 7200 s"):
            run(wiki, tmp_path / "a.jsonl")
        assert wiki.count == 1


def test_plain_text() -> None:
    extract = "Un.\n\n== Vide ==\n\n== A ==\n=== B ===\nTexte.\n== Sources d'énergie ==\nVent.\n== Voir aussi ==\nFin."
    assert plain_text(extract) == "Un.\n\nA\n\nB\n\nTexte.\n\nSources d'énergie\n\nVent."


def test_the_command(tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), *arguments, "--contact", "test@example.org"]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)

    out = str(tmp_path / "a.jsonl")
    with FakeMediaWiki(ARTICLES) as wiki:
        done = call(out, "--api", wiki.api, "--articles", "2", "--least", "50", "--most", "60")
        assert (done.returncode, done.stdout) == (0, f"{out}: 2 articles, 106 words\n")
        wrong = call(str(tmp_path / "b.jsonl"), "--api", wiki.api.replace("/w/", "/"))
        assert wrong.returncode == 2
        assert wrong.stderr.startswith("build_evalset: http://127.0.0.1")
        assert "HTTP 403 with text/html, not the API's JSON" in wrong.stderr
        assert wrong.stderr.count("\n") == 1
