"""Builds the articles that analysis_fr reads, from French Wikipedia, through its public API.

    python scripts/build_evalset.py OUT.jsonl --contact YOU@EXAMPLE.ORG [--articles 100] [--source featured|good|random]

Writes one article per line: id, title, text, words, url, revision, timestamp, licence, source. A text holds 600 to
1,200 words (--least, --most), cut at the end of a sentence, without its notes and links. The choice of articles
depends on
--seed and on the encyclopedia's content that day. If it stops for any reason, the same command resumes:
OUT.state.jsonl records which pages were checked.

One request at a time, with maxlag and Retry-After honoured; --contact goes into the User-Agent, as the API's rules ask.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

from lm_eval_fr import __version__
from lm_eval_fr.errors import InputError, Unfinished, UsageError
from lm_eval_fr.io.retry import retry_after
from lm_eval_fr.io.script import run_script, script_parser
from lm_eval_fr.io.streams import say_on_stderr
from lm_eval_fr.tasklib.documents import spread_over_clusters
from lm_eval_fr.tasklib.sentences import cut_at_sentence

API = "https://fr.wikipedia.org/w/api.php"
LICENCE = "CC BY-SA 4.0"
CATEGORIES = {"featured": "Catégorie:Article de qualité", "good": "Catégorie:Bon article"}
TRIES = 8
LONGEST_WAIT = 300.0  # seconds: a server that asks for more is left alone until the next run
TIMEOUT = 60.0
IDS_A_REQUEST = 50
END_SECTIONS = re.compile(
    r"^==\s*(?:notes(?: et références)?|références|voir aussi|bibliographie|annexes?|sources(?: et bibliographie)?"
    r"|liens? externes?|articles? connexes?)\s*==\s*$.*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
HEADING = re.compile(r"^(=+)\s*(.*?)\s*\1$")
FORMULA = "{\\displaystyle"  # a formula that became text


@dataclass(frozen=True)
class Choice:
    """Which articles are taken, and which part of them."""

    api: str
    source: str
    articles: int
    least: int
    most: int
    seed: int


class Client:
    """One polite caller of one MediaWiki API."""

    def __init__(self, api: str, contact: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.api = api
        self.sleep = sleep
        self.session = requests.Session()
        agent = f"lm-eval-fr/{__version__} ({contact}) python-requests/{requests.__version__}"
        self.session.headers.update({"User-Agent": agent, "Accept-Encoding": "gzip"})

    def query(self, **parameters: str | int) -> dict[str, Any]:
        """One answer of action=query. Raises InputError (not such an API), Unfinished (overloaded for too long)."""
        asked = {"action": "query", "format": "json", "formatversion": 2, "maxlag": 5, **parameters}
        trouble = ""
        for attempt in range(TRIES):
            try:
                reply = self.session.get(self.api, params=asked, timeout=TIMEOUT)
            except requests.RequestException as error:
                trouble, wait = f"not reached: {type(error).__name__}", 2.0**attempt
            else:
                content = self._content(reply)
                if content is not None:
                    return content
                trouble = f"busy (HTTP {reply.status_code})"
                asked_for = retry_after(reply.headers, time.time())
                wait = asked_for if asked_for is not None else 5.0 if reply.ok else 2.0**attempt
            if wait > LONGEST_WAIT:
                raise Unfinished(f"{trouble}, asks to wait {wait:.0f} s", where=self.api, remedy="rerun later")
            if attempt < TRIES - 1:
                self.sleep(wait)
        if trouble.startswith("not reached"):
            raise InputError(trouble, where=self.api, remedy="check the address and the network")
        raise Unfinished(f"{trouble} in {TRIES} tries", where=self.api, remedy="rerun later: it continues from here")

    def _content(self, reply: requests.Response) -> dict[str, Any] | None:
        """The answer, or None if the same request may be made again later."""
        if reply.status_code == 429 or reply.status_code >= 500:
            return None
        try:
            content = reply.json()
        except ValueError:
            content = None
        if not reply.ok or not isinstance(content, dict):
            kind = reply.headers.get("Content-Type", "no content type").split(";")[0]
            what = f"HTTP {reply.status_code} with {kind}, not the API's JSON"
            raise InputError(what, where=self.api, remedy="--api must end in api.php, --contact must be yours")
        if error := content.get("error"):
            if error.get("code") in ("maxlag", "ratelimited"):  # with HTTP 200
                return None
            raise InputError(f"{error.get('code')}: {error.get('info')}", where=self.api)
        return content


def part(client: Client, content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """query.<name> of an answer."""
    found = content.get("query", {}).get(name)
    if not isinstance(found, list):
        raise InputError(f"an answer without query.{name}", where=client.api, remedy="check the path to api.php")
    return found


def category_members(client: Client, category: str) -> Iterator[int]:
    asked: dict[str, str | int] = {
        "list": "categorymembers",
        "cmtitle": category,
        "cmtype": "page",
        "cmnamespace": 0,
        "cmprop": "ids",
        "cmlimit": 500,
    }
    while True:
        content = client.query(**asked)
        yield from (member["pageid"] for member in part(client, content, "categorymembers"))
        if "continue" not in content:
            return
        asked |= content["continue"]


def newest_page(client: Client) -> int:
    content = client.query(list="recentchanges", rctype="new", rcprop="ids", rclimit=1)
    changes = part(client, content, "recentchanges")
    if not changes:
        raise InputError("no recent page to tell how many there are", where=client.api)
    return changes[0]["pageid"]


def random_pages(client: Client, newest: int, seed: int, least_words: int) -> Iterator[int]:
    """Seeded page numbers, those of articles long enough kept. The API's own random pages have no seed."""
    numbers = random.Random(seed)
    seen: set[int] = set()
    while len(seen) < 0.9 * newest:
        drawn = dict.fromkeys(numbers.randint(1, newest) for _ in range(IDS_A_REQUEST))
        wanted = [number for number in drawn if number not in seen]
        seen |= drawn.keys()
        if wanted:
            pages = part(client, client.query(prop="info", pageids="|".join(map(str, wanted))), "pages")
            long = {page["pageid"] for page in pages if _is_article(page) and page["length"] > 5 * least_words}
            yield from (number for number in wanted if number in long)


