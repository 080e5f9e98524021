"""Draws the pictures of the docs: the top of the demo's report in a browser, and what the demo's terminal shows.

.venv/bin/python -m tests.e2e.picture docs/report.png docs/terminal.png
"""

from __future__ import annotations

import contextlib
import html
import os
import pty
import re
import shutil
import sys
import tempfile
from pathlib import Path

SIZE = {"width": 1080, "height": 1010}
MOST = 200_000  # bytes


COLUMNS, ROWS = 100, 40
COLOURS = {"31": "#b3261e", "32": "#0a6b3d", "33": "#7a5200"}


def draw(page: str, picture: Path, *, only: str | None = None) -> None:
    """page: its address. only: the element to draw, in the place of what the window shows."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("no Chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shown = browser.new_page(viewport=SIZE, color_scheme="light")
        shown.goto(page)
        if only is None:
            shown.wait_for_selector("html[data-samples=ready]", state="attached")
            shown.screenshot(path=picture)
        else:
            shown.locator(only).screenshot(path=picture)
        browser.close()
    size = picture.stat().st_size
    print(f"{picture}: {size:,} bytes")
    if size > MOST:
        sys.exit(f"more than {MOST:,} bytes: make SIZE smaller")


def run_in_terminal(command: list[str]) -> str:
    """What it prints where a person watches."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
        os.environ.pop("NO_COLOR", None)
        os.execv(command[0], command)
    said = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while more := os.read(terminal, 65_536):
            said += more
    os.waitpid(child, 0)
    return said.decode("utf-8", "replace").replace("\r\n", "\n")


def as_page(said: str) -> str:
    """The last screen, its colours as spans."""
    last = html.escape(said.rpartition("comparing\n")[2].rstrip())
    opened = re.sub(
        r"\x1b\[(?:1;)?(\d\d)m", lambda found: f'<b style="color:{COLOURS.get(found[1], "inherit")}">', last
    )
    style = "font:14px/1.35 monospace;padding:16px;display:inline-block;background:#fafafa"
    closed = opened.replace("\x1b[0m", "</b>")
    return f'<meta charset="utf-8"><pre style="{style}">$ lm-eval-fr demo\n{closed}</pre>'


def main(report: str, terminal: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(sys.executable).with_name("lm-eval-fr"))
        said = run_in_terminal([program, "demo", "--out", folder])
        draw((Path(folder) / "report.html").resolve().as_uri(), Path(report))
        page = Path(folder) / "terminal.html"
        page.write_text(as_page(said.replace(folder, "lm-eval-fr-demo")), encoding="utf-8")
        draw(page.as_uri(), Path(terminal), only="pre")


if __name__ == "__main__":
    main(*sys.argv[1:])
