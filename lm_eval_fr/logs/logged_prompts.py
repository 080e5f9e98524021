"""One prompt in the three forms in which lm-eval logs it, and the proof that two of them are the same.

raw       the text that went to a completions endpoint
chat      a one-element list that holds the JSON of the messages
template  the text that a chat template made of the messages

A rendered text is undone by rendering the arm's own template, which is in its results, around marks, and matching.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm_eval_fr.logs.template_renderer import render

_MARK = "⟦mark-{}⟧"
_DATE = "⟦date⟧"


@dataclass(frozen=True)
class Turn:
    role: str
    content: str


@dataclass(frozen=True)
class Rendering:
    """How an arm turns a task's messages into what it sends.

    system: what stands before the questions (system instruction and task description), None if it varies by document.
    template: the chat template's text: "" if one was applied that is not on record, None if none was applied.
    """

    system: str | None = ""
    template: str | None = None
    bos: str = ""
    eos: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    shots: int = 0
    delimiters: tuple[str, ...] = (" ", "\n\n")


@dataclass(frozen=True)
class Prompt:
    """A prompt as logged. turns is None where only its text is known."""

    form: Literal["raw", "chat", "template"]
    text: str
    turns: tuple[Turn, ...] | None
    rendering: Rendering

    @property
    def contents(self) -> tuple[str, ...]:
        """The texts that came from the task, in order."""
        if self.turns is not None:
            return tuple(turn.content for turn in self.turns)
        system = self.rendering.system
        if self.form == "raw" and system and self.text.startswith(system):
            return system, self.text[len(system) :]
        return (self.text,)

    def as_asked(self) -> tuple[str | None, str]:
        """(system, user): the task without the arm's template."""
        if self.turns is None:
            *system, user = self.contents
            return (system[0] if system else None), user
        systems = [turn.content for turn in self.turns if turn.role == "system"]
        users = [turn.content for turn in self.turns if turn.role == "user"]
        return (systems[0] if systems else None), (users[-1] if users else self.text)


def read_prompt(logged: Any, rendering: Rendering) -> Prompt:
    """The prompt from `arguments.gen_args_0.arg_0`."""
    if not isinstance(logged, str):
        turns = _messages(logged)
        text = logged[0] if isinstance(logged, list) and logged and isinstance(logged[0], str) else json.dumps(logged)
        return Prompt("chat", text, turns, rendering)
    if rendering.template is None:
        return Prompt("raw", logged, None, rendering)
    return Prompt("template", logged, _undo(logged, rendering), rendering)


def prompt_difference(one: Prompt, other: Prompt) -> str | None:
    """None if both prompts are the same, else the difference, as `<one> against <other>`."""
    if one.text == other.text:
        return None
    if one.turns is not None and other.turns is not None:
        return _turns_difference(one, other)
    for known, loose in ((one, other), (other, one)):
        if known.turns is not None and loose.form == "raw" and _glued(known, loose):
            return None
        if loose.form == "template" and loose.turns is None and known.form != "template" and _inside(known, loose):
            return None
    if one.form == other.form == "template":
        return f"the chat templates differ and cannot be undone: {_where(one.text, other.text)}"
    return _where(one.as_asked()[1], other.as_asked()[1])


def _messages(logged: Any) -> tuple[Turn, ...] | None:
    try:
        body = json.loads(logged[0]) if isinstance(logged[0], str) else logged
        return tuple(Turn(str(message["role"]), _content(message["content"])) for message in body)
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or json.dumps(part, sort_keys=True) for part in content)
    return content if isinstance(content, str) else json.dumps(content, sort_keys=True)


def _turns_difference(one: Prompt, other: Prompt) -> str | None:
    # A template may trim its input, or put the system text in front of the first question.
    if _squeezed(one) == _squeezed(other):
        return None
    (system_a, user_a), (system_b, user_b) = one.as_asked(), other.as_asked()
    if (system_a or "").strip() != (system_b or "").strip():
        return f"system text: {_where(system_a or '', system_b or '')}"
    if user_a.strip() != user_b.strip():
        return _where(user_a, user_b)
    return f"earlier turns: {_where(' '.join(one.contents), ' '.join(other.contents))}"


def _squeezed(prompt: Prompt) -> list[str]:
    contents = [content.strip() for content in prompt.contents]
    turns = prompt.turns or ()
    if len(turns) > 1 and turns[0].role == "system":
        return [f"{contents[0]}\n\n{contents[1]}".strip(), *contents[2:]]
    return contents