def _is_article(page: Mapping[str, Any]) -> bool:
    return page.get("ns") == 0 and not page.get("missing") and not page.get("redirect")


def candidates(client: Client, choice: Choice, store: Store) -> Iterator[int]:
    """Page numbers in the order of checking, the same after a stop."""
    if choice.source == "random":
        newest = store.newest or newest_page(client)
        store.newest = newest
        yield from random_pages(client, newest, choice.seed, choice.least)
        return
    category = CATEGORIES[choice.source]
    members = sorted(set(category_members(client, category)))
    if not members:
        raise InputError(f"no article in {category}", where=client.api)
    keys = [str(member) for member in members]
    yield from (members[i] for i in spread_over_clusters(keys, keys, choice.seed))


def fetch_article(client: Client, page: int, choice: Choice) -> dict[str, Any] | str:
    """The article, or why it is not taken."""
    content = client.query(
        prop="extracts|info|revisions",
        pageids=page,
        explaintext=1,
        exsectionformat="wiki",
        inprop="url",
        rvprop="ids|timestamp",
    )
    found = next(iter(part(client, content, "pages")), {})
    if not _is_article(found) or not found.get("extract"):
        return "no article"
    text = cut_at_sentence(plain_text(found["extract"]), choice.most)
    words = len(text.split())
    if words < choice.least:
        return f"{words} words"
    if FORMULA in text:
        return "formulas"
    revision = found["revisions"][0]
    return {
        "id": str(found["pageid"]),
        "title": found["title"],
        "text": text,
        "words": words,
        "url": found["canonicalurl"],
        "revision": revision["revid"],
        "timestamp": revision["timestamp"],
        "licence": LICENCE,
        "source": choice.source,
    }


def plain_text(extract: str) -> str:
    """The body of an article: up to its notes and links, headings as lines, none over an empty section."""
    lines = [line.strip() for line in END_SECTIONS.sub("", extract).split("\n")]
    kept: list[str] = []
    headings: list[tuple[int, str]] = []
    for line in filter(None, lines):
        if heading := HEADING.match(line):
            level = len(heading[1])
            headings = [*(entry for entry in headings if entry[0] < level), (level, heading[2])]
        else:
            kept += [title for _, title in headings]
            headings = []
            kept.append(line)
    return "\n\n".join(kept)


