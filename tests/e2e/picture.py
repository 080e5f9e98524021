"""Draws docs/report.png: the top of the demo's report in a browser, light, at desktop width.

    .venv/bin/python -m tests.e2e.picture docs/report.png [STUDY]

STUDY: a folder that holds report.html; without it the demo is run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = {"width": 1080, "height": 1170}
MOST = 200_000  # bytes


def draw(report: Path, picture: Path) -> None:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("no Chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("html[data-samples=ready]", state="attached")
        page.screenshot(path=picture)
        browser.close()
    size = picture.stat().st_size
    print(f"{picture}: {size:,} bytes")
    if size > MOST:
        sys.exit(f"more than {MOST:,} bytes: make SIZE smaller")


def main(picture: str, study: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not study:
            subprocess.run([sys.executable, "-m", "lm_eval_fr", "demo", "--out", folder], check=True)
        draw(Path(study or folder) / "report.html", Path(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