def _glued(known: Prompt, raw: Prompt) -> bool:
    """Whether the raw text is the turns in order, with only lm-eval's delimiters between them."""
    added = _added(known, raw.text)
    return added is not None and all(not text.strip() or text in raw.rendering.delimiters for text in added)


def _inside(known: Prompt, rendered: Prompt) -> bool:
    """Whether the rendered text holds the known texts in order, and adds only what its template may add."""
    added = _added(known, rendered.text)
    return added is not None and _only_template("\n".join(added), rendered.rendering)


def _added(known: Prompt, text: str) -> list[str] | None:
    """The text before, between and after the known texts; None if these are not all there, in order."""
    added, start = [], 0
    for content in map(str.strip, known.contents):
        at = text.find(content, start)
        if at < 0:
            return None
        added.append(text[start:at])
        start = at + len(content)
    return [*added, text[start:]]


def _only_template(added: str, rendering: Rendering) -> bool:
    """Whether every word around the task's text comes from the template, with no other instruction."""
    if not rendering.template:
        return True
    own = (rendering.template, rendering.bos, rendering.eos, "system user assistant", str(rendering.arguments))
    known = " ".join(own)
    return all(word in known for word in re.findall(r"[^\W\d_]{2,}", added) if word[:3] not in _MONTHS)


_MONTHS = frozenset(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"))


def _undo(text: str, rendering: Rendering) -> tuple[Turn, ...] | None:
    for shell in _shells(rendering):
        contents = shell.contents(text)
        if contents is not None:
            turns = [Turn(role, content) for role, content in zip(shell.roles, contents, strict=True)]
            known = [Turn("system", rendering.system)] if rendering.system else []
            return (*known, *turns)
    return None


@dataclass(frozen=True)
class _Shell:
    """What a template puts around the turns of a conversation of these roles."""

    roles: tuple[str, ...]
    ends: tuple[str, str] | None  # before and after the only turn
    pattern: re.Pattern[str]

    def contents(self, text: str) -> tuple[str, ...] | None:
        if self.ends is not None:  # many times faster than the pattern on a long prompt
            before, after = self.ends
            if len(text) < len(before) + len(after) or not (text.startswith(before) and text.endswith(after)):
                return None
            return (text[len(before) : len(text) - len(after)],)
        found = self.pattern.fullmatch(text)
        return None if found is None else found.groups()


@functools.lru_cache(maxsize=64)
def _shells(rendering: Rendering) -> tuple[_Shell, ...]:
    """What the template makes of the conversations that the task may hold, likeliest first."""
    if not rendering.template:
        return ()
    shapes: list[tuple[str, ...]] = []
    for shots in dict.fromkeys((rendering.shots, 0)):
        questions = (*("user", "assistant") * shots, "user")
        shapes += [questions] if rendering.system is not None else [("system", *questions), questions]
    before = [{"role": "system", "content": rendering.system}] if rendering.system else []
    asked = [
        [*before, *({"role": role, "content": _MARK.format(i)} for i, role in enumerate(roles))] for roles in shapes
    ]
    known = {"bos_token": rendering.bos, "eos_token": rendering.eos, "tools": None, "documents": None}
    texts = render(rendering.template, asked, {**known, **rendering.arguments}, _DATE)
    found = []
    for roles, made in zip(shapes, texts, strict=True):  # if it cannot be rendered, it is proven by containment instead
        if made is not None and all(made.count(_MARK.format(i)) == 1 for i in range(len(roles))):
            start, _, end = made.partition(_MARK.format(0))
            found.append(_Shell(roles, (start, end) if len(roles) == 1 and _DATE not in made else None, _pattern(made)))
    return tuple(found)


def _pattern(shell: str) -> re.Pattern[str]:
    pieces = re.split(f"({re.escape(_DATE)}|{re.escape(_MARK).replace(re.escape('{}'), '[0-9]+')})", shell)
    wild = {True: "[^\n]{0,40}?", False: "(.*?)"}
    return re.compile(
        "".join(wild[piece == _DATE] if i % 2 else re.escape(piece) for i, piece in enumerate(pieces)), re.DOTALL
    )


def _where(one: str, other: str) -> str:
    """Both texts around the first character that differs."""
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, at - 20)
    return f"{_excerpt(one, start)} against {_excerpt(other, start)}"


def _excerpt(text: str, start: int) -> str:
    return f"{'…' if start else ''}{text[start : start + 60]!r}{'…' if len(text) > start + 60 else ''}"