class Store:
    """OUT.jsonl, and beside it which pages were checked. After a crash, an incomplete line is removed."""

    def __init__(self, out: Path, choice: Choice) -> None:
        self.out = out
        self.state = out.with_name(f"{out.name.removesuffix('.jsonl')}.state.jsonl")
        if out.exists() and not self.state.exists():
            raise UsageError("exists already", where=out, remedy="give a new OUT.jsonl")
        begun = _whole_lines(self.state)
        if begun and begun[0] != {"choice": asdict(choice)}:
            remedy = f"repeat the earlier flags ({json.dumps(begun[0].get('choice'))}) or give a new OUT.jsonl"
            raise UsageError("was begun with other settings", where=out, remedy=remedy)
        self.articles = _whole_lines(out)
        self.looked_at = {int(article["id"]) for article in self.articles}
        self._newest: int | None = None
        for entry in begun[1:]:
            if "newest" in entry:
                self._newest = entry["newest"]
            else:
                self.looked_at.add(entry["page"])
        if not begun:
            _append(self.state, {"choice": asdict(choice)})

    @property
    def newest(self) -> int | None:
        """The highest page number when a random choice began: the draws depend on it."""
        return self._newest

    @newest.setter
    def newest(self, page: int) -> None:
        if page != self._newest:
            self._newest = page
            _append(self.state, {"newest": page})

    def add(self, page: int, article: dict[str, Any] | str) -> None:
        self.looked_at.add(page)
        if isinstance(article, str):
            _append(self.state, {"page": page, "left": article})
            return
        self.articles.append(article)
        _append(self.out, article)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The file's objects. What follows the last line end was cut by a crash: it is removed."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        path.write_bytes(whole)
    try:
        return [json.loads(line) for line in whole.decode("utf-8").split("\n") if line]
    except ValueError as error:
        raise InputError(f"not JSON lines: {error}", where=path, remedy="give a new OUT.jsonl") from error


def _append(path: Path, entry: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def build(client: Client, choice: Choice, out: Path, *, say: Callable[[str], None] = print) -> int:
    """Fills OUT and returns the number of words in it. Raises LmEvalFrError; what was obtained is kept."""
    store = Store(out, choice)
    if len(store.articles) < choice.articles:
        for page in candidates(client, choice, store):
            if page in store.looked_at:
                continue
            article = fetch_article(client, page, choice)
            store.add(page, article)
            if not isinstance(article, str):
                say(f"{len(store.articles)}/{choice.articles} {article['title']} ({article['words']} words)")
            if len(store.articles) == choice.articles:
                break
        else:
            what = f"only {len(store.articles)} of {choice.articles} articles are long enough"
            raise InputError(what, where=out, remedy="another --source, or a smaller --least, into a new OUT.jsonl")
    return sum(article["words"] for article in store.articles)


def main(argv: list[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.jsonl")
    parser.add_argument("--contact", required=True, help="your address or page, for the User-Agent")
    parser.add_argument("--articles", type=int, default=100)
    parser.add_argument("--source", choices=[*CATEGORIES, "random"], default="featured")
    parser.add_argument("--least", type=int, default=600, help="words (default 600)")
    parser.add_argument("--most", type=int, default=1200, help="words (default 1200)")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--api", default=API)

    def work() -> None:
        given = parser.parse_args(argv)
        if not 1 <= given.least <= given.most or given.articles < 1:
            raise UsageError("--articles must be 1 or more, and --least from 1 to --most")
        if given.out.suffix != ".jsonl" or not given.out.parent.is_dir():
            raise UsageError("must be a .jsonl file in an existing folder", where=given.out)
        choice = Choice(given.api, given.source, given.articles, given.least, given.most, given.seed)
        client = Client(given.api, given.contact)
        words = build(client, choice, given.out, say=say_on_stderr)
        print(f"{given.out}: {given.articles} articles, {words} words")

    return run_script("build_evalset", work, interrupted="interrupted: rerun to continue")


if __name__ == "__main__":
    sys.exit(main())
