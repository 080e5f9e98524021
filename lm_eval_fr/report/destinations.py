"""Where a report goes: files and stdout, in the formats that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from lm_eval_fr.errors import UsageError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.streams import say_on_stderr

STDOUT = Path("-")


@dataclass(frozen=True)
class Destinations:
    """Where to write what. `-` is stdout, which then carries only that file. full: the whole text on a terminal too."""

    json_file: Path | None = None
    markdown_file: Path | None = None
    html_file: Path | None = None
    junit_file: Path | None = None
    badge_file: Path | None = None
    quiet: bool = False
    full: bool = False

    def check(self) -> None:
        """UsageError for impossible combinations, before anything is computed."""
        if self.json_file == STDOUT and self.markdown_file == STDOUT:
            raise UsageError("--json - and --markdown - both want stdout", remedy="give one of them a file")
        for flag, path in (("--html", self.html_file), ("--junit", self.junit_file), ("--badge", self.badge_file)):
            if path == STDOUT:
                raise UsageError("cannot go to stdout", where=f"{flag} -", remedy="give it a file")


def deliver(
    to: Destinations,
    *,
    json: Callable[[], str],
    text: Callable[[], str],
    markdown: Callable[[], str] | None = None,
    html: Callable[[Path], None] | None = None,
    junit: Callable[[], str] | None = None,
    badge: Callable[[], str] | None = None,
) -> None:
    """Makes only the requested formats; the text goes to stdout unless something else is written there.

    stderr says what was written to a file.
    """
    for path, content in (
        (to.json_file, json),
        (to.markdown_file, markdown),
        (to.junit_file, junit),
        (to.badge_file, badge),
    ):
        if content is None:
            continue
        if path == STDOUT:
            click.echo(content().rstrip("\n"))
        elif path is not None:
            write_atomic(path, content())
            say_on_stderr(f"wrote {path}")
    if to.html_file is not None and html is not None:
        html(to.html_file)
        say_on_stderr(f"wrote {to.html_file}")
    if not to.quiet and STDOUT not in (to.json_file, to.markdown_file):
        click.echo(text())
