"""Renders a chat template from a foreign run, in a process with bounded time and memory.

A template is a program: nothing else bounds its loops and texts. Run as a file, with a JSON object on
stdin (template, conversations, known, date), it writes a JSON list on stdout: a text for each conversation, or null.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

CPU_LIMIT = 5  # seconds; a real template takes a few milliseconds
WALL_LIMIT = 60.0  # seconds, on a machine that is busy with other things
MEMORY_LIMIT = 1 << 30
MOST_TEXT = 1 << 20  # characters of all the conversations


def render(
    template: str,
    conversations: Sequence[Sequence[Mapping[str, str]]],
    known: Mapping[str, Any],
    date: str,
    *,
    cpu_limit: int = CPU_LIMIT,
) -> list[str | None]:
    """A text for each conversation; None if the template refuses it, fails, or exceeds its limits.

    known: the template's other variables. date: what it gets for today's. cpu_limit: in seconds.
    """
    asked = {"template": template, "conversations": conversations, "known": known, "date": date}
    nothing: list[str | None] = [None] * len(conversations)
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(Path(__file__)), str(cpu_limit)],
            input=json.dumps(asked, default=str).encode(),
            capture_output=True,
            timeout=WALL_LIMIT,
            check=True,
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return nothing
    return found if isinstance(found, list) and len(found) == len(conversations) else nothing


def _limit_this_process(cpu_limit: int) -> None:
    with suppress(ImportError):  # not on every system; the parent's time limit holds everywhere
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, cpu_limit))
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))


def _rendered(asked: Mapping[str, Any]) -> list[str | None]:
    import jinja2.sandbox

    # The settings of transformers' own renderer.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **kwargs: json.dumps(value, ensure_ascii=False, **kwargs)
    environment.globals.update(raise_exception=_refuse, strftime_now=lambda _form: asked["date"])
    texts: list[str | None] = []
    for turns in asked["conversations"]:
        try:
            template = environment.from_string(asked["template"])
            text = template.render(messages=turns, add_generation_prompt=True, **asked["known"])
        except Exception:  # foreign code
            text = None
        texts.append(text if text is not None and len(text) <= MOST_TEXT else None)
    return texts


def _refuse(message: str) -> None:
    raise ValueError(message)


if __name__ == "__main__":
    _limit_this_process(int(sys.argv[1]))
    json.dump(_rendered(json.load(sys.stdin)), sys.stdout)
